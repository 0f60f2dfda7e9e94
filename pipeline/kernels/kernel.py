"""`python -m pipeline kernel`, in the script on Kaggle's machine: trains, and packs the folds."""

import json
import time
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.base.console import say
from pipeline.base.digests import sha256_file
from pipeline.base.files import read_json, write_json
from pipeline.base.paths import CACHE
from pipeline.base.settings import load_settings
from pipeline.data.arrays import load_data
from pipeline.kernels.pack import WORK
from pipeline.kernels.tasks import tasks_of
from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task
from pipeline.training.cache import Result
from pipeline.training.engines import engine
from pipeline.training.machine import here
from pipeline.training.progress import epoch_line
from pipeline.training.worker import StopTrainingError
from pipeline.training.write_fold import FILES

FOLDS, ABOUT, MACHINE = "folds.zip", "folds.json", "machine.json"


def main(
    out: Annotated[Path, typer.Argument(help="The folder for folds.zip and folds.json.")],
    seconds: Annotated[float, typer.Option(help="After which no network goes on.")] = 3600.0,
) -> None:
    """Train what work.json says; keep each network as soon as it has ended."""
    until, settings, data, work = (
        time.time() + seconds,
        load_settings(),
        load_data(),
        read_json(WORK),
    )
    with zipfile.ZipFile(out / FOLDS, "w") as archive:
        archive.writestr(MACHINE, json.dumps(here().plain()))

    def report(task: Task, history: list[Epoch]) -> None:
        say(f"{task.name} {task.label}: {epoch_line(history, task.epochs)}")
        if time.time() > until:
            raise StopTrainingError

    every, done = tasks_of(settings, data, work["ways"]), 0
    tasks = [task for task in every if f"{task.name} {task.label}" in work["tasks"]]
    with engine(settings) as team:
        for start in range(0, len(tasks), team.at_once):
            jobs = [(task, data) for task in tasks[start : start + team.at_once]]
            for result in team.run(jobs, report) if time.time() < until else ():
                if result:
                    done += 1
                    _keep(out / FOLDS, result)
                    write_json(out / ABOUT, _about(out / FOLDS, work["digest"]))
    say(f"{done} of {len(tasks)} networks are in {FOLDS}")


def _keep(path: Path, result: Result) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        for name in (*FILES, "done.json"):
            archive.write(CACHE / result.fingerprint / name, f"{result.fingerprint}/{name}")


def _about(path: Path, digest: str) -> dict[str, Any]:
    return {"work": digest, "sha256": sha256_file(path), "bytes": path.stat().st_size}
