"""Keras's layers and optimisers by TensorFlow's faster kernels, for training on a processor.

Keras 3 spells out in many small operations what TensorFlow has one kernel for. Each class here has
the weights, variables and arguments of the Keras class it derives from, and computes the same, up
to rounding and the choice of random bits; what it has no kernel for it leaves to Keras. Saved
models hold Keras's own classes.
"""

from typing import Any

from pipeline.convolution import FasterConv2D
from pipeline.hardware import keras, tf


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch norm of images by one kernel; the running variance here is the unbiased one.

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
    """Dropout that draws a byte an element, a quarter of the random bits.

    The rate is rounded to 256ths, and what is kept is scaled by what that makes of it.
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


class FusedAdam(keras.optimizers.Adam):
    """Adam by one kernel a variable."""

    def _backend_update_step(
        self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any
    ) -> None:
        step = tf.cast(self.iterations.value + 1, tf.float32)
        powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.value.handle,
                m=self._momentums[index].value.handle,
                v=self._velocities[index].value.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=learning_rate,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=gradient,
            )


class FusedAdamW(FusedAdam):
    """AdamW, the decay by one kernel a variable too."""

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        decay = self.learning_rate * self.weight_decay
        for variable in filter(self._use_weight_decay, variables):
            tf.raw_ops.ResourceApplyGradientDescent(
                var=variable.value.handle, alpha=decay, delta=variable.value
            )


class FusedRMSprop(keras.optimizers.RMSprop):
    """RMSprop by one kernel a variable."""

    def build(self, variables: list[Any]) -> None:
        """Make the variables, and what the kernel keeps a momentum of 0 in."""
        super().build(variables)
        self._scratch = [tf.Variable(tf.zeros(each.shape), trainable=False) for each in variables]

    def _backend_update_step(
        self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any
    ) -> None:
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyRMSProp(
                var=variable.value.handle,
                ms=self._velocities[index].value.handle,
                mom=self._scratch[index].handle,
                lr=learning_rate,
                rho=self.rho,
                momentum=0.0,
                epsilon=self.epsilon,
                grad=gradient,
            )


class FusedSGD(keras.optimizers.SGD):
    """SGD with momentum, Nesterov's or not, by one kernel a variable."""

    def _backend_update_step(
        self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any
    ) -> None:
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=variable.value.handle,
                accum=self.momentums[self._get_variable_index(variable)].value.handle,
                lr=learning_rate,
                grad=gradient,
                momentum=self.momentum,
                use_nesterov=self.nesterov,
            )


FUSED: dict[type, Any] = {
    keras.layers.BatchNormalization: FusedBatchNormalization,
    keras.layers.Conv2D: FasterConv2D,
    keras.layers.Dropout: ByteDropout,
    keras.optimizers.Adam: FusedAdam,
    keras.optimizers.AdamW: FusedAdamW,
    keras.optimizers.RMSprop: FusedRMSprop,
    keras.optimizers.SGD: FusedSGD,
}


def _beyond(stock: Any) -> bool:
    """Whether `stock` is an optimiser that does what its kernel does not."""
    match stock:
        case keras.optimizers.Adam():
            return bool(stock.amsgrad)
        case keras.optimizers.RMSprop():
            return bool(stock.centered or stock.momentum)
        case keras.optimizers.SGD():
            return not stock.momentum
    return False


def fused(stock: Any) -> Any:
    """The same layer or optimiser by faster kernels, if there are any for it; else itself."""
    if type(stock) not in FUSED or _beyond(stock):
        return stock
    return FUSED[type(stock)].from_config(stock.get_config())
