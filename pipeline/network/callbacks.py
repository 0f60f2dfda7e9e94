"""The callbacks a recipe may name, and what a checkpoint keeps of them.

Keras's own start from zero with every `fit`; a training that was killed must continue with the
patience, the best score and the best weights it had.
"""

from typing import Any

import numpy as np

from pipeline.base.hardware import keras

EarlyStopping = keras.callbacks.EarlyStopping
ReduceLROnPlateau = keras.callbacks.ReduceLROnPlateau
TerminateOnNaN = keras.callbacks.TerminateOnNaN


class StopWhenReached(keras.callbacks.Callback):
    """Stop at the end of the first epoch in which `monitor` is `value` or more."""

    def __init__(self, monitor: str = "accuracy", value: float = 1.0) -> None:
        super().__init__()
        self.monitor, self.value = monitor, float(value)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Look, and stop."""
        if (logs or {}).get(self.monitor, -np.inf) >= self.value:
            self.model.stop_training = True


def saved_state(callback: keras.callbacks.Callback) -> tuple[dict[str, Any], list[np.ndarray]]:
    """A callback's counters and best score, fit for JSON, and its best weights, if it keeps any."""
    plain = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in vars(callback).items()
        if not name.startswith("_") and isinstance(value, int | float | np.generic | None)
    }
    return plain, list(getattr(callback, "best_weights", None) or [])


def restore_state(
    callback: keras.callbacks.Callback, plain: dict[str, Any], weights: list[np.ndarray]
) -> None:
    """Put a callback back where `saved_state` found it."""
    vars(callback).update(plain)
    if weights:
        vars(callback)["best_weights"] = weights
