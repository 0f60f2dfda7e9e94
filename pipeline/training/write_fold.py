"""A trained fold as files: what the cache keeps, and what a node of a cluster sends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.base.files import replacing, write_array
from pipeline.data.arrays import Data
from pipeline.network.checkpoint import Epoch
from pipeline.network.task import Task
from pipeline.network.train_fold import train_fold

FILES = ("probabilities.npy", "test.npy", "model.keras")  # without test rows the first alone


class Written(NamedTuple):
    """What is known of a trained fold beside its files."""

    seconds: float
    history: list[Epoch]


def write_fold(
    task: Task, data: Data, folder: Path, report: Callable[[list[Epoch]], Any]
) -> Written:
    """Train a task's network, with its checkpoints in `folder`, and write its `FILES` there."""
    trained = train_fold(task, data, folder, report)
    write_array(folder / "probabilities.npy", trained.probabilities)
    if trained.test_probabilities is not None:
        write_array(folder / "test.npy", trained.test_probabilities)
        with replacing(folder / "model.keras") as temporary:
            trained.model.save(temporary)
    return Written(trained.seconds, trained.history)
