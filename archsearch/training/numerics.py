"""How precisely a device calculates in training, and whether it runs a step compiled."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import keras
import tensorflow as tf

BFLOAT16_CAPABILITY = (8, 0)
"""Of the first GPUs that multiply bfloat16 (NVIDIA Ampere); older ones have float16 only, whose small range would take
loss scaling."""


class Numerics(NamedTuple):
    """How a training calculates.

    Attributes:
        policy: Keras's name of a dtype policy. Weights, losses and updates are float32 in each.
        is_compiled: Whether XLA compiles the training step.
    """

    policy: str
    is_compiled: bool


def numerics_for(capability: tuple[int, int] | None) -> Numerics:
    """What suits a GPU of this compute capability; None is a CPU, which is slower with either."""
    if capability is None:
        return Numerics("float32", is_compiled=False)
    return Numerics("mixed_bfloat16" if capability >= BFLOAT16_CAPABILITY else "float32", is_compiled=True)


def numerics_here() -> Numerics:
    """What suits the device that TensorFlow trains on in this process."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return numerics_for(None)
    return numerics_for(tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0)))


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers that are made meanwhile calculate so."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
