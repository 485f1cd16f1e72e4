"""Real digits as arrays and as files, for the tests of the data layer."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Digits(NamedTuple):
    pixels: NDArray[np.uint8]  # (1797, 8, 8)
    labels: NDArray[np.int64]


def write_folder(root: Path, digits: Digits, each: int = 4, start: int = 0) -> Path:
    for label in range(3):
        (root / str(label)).mkdir(parents=True)
        for number, pixels in enumerate(digits.pixels[digits.labels == label][start : start + each]):
            Image.fromarray(pixels).save(root / str(label) / f"{number}.png")
    return root
