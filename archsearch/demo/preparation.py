"""How a data set's drawings were placed and scaled, so that what one draws can be prepared the same way.

A network that learned digits of 20 pixels, centred, is helpless before a small one in the corner. What was done to the
digits can be seen in them: MNIST's all have a longer side of 20 pixels and their centre of mass in the middle
(http://yann.lecun.com/exdb/mnist/), scikit-learn's all fill the height.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsearch.data.corruptions import width_of

Pixels = NDArray[np.uint8]
Share = NDArray[np.floating]

LOOKED_AT = 500
"""Images that are enough to see it, taken evenly from all."""
FLOOR = 0.125
"""Share of the ink's strength from which on a pixel belongs to the drawing."""
FLAT = 0.4
"""Least share of background in images that are drawings; photos have hardly any."""
THIN = 0.28
"""Most width of strokes, as a share of a drawing's longer side: 0.14 in MNIST, 0.22 in scikit-learn's digits. Filled
shapes have more."""


@dataclass(frozen=True)
class Preparation:
    """What the drawings of a data set have in common. Lengths are in its own pixels, from the top left corner.

    Attributes:
        background: Pixel value, 0 to 255, where nothing is drawn.
        ink: Pixel value of the strongest ink.
        longest: The longer side of the box around a drawing.
        stroke: Width of its strokes.
        by_mass: Whether drawings were centred by their centre of mass; else by the middle of that box.
        centre: Where that centre lies: (y, x).
        floor: Share of the ink's strength from which on a pixel belongs to the drawing.
    """

    background: int
    ink: int
    longest: float
    stroke: float
    by_mass: bool
    centre: tuple[float, float]
    floor: float = FLOOR


def learn(images: Pixels) -> Preparation | None:
    """Sees how the images were prepared; None if they are no drawings: colours, photos, filled shapes.

    Args:
        images: (N, H, W, C) uint8.
    """
    if images.shape[3] != 1:
        return None
    grey = images[:: max(1, len(images) // LOOKED_AT), :, :, 0].astype(np.float32)
    border = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1)
    background = round(float(np.median(border)))
    dark, bright = grey.min(axis=(1, 2)), grey.max(axis=(1, 2))
    ink = round(float(max(np.median(dark), np.median(bright), key=lambda value: abs(value - background))))
    if ink == background:
        return None

    strength = (grey - background) / (ink - background)
    if (np.abs(strength) <= FLOOR).mean() < FLAT:
        return None
    strength = strength[(strength > FLOOR).any(axis=(1, 2))].clip(0, 1)
    drawn = strength > FLOOR
    top, bottom = _ends(np.any(drawn, axis=2))
    left, right = _ends(np.any(drawn, axis=1))
    longest = np.maximum(bottom - top, right - left)
    solid = np.minimum(2 * strength, 1)
    if np.median(width_of(solid) / longest) > THIN:
        return None

    masses = np.stack([_centre(strength.sum(axis=2)), _centre(strength.sum(axis=1))])
    middles = np.stack([top + bottom, left + right]) / 2
    by_mass = bool(masses.var(axis=1).sum() < middles.var(axis=1).sum())
    y, x = (masses if by_mass else middles).mean(axis=1)
    return Preparation(
        background=background,
        ink=ink,
        longest=float(np.median(longest)),
        stroke=round(float(np.median(width_of(strength))), 2),
        by_mass=by_mass,
        centre=(round(float(y), 2), round(float(x), 2)),
    )


def _ends(lines: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(N, L) to where the first true line of each begins and where the last one ends."""
    return lines.argmax(axis=1), lines.shape[1] - lines[:, ::-1].argmax(axis=1)


def _centre(mass: Share) -> Share:
    """(N, L) to the centre of mass of each, in lines."""
    weighed: Share = mass @ (np.arange(mass.shape[1], dtype=np.float32) + 0.5) / mass.sum(axis=1)
    return weighed
