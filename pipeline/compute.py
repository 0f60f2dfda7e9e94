"""Runs tasks, each the training of one network on one fold, and keeps every finished one.

A task's folder in experiments/cache is named by all that decides its result: its settings, its
data, the code and the machine. It lies outside DVC's outputs, which DVC deletes before a stage
runs, so after a kill at any moment the same tasks again train only what was not finished.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pipeline.console import UserError, say, warn
from pipeline.files import (
    ARRAYS,
    CACHE,
    read_array,
    replacing,
    sha256_file,
    sha256_json,
    write_array,
    write_json,
)
from pipeline.fit import Digits, Epoch, fit, predict
from pipeline.hardware import describe
from pipeline.recipe import Recipe

# What a fold's result depends on; everything else about a run may change and it still stands.
CODE = ("augment.py", "compute.py", "fit.py", "models.py")
# Of a process that has trained; a stage is to stay under 4 GiB.
MEMORY_LIMIT = 3 * 2**30
FILES = ("train_images", "train_labels", "test_images", "folds")


@dataclass(frozen=True)
class Data:
    """The arrays of data/arrays: images (rows, height, width, channels), all uint8."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    folds: np.ndarray


@dataclass(frozen=True)
class Task:
    """Train `recipe` on all folds but `fold`; predict `fold`, and the test rows if `test`."""

    name: str  # the recipe's; part of the random key
    recipe: Recipe
    classes: int
    epochs: int
    precision: str
    seed: int
    fold: int
    rows: tuple[int, ...] | None = None  # train rows to work on, rising; None: all
    test: bool = True


@dataclass(frozen=True)
class Result:
    """What training a task gave; without `test`, no test rows and no model."""

    fingerprint: str
    held_out: np.ndarray  # int, positions of the fold's rows in the train arrays
    probabilities: np.ndarray  # float32, (held-out rows, classes)
    test_probabilities: np.ndarray  # float32, (test rows, classes)
    history: list[Epoch]
    seconds: float
    model: Path  # a .keras file


def load_data() -> Data:
    """Map data/arrays into memory and check that its arrays belong together."""
    data = Data(*(read_array(ARRAYS / f"{name}.npy") for name in FILES))
    rows = {len(data.train_images), len(data.train_labels), len(data.folds)}
    if len(rows) != 1:
        raise UserError(f"{ARRAYS}: arrays of different lengths; run `dvc repro -f preprocess`")
    return data


@cache
def data_digests() -> dict[str, str]:
    """The SHA-256 of each array file."""
    return {name: sha256_file(ARRAYS / f"{name}.npy") for name in FILES}


@cache
def code_digests() -> dict[str, str]:
    """The SHA-256 of each module that decides a network's weights."""
    return {name: sha256_file(Path(__file__).with_name(name)) for name in CODE}


def fingerprint(task: Task) -> str:
    """The name of the task's folder in the cache."""
    recipe = task.recipe.model_dump(exclude={"description", "search", "epochs"})
    decides = asdict(task) | {"recipe": recipe}
    decides |= {"data": data_digests(), "code": code_digests(), "machine": describe()}
    return sha256_json(decides)[:24]


def run_tasks(
    tasks: Iterable[Task],
    data: Data,
    report: Callable[[Task, Epoch], Any] = lambda _task, _row: None,
) -> Iterator[Result]:
    """Run the tasks one after the other in this process; yield each one's result in turn.

    A task that was finished before is read from the cache, and `report` is not called for it.
    """
    for task in tasks:
        folder = CACHE / fingerprint(task)
        if not _finished(folder):
            _start_anew_if_large()
            _train(task, data, folder, partial(report, task))
        yield _read(task, data, folder)


def _start_anew_if_large() -> None:
    """Replace this process by itself, started again, once it has grown too large.

    Each network leaves some memory behind in TensorFlow. All that is finished is in the cache, so
    the process comes back to the task at hand.
    """
    memory = psutil.Process().memory_info().rss
    if memory > MEMORY_LIMIT:
        say(f"{memory / 2**30:.1f} GiB of memory in use; starting the process anew, to go on there")
        os.execv(sys.executable, sys.orig_argv)


def _finished(folder: Path) -> bool:
    """Whether a task's folder is there, and each file in it as it was written."""
    if not folder.exists():
        return False
    try:
        digests = json.loads((folder / "done.json").read_text())["sha256"]
        whole = all(sha256_file(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, KeyError):
        whole = False
    if not whole:
        warn(f"{folder} is damaged; training that fold again")
    return whole


def _held_out(task: Task, data: Data) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(len(data.folds)) if task.rows is None else np.array(task.rows)
    mine = data.folds[rows] == task.fold
    return rows[~mine], rows[mine]


def _train(task: Task, data: Data, folder: Path, report: Callable[[Epoch], Any]) -> None:
    """Train into a folder beside the final one, going on from its checkpoint; then rename it."""
    unfinished = folder.with_suffix(".partial")
    unfinished.mkdir(parents=True, exist_ok=True)
    learned, held_out = _held_out(task, data)
    watched = Digits(data.train_images[held_out], data.train_labels[held_out])
    key = f"{task.seed}/{task.name}/fold{task.fold}"
    fitted = fit(
        task.recipe,
        Digits(data.train_images[learned], data.train_labels[learned]),
        watched,
        classes=task.classes,
        key=key,
        epochs=task.epochs,
        precision=task.precision,
        checkpoint=unfinished / "epoch.npz",
        report=report,
    )
    started = time.perf_counter()
    write_array(unfinished / "probabilities.npy", predict(fitted.model, watched.images))
    written = ["probabilities.npy"]
    if task.test:
        write_array(unfinished / "test.npy", predict(fitted.model, data.test_images))
        with replacing(unfinished / "model.keras") as temporary:
            fitted.model.save(temporary)
        written += ["test.npy", "model.keras"]
    trained = sum(row["seconds"] for row in fitted.history)  # whenever that was
    done = {
        "seconds": trained + time.perf_counter() - started,
        "history": fitted.history,
        "sha256": {name: sha256_file(unfinished / name) for name in written},
    }
    write_json(unfinished / "done.json", done)
    shutil.rmtree(folder, ignore_errors=True)  # there only if it was damaged
    unfinished.rename(folder)
    (folder / "epoch.npz").unlink()


def _read(task: Task, data: Data, folder: Path) -> Result:
    done = json.loads((folder / "done.json").read_text())
    return Result(
        fingerprint=folder.name,
        held_out=_held_out(task, data)[1],
        probabilities=read_array(folder / "probabilities.npy"),
        test_probabilities=read_array(folder / "test.npy") if task.test else np.zeros((0, 0)),
        history=done["history"],
        seconds=done["seconds"],
        model=folder / "model.keras",
    )
