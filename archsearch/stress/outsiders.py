"""Images that are of no class at all, in the manner of a data set: in its colours, and as broad in the stroke.

No one can promise that a cross is not the letter X. Where a class looks like one of these, it is the usual answer, and
the report says which that is.
"""

from collections.abc import Callable
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from archsearch.data.corruptions import background, ink, stroke_width

Images = NDArray[np.uint8]
Point = tuple[float, float]
Lines = list[list[Point]]
"""Strokes from point to point, in fractions of the image, x to the right and y down."""

FINENESS = 4
"""Drawn so many times larger, then made smaller: edges are as soft as those of a scan."""
NARROWEST, BROADEST = 0.06, 0.2
"""Strokes, as fractions of the side; an object in a photograph has no stroke width."""


def outsiders(images: Images, count: int, seed: int) -> dict[str, Images]:
    """Images of no class, by kind.

    Args:
        images: (N, H, W, C) uint8, what the data set is like; at least one.
        count: How many of each kind.
        seed: 0 or more. Equal arguments give equal images.

    Returns:
        For each kind (count, H, W, C) uint8.
    """
    random = np.random.default_rng(seed)
    models = images[random.integers(len(images), size=count)]
    shape = models.shape
    return {
        "noise": random.integers(0, 256, shape, np.uint8),
        "nothing": _whole(background(models), shape),
        "one colour": _whole(random.integers(0, 256, (count, 1, 1, shape[3])), shape),
        "triangles": _drawn(_triangle, models, random),
        "crosses": _drawn(_cross, models, random),
        "scribbles": _drawn(_scribble, models, random),
    }


def _whole(colours: NDArray[np.float32] | NDArray[np.int64], shape: tuple[int, ...]) -> Images:
    return np.broadcast_to(np.rint(colours), shape).astype(np.uint8)


def _drawn(shape: Callable[[np.random.Generator], Lines], models: Images, random: np.random.Generator) -> Images:
    """A shape for each of (N, H, W, C) `models`, on its background and in its colour that is furthest from that."""
    count, height, width, channels = models.shape
    far = np.abs(ink(models)).sum(-1).reshape(count, -1).argmax(1)
    colours = models.reshape(count, -1, channels)[np.arange(count), far][:, None, None]
    side = min(height, width)
    breadths = np.clip(stroke_width(models.mean(-1, keepdims=True)), NARROWEST * side, BROADEST * side)
    covered = np.stack([_covered(shape(random), height, width, float(breadth)) for breadth in breadths])
    ground = background(models)
    drawn: Images = np.rint(ground + covered[..., None] * (colours - ground)).astype(np.uint8)
    return drawn


def _covered(lines: Lines, height: int, width: int, breadth: float) -> NDArray[np.float32]:
    """How much of each pixel is covered by `lines`, `breadth` pixels broad: (height, width) float32, 0 to 1."""
    canvas = Image.new("L", (FINENESS * width, FINENESS * height))
    draw = ImageDraw.Draw(canvas)
    radius = FINENESS * breadth / 2
    for line in lines:
        points = [(x * canvas.width, y * canvas.height) for x, y in line]
        draw.line(points, fill=255, width=max(1, round(2 * radius)))
        for x, y in points:  # round ends and corners
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(canvas.reduce(FINENESS), np.float32) / np.float32(255)


def _triangle(random: np.random.Generator) -> Lines:
    corners = _around(3, random)
    return [[*corners, corners[0]]]


def _cross(random: np.random.Generator) -> Lines:
    first, second, third, fourth = _around(4, random)
    return [[first, third], [second, fourth]]


def _scribble(random: np.random.Generator) -> Lines:
    """Two bent strokes, as by a hand that writes nothing."""
    return [[(x, y) for x, y in stroke] for stroke in random.uniform(0.12, 0.88, (2, 3, 2)).tolist()]


def _around(corners: int, random: np.random.Generator) -> list[Point]:
    """The corners of a regular polygon near the middle, turned and sized at random."""
    radius, turn = random.uniform(0.28, 0.38), random.uniform(0, 2 * pi)
    x, y = random.uniform(0.46, 0.54, 2)
    angles = [turn + 2 * pi * corner / corners for corner in range(corners)]
    return [(x + radius * cos(angle), y + radius * sin(angle)) for angle in angles]
