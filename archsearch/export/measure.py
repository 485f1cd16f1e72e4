"""Asks one exported file in a process of its own: `python -m archsearch.export.measure FILE IMAGES ANSWERS`.

Nothing of the training code is loaded. IMAGES is a NumPy archive of arrays (N, H, W, C) uint8; the probabilities
(N, classes) float32 of each are written to ANSWERS under the same names, and what was measured is printed as JSON
(`Measured`). For a `.keras` file with layers of a user's own, a trusted folder and the name of their code may follow.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.export.own_code import OwnCode, known
from archsearch.export.runtimes import Model, Pixels, load, runtime_of

WARM_UP = 5
SECONDS, LEAST, MOST = 1.0, 20, 500
"""One image is asked for so long, but so many times at least and at most."""


@dataclass(frozen=True)
class Measured:
    """Seconds and bytes, as in `Certificate`."""

    load_seconds: float
    latency: float
    latency_95: float
    peak_memory: int | None
    runtime: str


def measure(path: Path, images: Mapping[str, Pixels], answers: Path) -> Measured:
    """Loads a file with one thread, takes its time, and writes its answers.

    Args:
        path: The file, or the folder of a SavedModel.
        images: Each (N, H, W, C) uint8; those of the first are also asked for one at a time.
        answers: Where to; a NumPy archive of (N, classes) float32.

    Raises:
        InputError: It cannot be loaded.
    """
    runtime = runtime_of(path).module
    import_module(runtime)
    began = time.perf_counter()
    model = load(path, threads=1)
    load_seconds = time.perf_counter() - began
    times = sorted(_times(model, next(iter(images.values()))))
    memory = _peak_memory()
    found: dict[str, Any] = {name: model.predict(some) for name, some in images.items()}
    np.savez(answers, **found)
    package = runtime.replace("_", "-")
    return Measured(
        load_seconds=load_seconds,
        latency=times[len(times) // 2],
        latency_95=times[int(0.95 * len(times))],
        peak_memory=memory,
        runtime=f"{package} {version(package)}",
    )


def _times(model: Model, images: Pixels) -> Iterator[float]:
    for image in images[:WARM_UP]:
        model.run(image[None])
    end = time.perf_counter() + SECONDS
    for count in range(MOST):
        began = time.perf_counter()
        if count >= LEAST and began > end:
            return
        model.run(images[count % len(images)][None])
        yield time.perf_counter() - began


def _peak_memory() -> int | None:
    status = Path("/proc/self/status")  # getrusage begins with the peak of the process that started this one
    if not status.is_file():
        return None
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def main() -> None:
    """As the module says."""
    path, images, answers, *code = sys.argv[1:]
    with known(OwnCode(Path(code[0]), code[1]) if code else None):
        print(json.dumps(asdict(measure(Path(path), dict(np.load(images)), Path(answers)))))


if __name__ == "__main__":
    main()
