"""How precisely a device calculates in training, and whether it runs a step compiled."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import keras
import tensorflow as tf

BFLOAT16_CAPABILITY = (8, 0)
"""Of the first GPUs that multiply bfloat16 (NVIDIA Ampere); older ones have float16 only, whose small range would take
loss scaling."""
COMPILED_STEPS = 5_000
"""Of one fold. On an H100, with batches of 128, XLA took 7 to 16 s longer to begin, once for all folds of a trial, and
then saved 0.7 to 2.4 ms a step; with batches of 1,024, 16 ms."""
ASKED = "TF_DETERMINISTIC_OPS"
"""TensorFlow's own variable by which a user has all of it repeatable."""


class Numerics(NamedTuple):
    """How a training calculates.

    Attributes:
        policy: Keras's name of a dtype policy. Weights, losses and updates are float32 in each.
        is_compiled: Whether XLA compiles the training step.
        is_repeatable: Whether TensorFlow is told to take operations that give the same each time. On a CPU, with one
            thread, they do so anyway.
    """

    policy: str
    is_compiled: bool = False
    is_repeatable: bool = False


ON_A_CPU = Numerics("float32")


def numerics_for(capability: tuple[int, int], steps: float, has_own_code: bool, is_asked: bool = False) -> Numerics:
    """What suits a training on a GPU.

    Compiled and with bfloat16 it is faster, but takes long to begin, and XLA has no repeatable max pooling.

    Args:
        capability: The GPU's compute capability.
        steps: Of the training.
        has_own_code: Whether there are blocks of a user's own: nobody knows whether their operations can be compiled,
            or have a repeatable form.
        is_asked: Whether the user wants it repeatable in any case.
    """
    if has_own_code:
        return Numerics("float32")
    if is_asked or steps < COMPILED_STEPS:
        return Numerics("float32", is_repeatable=True)
    return Numerics("mixed_bfloat16" if capability >= BFLOAT16_CAPABILITY else "float32", is_compiled=True)


def numerics_here(steps: float, has_own_code: bool) -> Numerics:
    """What suits a training on the device that TensorFlow uses in this process."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return ON_A_CPU
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return numerics_for(capability, steps, has_own_code, os.environ.get(ASKED, "").lower() in ("1", "true"))


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers that are made meanwhile calculate so."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
