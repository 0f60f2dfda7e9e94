"""Runs tasks, each the training of one network on one fold, and keeps every finished one.

A task's folder in experiments/cache is named by all that decides its result: its settings, its
data, the code and the machine. It lies outside DVC's outputs, which DVC deletes before a stage
runs, so after a kill at any moment the same tasks again train only what was not finished.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.console import UserError, warn
from pipeline.files import (
    ARRAYS,
    CACHE,
    read_array,
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
FILES = ("train_images", "train_labels", "test_images", "folds")


@dataclass(frozen=True)
class Data:
    """The arrays of data/arrays: images (rows, height, width, channels), all uint8."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    folds: np.ndarray

    @property
    def train(self) -> Digits:
        """All labelled rows."""
        return Digits(self.train_images, self.train_labels)


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
        if not (folder / "done.json").exists() or _damaged(folder):
            _train(task, data, folder, partial(report, task))
        yield _read(task, data, folder)


def _damaged(folder: Path) -> bool:
    """Whether a file of a finished task is not as it was written; then it is trained again."""
    for name, digest in json.loads((folder / "done.json").read_text())["sha256"].items():
        if not (folder / name).exists() or sha256_file(folder / name) != digest:
            warn(f"{folder / name} is damaged; training that fold again")
            shutil.rmtree(folder)
            return True
    return False


def _held_out(task: Task, data: Data) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(len(data.folds)) if task.rows is None else np.array(task.rows)
    mine = data.folds[rows] == task.fold
    return rows[~mine], rows[mine]


def _train(task: Task, data: Data, folder: Path, report: Callable[[Epoch], Any]) -> None:
    """Train into a folder beside the final one, going on from its checkpoint; then rename it."""
    unfinished = folder.with_suffix(".partial")
    unfinished.mkdir(parents=True, exist_ok=True)
    learned, held_out = _held_out(task, data)
    key = f"{task.seed}/{task.name}/fold{task.fold}"
    fitted = fit(
        task.recipe,
        Digits(data.train_images[learned], data.train_labels[learned]),
        Digits(data.train_images[held_out], data.train_labels[held_out]),
        classes=task.classes,
        key=key,
        epochs=task.epochs,
        precision=task.precision,
        checkpoint=unfinished / "epoch.npz",
        report=report,
    )
    started = time.perf_counter()
    write_array(unfinished / "held_out.npy", predict(fitted.model, data.train_images[held_out]))
    if task.test:
        write_array(unfinished / "test.npy", predict(fitted.model, data.test_images))
        fitted.model.save(unfinished / "model.keras")
    (unfinished / "epoch.npz").unlink()
    digests = {file.name: sha256_file(file) for file in sorted(unfinished.iterdir())}
    trained = sum(row["seconds"] for row in fitted.history)  # whenever that was
    seconds = trained + time.perf_counter() - started
    done = {"seconds": seconds, "history": fitted.history, "sha256": digests}
    write_json(unfinished / "done.json", done)
    if folder.exists():
        shutil.rmtree(folder)
    unfinished.rename(folder)


def _read(task: Task, data: Data, folder: Path) -> Result:
    done = json.loads((folder / "done.json").read_text())
    return Result(
        fingerprint=folder.name,
        held_out=_held_out(task, data)[1],
        probabilities=read_array(folder / "held_out.npy"),
        test_probabilities=read_array(folder / "test.npy") if task.test else np.zeros((0, 0)),
        history=done["history"],
        seconds=done["seconds"],
        model=folder / "model.keras",
    )
