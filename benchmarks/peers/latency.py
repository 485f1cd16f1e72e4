"""Milliseconds that a model takes for one image, by the format it is exported to and the way it is called.

Usage: python -m benchmarks.peers.latency MODEL.keras
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from archsearch.training.environment import TENSORFLOW

os.environ.update(TENSORFLOW | os.environ)

import keras
import numpy as np

from archsearch.export import FORMATS, export

WARM_UP, TIMED = 10, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="such as best/model.keras in a study's folder")
    options = parser.parse_args()
    if not options.model.is_file():
        sys.exit(f"{options.model}: no such file; give a study's best/model.keras")
    model = keras.saving.load_model(options.model)
    image = np.random.default_rng(0).integers(0, 256, (1, *model.input_shape[1:]), dtype=np.uint8)
    print(f"{'keras, called':16}{_milliseconds(lambda pixels: model(pixels, training=False), image):8.2f} ms")
    with tempfile.TemporaryDirectory() as folder:
        for exported in export(options.model, (), image, Path(folder)):
            predict = FORMATS[exported.format].load(exported.path)
            print(f"{exported.format:16}{_milliseconds(predict, image):8.2f} ms")


def _milliseconds(predict: Callable[[Any], Any], image: Any) -> float:
    """The median of many calls."""
    times = []
    for _ in range(WARM_UP + TIMED):
        started = time.perf_counter()
        predict(image)
        times.append(time.perf_counter() - started)
    return 1000 * median(times[WARM_UP:])


if __name__ == "__main__":
    main()
