"""experiments/cache: every finished fold, named by its fingerprint, so that none is trained twice.

After a kill at any moment the same tasks again train only what was not finished; after a change,
only what it affects. Two processes that need the same fold wait for each other.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pipeline.base.console import say, warn
from pipeline.base.digests import sha256_file, sha256_json
from pipeline.base.files import read_array, remove, write_json
from pipeline.base.locks import locked
from pipeline.base.paths import CACHE, RESTARTED
from pipeline.data.arrays import Data
from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task
from pipeline.training.fingerprint import fingerprint
from pipeline.training.machine import Machine, machines
from pipeline.training.write_fold import FILES, Written, write_fold

# Of a process that has trained, bytes: each network leaves some memory behind.
MEMORY_LIMIT = 3 * 2**30
Report = Callable[[Task, list[Epoch]], Any]


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
    machine: dict[str, Any]  # where it was trained, see `hardware.describe`


def run_tasks(
    tasks: Iterable[Task], data: Data, report: Report = lambda _task, _history: None
) -> Iterator[Result]:
    """Run the tasks one after the other in this process; yield their results in order.

    A task that was finished before is read from the cache, and `report` is not called for it.
    """
    for task in tasks:
        machine = in_cache(task, data)
        if machine is None:
            _restart_if_large()
            machine = machines()[0]
            folder = CACHE / fingerprint(task, data, machine)
            train_into(folder, task, partial(write_fold, task, data, report=partial(report, task)))
        yield read_result(task, data, machine)


def in_cache(task: Task, data: Data) -> Machine | None:
    """The first of the machines by which a task was finished before; None if by none."""
    for machine in machines():
        if finished(CACHE / fingerprint(task, data, machine)):
            return machine
    return None


def train_into(folder: Path, task: Task, train: Callable[[Path], Written]) -> None:
    """Train a task, unless another process does it meanwhile; then wait for that.

    `train` writes `FILES` into the folder that it gets, and finds its checkpoints there.
    """
    with locked(f"folds/{folder.name}", f"training {task.name}, {task.label},"):
        if not finished(folder):
            _train(folder, train)


def has_grown() -> bool:
    """Whether this process uses too much memory to train another network."""
    process = psutil.Process()
    used = process.memory_info()
    # Without the pages of mapped files, which the system takes back.
    own = used.rss - used.shared if hasattr(used, "shared") else process.memory_full_info().uss
    return bool(own > MEMORY_LIMIT)


def _restart_if_large() -> None:
    """Replace this process by a new one with the same command, once it has grown too large.

    Everything finished is in the cache, so the new process returns to the task at hand.
    """
    if has_grown():
        os.environ[RESTARTED] = str(time.time())
        say(f"over {MEMORY_LIMIT / 2**30:.0f} GiB of memory in use; restarting the process")
        os.execv(sys.executable, sys.orig_argv)


def finished(folder: Path) -> bool:
    """Whether a fold is in the cache, and each file of it is as it was written."""
    if not folder.exists():
        return False
    try:
        done = json.loads((folder / "done.json").read_text())
        itself, digests = done.pop("itself"), done["sha256"]
        return bool(itself == sha256_json(done)) and all(
            sha256_file(folder / name) == digest for name, digest in digests.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _train(folder: Path, train: Callable[[Path], Written]) -> None:
    """Train into a folder beside the final one, from its checkpoint if it has one; rename it."""
    if folder.exists():
        warn(f"{folder} is damaged; training that fold again")
        remove(folder)
    unfinished = folder.with_suffix(".partial")
    unfinished.mkdir(parents=True, exist_ok=True)
    written = train(unfinished)
    files = [unfinished / name for name in FILES]
    done = {
        "seconds": written.seconds,
        "history": written.history,
        "sha256": {path.name: sha256_file(path) for path in files if path.exists()},
    }
    write_json(unfinished / "done.json", done | {"itself": sha256_json(done)})
    unfinished.rename(folder)
    for checkpoint in folder.glob("*.npz"):
        checkpoint.unlink()


def read_result(task: Task, data: Data, machine: Machine) -> Result:
    """A fold that a machine has finished.

    Raises:
        UserError: a file of it is missing or damaged.
    """
    folder = CACHE / fingerprint(task, data, machine)
    done = json.loads((folder / "done.json").read_text())
    return Result(
        fingerprint=folder.name,
        held_out=task.split(data.folds)[1],
        probabilities=read_array(folder / "probabilities.npy"),
        test_probabilities=read_array(folder / "test.npy") if task.test else np.zeros((0, 0)),
        history=done["history"],
        seconds=done["seconds"],
        model=folder / "model.keras",
        machine=machine.description,
    )
