from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.data.sources import load_data
from archsearch.space.architecture import Augment
from archsearch.training.pipeline import (
    augmented,
    cutout,
    erase,
    interpolated,
    mixup,
    ordered_batches,
    shuffled_batches,
    warp,
)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_data("digits").train


def blob(row: int, column: int, side: int = 21) -> NDArray[np.float32]:
    """A soft dot, (1, side, side, 1): its centre of mass can be found after any warp."""
    y, x = np.mgrid[:side, :side]
    dot: NDArray[np.float32] = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 4.0).astype(np.float32)
    return dot[None, ..., None]


def centre(image: NDArray[np.float32]) -> tuple[float, float]:
    plane = image[..., 0] / image.sum()
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return float((plane * y).sum()), float((plane * x).sum())


def seeded() -> Any:
    return tf.random.Generator.from_seed(3)


def warped(image: NDArray[np.float32], count: int = 200, **augment: float) -> NDArray[np.float32]:
    return np.asarray(warp(tf.constant(np.repeat(image, count, axis=0)), Augment(**augment), seeded()))


def test_an_epoch_is_a_fresh_order_of_equal_batches(digits: ImageSet) -> None:
    indices = np.arange(100, 200, dtype=np.int32)
    batches = shuffled_batches(digits, indices, 32, np.random.default_rng(0))
    epochs = [list(islice(batches, 3)) for _ in range(2)]
    known = {
        image.tobytes(): label for image, label in zip(digits.images[100:200], digits.labels[100:200], strict=True)
    }
    for epoch in epochs:
        assert [pixels.shape for pixels, _ in epoch] == [(32, 8, 8, 1)] * 3
        seen = [
            (image.tobytes(), label) for pixels, labels in epoch for image, label in zip(pixels, labels, strict=True)
        ]
        assert all(known[image] == label for image, label in seen)
        assert len(set(seen)) == 3 * 32, "each image at most once"
    assert not np.array_equal(epochs[0][0][1], epochs[1][0][1])


def test_ordered_batches_hold_each_image_once(digits: ImageSet) -> None:
    indices = np.arange(5, 30, dtype=np.int32)
    batches = list(ordered_batches(digits, indices, 10))
    assert [len(labels) for _, labels in batches] == [10, 10, 5]
    np.testing.assert_array_equal(np.concatenate([pixels for pixels, _ in batches]), digits.images[5:30])


def ops(augment: Augment) -> set[str]:
    """The kinds of operations that `augmented` puts in a graph."""
    spec = tf.TensorSpec((None, 8, 8, 1), tf.float32)
    random = seeded()
    change = tf.function(lambda images: augmented(images, augment, random), [spec], autograph=False)
    return {operation.type for operation in change.get_concrete_function().graph.get_operations()}


def test_no_augmentation_touches_nothing() -> None:
    image = tf.constant(blob(10, 10))
    assert augmented(image, Augment()) is image
    assert augmented(image, Augment(mixup=0.5)) is image
    assert ops(Augment()) == {"Placeholder", "Identity"}


@pytest.mark.parametrize(
    ("augment", "warps"),
    [
        (Augment(flip=0.1), True),
        (Augment(shear=1.0), True),
        (Augment(cutout=0.2), False),
        (Augment(erase=0.2), False),
        (Augment(flip=0.1, rotate=1.0, cutout=0.2, erase=0.2), True),
    ],
    ids=str,
)
def test_only_what_moves_pixels_warps(augment: Augment, warps: bool) -> None:
    kinds = ops(augment)
    assert ("PartitionedCall" in kinds) == warps
    assert "StatelessRandomUniformV2" in kinds


def test_rotation_stays_within_its_degrees_and_uses_them() -> None:
    angles = []
    for image in warped(blob(10, 16), rotate=30.0):
        y, x = centre(image)
        assert np.hypot(y - 10, x - 10) == pytest.approx(6, abs=0.3)
        angles.append(np.degrees(np.arctan2(y - 10, x - 10)))
    assert 25 < max(angles) < 31
    assert -31 < min(angles) < -25


def test_shift_is_a_fraction_of_the_side() -> None:
    places = np.array([centre(image) for image in warped(blob(10, 10), shift=0.2)]) - 10
    assert np.abs(places).max() == pytest.approx(0.2 * 21, abs=0.3)
    assert np.ptp(places, axis=0).min() > 0.3 * 21


def test_zoom_is_a_fraction_of_the_size() -> None:
    distances = [centre(image)[1] - 10 for image in warped(blob(10, 16), zoom=0.2)]
    assert max(distances) == pytest.approx(6 / 0.8, abs=0.4)
    assert min(distances) == pytest.approx(6 / 1.2, abs=0.4)


def test_shear_moves_rows_against_each_other() -> None:
    moved = [centre(image) for image in warped(blob(16, 10), shear=20.0)]
    assert max(abs(x - 10) for _, x in moved) == pytest.approx(6 * np.tan(np.radians(20)), abs=0.4)
    assert max(abs(y - 16) for y, _ in moved) < 0.3


def test_flip_mirrors_its_share_of_the_images_and_changes_nothing_else(digits: ImageSet) -> None:
    images = digits.images[:1000].astype(np.float32)
    for probability in (0.5, 0.1):
        result = np.asarray(warp(tf.constant(images), Augment(flip=probability), seeded()))
        same, mirrored = (np.abs(result - other).max((1, 2, 3)) < 1e-3 for other in (images, images[:, :, ::-1]))
        assert (same | mirrored).all()
        assert (mirrored & ~same).mean() == pytest.approx(probability, abs=0.05)


def test_a_mirrored_image_turns_about_its_centre_too() -> None:
    columns = []
    for image in warped(blob(10, 16), rotate=20.0, flip=0.5):
        y, x = centre(image)
        assert np.hypot(y - 10, x - 10) == pytest.approx(6, abs=0.3)
        assert abs(y - 10) < 6 * np.sin(np.radians(20)) + 0.3
        columns.append(x)
    assert 0.35 < np.mean(np.array(columns) < 10) < 0.65


def test_what_comes_in_from_outside_repeats_the_edge() -> None:
    bright = np.full((1, 9, 9, 3), 200.0, np.float32)
    np.testing.assert_allclose(warped(bright, rotate=45.0, shift=0.5, zoom=0.5), 200.0, rtol=1e-5)


def test_images_of_a_batch_are_warped_differently() -> None:
    images = warped(blob(10, 14), count=8, rotate=20.0)
    assert len({image.tobytes() for image in images}) == 8


def changed(change: Callable[[Any, Any], Any], shape: tuple[int, int, int], count: int = 1000) -> NDArray[np.float32]:
    """What `change` makes of images of -1, which no augmentation makes."""
    return np.asarray(change(tf.fill((count, *shape), -1.0), seeded()))


def box(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Height and width of a full rectangle in a mask (H, W)."""
    rows, columns = (np.asarray(mask.any(axis)) for axis in (1, 0))
    np.testing.assert_array_equal(mask, rows[:, None] & columns)
    for line in (rows, columns):
        assert np.count_nonzero(np.diff(line.astype(int), prepend=0, append=0)) == 2, "not in one piece"
    return int(rows.sum()), int(columns.sum())


def test_equal_random_numbers_make_equal_changes() -> None:
    augment = Augment(rotate=20.0, shift=0.1, flip=0.3, cutout=0.2, erase=0.5)
    images = tf.constant(np.repeat(blob(10, 14), 8, axis=0))
    first, again = (np.asarray(augmented(images, augment, seeded())) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    random = seeded()
    first, next_ = (np.asarray(augmented(images, augment, random)) for _ in range(2))
    assert not np.array_equal(first, next_)


@pytest.mark.parametrize("shape", [(9, 9, 1), (6, 11, 3)])
def test_a_warp_is_tensorflows_projective_transform(shape: tuple[int, int, int]) -> None:
    """The geometry as TensorFlow's own kernel has it, with the draws that it leaves to its caller."""
    height, width, _ = shape
    images = np.random.default_rng(0).uniform(0, 255, (40, *shape)).astype(np.float32)
    a, b, shift_x, c, d, shift_y = np.random.default_rng(1).uniform(-1.5, 1.5, (6, 40)).astype(np.float32)
    right, down = 4 * shift_x + 3, 4 * shift_y + 3
    zero = np.zeros_like(a)
    expected = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=np.stack([a, b, right, c, d, down, zero, zero], axis=1),
        output_shape=(height, width),
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )
    y, x = np.mgrid[:height, :width].astype(np.float32)
    columns, rows = (
        p[:, None, None] * x + q[:, None, None] * y + r[:, None, None] for p, q, r in ((a, b, right), (c, d, down))
    )
    np.testing.assert_allclose(interpolated(tf.constant(images), rows, columns), expected, atol=0.02)


def test_an_image_of_one_pixel_stays() -> None:
    pixel = np.full((1, 1, 1, 1), 7.0, np.float32)
    np.testing.assert_allclose(warped(pixel, count=5, rotate=45.0, shift=0.5, zoom=0.5), 7.0)


def test_cutout_blacks_out_one_square_anywhere() -> None:
    images = changed(lambda images, random: cutout(images, 0.25, random), (20, 30, 3))
    assert set(np.unique(images)) == {-1.0, 0.0}
    black = images == 0.0
    np.testing.assert_array_equal(black.any(-1), black.all(-1))
    boxes = np.array([box(mask) for mask in black[..., 0]])
    assert boxes.min() >= 2
    assert boxes.max(0).tolist() == [5, 5]
    assert 0.5 < (boxes == 5).all(1).mean() < 0.8, "some hang over the edge"
    assert black.any((0, 3)).all(), "everywhere"
    assert len({mask.tobytes() for mask in black[:, ..., 0]}) > 300


def test_cutout_of_small_images_is_right_on_average() -> None:
    black = changed(lambda images, random: cutout(images, 0.3, random), (8, 8, 1), count=4000)[..., 0] == 0.0
    assert black[:, 2:6, 2:6].mean() == pytest.approx((0.3 * 8) ** 2 / 64, rel=0.1)


def test_erase_fills_a_rectangle_with_noise() -> None:
    images = changed(lambda images, random: erase(images, 0.4, random), (40, 40, 1))[..., 0]
    noisy = images != -1.0
    hit = noisy.any((1, 2))
    assert hit.mean() == pytest.approx(0.4, abs=0.05)
    boxes = np.array([box(mask) for mask in noisy[hit]], np.float64)
    areas, aspects = boxes.prod(1) / 1600, boxes[:, 0] / boxes[:, 1]
    assert (0.01 < areas.min() < 0.04, 0.3 < areas.max() < 0.36) == (True, True)
    assert np.median(areas) == pytest.approx(0.175, abs=0.03)
    assert np.median(aspects) == pytest.approx(1.0, abs=0.15)
    assert (0.2 < aspects.min() < 0.45, 2.3 < aspects.max() < 5.0) == (True, True)
    noise = images[noisy]
    assert noise.min() >= 0.0
    assert noise.max() <= 255.0
    assert noise.mean() == pytest.approx(127.5, abs=5)
    assert noise.std() == pytest.approx(255 / 12**0.5, abs=5)


def test_erase_spares_no_image_however_small_and_leaves_the_rest_alone(digits: ImageSet) -> None:
    images = digits.images[:, ::2, ::2].astype(np.float32)
    result = np.asarray(erase(tf.constant(images), 1.0, seeded()))
    touched = (result != images)[..., 0]
    assert touched.any((1, 2)).all()
    assert touched.mean() < 0.3


def test_mixup_blends_pairs_of_the_batch(digits: ImageSet) -> None:
    images = digits.images[:100].astype(np.float32)
    mixed = mixup(tf.constant(images), tf.range(100), 1.0, seeded())
    blends, others, share = (np.asarray(part) for part in mixed)
    assert sorted(others) == list(range(100))
    assert (others == np.arange(100)).mean() < 0.1
    assert (share.min() >= 0.5, share.max() <= 1.0) == (True, True)
    part = share[:, None, None, None]
    np.testing.assert_allclose(blends, part * images + (1 - part) * images[others], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 1.0, 4.0])
def test_mixup_draws_from_the_beta_distribution(alpha: float) -> None:
    count = 20_000
    share = np.asarray(mixup(tf.zeros((count, 1, 1, 1)), tf.zeros(count, tf.int32), alpha, seeded())[2])
    # The variance of Beta(alpha, alpha), whose mean is a half.
    assert np.mean((share - 0.5) ** 2) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


def test_a_memory_map_is_not_read_whole(digits: ImageSet) -> None:
    assert isinstance(digits.images, np.memmap)
    assert isinstance(digits.path, Path)
