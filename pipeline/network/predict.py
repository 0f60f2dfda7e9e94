"""What a trained network says of raw pixels."""

import numpy as np

from pipeline.base.hardware import keras, tf
from pipeline.network.augment import view
from pipeline.network.inputs import Inputs
from pipeline.recipes.recipe import Recipe

BATCH = 1000


def parts(model: keras.Model) -> tuple[keras.layers.Layer, keras.Model]:
    """The scaling of a model that predicts, and the rest of it."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    if isinstance(model, keras.Sequential):
        return layers[0], keras.Sequential(layers[1:])
    return layers[0], keras.Model(layers[0].output, model.output)


def predict(model: keras.Model, images: Inputs | np.ndarray, recipe: Recipe) -> np.ndarray:
    """Probabilities, float32 (rows, classes), of raw pixels: the mean over the recipe's views.

    Each of `recipe.views` sees the images shifted, turned and so on by a draw of its own from the
    ranges of the recipe's augmentation; one view is the images as they are.

    Args:
        model: the form that predicts, scaling first: see `pipeline/network/models.py`.
        images: uint8 (rows, height, width, channels), as `network_inputs` gives them.
        recipe: the network's.
    """
    if not len(images):  # TensorFlow's convolutions fail on none
        return np.zeros((0, model.output_shape[-1]), np.float32)
    scaling, network = parts(model)

    def step(batch: tf.Tensor) -> tf.Tensor:
        scaled = scaling(tf.cast(batch, tf.float32))
        if recipe.views == 1:
            return network(scaled, training=False)

        def add_view(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            seen = view(scaled, number, recipe.augmentation)
            return number + 1, total + network(seen, training=False)

        # Not a `for`: it would become as many copies of the network.
        start = (tf.constant(0, tf.int64), tf.zeros((tf.shape(batch)[0], model.output_shape[-1])))
        _, total = tf.while_loop(lambda number, _: number < recipe.views, add_view, start)
        return total / recipe.views

    step = tf.function(step, reduce_retracing=True, autograph=False)
    starts = range(0, len(images), BATCH)
    batches = (tf.constant(images[start : start + BATCH]) for start in starts)
    return np.concatenate([step(batch).numpy() for batch in batches])
