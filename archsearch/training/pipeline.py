"""Images on their way into a training step: batches from a memory map, and their random changes.

Batches are plain NumPy look-ups: on the CPU they cost less than any `tf.data` pipeline's own overhead.
"""

from collections.abc import Iterator
from functools import cache
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
    """Epoch after epoch over `indices`, without end, each in a fresh order and in equal batches.

    What is left over of an epoch is left out of it.

    Yields:
        Images (batch_size, H, W, C) uint8 and labels (batch_size,) int32.
    """
    while True:
        order = random.permutation(indices)
        for start in range(0, len(order) - batch_size + 1, batch_size):
            chosen = np.sort(order[start : start + batch_size])
            yield images.images[chosen], images.labels[chosen]


def ordered_batches(images: ImageSet, indices: NDArray[np.int32], batch_size: int) -> Iterator[Batch]:
    """All of `indices` once, in order; the last batch may be smaller."""
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        yield images.images[chosen], images.labels[chosen]


def augmented(images: Any, augment: Augment, random: Any = None) -> Any:
    """Each image on its own, changed by all of `augment` but mixup: warped, then cut out, then erased.

    Args:
        images: (N, H, W, C) float32, 0 to 255.
        augment: The largest amounts. Each of the three adds nothing to the graph when it is off.
        random: A `tf.random.Generator`; None is TensorFlow's global one.

    Returns:
        (N, H, W, C) float32, 0 to 255.
    """
    random = random or tf.random.get_global_generator()
    images = warp(images, augment, random)
    return erase(cutout(images, augment.cutout, random), augment.erase, random)


def warp(images: Any, augment: Augment, random: Any) -> Any:
    """Rotates, shifts, zooms, shears and mirrors each image by its own random amounts, in a single interpolation.

    Args:
        images: (N, H, W, C) float32.
        augment: The largest amounts, either way, and the probability of mirroring. All zero returns `images` as they
            are.
        random: A `tf.random.Generator`.

    Returns:
        (N, H, W, C) float32; what comes in from outside repeats the nearest edge pixel.
    """
    if not warps(augment):
        return images

    return compiled_warp(*images.shape[1:])(images, _changes(augment, images, random))


def warps(augment: Augment) -> bool:
    """Whether `warp` changes anything."""
    return any((augment.rotate, augment.shift, augment.zoom, augment.shear, augment.flip))


@cache
def compiled_warp(height: int, width: int, channels: int) -> Any:
    """The warp as a function of images (N, height, width, channels) float32 and their `_changes`, compiled at its first
    call.

    Compiled for the CPU it is one loop: a third of the time of ImageProjectiveTransformV3 for one channel, a fifth for
    three. Compiling takes a tenth of a second, and next to nothing where another process has done it already
    (`processes.start`). It is found then by its name, which is always the same in a process that makes this before any
    other function; and the amounts, which differ between candidates, are not compiled in.
    """
    images = tf.TensorSpec((None, height, width, channels), tf.float32)
    changes = tf.TensorSpec((6, None), tf.float32)

    def warped(images: Any, changes: Any) -> Any:
        return interpolated(images, *_places(changes, height, width))

    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    return tf.function(warped, (images, changes), autograph=False, jit_compile=not on_gpu).get_concrete_function()


def _changes(augment: Augment, images: Any, random: Any) -> Any:
    """Each image's own: angle and shear in radians, scale, facing (mirrored below 0), shifts down and right in pixels.

    Returns:
        (6, N) float32.
    """
    height, width = images.shape[1:3]
    radians = pi / 180
    middles = (0.0, 0.0, 1.0, 1.0 - 2.0 * augment.flip, 0.0, 0.0)
    turned = (augment.rotate * radians, augment.shear * radians)
    reaches = (*turned, augment.zoom, 1.0, augment.shift * height, augment.shift * width)
    draws = random.uniform((6, tf.shape(images)[0]), -1.0, 1.0)
    return tf.constant(middles)[:, None] + tf.constant(reaches)[:, None] * draws


def _places(changes: Any, height: int, width: int) -> tuple[Any, Any]:
    """Where the pixels of the results lie in their sources.

    Args:
        changes: (6, N) float32 (`_changes`).
        height: Of the images, in pixels.
        width: Of the images, in pixels.

    Returns:
        Rows and columns, (N, height, width) float32; some are outside.
    """
    angle, shear, scale, facing, below, beside = tf.unstack(changes[:, :, None, None])
    # Result and source both turn around their centres.
    down, right = (height - 1) / 2, (width - 1) / 2
    y = tf.range(height, dtype=tf.float32)[:, None] - down
    x = (tf.range(width, dtype=tf.float32) - right) * tf.where(facing < 0.0, -1.0, 1.0) + tf.tan(shear) * y
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    return sin * x + cos * y + below + down, cos * x - sin * y + beside + right


def interpolated(images: Any, rows: Any, columns: Any) -> Any:
    """The images' values between their pixels, bilinear; outside, those of the nearest pixel of the edge.

    Args:
        images: (N, H, W, C) float32.
        rows: (N, h, w) float32.
        columns: (N, h, w) float32.

    Returns:
        (N, h, w, C) float32.
    """
    _, height, width, channels = images.shape
    rows, columns = tf.clip_by_value(rows, 0.0, height - 1.0), tf.clip_by_value(columns, 0.0, width - 1.0)
    top, left = tf.cast(rows, tf.int32), tf.cast(columns, tf.int32)
    bottom, right = tf.minimum(top + 1, height - 1), tf.minimum(left + 1, width - 1)
    down, across = (rows - tf.cast(top, tf.float32))[..., None], (columns - tf.cast(left, tf.float32))[..., None]
    first = tf.range(tf.shape(images)[0])[:, None, None] * (height * width)
    pixels = tf.reshape(images, (-1, channels))

    def at(row: Any, column: Any) -> Any:
        return tf.gather(pixels, first + row * width + column)

    above = (1.0 - across) * at(top, left) + across * at(top, right)
    below = (1.0 - across) * at(bottom, left) + across * at(bottom, right)
    return (1.0 - down) * above + down * below


def cutout(images: Any, fraction: float, random: Any) -> Any:
    """Blacks out a square around a random place in each image; part of it may lie outside.

    DeVries & Taylor 2017, https://arxiv.org/abs/1708.04552.

    Args:
        images: (N, H, W, C) float32.
        fraction: Side of the square as a fraction of the image's shorter side, 0 to 1. It need not be whole pixels:
            a pixel goes if its centre lies in the square. 0 returns `images` as they are.
        random: A `tf.random.Generator`.

    Returns:
        (N, H, W, C) float32.
    """
    if not fraction:
        return images
    count = tf.shape(images)[0]
    height, width = images.shape[1:3]
    side = fraction * min(height, width)
    top = random.uniform((count,), 0.0, height) - side / 2
    left = random.uniform((count,), 0.0, width) - side / 2
    return images * (1.0 - _rectangles(top, side, height, left, side, width))


def erase(images: Any, probability: float, random: Any) -> Any:
    """Fills a random rectangle with noise, 0 to 255, in a share of the images.

    It has 2 % to 33 % of the area, at least a pixel either way, and its height is 0.3 to 3.3 times its width, both as
    fractions of the image's. Zhong et al. 2017, https://arxiv.org/abs/1708.04896.

    Args:
        images: (N, H, W, C) float32.
        probability: Of an image to be changed, 0 to 1. 0 returns `images` as they are.
        random: A `tf.random.Generator`.

    Returns:
        (N, H, W, C) float32.
    """
    if not probability:
        return images
    count = tf.shape(images)[0]
    height, width = images.shape[1:3]
    area = random.uniform((count,), 0.02, 0.33)
    aspect = tf.exp(random.uniform((count,), -log(3.3), log(3.3)))
    high = tf.clip_by_value(tf.sqrt(area * aspect) * height, 1.0, height)
    wide = tf.clip_by_value(tf.sqrt(area / aspect) * width, 1.0, width)
    top = random.uniform((count,)) * (height - high)
    left = random.uniform((count,)) * (width - wide)
    high = tf.where(random.uniform((count,)) < probability, high, 0.0)
    # One image of noise a batch: the rectangles see different parts of it, and it costs next to nothing.
    noise = random.uniform((1, *images.shape[1:]), 0.0, 255.0)
    return images + _rectangles(top, high, height, left, wide, width) * (noise - images)


def mixup(images: Any, labels: Any, alpha: float, random: Any = None) -> tuple[Any, Any, Any]:
    """Blends each image with another one of its batch.

    Zhang et al. 2017, https://arxiv.org/abs/1710.09412.

    Args:
        images: (N, H, W, C) float32.
        labels: (N,) int32.
        alpha: Above 0. Shares are drawn from Beta(alpha, alpha).
        random: A `tf.random.Generator`; None is TensorFlow's global one.

    Returns:
        The blends, (N, H, W, C) float32; the labels of the other images, (N,) int32; and the share of each image in
        its own blend, (N,) float32, 0.5 to 1: the other one has the rest.
    """
    random = random or tf.random.get_global_generator()
    count = tf.shape(images)[0]
    other = tf.argsort(random.uniform((count,)))
    share = _beta(alpha, count, random)
    # Beta(alpha, alpha) is symmetric: blends are as likely as before, and each image keeps the larger share of its own.
    share = tf.maximum(share, 1.0 - share)
    rest = (1.0 - share)[:, None, None, None]
    return images + rest * (tf.gather(images, other) - images), tf.gather(labels, other), share


def _beta(alpha: float, count: Any, random: Any) -> Any:
    """(count,) float32 from Beta(alpha, alpha): x / (x + y) with x and y from Gamma(alpha).

    In logarithms, with Gamma(alpha) = Gamma(alpha + 1) * U ** (1 / alpha), because x and y underflow for small alphas.
    """
    gamma = tf.random.stateless_gamma((2, count), random.make_seeds(1)[:, 0], alpha + 1.0)
    logs = tf.math.log(gamma) + tf.math.log(random.uniform((2, count), 1e-30)) / alpha
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
