"""Keras's optimisers by one TensorFlow kernel a variable, for training on a processor.

Each class has the variables and arguments of the Keras class it derives from, and computes the
same, up to rounding.
"""

from typing import Any

from pipeline.base.hardware import keras, tf


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


FASTER: dict[type, Any] = {
    keras.optimizers.Adam: FusedAdam,
    keras.optimizers.AdamW: FusedAdamW,
    keras.optimizers.RMSprop: FusedRMSprop,
    keras.optimizers.SGD: FusedSGD,
}


def faster_optimizer(stock: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The same optimiser by a faster kernel, if there is one for what it does; else itself."""
    if type(stock) not in FASTER or _needs_keras(stock):
        return stock
    return FASTER[type(stock)].from_config(stock.get_config())


def _needs_keras(stock: Any) -> bool:
    """Whether the optimiser does what its kernel does not."""
    match stock:
        case keras.optimizers.Adam():
            return bool(stock.amsgrad)
        case keras.optimizers.RMSprop():
            return bool(stock.centered or stock.momentum)
        case keras.optimizers.SGD():
            return not stock.momentum
    return False
