"""Keras's layers by TensorFlow's faster kernels, for training on a processor.

Keras 3 spells out in many small operations what TensorFlow has one kernel for. Each class here has
the weights and arguments of the Keras class it derives from, and computes the same, up to rounding
and the choice of random bits; what it has no kernel for it leaves to Keras. Saved models hold
Keras's own classes.
"""

from typing import Any

from pipeline.base.hardware import keras, tf
from pipeline.network.convolution import FasterConv2D


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch norm of images by one kernel; its running variance is the unbiased one.

    Keras's dozen element-wise operations cost a convolutional network on a CPU as much as its
    convolutions do.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize; `inputs` are (batch, height, width, channels), or go the stock way."""
        if len(inputs.shape) != 4 or self.axis not in (-1, 3) or not (self.scale and self.center):
            return super().call(inputs, training=training, mask=mask)
        known = [tf.zeros(0)] * 2 if training else [self.moving_mean, self.moving_variance]
        mean, variance = (tf.convert_to_tensor(value) for value in known)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=bool(training),
        )
        if training:
            new = 1.0 - self.momentum
            self.moving_mean.assign(self.moving_mean * self.momentum + mean * new)
            self.moving_variance.assign(self.moving_variance * self.momentum + variance * new)
        return outputs


class ByteDropout(keras.layers.Dropout):
    """Dropout that draws one byte an element, a quarter of the random bits.

    The rate is rounded to 256ths, and what is kept is scaled by the rounded rate.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Set a share `rate` of the elements to 0, each by itself."""
        level = round(self.rate * 256)
        if not training or self.noise_shape is not None or not 0 < level < 256:
            return super().call(inputs, training=training)
        count = tf.size(inputs)
        seed = tf.cast(self.seed_generator.next(), tf.int64)
        words = tf.random.stateless_uniform([(count + 3) // 4], seed, None, None, tf.int32)
        draws = tf.reshape(tf.bitcast(words, tf.int8), [-1])[:count]
        kept = tf.reshape(draws, tf.shape(inputs)) >= level - 128
        return inputs * (tf.cast(kept, inputs.dtype) * (256 / (256 - level)))


FASTER: dict[type, Any] = {
    keras.layers.BatchNormalization: FusedBatchNormalization,
    keras.layers.Conv2D: FasterConv2D,
    keras.layers.Dropout: ByteDropout,
}


def faster_layer(stock: keras.layers.Layer) -> keras.layers.Layer:
    """The same layer by a faster kernel, if there is one for it; else itself."""
    if type(stock) not in FASTER:
        return stock
    return FASTER[type(stock)].from_config(stock.get_config())
