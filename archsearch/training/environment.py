"""What TensorFlow and its libraries go by: environment variables, where their messages go, how whole float32 is."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

TENSORFLOW = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # On CPUs without AVX-512 TensorFlow leaves oneDNN off, though convolutions train twice as fast with it.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # Else whoever comes first takes nearly all of a GPU's memory: a worker from others, `export` from a search.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""For a worker: as many workers as cores do more than one worker with as many threads."""

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""What CUDA reads when it starts: the devices a process may use, as indices or identifiers."""
NO_GPU = {VISIBLE: "-1"}


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Sets `variables` for a while; those the user has set stay as they are."""
    ours = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@contextlib.contextmanager
def stderr_to(file: Path | str) -> Iterator[None]:
    """Sends what this process and the ones it starts write to file descriptor 2 to `file` for a while.

    TensorFlow's C++ writes greetings there before any of its log levels are in force.
    """
    before = os.dup(2)
    target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(target, 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(target)
        os.close(before)


@contextlib.contextmanager
def all_of_float32() -> Iterator[None]:
    """Has a GPU multiply float32 with all its bits for a while, of which it drops 13 otherwise (TensorFloat-32)."""
    import tensorflow as tf  # this module is loaded before it

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
