"""Images on their way into a training step: batches from a memory map, and their random changes.

Batches are plain NumPy look-ups: on the CPU they cost less than any `tf.data` pipeline's own overhead.
"""

from collections.abc import Iterator
from math import log, pi
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.space.architecture import Augment

Batch = tuple[NDArray[np.uint8], NDArray[np.int32]]


def shuffled_batches(
    images: ImageSet, indices: NDArray[np.int32], batch_size: int, random: np.random.Generator
) -> Iterator[Batch]:
    """One epoch over `indices` in a fresh order, in equal batches; what is left over waits for another epoch.

    Yields:
        Images (batch_size, H, W, C) uint8 and labels (batch_size,) int32.
    """
    order = random.permutation(indices)
    for start in range(0, len(order) - batch_size + 1, batch_size):
        chosen = np.sort(order[start : start + batch_size])
        yield images.images[chosen], images.labels[chosen]


def ordered_batches(images: ImageSet, indices: NDArray[np.int32], batch_size: int) -> Iterator[Batch]:
    """All of `indices` once, in order; the last batch may be smaller."""
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        yield images.images[chosen], images.labels[chosen]


def augmented(images: Any, augment: Augment) -> Any:
    """Each image on its own, changed by all of `augment` but mixup: warped, then cut out, then erased.

    Args:
        images: (N, H, W, C) float32, 0 to 255.
        augment: The largest amounts. Each of the three adds nothing to the graph when it is off.

    Returns:
        (N, H, W, C) float32, 0 to 255.
    """
    return erase(cutout(warp(images, augment), augment.cutout), augment.erase)


def warp(images: Any, augment: Augment) -> Any:
    """Rotates, shifts, zooms, shears and mirrors each image by its own random amounts, in a single interpolation.

    Args:
        images: (N, H, W, C) float32.
        augment: The largest amounts, either way, and the probability of mirroring. All zero returns `images` as they
            are.

    Returns:
        (N, H, W, C) float32; what comes in from outside repeats the nearest edge pixel.
    """
    if not any((augment.rotate, augment.shift, augment.zoom, augment.shear, augment.flip)):
        return images
    count = tf.shape(images)[0]
    height, width = images.shape[1:3]

    def amounts(limit: float) -> Any:
        return tf.random.uniform((count,), -limit, limit)

    angle = amounts(augment.rotate * pi / 180)
    shear = tf.tan(amounts(augment.shear * pi / 180))
    scale = 1.0 + amounts(augment.zoom)
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    # The matrix takes a place in the result to its place in the source; both turn around the centre.
    a, b = cos, shear * cos - sin
    c, d = sin, shear * sin + cos
    if augment.flip:
        facing = tf.where(tf.random.uniform((count,)) < augment.flip, -1.0, 1.0)
        a, c = a * facing, c * facing
    x, y = (width - 1) / 2, (height - 1) / 2
    right = amounts(augment.shift * width) + x - a * x - b * y
    down = amounts(augment.shift * height) + y - c * x - d * y
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, right, c, d, down, zero, zero], axis=1),
        output_shape=(height, width),
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )


def cutout(images: Any, fraction: float) -> Any:
    """Blacks out a square around a random place in each image; part of it may lie outside.

    DeVries & Taylor 2017, https://arxiv.org/abs/1708.04552.

    Args:
        images: (N, H, W, C) float32.
        fraction: Side of the square as a fraction of the image's shorter side, 0 to 1. It need not be whole pixels:
            a pixel goes if its centre lies in the square. 0 returns `images` as they are.

    Returns:
        (N, H, W, C) float32.
    """
    if not fraction:
        return images
    count = tf.shape(images)[0]
    height, width = images.shape[1:3]
    side = fraction * min(height, width)
    top = tf.random.uniform((count,), 0.0, height) - side / 2
    left = tf.random.uniform((count,), 0.0, width) - side / 2
    return images * (1.0 - _rectangles(top, side, height, left, side, width))


def erase(images: Any, probability: float) -> Any:
    """Fills a random rectangle with noise, 0 to 255, in a share of the images.

    It has 2 % to 33 % of the area, at least a pixel either way, and its height is 0.3 to 3.3 times its width, both as
    fractions of the image's. Zhong et al. 2017, https://arxiv.org/abs/1708.04896.

    Args:
        images: (N, H, W, C) float32.
        probability: Of an image to be changed, 0 to 1. 0 returns `images` as they are.

    Returns:
        (N, H, W, C) float32.
    """
    if not probability:
        return images
    count = tf.shape(images)[0]
    height, width = images.shape[1:3]
    area = tf.random.uniform((count,), 0.02, 0.33)
    aspect = tf.exp(tf.random.uniform((count,), -log(3.3), log(3.3)))
    high = tf.clip_by_value(tf.sqrt(area * aspect) * height, 1.0, height)
    wide = tf.clip_by_value(tf.sqrt(area / aspect) * width, 1.0, width)
    top = tf.random.uniform((count,)) * (height - high)
    left = tf.random.uniform((count,)) * (width - wide)
    high = tf.where(tf.random.uniform((count,)) < probability, high, 0.0)
    # One image of noise a batch: the rectangles see different parts of it, and it costs next to nothing.
    noise = tf.random.uniform((1, *images.shape[1:]), 0.0, 255.0)
    return images + _rectangles(top, high, height, left, wide, width) * (noise - images)


def mixup(images: Any, labels: Any, alpha: float) -> tuple[Any, Any, Any]:
    """Blends each image with another one of its batch.

    Zhang et al. 2017, https://arxiv.org/abs/1710.09412.

    Args:
        images: (N, H, W, C) float32.
        labels: (N,) int32.
        alpha: Above 0. Shares are drawn from Beta(alpha, alpha).

    Returns:
        The blends, (N, H, W, C) float32; the labels of the other images, (N,) int32; and the share of each image in
        its own blend, (N,) float32, 0.5 to 1: the other one has the rest.
    """
    count = tf.shape(images)[0]
    other = tf.random.shuffle(tf.range(count))
    share = _beta(alpha, count)
    # Beta(alpha, alpha) is symmetric: blends are as likely as before, and each image keeps the larger share of its own.
    share = tf.maximum(share, 1.0 - share)
    rest = (1.0 - share)[:, None, None, None]
    return images + rest * (tf.gather(images, other) - images), tf.gather(labels, other), share


def _beta(alpha: float, count: Any) -> Any:
    """(count,) float32 from Beta(alpha, alpha): x / (x + y) with x and y from Gamma(alpha).

    In logarithms, with Gamma(alpha) = Gamma(alpha + 1) * U ** (1 / alpha), because x and y underflow for small alphas.
    """
    gamma = tf.random.gamma((2, count), alpha + 1.0)
    logs = tf.math.log(gamma) + tf.math.log(tf.random.uniform((2, count), 1e-30)) / alpha
    return tf.sigmoid(logs[0] - logs[1])


def _rectangles(top: Any, high: Any, height: int, left: Any, wide: Any, width: int) -> Any:
    """(N, height, width, 1) float32, 1 where a pixel's centre lies in its image's rectangle; all in pixels."""
    rows = _interval(top, high, height)
    columns = _interval(left, wide, width)
    return (rows[:, :, None] * columns[:, None, :])[..., None]


def _interval(start: Any, length: Any, size: int) -> Any:
    """(N, size) float32, 1 where a pixel's centre lies within `length` from `start`, (N,)."""
    distance = tf.range(0.5, size) - start[:, None]
    length = tf.reshape(length, (-1, 1))
    return tf.cast((distance >= 0.0) & (distance < length), tf.float32)
