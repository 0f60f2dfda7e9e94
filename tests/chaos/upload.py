"""Kills while Kaggle is spoken to: a submission is made once at the most, a file is whole or absent."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from random import Random
from typing import Any

from chaos.experiment import Experiment
from chaos.project import DONE, Project, require, write_params
from chaos.workshop import Workshop
from support.kaggle_server import Kaggle, Server
from support.project import write_competition

FORCED = (
    "--force",
    "slice",
    "--force",
    "out-of-date",
)  # the competition's file is another than that of the run
COMMAND = (sys.executable, "-m", "pipeline", "upload")
CALLS = ("GetSubmissionLimits", "StartSubmissionUpload", "PUT", "CreateSubmission",
         "ListSubmissions")  # fmt: skip
OWN = ("HOME", "KAGGLE_CONFIG_DIR", "KAGGLE_API_ENVIRONMENT", "KAGGLE_API_TOKEN", "http_proxy")
FILES = {
    "train.csv": "label,pixel0\n" + "1,2\n" * 400_000,
    "test.csv": "pixel0\n" + "2\n" * 400_000,
    "sample_submission.csv": "ImageId,Label\n" + "".join(f"{i},0\n" for i in range(1, 400_001)),
}


def experiment(number: int, turn: int, chosen: str, share: float) -> Experiment:
    """A kill of an upload, or, each second one, of a download from Kaggle."""
    fetching = turn % 2 == 0
    what = "fetch" if fetching else "upload"
    name = f"{number:03}-{what}-{chosen}-group-call"
    about = {"stage": what, "signal": chosen, "victim": "group", "moment": "call"}
    run = partial(fetch if fetching else send, chosen=chosen, random=Random(share))
    return Experiment("kills", name, run, about)


def send(shop: Workshop, chosen: str, random: Random) -> dict[str, Any]:
    """Kill an upload at one of its calls, or soon after; then again, then ask for what counted."""
    with shop.project(DONE) as project, Server({}) as kaggle:
        _at_kaggle(project, kaggle)
        call = random.choice(CALLS)
        process = project.start(*COMMAND, "-m", "chaos", *FORCED, "--wait", "5")
        _kill_at(process, kaggle, call, chosen, random)
        code, printed = project.run(*COMMAND, "-m", "chaos", *FORCED, "--wait=5")
        require(len(kaggle.submissions) <= 1, f"sent {len(kaggle.submissions)} times")
        require("Traceback" not in printed, printed[-300:])
        said = "" if code == 0 else printed.strip().splitlines()[-1]
        require(code == 0 or "was sent on" in said, f"the second try: {said}")
        code, printed = project.run(*COMMAND, "--sync")
        require(code == 0, f"--sync: {printed[-300:]}")
        ledger = (project.path / "submissions/ledger.csv").read_text()
        require(ledger.count("1001,complete") == len(kaggle.submissions), f"ledger: {ledger}")
        return {"call": call, "sent": len(kaggle.submissions), "said": said}


def fetch(shop: Workshop, chosen: str, random: Random) -> dict[str, Any]:
    """Kill a download in the middle of the file that Kaggle sends; then again."""
    files = {name: text.encode() for name, text in FILES.items()}
    with shop.project("download") as project, Server(files) as kaggle:
        _at_kaggle(project, kaggle, images={"kind": "rows", "shape": [1, 1, 1]}, rows={})
        kaggle.faults["GET"] = ["stall-halfway"]
        process = project.start("dvc", "repro", "download")
        _kill_at(process, kaggle, "GET", chosen, random)
        raw = project.path / "data/raw"
        require(not list(raw.glob("*.csv")), "a file of half a download")
        kaggle.faults.clear()
        project.repro("download")
        for name, content in files.items():
            require((raw / name).read_bytes() == content, f"{name} is not as it was sent")
        require({path.name for path in raw.iterdir()} == set(files), "something beside the files")
        return {"call": "GET"}


def _at_kaggle(project: Project, kaggle: Kaggle, **competition: Any) -> None:
    write_competition(project.path, source="kaggle", **competition)
    write_params(project.path, kaggle={"timeout": 20, "attempts": 3})
    own = kaggle.environment(project.path / ".kaggle-none")
    project.more |= {name: own[name] for name in OWN}


def _kill_at(
    process: subprocess.Popen[bytes], kaggle: Kaggle, call: str, chosen: str, random: Random
) -> None:
    while call not in kaggle.calls and process.poll() is None:
        time.sleep(0.005)
    time.sleep(random.choice([0.0, 0.3 * random.random()]))
    if process.poll() is None:
        os.killpg(process.pid, signal.Signals[chosen])
    process.wait(120)
