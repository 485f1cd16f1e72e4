"""How a data set's drawings were prepared is seen in them: real digits, and drawings of which all is known."""

from pathlib import Path

import numpy as np
import pytest
from demo_models import photos
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits

from archsearch.demo.preparation import learn

FINER = 8


def drawings(
    width: float, box: float, centre: tuple[float, float], side: int = 28, stray: float = 0
) -> NDArray[np.uint8]:
    """Forty zigzags, bright on dark; `stray` moves each, in pixels."""
    random = np.random.default_rng(0)
    images = []
    for _ in range(40):
        picture = Image.new("L", (side * FINER, side * FINER))
        y, x = np.array(centre) + random.uniform(-stray, stray, 2)
        half = (box - width) / 2
        points = [(x - 5, y - half), (x + 5, y - half / 3), (x - 5, y + half / 3), (x + 5, y + half)]
        scaled = [(float(a) * FINER, float(b) * FINER) for a, b in points]
        pen = ImageDraw.Draw(picture)
        pen.line(scaled, fill=255, width=round(width * FINER))
        for a, b in scaled:
            radius = width * FINER / 2
            pen.ellipse([a - radius, b - radius, a + radius, b + radius], fill=255)
        images.append(np.asarray(picture.resize((side, side), Image.Resampling.BOX)))
    return np.stack(images)[..., None]


def test_mnist_has_digits_of_twenty_pixels_centred_by_mass(mnist: Path) -> None:
    with np.load(mnist) as arrays:
        found = learn(arrays["x_train"][:5000, ..., None])
    assert found is not None
    assert (found.background, found.ink, found.longest, found.by_mass) == (0, 255, 20, True)
    assert found.centre == pytest.approx((14.5, 14.5), abs=0.05)
    assert 1.8 < found.stroke < 3


def test_scikit_learns_digits_fill_the_height() -> None:
    found = learn((load_digits().images * 255 / 16).round().astype(np.uint8)[..., None])
    assert found is not None
    assert (found.background, found.ink, found.longest, found.by_mass) == (0, 255, 8, False)
    assert found.centre == pytest.approx((4, 4), abs=0.2)


@pytest.mark.parametrize("width", [1.5, 2, 3, 4])
def test_the_width_of_strokes_is_measured(width: float) -> None:
    found = learn(drawings(width, 22, (14, 14)))
    assert found is not None
    assert found.stroke == pytest.approx(width, rel=0.2)
    assert found.longest == pytest.approx(22, abs=1)


def test_a_place_off_the_middle_is_kept() -> None:
    found = learn(drawings(2, 16, (17, 12), stray=1))
    assert found is not None
    assert found.centre == pytest.approx((17, 12), abs=0.4)


def test_dark_on_bright_is_seen() -> None:
    bright = drawings(2, 20, (14, 14))
    found, inverted = learn(bright), learn(240 - (bright // 255 * 200))
    assert found is not None
    assert inverted is not None
    assert (inverted.background, inverted.ink) == (240, 40)
    assert inverted.centre == pytest.approx(found.centre, abs=0.3)


def test_what_is_no_drawing() -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (50, 28, 28, 1)).astype(np.uint8)
    filled = np.zeros((50, 28, 28, 1), np.uint8)
    filled[:, 4:24, 6:22] = 200
    assert learn(photos()[0]) is None
    assert learn(noise) is None
    assert learn(filled) is None
    assert learn(np.zeros((50, 28, 28, 1), np.uint8)) is None
