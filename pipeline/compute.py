"""Runs tasks, each the training of one network on one fold, and keeps every finished one.

A task's folder in experiments/cache is named by all that decides its result: its settings, its
data, the code and the machine. After a kill at any moment the same tasks again train only what was
not finished; after a change, only what it touches.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pipeline.batches import Digits
from pipeline.checkpoint import Epoch
from pipeline.console import say, warn
from pipeline.files import (
    CACHE,
    read_array,
    replacing,
    sha256_file,
    sha256_json,
    write_array,
    write_json,
)
from pipeline.fit import Fitted, fit, predict
from pipeline.task import Data, Task, fingerprint, input_images, split_rows

# Of a process that has trained; a stage is to stay under 4 GiB.
MEMORY_LIMIT = 3 * 2**30


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


def run_tasks(
    tasks: Iterable[Task],
    data: Data,
    report: Callable[[Task, list[Epoch]], Any] = lambda _task, _history: None,
) -> Iterator[Result]:
    """Run the tasks one after the other in this process; yield each one's result in turn.

    A task that was finished before is read from the cache, and `report` is not called for it.
    """
    for task in tasks:
        if not finished(task, data):
            _start_anew_if_large()
            _train(task, data, _folder(task, data), partial(report, task))
        yield _read(task, data)


def has_grown() -> bool:
    """Whether this process has grown too large: each network leaves some memory behind."""
    return psutil.Process().memory_info().rss > MEMORY_LIMIT


def _start_anew_if_large() -> None:
    """Replace this process by itself, started again, once it has grown too large.

    All that is finished is in the cache, so the process comes back to the task at hand.
    """
    if has_grown():
        say(f"over {MEMORY_LIMIT / 2**30:.0f} GiB of memory in use; starting the process anew")
        os.execv(sys.executable, sys.orig_argv)


def _folder(task: Task, data: Data) -> Path:
    return CACHE / fingerprint(task, data)


def finished(task: Task, data: Data) -> bool:
    """Whether the task was trained, and each file of it is as it was written."""
    folder = _folder(task, data)
    if not folder.exists():
        return False
    try:
        done = json.loads((folder / "done.json").read_text())
        itself, digests = done.pop("itself"), done["sha256"]
        whole = itself == sha256_json(done) and all(
            sha256_file(folder / name) == digest for name, digest in digests.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        warn(f"{folder} is damaged; training that fold again")
        shutil.rmtree(folder)
    return whole


def _fit(
    task: Task, data: Data, folder: Path, report: Callable[[list[Epoch]], Any]
) -> tuple[Any, ...]:
    """Train; return probabilities of the held-out rows, the network for the rest, its history."""
    learned, held_out = split_rows(task, data)
    train, judged = (
        Digits(input_images(task, data, rows), data.train_labels[rows])
        for rows in (learned, held_out)
    )

    history: list[Epoch] = []

    def so_far(part: list[Epoch]) -> list[Epoch]:
        return [*history, *({**row, "epoch": row["epoch"] + len(history)} for row in part)]

    def go_on(rows: Digits, part: str, start: Fitted | None = None) -> Fitted:
        return fit(
            task.recipe,
            rows,
            judged,
            classes=task.classes,
            key=f"{task.seed}/{task.name}/repeat{task.repeat}/fold{task.fold}/{part}",
            epochs=task.epochs,
            precision=task.precision,
            start=start,
            checkpoint=folder / f"{part}.npz",
            report=lambda part: report(so_far(part)),
        )

    fitted = go_on(train, "fit")
    probabilities = predict(fitted.model, judged.images, task.recipe)
    history = fitted.history
    if task.recipe.refit and task.test:
        # The rows held out have had their predictions; now they may be learned from too.
        both = np.concatenate([learned, held_out])
        fitted = go_on(
            Digits(input_images(task, data, both), data.train_labels[both]), "refit", fitted
        )
        history = so_far(fitted.history)
    return probabilities, fitted.model, history


def _train(task: Task, data: Data, folder: Path, report: Callable[[list[Epoch]], Any]) -> None:
    """Train into a folder beside the final one, going on from its checkpoint; then rename it."""
    unfinished = folder.with_suffix(".partial")
    unfinished.mkdir(parents=True, exist_ok=True)
    probabilities, model, history = _fit(task, data, unfinished, report)
    started = time.perf_counter()
    write_array(unfinished / "probabilities.npy", probabilities)
    written = ["probabilities.npy"]
    if task.test:
        test_probabilities = predict(model, input_images(task, data), task.recipe)
        write_array(unfinished / "test.npy", test_probabilities)
        with replacing(unfinished / "model.keras") as temporary:
            model.save(temporary)
        written += ["test.npy", "model.keras"]
    trained = sum(row["seconds"] for row in history)  # whenever that was
    done = {
        "seconds": trained + time.perf_counter() - started,
        "history": history,
        "sha256": {name: sha256_file(unfinished / name) for name in written},
    }
    write_json(unfinished / "done.json", done | {"itself": sha256_json(done)})
    unfinished.rename(folder)
    for checkpoint in folder.glob("*.npz"):
        checkpoint.unlink()


def _read(task: Task, data: Data) -> Result:
    folder = _folder(task, data)
    done = json.loads((folder / "done.json").read_text())
    return Result(
        fingerprint=folder.name,
        held_out=split_rows(task, data)[1],
        probabilities=read_array(folder / "probabilities.npy"),
        test_probabilities=read_array(folder / "test.npy") if task.test else np.zeros((0, 0)),
        history=done["history"],
        seconds=done["seconds"],
        model=folder / "model.keras",
    )
