"""Optimizers: Keras's own, and the same arithmetic in the few operations that a short trial has time to trace."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from archsearch.space.architecture import SGD, Adam, AdamW, Lion, Optimizer

ADAM_BETAS, ADAM_EPSILON, LION_BETAS = (0.9, 0.999), 1e-7, (0.9, 0.99)
"""As Keras has them."""


class LeanOptimizer:
    """Updates weights as the optimizer of `build_optimizer` does.

    Where TensorFlow has a kernel for the whole update of a weight, that is one operation instead of a dozen: tracing
    takes about half the time.

    Args:
        settings: Which optimizer, and how. Only kernels decay, see `build_optimizer`.
        weights: Keras variables to train.
    """

    def __init__(self, settings: Optimizer, weights: Sequence[Any]) -> None:
        self._settings = settings
        self._decay = 0.0 if isinstance(settings, Adam) else settings.weight_decay
        self._weights = [weight.value for weight in weights]
        self._decays = [bool(self._decay) and weight.name == "kernel" for weight in weights]
        self._steps = tf.Variable(0.0)
        slots = 2 if isinstance(settings, Adam | AdamW) else 1
        self._slots = [[tf.Variable(tf.zeros(weight.shape)) for _ in range(slots)] for weight in self._weights]

    @property
    def variables(self) -> list[Any]:
        """What it remembers from step to step."""
        return [self._steps, *(slot for slots in self._slots for slot in slots)]

    def apply(self, gradients: Sequence[Any], rate: Any) -> None:
        """Takes a step.

        Args:
            gradients: One for each weight, in their order, of the weight's shape.
            rate: The learning rate, () float32.
        """
        match self._settings:
            case Adam() | AdamW():
                update = _adam(rate, self._steps.assign_add(1.0))
            case SGD():
                update = _sgd(rate, self._settings.momentum)
            case Lion():
                update = _lion(rate)
        for weight, decays, slots, gradient in zip(self._weights, self._decays, self._slots, gradients, strict=True):
            if decays:
                weight.assign_sub(weight * (rate * self._decay))
            update(weight, gradient, *slots)


def _adam(rate: Any, steps: Any) -> Callable[..., None]:
    first, second = ADAM_BETAS
    powers = tf.pow(first, steps), tf.pow(second, steps)

    def update(weight: Any, gradient: Any, mean: Any, square: Any) -> None:
        tf.raw_ops.ResourceApplyAdam(
            var=weight.handle,
            m=mean.handle,
            v=square.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=rate,
            beta1=first,
            beta2=second,
            epsilon=ADAM_EPSILON,
            grad=gradient,
        )

    return update


def _sgd(rate: Any, momentum: float) -> Callable[..., None]:
    def update(weight: Any, gradient: Any, velocity: Any) -> None:
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=weight.handle, accum=velocity.handle, lr=rate, grad=gradient, momentum=momentum, use_nesterov=True
        )

    return update


def _lion(rate: Any) -> Callable[..., None]:
    first, second = LION_BETAS

    def update(weight: Any, gradient: Any, momentum: Any) -> None:
        before = momentum.read_value()
        weight.assign_sub(rate * tf.sign(first * before + (1.0 - first) * gradient))
        momentum.assign(second * before + (1.0 - second) * gradient)

    return update


def build_optimizer(settings: Optimizer, variables: list[Any]) -> keras.optimizers.Optimizer:
    """Keras's optimizer, ready for `variables`.

    Only kernels decay: pulling biases, or the scales and offsets of norms, towards 0 constrains a network without
    making it simpler (He et al. 2018, section 3.1, https://arxiv.org/abs/1812.01187).

    Args:
        settings: Which one, and how; its learning rate is that at the height of the schedule.
        variables: Keras variables to train.
    """
    rate = settings.learning_rate
    match settings:
        case Adam():
            optimizer = keras.optimizers.Adam(rate)
        case AdamW():
            optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
        case SGD():
            optimizer = keras.optimizers.SGD(
                rate, momentum=settings.momentum, nesterov=True, weight_decay=settings.weight_decay or None
            )
        case Lion():
            optimizer = keras.optimizers.Lion(rate, weight_decay=settings.weight_decay or None)
    optimizer.exclude_from_weight_decay(var_list=[v for v in variables if v.name != "kernel"])
    optimizer.build(variables)
    return optimizer
