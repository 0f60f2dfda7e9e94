"""What a network is fed: batches of scaled pixels, shuffled and augmented by keyed draws."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.base.hardware import keras, tf
from pipeline.network.augment import augment, mixup
from pipeline.network.seeds import random_key
from pipeline.recipes.recipe import Augmentation, Recipe

WATCH_BATCH = 1000


@dataclass(frozen=True)
class Digits:
    """Images, uint8 (rows, height, width, channels), and their labels, uint8 (rows,)."""

    images: np.ndarray
    labels: np.ndarray

    def take(self, rows: Any) -> "Digits":
        """Some of the rows, by a slice or their positions."""
        return Digits(self.images[rows], self.labels[rows])


def training_batches(
    digits: Digits,
    classes: int,
    recipe: Recipe,
    scaling: keras.layers.Layer,
    key: str,
    epoch: tf.Variable,
) -> tf.data.Dataset:
    """One epoch's batches of scaled float32 pixels and one-hot labels, shuffled and augmented.

    The variable `epoch`, int64, is read each time the batches start. Every draw depends on (key,
    epoch, step) alone, so epoch 7 is the same whether training reached it from epoch 6 or restarted
    there after a kill.
    """
    images, labels = tf.constant(digits.images), tf.one_hot(digits.labels, classes)
    rows, size, alpha = len(digits.images), recipe.batch_size, recipe.augmentation.mixup_alpha
    order_key, augment_key = random_key(key, "order"), random_key(key, "augment")
    augmented = recipe.augmentation != Augmentation()

    def epoch_batches(_: tf.Tensor) -> tf.data.Dataset:
        now = epoch.read_value()
        seed = tf.stack([tf.constant(order_key, tf.int64), now])
        order = tf.random.experimental.stateless_shuffle(tf.range(rows), seed=seed)

        def batch(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            chosen = order[start : start + size]
            # Scaled first: augmentation fills with 0, which is then the mean pixel.
            pixels = scaling(tf.cast(tf.gather(images, chosen), tf.float32))
            known = tf.gather(labels, chosen)
            if not augmented:
                return pixels, known
            seed = tf.stack([tf.constant(augment_key, tf.int64), now * rows + start])
            pixels = augment(pixels, seed, recipe.augmentation)
            return mixup(pixels, known, seed, alpha) if alpha else (pixels, known)

        return tf.data.Dataset.range(0, rows, size).map(batch)

    batches = tf.data.Dataset.range(1).flat_map(epoch_batches).prefetch(4)
    batches = batches.apply(tf.data.experimental.assert_cardinality(-(-rows // size)))
    return batches.with_options(_plain_options())


def watched_batches(
    digits: Digits, classes: int, scaling: keras.layers.Layer
) -> tf.data.Dataset | None:
    """Batches of scaled pixels and one-hot labels to measure on; None if there are no rows."""
    if not len(digits.images):
        return None
    rows = tf.data.Dataset.from_tensor_slices((digits.images, tf.one_hot(digits.labels, classes)))
    batches = rows.batch(WATCH_BATCH).map(
        lambda images, labels: (scaling(tf.cast(images, tf.float32)), labels)
    )
    return batches.with_options(_plain_options())


def _plain_options() -> tf.data.Options:
    """tf.data without its autotuner.

    There is nothing to tune, and its thread can miss the end of a training: `fit` then returned up
    to a minute late, in about every other fold.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
