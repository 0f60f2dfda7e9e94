"""The only training path: tune, train and every later use of a network go through `fit`."""

import hashlib
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.augment import random_affine
from pipeline.console import warn
from pipeline.files import replacing
from pipeline.hardware import has_gpu, keras, tf
from pipeline.models import build_loss, build_model, build_optimizer
from pipeline.recipe import Augmentation, Recipe

PREDICT_BATCH = 1000
Epoch = dict[str, float]  # one row of a history: epoch, seconds, loss, accuracy, val_loss, ...


@dataclass(frozen=True)
class Digits:
    """Images, uint8 (rows, height, width, channels), and their labels, uint8 (rows,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """A trained network, in the form that predicts, and its history, a row an epoch."""

    model: keras.Model
    history: list[Epoch]


def random_key(*parts: object) -> int:
    """A number for stateless random draws, 0 .. 2**31 - 1, from what the draws are for."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def training_batches(
    digits: Digits, classes: int, recipe: Recipe, key: str, first_epoch: int, epochs: int
) -> tf.data.Dataset:
    """Batches of float32 pixels and one-hot labels, each epoch shuffled and augmented anew.

    Every draw depends on (key, epoch, step) alone, so epoch 7 is the same whether the training
    came to it from epoch 6 or was started there again after a kill.
    """
    images, labels = tf.constant(digits.images), tf.one_hot(digits.labels, classes)
    rows, size = len(digits.images), recipe.batch_size
    order_key, augment_key = random_key(key, "order"), random_key(key, "augment")
    augmented = recipe.augmentation != Augmentation()

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        seed = tf.stack([tf.constant(order_key, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(rows), seed=seed)

        def batch(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            chosen = order[start : start + size]
            pixels = tf.cast(tf.gather(images, chosen), tf.float32)
            if augmented:
                seed = tf.stack([tf.constant(augment_key, tf.int64), epoch * rows + start])
                pixels = random_affine(pixels, seed, recipe.augmentation)
            return pixels, tf.gather(labels, chosen)

        return tf.data.Dataset.range(0, rows, size).map(batch)

    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(epoch_batches).prefetch(4)
    return batches.with_options(_plain_options())


def _plain_options() -> tf.data.Options:
    """tf.data without its autotuner.

    There is nothing here to tune, and its thread can miss the end of a training: fit then returned
    up to a minute late, after every other fold or so.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


class _EachEpoch(keras.callbacks.Callback):
    """Keys dropout's draws by the epoch; keeps history and checkpoint; tells the caller."""

    def __init__(
        self,
        key: str,
        history: list[Epoch],
        checkpoint: Path | None,
        report: Callable[[Epoch], Any],
    ) -> None:
        super().__init__()
        self.key, self.history, self.checkpoint, self.report = key, history, checkpoint, report
        self.started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Key the draws."""
        self.started = time.perf_counter()
        for position, state in enumerate(_random_states(self.model)):
            state.assign([random_key(self.key, "dropout", epoch, position), 0])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep what was reached."""
        row = {"epoch": epoch + 1, "seconds": time.perf_counter() - self.started}
        row |= {name: float(value) for name, value in (logs or {}).items()}
        self.history.append(row)
        if self.checkpoint:
            _save(self.checkpoint, self.model, self.history)
        self.report(row)


def _random_states(model: keras.Model) -> list[Any]:
    """The states of the random layers: the variables that are not weights."""
    weights = {id(weight) for weight in model.weights}
    return [
        variable
        for variable in model.non_trainable_variables
        if id(variable) not in weights and variable.path.endswith("seed_generator_state")
    ]


def _save(path: Path, model: keras.Model, history: list[Epoch]) -> None:
    variables = [*model.weights, *model.optimizer.variables]
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, history=json.dumps(history), *[np.asarray(v) for v in variables])  # noqa: B026


def _restore(path: Path, model: keras.Model) -> list[Epoch]:
    """Put the model and its optimiser where they were after the checkpoint's last epoch."""
    variables = [*model.weights, *model.optimizer.variables]
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            values = [saved[f"arr_{position}"] for position in range(len(variables))]
            history: list[Epoch] = json.loads(str(saved["history"]))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        warn(f"{path} is damaged; training that fold from its start")
        return []
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return history


def _compiled(recipe: Recipe, train: Digits, classes: int, epochs: int, precision: str) -> Any:
    model = build_model(recipe, train.images.shape[1:], classes, train_dtype=precision)
    steps = -(-len(train.images) // recipe.batch_size)
    model.compile(
        optimizer=build_optimizer(recipe, steps, epochs),
        loss=build_loss(recipe),
        metrics=["accuracy"],
        jit_compile=has_gpu(),  # XLA makes a CPU 2 to 5 times slower at this
    )
    model.optimizer.build(model.trainable_variables)
    return model


def fit(
    recipe: Recipe,
    train: Digits,
    validation: Digits,
    *,
    classes: int,
    key: str,
    epochs: int,
    precision: str,
    checkpoint: Path | None = None,
    report: Callable[[Epoch], Any] = lambda _: None,
) -> Fitted:
    """Train the recipe's network on `train`; `validation` is watched, and changes nothing.

    Args:
        recipe: what to train, and how.
        train: the rows to learn from.
        validation: the rows to measure on after each epoch.
        classes: labels are 0 .. classes - 1.
        key: names this training; all its random numbers come from it.
        epochs: how many times over the rows; the recipe's schedules scale to it.
        precision: a Keras dtype policy, `float32` or `mixed_bfloat16`, for the training.
        checkpoint: a file to write after each epoch and, if it is there, to go on from.
        report: called with each epoch's row of the history; what it raises ends the training.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(random_key(key, "weights"))
    model = _compiled(recipe, train, classes, epochs, precision)
    history = _restore(checkpoint, model) if checkpoint and checkpoint.exists() else []
    if len(history) < epochs:
        watched = tf.data.Dataset.from_tensor_slices(
            (validation.images, tf.one_hot(validation.labels, classes))
        )
        model.fit(
            training_batches(train, classes, recipe, key, len(history), epochs),
            validation_data=watched.batch(PREDICT_BATCH).with_options(_plain_options()),
            epochs=epochs,
            initial_epoch=len(history),
            steps_per_epoch=-(-len(train.images) // recipe.batch_size),
            shuffle=False,  # training_batches did
            verbose=0,
            callbacks=[_EachEpoch(key, history, checkpoint, report)],
        )
    final = build_model(recipe, train.images.shape[1:], classes)
    final.set_weights(model.get_weights())
    return Fitted(final, history)


def predict(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Probabilities, float32 (rows, classes), of raw pixels."""
    step = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
    starts = range(0, len(images), PREDICT_BATCH)
    batches = (tf.constant(images[start : start + PREDICT_BATCH]) for start in starts)
    return np.concatenate([step(batch).numpy() for batch in batches])
