"""The only training path: tune, train and every later use of a network go through `fit`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from pipeline.augment import view
from pipeline.batches import PREDICT_BATCH, Digits, training_batches, watched_batches
from pipeline.checkpoint import Checkpoint, Epoch, read_checkpoint, write_checkpoint
from pipeline.files import sha256_json
from pipeline.fused import fused
from pipeline.hardware import has_gpu, keras, tf
from pipeline.models import (
    build_callbacks,
    build_loss,
    build_model,
    build_optimizer,
    scaling_layer,
)
from pipeline.recipe import Recipe
from pipeline.seeds import random_key

# Of the rows held out, those looked at after each epoch: enough to see a training go wrong. All of
# them are predicted when it is done.
WATCHED_ROWS = 2000
# Steps that TensorFlow runs without coming back to Python, which costs a small network time.
STEPS_PER_EXECUTION = 16


@dataclass(frozen=True)
class Fitted:
    """A trained network: in the form that predicts, in the one that trains, and its history.

    The one that trains is the next `fit`'s too.
    """

    model: keras.Model
    training: keras.Model
    history: list[Epoch]


class _EachEpoch(keras.callbacks.Callback):
    """Keys the epoch's draws; keeps history and checkpoint; tells the caller.

    It comes after the recipe's own callbacks, whose state it keeps and puts back.
    """

    def __init__(
        self,
        key: str,
        epoch: tf.Variable,
        callbacks: list[keras.callbacks.Callback],
        saved: Checkpoint | None,
        checkpoint: Path | None,
        report: Callable[[list[Epoch]], Any],
    ) -> None:
        super().__init__()
        self.key, self.epoch, self.callbacks, self.saved = key, epoch, callbacks, saved
        self.checkpoint, self.report = checkpoint, report
        self.history = list(saved.history) if saved else []
        self.started = 0.0

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Put the callbacks back where they were; each has just set itself to its start."""
        if self.saved:
            self.saved.restore_callbacks(self.callbacks)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Key the draws, of the batches and of dropout."""
        self.started = time.perf_counter()
        self.epoch.assign(epoch)
        for position, state in enumerate(_random_states(self.model)):
            state.assign([random_key(self.key, "dropout", epoch, position), 0])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep what was reached."""
        row = {"epoch": epoch + 1, "seconds": time.perf_counter() - self.started}
        row |= {name: float(value) for name, value in (logs or {}).items()}
        self.history.append(row)
        if self.checkpoint:
            write_checkpoint(self.checkpoint, self.model, self.callbacks, self.history)
        self.report(list(self.history))


def _random_states(model: keras.Model) -> list[Any]:
    """The states of the random layers: the variables that are not weights."""
    weights = {id(weight) for weight in model.weights}
    return [
        variable
        for variable in model.non_trainable_variables
        if id(variable) not in weights and variable.path.endswith("seed_generator_state")
    ]


_compiled: dict[str, tuple[Any, list[np.ndarray]]] = {}


def _network(
    recipe: Recipe, train: Digits, classes: int, epochs: int, precision: str, key: str
) -> Any:
    """A compiled network with new weights, drawn by `key`, and its optimiser at its start.

    The folds of a recipe differ in nothing that TensorFlow compiles, and compiling takes seconds:
    the last network is used again where it is of the same kind.
    """
    shape, steps = train.images.shape[1:], -(-len(train.images) // recipe.batch_size)
    kind = sha256_json([recipe.model_dump(), shape, classes, steps, epochs, precision])
    if kind not in _compiled:
        _compiled.clear()
        keras.utils.clear_session()
        model = build_model(recipe, shape, classes, train_dtype=precision)
        model.compile(
            optimizer=fused(build_optimizer(recipe, steps, epochs)),
            loss=build_loss(recipe),
            metrics=["accuracy"],
            steps_per_execution=STEPS_PER_EXECUTION,
            jit_compile=has_gpu(),  # XLA makes a CPU 2 to 5 times slower at this
        )
        model.optimizer.build(model.trainable_variables)
        _compiled[kind] = (
            model,
            [keras.ops.convert_to_numpy(variable).copy() for variable in model.optimizer.variables],
        )
    model, start = _compiled[kind]
    keras.utils.set_random_seed(random_key(key, "weights"))
    model.set_weights(build_model(recipe, shape, classes, train_dtype=precision).get_weights())
    for variable, value in zip(model.optimizer.variables, start, strict=True):
        variable.assign(value)
    return model


def _watch(recipe: Recipe, train: Digits, held_out: Digits, key: str) -> tuple[Digits, Digits]:
    """The rows to learn from, and those to measure on after each epoch.

    What the recipe's callbacks decide by is taken from the training rows, never from those that
    are to judge the network.
    """
    if recipe.validation is None:
        step = max(1, -(-len(held_out.labels) // WATCHED_ROWS))
        return train, held_out.take(slice(None, None, step))
    learned, watched = train_test_split(
        np.arange(len(train.labels)),
        test_size=recipe.validation,
        stratify=train.labels,
        random_state=random_key(key, "validation"),
    )
    return train.take(np.sort(learned)), train.take(np.sort(watched))


def fit(
    recipe: Recipe,
    train: Digits,
    held_out: Digits,
    *,
    classes: int,
    key: str,
    epochs: int,
    precision: str,
    start: Fitted | None = None,
    checkpoint: Path | None = None,
    report: Callable[[list[Epoch]], Any] = lambda _: None,
) -> Fitted:
    """Train the recipe's network on `train`; `held_out` is watched, and changes nothing.

    Args:
        recipe: what to train, and how.
        train: the rows to learn from.
        held_out: rows to measure on after each epoch, if the recipe takes none from `train`.
        classes: labels are 0 .. classes - 1.
        key: names this training; all its random numbers come from it.
        epochs: how many times over the rows, unless a callback stops sooner; the recipe's
            schedules scale to it.
        precision: a Keras dtype policy, `float32` or `mixed_bfloat16`, for the training.
        start: a network to go on training, optimiser and all, in place of a new one.
        checkpoint: a file to write after each epoch and, if it is there, to go on from.
        report: called after each epoch with the history so far; what it raises ends the training.
    """
    learned, watched = _watch(recipe, train, held_out, key)
    if start:
        model, scaling = start.training, start.model.layers[0]
    else:
        model = _network(recipe, learned, classes, epochs, precision, key)
        scaling = scaling_layer(recipe, learned.images)
    saved = read_checkpoint(checkpoint) if checkpoint and checkpoint.exists() else None
    first = 0
    if saved:
        saved.restore_variables(model)
        first = epochs if saved.stopped else len(saved.history)
    callbacks = build_callbacks(recipe)
    epoch = tf.Variable(0, dtype=tf.int64)
    each_epoch = _EachEpoch(key, epoch, callbacks, saved, checkpoint, report)
    # Also with no epoch left to run: what Keras does at the end of a training is yet to be done.
    model.fit(
        training_batches(learned, classes, recipe, scaling, key, epoch),
        validation_data=watched_batches(watched, classes, scaling),
        epochs=epochs,
        initial_epoch=first,
        shuffle=False,  # training_batches did
        verbose=0,
        callbacks=[*callbacks, each_epoch],
    )
    final = build_model(recipe, train.images.shape[1:], classes, scaling=scaling)
    final.set_weights([*scaling.get_weights(), *model.get_weights()])
    return Fitted(final, model, each_epoch.history)


def predict(model: keras.Model, images: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Probabilities, float32 (rows, classes), of raw pixels: the mean over the recipe's views.

    Each of `recipe.views` looks at the images shifted, turned and so on by a draw of its own from
    the ranges of the recipe's augmentation; one view is the images as they are.
    """
    if not len(images):  # TensorFlow's convolutions fail on none
        return np.zeros((0, model.output_shape[-1]), np.float32)
    scaling, *layers = model.layers
    network = keras.Sequential(layers)

    def step(batch: tf.Tensor) -> tf.Tensor:
        scaled = scaling(tf.cast(batch, tf.float32))
        if recipe.views == 1:
            return network(scaled, training=False)
        total = tf.zeros((tf.shape(batch)[0], model.output_shape[-1]))
        for number in tf.range(tf.constant(recipe.views, tf.int64)):
            total += network(view(scaled, number, recipe.augmentation), training=False)
        return total / recipe.views

    step = tf.function(step, reduce_retracing=True)
    starts = range(0, len(images), PREDICT_BATCH)
    batches = (tf.constant(images[start : start + PREDICT_BATCH]) for start in starts)
    return np.concatenate([step(batch).numpy() for batch in batches])
