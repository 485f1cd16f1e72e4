"""Which GPUs there are, and which of them a worker gets."""

import contextlib
import re
import subprocess
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from archsearch.search.executors.processes import end, start

DRIVER = Path("/proc/driver/nvidia/gpus")
IDENTIFIER = r"(?:GPU|MIG)-[\w-]+(?:/\d+/\d+)?"
ANSWER_SECONDS = 60.0
"""That TensorFlow may take to look for GPUs; on a slow machine it takes 20 s to load."""


def gpus(visible: str | None) -> tuple[str, ...]:
    """The GPUs that this process may use, each as `CUDA_VISIBLE_DEVICES` may name it.

    Args:
        visible: $CUDA_VISIBLE_DEVICES; None if it is not set.
    """
    return usable(identifiers(_listed() or _of_driver()), visible)


def identifiers(listing: str) -> tuple[str, ...]:
    """The identifiers in what `nvidia-smi -L` prints: those of the parts, where a GPU is cut into some."""
    found: list[str] = []
    for line in listing.splitlines():
        match = re.search(rf"UUID:\s+({IDENTIFIER})", line)
        if match is None:
            continue
        if match[1].startswith("MIG-") and found and found[-1].startswith("GPU-"):
            found.pop()
        found.append(match[1])
    return tuple(found)


def usable(present: Sequence[str], visible: str | None) -> tuple[str, ...]:
    """Which of the GPUs that are present a process may use.

    As CUDA reads it: what follows a name of no device does not count, so that "" and "-1" are none
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables).

    Args:
        present: Identifiers, in the order of their indices.
        visible: $CUDA_VISIBLE_DEVICES: indices, and identifiers or their beginnings; None if it is not set.
    """
    if visible is None:
        return tuple(present)
    names: list[str] = []
    for name in (part.strip() for part in visible.split(",")):
        is_index = name.isdecimal() and int(name) < len(present)
        if not is_index and not (name and any(each.startswith(name) for each in present)):
            break
        names.append(name)
    return tuple(names)


def tensorflow_sees_one() -> bool:
    """Whether TensorFlow can use a GPU here, for which it needs CUDA's libraries beside the driver.

    Asked in a process of its own, since asking starts it.
    """
    process, connection = start(_look, (), "archsearch-gpus")
    try:
        return connection.poll(ANSWER_SECONDS) and bool(connection.recv())
    except (EOFError, OSError):  # it broke down in its search
        return False
    finally:
        end(process)
        connection.close()


def _look(connection: Connection) -> None:
    import tensorflow as tf  # for this process, not for its parent

    with contextlib.suppress(OSError):
        connection.send(len(tf.config.list_physical_devices("GPU")))


def least_used(devices: Sequence[str], taken: Sequence[str | None]) -> str | None:
    """The device for one more worker: that with the fewest, of those the first; None if there is no device.

    Args:
        devices: What there is.
        taken: The device of each worker that runs.
    """
    return min(devices, key=taken.count, default=None)


def _listed() -> str:
    try:
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _of_driver() -> str:
    """The same from the driver's own files, where containers have those and no nvidia-smi."""
    try:
        return "\n".join((gpu / "information").read_text() for gpu in sorted(DRIVER.iterdir()))
    except OSError:
        return ""
