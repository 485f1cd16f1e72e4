from pathlib import Path

import numpy as np
import pytest
from digit_files import Digits

from archsearch.data.dataset import ImageSet, fingerprint
from archsearch.errors import DataError


def _write(path: Path, digits: Digits, count: int = 50) -> ImageSet:
    samples = zip(digits.pixels[:count, :, :, None], digits.labels[:count].tolist(), strict=True)
    return ImageSet.write(path, (8, 8, 1), samples)


def test_what_is_written_is_opened_as_a_read_only_memory_map(tmp_path: Path, digits: Digits) -> None:
    _write(tmp_path / "set", digits)
    images = ImageSet.open(tmp_path / "set")
    assert isinstance(images.images, np.memmap)
    assert images.images.dtype == np.uint8
    assert images.labels.dtype == np.int32
    np.testing.assert_array_equal(images.images[..., 0], digits.pixels[:50])
    np.testing.assert_array_equal(images.labels, digits.labels[:50])
    assert len(images) == 50
    with pytest.raises(ValueError, match="read-only"):
        images.images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        images.labels[0] = 0


def test_the_folder_holds_two_files_and_nothing_lies_beside_it(tmp_path: Path, digits: Digits) -> None:
    _write(tmp_path / "set", digits)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["images.npy", "labels.npy", "set"]


def test_an_image_of_another_shape_leaves_nothing_behind(tmp_path: Path) -> None:
    samples = [(np.zeros((8, 8, 1), np.uint8), 0), (np.zeros((8, 9, 1), np.uint8), 1)]
    with pytest.raises(ValueError, match=r"image 1: found uint8 \(8, 9, 1\)"):
        ImageSet.write(tmp_path / "set", (8, 8, 1), samples)
    assert not list(tmp_path.iterdir())


def test_a_missing_or_damaged_set_is_named(tmp_path: Path, digits: Digits) -> None:
    with pytest.raises(DataError, match="nowhere: no image set here"):
        ImageSet.open(tmp_path / "nowhere")
    images = _write(tmp_path / "set", digits).path / "images.npy"
    images.write_bytes(images.read_bytes()[:-10])
    with pytest.raises(DataError, match="set: no image set here"):
        ImageSet.open(tmp_path / "set")
    np.save(images, np.zeros((50, 8, 8, 1), np.float32))
    with pytest.raises(DataError, match="float32 images"):
        ImageSet.open(tmp_path / "set")


def test_the_fingerprint_sees_a_pixel_a_label_a_name_and_the_test_set(tmp_path: Path, digits: Digits) -> None:
    classes = tuple("0123456789")
    images = _write(tmp_path / "a", digits)
    pixel = digits.pixels.copy()
    pixel[20, 3, 3] ^= 1
    label = digits.labels.copy()
    label[20] ^= 1
    prints = [
        fingerprint(classes, images, None),
        fingerprint(classes, _write(tmp_path / "b", Digits(pixel, digits.labels)), None),
        fingerprint(classes, _write(tmp_path / "c", Digits(digits.pixels, label)), None),
        fingerprint((*classes[:9], "nine"), images, None),
        fingerprint(classes, images, images),
    ]
    assert len(set(prints)) == len(prints)
    assert fingerprint(classes, _write(tmp_path / "d", digits), None) == prints[0]
