"""Kills at random moments of every stage; then `dvc repro` again must end as if nothing had been."""

import os
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import product
from random import Random
from typing import Any

import psutil

from chaos import traces, upload
from chaos.experiment import Experiment
from chaos.project import LIMIT, TARGETS, FailedError, Project, require
from chaos.workshop import Workshop

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
VICTIMS = ("stage", "dvc", "group")
# What is being broken -> the stage, and the files whose appearance says that it is being written.
# "logging" is the training's, its models and metrics on their way to MLflow.
WRITES = {
    "download": ("data/raw/.train-*", "data/raw/.test-*", "data/raw/.sample_submission-*"),
    "preprocess": ("data/arrays/.train_images-*", "data/arrays/.test_images-*"),
    "tune": ("experiments/cache/*.partial/.fit-*", "experiments/cache/*/done.json",
             "experiments/cache/tune/*.log", "experiments/tune/.tiny-*"),
    "train": ("experiments/cache/*.partial/.fit-*", "experiments/cache/*.partial/.model-*",
              "experiments/cache/*.partial/.done-*", "experiments/train/tiny/.fold*",
              "experiments/train/tiny/.test-*"),
    "logging": ("experiments/mlflow.db-journal", "experiments/cache/tracking/*",
                "experiments/train/tiny/.oof-*", "experiments/train/tiny/curves.png"),
    "ensemble": ("experiments/ensemble/.oof-*", "experiments/ensemble/.confusion-*"),
    "submission": ("submissions/.submission-*", "submissions/.metrics-*"),
}  # fmt: skip
# Of each 26 kills; tuning and training have half.
SHARES = {"train": 8, "tune": 5, "logging": 2, "download": 3, "preprocess": 2, "ensemble": 2,
          "submission": 2, "upload": 2}  # fmt: skip


@dataclass(frozen=True)
class Kill:
    """What is killed, by which signal, and when."""

    what: str
    signal: str
    victim: str  # the stage's process, dvc alone, or the whole group
    moment: str  # time, write, epoch or after
    share: float  # of the stage's time, or of what else the moment chooses among

    @property
    def stage(self) -> str:
        """The stage it falls into."""
        return "train" if self.what == "logging" else self.what


def experiments(count: int, seed: int) -> list[Experiment]:
    """So many kills, the same for the same seed."""
    found, order = [], [name for name, share in SHARES.items() for _ in range(share)]
    seen: Counter[str] = Counter()
    for number in range(count):
        random = Random(f"{seed}/kill/{number}")
        what = order[number * 11 % len(order)]  # 11 and 26 have no divisor: all come, mixed
        pairs = list(product(SIGNALS, VICTIMS))
        Random(f"{seed}/{what}").shuffle(pairs)
        chosen, victim = pairs[seen[what] % len(pairs)]
        seen[what] += 1
        if what == "upload":
            found.append(
                upload.experiment(number, seen[what], SIGNALS[number % 3], random.random())
            )
            continue
        kill = Kill(what, chosen, victim, _moment(what, victim, random), random.random())
        name = f"{number:03}-{what}-{chosen}-{victim}-{kill.moment}"
        about = {"stage": what, "signal": chosen, "victim": victim, "moment": kill.moment}
        found.append(Experiment("kills", name, partial(survive, kill=kill), about))
    return found


def _moment(what: str, victim: str, random: Random) -> str:
    if what == "logging":
        return "write"
    moments = ["time", "write"] + ["epoch"] * 2 * (what == "train")
    return random.choice(moments + ["after"] * (victim != "stage"))


def survive(shop: Workshop, kill: Kill) -> dict[str, Any]:
    """Kill, run again, and hold what comes against the undisturbed run.

    Raises:
        FailedError: something was lost, left behind or done twice.
    """
    with shop.project(kill.stage) as project:
        began = time.monotonic()
        dvc = project.start("dvc", "repro", TARGETS[kill.stage])
        try:
            hit = wait_and_kill(project, shop, dvc, kill)
            dvc.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise FailedError("dvc did not end after the kill") from None
        finally:
            if dvc.poll() is None:
                dvc.kill()
        project.check_so_far()
        code, printed = project.run("dvc", "repro", TARGETS[kill.stage])
        require(code == 0, f"the rerun ended with {code}: {printed[-300:]}")
        project.settle()
        project.check_so_far()
        repeated = traces.repeated_epochs(project) if kill.stage == "train" else 0
        traces.check_folders(project, kill.stage)
        traces.check_mlflow(project, kill.stage)
        traces.check_study(project, kill.stage)
        seconds = round(time.monotonic() - began, 1)
        return {"hit": hit, "repeated": repeated, "waited": "waiting for it" in printed,
                "took": seconds}  # fmt: skip


def wait_and_kill(
    project: Project, shop: Workshop, dvc: subprocess.Popen[bytes], kill: Kill
) -> str:
    """Wait for the moment, send the signal; what was hit, or that it came too late."""
    stage = None
    while stage is None:
        if dvc.poll() is not None:
            raise FailedError(f"dvc ended before {kill.stage} began: {project.printed()[-300:]}")
        time.sleep(0.01)
        stage = _stage_process(dvc, kill.stage)
    if not _wait(project, shop, stage, kill) and kill.victim == "stage":
        return "too late"
    if kill.victim == "group":
        os.killpg(dvc.pid, signal.Signals[kill.signal])
        return "group"
    try:
        victim = stage if kill.victim == "stage" else psutil.Process(dvc.pid)
        victim.send_signal(signal.Signals[kill.signal])
    except psutil.NoSuchProcess:
        return "too late"
    return kill.victim


def _wait(project: Project, shop: Workshop, stage: psutil.Process, kill: Kill) -> bool:
    """Wait for the moment; False if the stage has ended before it."""
    random = Random(kill.share)
    if kill.moment == "time":
        seconds = kill.share * shop.seconds(kill.stage)
        return not _until(stage, lambda: time.time() - stage.create_time() >= seconds)
    if kill.moment == "after":  # dvc takes the outputs into its cache
        _until(stage, lambda: False)
        time.sleep(0.5 * kill.share)
        return True
    if kill.moment == "epoch":
        line = f"tiny fold {random.randint(1, 2)}  epoch {random.randint(1, 40):2}/40"
        done = _until(stage, lambda: line in project.printed())
        time.sleep(0.03 * random.random())
        return not done
    pattern = random.choice(WRITES[kill.what])
    before = set(project.path.glob(pattern))
    skip = random.randrange(4) if "partial/.fit" in pattern else 0
    seen = set(before)

    def appeared() -> bool:
        seen.update(project.path.glob(pattern))
        return len(seen - before) > skip

    return not _until(stage, appeared)


def _until(stage: psutil.Process, condition: Any) -> bool:
    """Wait for the condition; True if the stage ends first."""
    while not condition():
        if not stage.is_running() or stage.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.001)
    return False


def _stage_process(dvc: subprocess.Popen[bytes], stage: str) -> psutil.Process | None:
    """The process of the stage that dvc is running, if it is that one."""
    try:
        for child in psutil.Process(dvc.pid).children(recursive=True):
            if child.cmdline()[1:4] == ["-m", "pipeline", stage]:
                return child
    except psutil.Error:
        pass
    return None
