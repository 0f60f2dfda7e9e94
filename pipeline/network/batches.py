"""What a network is fed: batches of scaled pixels, shuffled and augmented by keyed draws."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.base.hardware import keras, tf
from pipeline.network.augment import augment, mixup
from pipeline.network.inputs import Inputs
from pipeline.network.seeds import random_key
from pipeline.recipes.recipe import Augmentation, Recipe

WATCH_BATCH = 1000
# Nothing here needs TensorFlow's translation of Python, whose files a killed process leaves behind.
as_it_is = tf.autograph.experimental.do_not_convert


@dataclass(frozen=True)
class Labelled:
    """Images, uint8 (rows, height, width, channels), and their labels, int (rows,)."""

    images: Inputs
    labels: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray, labels: np.ndarray) -> "Labelled":
        """All of some images."""
        return cls(Inputs(images, np.arange(len(images))), labels)

    def take(self, rows: Any) -> "Labelled":
        """Some of the rows, by a slice or their positions."""
        return Labelled(self.images.subset(rows), self.labels[rows])

    def read(self, rows: tf.Tensor, classes: int) -> tuple[tf.Tensor, tf.Tensor]:
        """In a tf.data pipeline: some images, float32, and their labels, one-hot float32."""
        pixels = tf.numpy_function(self.images.__getitem__, [rows], tf.uint8, stateful=False)
        pixels.set_shape((None, *self.images.shape[1:]))
        labels = tf.gather(tf.constant(self.labels, tf.int32), rows)
        return tf.cast(pixels, tf.float32), tf.one_hot(labels, classes)


def training_batches(
    images: Labelled,
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
    rows, size, alpha = len(images.images), recipe.batch_size, recipe.augmentation.mixup_alpha
    order_key, augment_key = random_key(key, "order"), random_key(key, "augment")
    augmented = recipe.augmentation != Augmentation()

    def epoch_batches(_: tf.Tensor) -> tf.data.Dataset:
        now = epoch.read_value()
        seed = tf.stack([tf.constant(order_key, tf.int64), now])
        order = tf.random.experimental.stateless_shuffle(tf.range(rows), seed=seed)

        def batch(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            chosen = order[start : start + size]
            # Scaled first: augmentation fills with 0, which is then the mean pixel.
            pixels, known = images.read(chosen, classes)
            pixels = scaling(pixels)
            if not augmented:
                return pixels, known
            seed = tf.stack([tf.constant(augment_key, tf.int64), now * rows + start])
            pixels = augment(pixels, seed, recipe.augmentation)
            return mixup(pixels, known, seed, alpha) if alpha else (pixels, known)

        return tf.data.Dataset.range(0, rows, size).map(as_it_is(batch))

    batches = tf.data.Dataset.range(1).flat_map(as_it_is(epoch_batches)).prefetch(4)
    batches = batches.apply(tf.data.experimental.assert_cardinality(-(-rows // size)))
    return batches.with_options(_plain_options())


def watched_batches(
    images: Labelled, classes: int, scaling: keras.layers.Layer
) -> tf.data.Dataset | None:
    """Batches of scaled pixels and one-hot labels to measure on; None if there are no rows."""
    if not len(images.images):
        return None
    rows = len(images.images)

    def batch(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        end = tf.minimum(start + WATCH_BATCH, rows)
        pixels, labels = images.read(tf.range(start, end), classes)
        return scaling(pixels), labels

    batches = tf.data.Dataset.range(0, rows, WATCH_BATCH).map(as_it_is(batch))
    batches = batches.apply(tf.data.experimental.assert_cardinality(-(-rows // WATCH_BATCH)))
    return batches.with_options(_plain_options())


def _plain_options() -> tf.data.Options:
    """tf.data without its autotuner.

    There is nothing to tune, and its thread can miss the end of a training: `fit` then returned up
    to a minute late, in about every other fold.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
