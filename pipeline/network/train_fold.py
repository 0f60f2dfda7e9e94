"""Trains a task's network: `fit`, the held-out rows' predictions, then perhaps those rows too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.hardware import keras
from pipeline.data.arrays import Data
from pipeline.network.batches import Digits
from pipeline.network.checkpoint import Epoch
from pipeline.network.fit import Fitted, fit
from pipeline.network.predict import predict
from pipeline.network.task import Task


def train_fold(
    task: Task, data: Data, folder: Path, report: Callable[[list[Epoch]], Any]
) -> tuple[np.ndarray, keras.Model, list[Epoch]]:
    """Train a task's network, with its checkpoints in `folder`.

    Returns:
        Probabilities of the held-out rows, float32 (rows, classes), by a network that has not seen
        them; the network for test rows, which `refit` has trained on them since; the history.
    """
    learned, held_out = task.split(data.folds)
    train, judged = (
        Digits(task.images(data, rows), data.train_labels[rows]) for rows in (learned, held_out)
    )
    history: list[Epoch] = []

    def so_far(part: list[Epoch]) -> list[Epoch]:
        return [*history, *({**row, "epoch": row["epoch"] + len(history)} for row in part)]

    def train_on(rows: Digits, part: str, start: Fitted | None = None) -> Fitted:
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

    fitted = train_on(train, "fit")
    probabilities, history = predict(fitted.model, judged.images, task.recipe), fitted.history
    if task.recipe.refit and task.test:  # the held-out rows have been predicted
        both = np.concatenate([learned, held_out])
        rows = Digits(task.images(data, both), data.train_labels[both])
        fitted = train_on(rows, "refit", fitted)
        history = so_far(fitted.history)
    return probabilities, fitted.model, history
