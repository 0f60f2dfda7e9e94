"""The state of a training after an epoch, as a file: weights, optimiser, callbacks, history."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.console import warn
from pipeline.base.files import replacing
from pipeline.base.hardware import keras
from pipeline.network.callbacks import restore_state, saved_state

Epoch = dict[str, float]  # one row of a history: epoch, seconds, loss, accuracy, val_loss, ...


@dataclass(frozen=True)
class Checkpoint:
    """What `write_checkpoint` wrote."""

    history: list[Epoch]
    stopped: bool  # whether a callback had ended the training
    variables: list[np.ndarray]
    callbacks: list[tuple[dict[str, Any], list[np.ndarray]]]

    def next_epoch(self, epochs: int) -> int:
        """The epoch to continue with, from 0; `epochs` if the training has ended."""
        return epochs if self.stopped else len(self.history)

    def restore_variables(self, model: keras.Model) -> None:
        """Restore the weights of the model and its optimiser."""
        variables = [*model.weights, *model.optimizer.variables]
        for variable, value in zip(variables, self.variables, strict=True):
            variable.assign(value)

    def restore_callbacks(self, callbacks: list[keras.callbacks.Callback]) -> None:
        """Restore each callback's state."""
        for callback, (plain, weights) in zip(callbacks, self.callbacks, strict=True):
            restore_state(callback, plain, weights)


def write_checkpoint(
    path: Path,
    model: keras.Model,
    callbacks: list[keras.callbacks.Callback],
    history: list[Epoch],
) -> None:
    """Write a compiled model's state after an epoch."""
    states = [saved_state(callback) for callback in callbacks]
    arrays: dict[str, Any] = {
        f"variable{position}": np.asarray(variable)
        for position, variable in enumerate([*model.weights, *model.optimizer.variables])
    }
    for number, (_, weights) in enumerate(states):
        arrays |= {f"callback{number}_{place}": value for place, value in enumerate(weights)}
    about = {
        "history": history,
        "stopped": bool(model.stop_training),
        "callbacks": [[plain, len(weights)] for plain, weights in states],
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, about=json.dumps(about), **arrays)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read a checkpoint; a damaged one is None, with a warning."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            about = json.loads(str(saved["about"]))
            count = sum(name.startswith("variable") for name in saved)
            return Checkpoint(
                history=about["history"],
                stopped=about["stopped"],
                variables=[saved[f"variable{position}"] for position in range(count)],
                callbacks=[
                    (plain, [saved[f"callback{number}_{place}"] for place in range(kept)])
                    for number, (plain, kept) in enumerate(about["callbacks"])
                ],
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        warn(f"{path} is damaged; training that fold from the start")
        return None
