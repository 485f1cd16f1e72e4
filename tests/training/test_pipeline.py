from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.data.sources import load_data
from archsearch.space.architecture import Augment
from archsearch.training.pipeline import ordered_batches, shuffled_batches, warp


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


def warped(image: NDArray[np.float32], count: int = 200, **augment: float) -> NDArray[np.float32]:
    tf.random.set_seed(3)
    return np.asarray(warp(tf.constant(np.repeat(image, count, axis=0)), Augment(**augment)))


def test_an_epoch_is_a_fresh_order_of_equal_batches(digits: ImageSet) -> None:
    indices = np.arange(100, 200, dtype=np.int32)
    random = np.random.default_rng(0)
    epochs = [list(shuffled_batches(digits, indices, 32, random)) for _ in range(2)]
    for batches in epochs:
        assert [pixels.shape for pixels, _ in batches] == [(32, 8, 8, 1)] * 3
    assert not np.array_equal(epochs[0][0][1], epochs[1][0][1])
    known = {
        image.tobytes(): label for image, label in zip(digits.images[100:200], digits.labels[100:200], strict=True)
    }
    for pixels, labels in epochs[0]:
        assert all(known[image.tobytes()] == label for image, label in zip(pixels, labels, strict=True))


def test_ordered_batches_hold_each_image_once(digits: ImageSet) -> None:
    indices = np.arange(5, 30, dtype=np.int32)
    batches = list(ordered_batches(digits, indices, 10))
    assert [len(labels) for _, labels in batches] == [10, 10, 5]
    np.testing.assert_array_equal(np.concatenate([pixels for pixels, _ in batches]), digits.images[5:30])


def test_no_augmentation_touches_nothing() -> None:
    image = tf.constant(blob(10, 10))
    assert warp(image, Augment()) is image


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


def test_what_comes_in_from_outside_repeats_the_edge() -> None:
    bright = np.full((1, 9, 9, 3), 200.0, np.float32)
    np.testing.assert_allclose(warped(bright, rotate=45.0, shift=0.5, zoom=0.5), 200.0, rtol=1e-5)


def test_images_of_a_batch_are_warped_differently() -> None:
    images = warped(blob(10, 14), count=8, rotate=20.0)
    assert len({image.tobytes() for image in images}) == 8


def test_a_memory_map_is_not_read_whole(digits: ImageSet) -> None:
    assert isinstance(digits.images, np.memmap)
    assert isinstance(digits.path, Path)
