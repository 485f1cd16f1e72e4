"""What may happen to an image between the world and a model, at graded strengths. NumPy only; all of it follows a seed.

In the manner of Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261, but in fractions of the image or of its
strokes, so that one table serves 8 × 8 digits and photographs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, cos, pi, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.special import ndtr

Images = NDArray[np.uint8]
Pixels = NDArray[np.float32]
"""(N, H, W, C), 0 to 255, while they are changed."""
AnyImages = Images | Pixels
Places = NDArray[np.float64]

LEVELS = 5
"""Every corruption has so many strengths; level 0 is the image as it is."""
AT_ONCE = 4_000_000
"""Values that are changed together, so that a large set needs little memory."""

FLAT = 16.0
"""A pixel that is this near to the background belongs to it."""
DRAWN_FLAT, DRAWN_WIDTH = 0.4, 0.25
"""A line drawing is background for the most part, and its strokes are narrow, as a fraction of the side."""
WAYS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""Down, right, up, left."""


@dataclass(frozen=True)
class Corruption:
    """One thing that may happen to images.

    Attributes:
        name: As people call it: `stroke width`.
        strengths: `LEVELS` of them, ascending: the first nearly harmless, the last hard, and a person still sees what
            it is.
        amount: How a strength is written: `45°`.
        phrase: What has happened to images, with a place for the amount: `turned by {}`.
        change: (N, H, W, C) float32, 0 to 255, and a strength to the same; what is random follows the generator, and
            draws as much of it at every strength, so that an image is shifted the same way, only further.
        drawings_only: Whether it makes sense for line drawings alone.
    """

    name: str
    strengths: tuple[float, ...]
    amount: Callable[[float], str]
    phrase: str
    change: Callable[[Pixels, float, np.random.Generator], Pixels]
    drawings_only: bool = False

    def written(self, level: int) -> str:
        """The strength of a level, 1 to `LEVELS`: `45°`."""
        return self.amount(self.strengths[level - 1])

    def said(self, level: int) -> str:
        """What has happened to images at a level, 1 to `LEVELS`: `turned by 45°`."""
        return self.phrase.format(self.written(level))


def corrupted(images: Images, corruption: Corruption, level: int, seed: int) -> Images:
    """Images to which something has happened, each to another random degree of freedom: a direction, a place.

    Args:
        images: (N, H, W, C) uint8.
        corruption: One of `CORRUPTIONS`.
        level: 0 to `LEVELS`; 0 changes nothing.
        seed: 0 or more. Equal arguments give equal images.

    Returns:
        (N, H, W, C) uint8.
    """
    if level == 0:
        return images
    random = np.random.default_rng(seed)
    result = np.empty_like(images)
    step = max(1, AT_ONCE // max(1, images[0].size)) if len(images) else 1
    for start in range(0, len(images), step):
        pixels = images[start : start + step].astype(np.float32)
        changed = corruption.change(pixels, corruption.strengths[level - 1], random)
        result[start : start + step] = np.clip(np.rint(changed), 0, 255)
    return result


def corruptions_for(images: Images) -> tuple[Corruption, ...]:
    """Those of `CORRUPTIONS` that make sense for (N, H, W, C) uint8 `images`."""
    drawn = are_line_drawings(images)
    return tuple(each for each in CORRUPTIONS if drawn or not each.drawings_only)


def background(images: AnyImages) -> Pixels:
    """The colour of the background: the median of the outermost pixels, by channel.

    Args:
        images: (N, H, W, C), 0 to 255.

    Returns:
        (N, 1, 1, C) float32.
    """
    edges = np.concatenate([images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], axis=1)
    return np.median(edges.astype(np.float32), axis=1)[:, None, None]


def ink(images: AnyImages) -> Pixels:
    """How far pixels are from the background, with what is drawn above 0, whether it is dark on bright or not.

    Args:
        images: (N, H, W, C), 0 to 255.

    Returns:
        (N, H, W, C) float32, -255 to 255.
    """
    return (images - background(images)) * _polarity(images)


def stroke_width(images: AnyImages) -> Pixels:
    """How broad what is drawn is on average, in pixels: twice its area by the length of its outline, both in ink.

    For a bar that is the width of the bar; for a filled square, half its side.

    Args:
        images: (N, H, W, 1), 0 to 255.

    Returns:
        (N,) float32; 0 where nothing is drawn.
    """
    return width_of(np.maximum(ink(images), 0.0)[..., 0])


def width_of(strength: NDArray[np.floating]) -> Pixels:
    """The same of how strong the ink is at each pixel.

    A stroke of length l and width w has the area l * w and the outline 2 * l; the outline of something grey is its
    total variation, so nothing has to be cut into black and white.

    Args:
        strength: (N, H, W), 0 where nothing is drawn.

    Returns:
        (N,) float32; 0 where nothing is drawn.
    """
    framed = np.pad(strength, ((0, 0), (1, 1), (1, 1)))
    down, right = np.diff(framed, axis=1)[:, :, :-1], np.diff(framed, axis=2)[:, :-1]
    outline = np.hypot(down, right).sum((1, 2))
    widths: Pixels = 2 * framed.sum((1, 2)) / np.maximum(outline, 1e-6)
    return widths


def are_line_drawings(images: Images) -> bool:
    """Whether most of (N, H, W, C) uint8 `images` are strokes on a flat background, in one channel: handwriting."""
    if images.shape[3] != 1 or not len(images):
        return False
    flat = (np.abs(ink(images)) <= FLAT).mean((1, 2, 3))
    return bool(np.median(flat) > DRAWN_FLAT and np.median(stroke_width(images)) < DRAWN_WIDTH * min(images.shape[1:3]))


def _shift(images: Pixels, fraction: float, random: np.random.Generator) -> Pixels:
    distance = fraction * min(images.shape[1:3])
    ways = random.integers(len(WAYS), size=len(images))
    return _each_way(
        images, ways, [partial(_warped, offset=(down * distance, right * distance)) for down, right in WAYS]
    )


def _rotate(images: Pixels, degrees: float, random: np.random.Generator) -> Pixels:
    ways = random.integers(2, size=len(images))
    return _each_way(images, ways, [partial(_warped, angle=degrees), partial(_warped, angle=-degrees)])


def _scale(images: Pixels, factor: float, random: np.random.Generator) -> Pixels:
    ways = random.integers(2, size=len(images))
    return _each_way(images, ways, [partial(_warped, zoom=factor), partial(_warped, zoom=1 / factor)])


def _strokes(images: Pixels, fraction: float, random: np.random.Generator) -> Pixels:
    """Thicker or thinner by a fraction of what they are: half of it on either side."""
    thicker = random.integers(2, size=len(images))[:, None, None, None] > 0
    sign = _polarity(images) * np.where(thicker, 1, -1).astype(np.float32)
    reach = np.float32(fraction / 2) * stroke_width(images)[:, None, None, None]
    # In steps of less than a pixel: from further away, what lies between would be left out.
    steps = max(1, ceil(float(reach.max(initial=0.0))))
    grown = images * sign
    fill = background(grown)
    for _ in range(steps):
        grown = _grown(grown, reach / np.float32(steps), fill)
    return grown * sign


def _blur(images: Pixels, fraction: float, random: np.random.Generator) -> Pixels:
    """Gaussian. A pixel is taken for a square, not for a point, or little would happen to 8 × 8 images."""
    sigma = fraction * min(images.shape[1:3])
    reach = ceil(4 * sigma) + 1
    places = np.arange(-reach - 1, reach + 2)
    # What one square gives to another: a Gaussian, averaged over both.
    weights = np.diff(places * ndtr(places / sigma) + sigma * np.exp(-((places / sigma) ** 2) / 2) / sqrt(2 * pi), 2)
    blurred: Pixels = correlate1d(correlate1d(images, weights, 1, mode="nearest"), weights, 2, mode="nearest")
    return blurred


def _noise(images: Pixels, deviation: float, random: np.random.Generator) -> Pixels:
    return images + 255 * deviation * random.standard_normal(images.shape, np.float32)


def _invert(images: Pixels, fraction: float, random: np.random.Generator) -> Pixels:
    return (1 - fraction) * images + fraction * (255 - images)


def _contrast(images: Pixels, lost: float, random: np.random.Generator) -> Pixels:
    middle: Pixels = images.mean((1, 2), keepdims=True)
    return middle + (1 - lost) * (images - middle)


def _occlude(images: Pixels, fraction: float, random: np.random.Generator) -> Pixels:
    """A grey square at a random place (Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901)."""
    height, width = images.shape[1:3]
    side = fraction * min(height, width)
    rows, columns = (_within(random.random(len(images)) * (size - side), side, size) for size in (height, width))
    return np.where((rows[:, :, None] & columns[:, None, :])[..., None], np.float32(127.5), images)


def _each_way(images: Pixels, ways: NDArray[np.int64], changes: Sequence[Callable[[Pixels], Pixels]]) -> Pixels:
    """Each image changed as its entry in `ways` says."""
    result = np.empty_like(images)
    for way, change in enumerate(changes):
        result[ways == way] = change(images[ways == way])
    return result


def _warped(images: Pixels, angle: float = 0.0, zoom: float = 1.0, offset: tuple[float, float] = (0.0, 0.0)) -> Pixels:
    """Turned and zoomed around the centre, then moved, bilinear; what comes in from outside is the background.

    Args:
        images: (N, H, W, C) float32.
        angle: Degrees, against the clock.
        zoom: Above 1 enlarges.
        offset: Pixels down and right.
    """
    count, height, width, channels = images.shape
    # A frame of background: between it and the edge is interpolated, and all beyond it is like it.
    framed = np.broadcast_to(background(images), (count, height + 2, width + 2, channels)).copy()
    framed[:, 1:-1, 1:-1] = images
    flat = framed.reshape(count, (height + 2) * (width + 2), channels)

    rows, columns = _sources(height, width, angle, zoom, offset)
    top, left = np.minimum(rows.astype(np.int64), height), np.minimum(columns.astype(np.int64), width)
    down, right = (rows - top).astype(np.float32)[:, None], (columns - left).astype(np.float32)[:, None]

    def at(row: NDArray[np.int64], column: NDArray[np.int64]) -> Pixels:
        return flat[:, row * (width + 2) + column]

    above = (1 - right) * at(top, left) + right * at(top, left + 1)
    below = (1 - right) * at(top + 1, left) + right * at(top + 1, left + 1)
    return ((1 - down) * above + down * below).reshape(images.shape)


def _sources(height: int, width: int, angle: float, zoom: float, offset: tuple[float, float]) -> tuple[Places, Places]:
    """Where the pixels of a warped image come from, in the framed one: rows and columns, (H * W,)."""
    pixels = np.indices((height, width)).reshape(2, -1)
    middle, centre = (height - 1) / 2, (width - 1) / 2
    y, x = (pixels[0] - middle - offset[0]) / zoom, (pixels[1] - centre - offset[1]) / zoom
    turn = radians(angle)
    rows, columns = cos(turn) * y + sin(turn) * x + middle, cos(turn) * x - sin(turn) * y + centre
    return np.clip(rows + 1, 0, height + 1), np.clip(columns + 1, 0, width + 1)


def _grown(images: Pixels, reach: Pixels, fill: Pixels) -> Pixels:
    """The brightest within `reach`, at most a pixel: of the place itself and of eight on the circle around it.

    Args:
        images: (N, H, W, C) float32.
        reach: (N, 1, 1, 1) float32, in pixels, 0 to 1.
        fill: (N, 1, 1, C) float32, what lies around the images.
    """
    result = images
    slant = reach * np.float32(0.5**0.5)
    upright = [_moved(images, reach, axis, way, fill) for axis in (1, 2) for way in (1, -1)]
    sideways = [_moved(images, slant, 2, way, fill) for way in (1, -1)]
    slanted = [_moved(moved, slant, 1, way, fill) for moved in sideways for way in (1, -1)]
    for moved in (*upright, *slanted):
        result = np.maximum(result, moved)
    return result


def _moved(images: Pixels, distance: Pixels, axis: int, way: int, fill: Pixels) -> Pixels:
    """Moved along an axis by (N, 1, 1, 1) `distance`, 0 to 1 pixel: forwards if `way` is 1, backwards if it is -1."""
    edge = np.broadcast_to(fill, np.take(images, [0], axis).shape)
    rest = np.take(images, range(images.shape[axis] - 1) if way > 0 else range(1, images.shape[axis]), axis)
    neighbours: Pixels = np.concatenate([edge, rest] if way > 0 else [rest, edge], axis)
    return images + distance * (neighbours - images)


def _within(start: Places, length: float, size: int) -> NDArray[np.bool_]:
    """(N, size): whether the centre of a pixel lies within `length` from (N,) `start`."""
    distance = np.arange(0.5, size) - start[:, None]
    inside: NDArray[np.bool_] = (distance >= 0) & (distance < length)
    return inside


def _polarity(images: AnyImages) -> Pixels:
    """(N, 1, 1, C): 1 where what is drawn is brighter than the background, else -1."""
    brighter = images.mean((1, 2), keepdims=True) >= background(images)
    return np.where(brighter, 1, -1).astype(np.float32)


def _share(strength: float) -> str:
    return f"{100 * strength:g} %"


def _angle(strength: float) -> str:
    return f"{strength:g}°"


def _times(strength: float) -> str:
    return f"{strength:g} times"


CORRUPTIONS = (
    Corruption("shift", (0.035, 0.07, 0.11, 0.15, 0.2), _share, "moved by {} of their side", _shift),
    Corruption("rotation", (5, 10, 20, 30, 45), _angle, "turned by {}", _rotate),
    Corruption("scale", (1.1, 1.2, 1.3, 1.4, 1.6), _times, "made {} larger or smaller", _scale),
    Corruption("stroke width", (0.1, 0.2, 0.35, 0.5, 0.7), _share, "drawn {} thicker or thinner", _strokes, True),
    Corruption("blur", (0.015, 0.025, 0.035, 0.045, 0.06), _share, "blurred over {} of their side", _blur),
    Corruption("noise", (0.04, 0.08, 0.15, 0.25, 0.35), _share, "covered with {} noise", _noise),
    Corruption("inversion", (0.05, 0.1, 0.25, 0.75, 1.0), _share, "{} inverted", _invert),
    Corruption("contrast", (0.25, 0.5, 0.7, 0.8, 0.9), _share, "robbed of {} of their contrast", _contrast),
    Corruption("occlusion", (0.1, 0.2, 0.3, 0.4, 0.5), _share, "behind a square of {} of their side", _occlude),
)
