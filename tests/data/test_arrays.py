import io
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digit_files import Digits
from PIL import Image

from archsearch.data.arrays import CLASS_NAMES, array_contents
from archsearch.data.sources import load_data
from archsearch.errors import DataError, InputError

Write = Callable[..., Path]


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: x[..., None],
        lambda x: x.astype(np.int64),
        lambda x: x.astype(np.float32),
        lambda x: x / 255,
        lambda x: (x / 255).astype(np.float32),
    ],
)
def test_all_number_types_and_scales_give_the_same_pixels(
    change: Callable[[Any], Any], npz: Write, cache: Path, digits: Digits
) -> None:
    images = load_data(npz(x=change(digits.pixels), y=digits.labels), cache=cache).train.images
    np.testing.assert_array_equal(images[..., 0], digits.pixels)


@pytest.mark.parametrize(
    "change", [lambda y: y[:, None], lambda y: y.astype(float), lambda y: y.astype(np.uint8), lambda y: y.astype(">i2")]
)
def test_all_forms_of_labels_are_the_same(
    change: Callable[[Any], Any], npz: Write, cache: Path, digits: Digits
) -> None:
    dataset = load_data(npz(x_train=digits.pixels, y_train=change(digits.labels)), cache=cache)
    np.testing.assert_array_equal(dataset.train.labels, digits.labels)
    assert dataset.classes == tuple("0123456789")


def test_labels_are_numbered_in_order_and_keep_their_names(npz: Write, cache: Path, digits: Digits) -> None:
    some = np.isin(digits.labels, (2, 5, 9))
    values = digits.labels[some] * 10 - 50
    dataset = load_data(npz(x=digits.pixels[some], y=values), cache=cache)
    assert dataset.classes == ("-30", "0", "40")
    np.testing.assert_array_equal(np.array([-30, 0, 40])[dataset.train.labels], values)


def test_colour_and_a_test_set_are_kept(npz: Write, cache: Path, digits: Digits) -> None:
    colour = np.stack([digits.pixels, 255 - digits.pixels, digits.pixels // 2], axis=-1)
    path = npz(x_train=colour[:1500], y_train=digits.labels[:1500], x_test=colour[1500:], y_test=digits.labels[1500:])
    dataset = load_data(path, cache=cache)
    assert dataset.test is not None
    np.testing.assert_array_equal(dataset.train.images, colour[:1500])
    np.testing.assert_array_equal(dataset.test.images, colour[1500:])
    np.testing.assert_array_equal(dataset.test.labels, digits.labels[1500:])
    assert dataset.task.channels == 3


def test_resizing_is_bilinear_and_square(npz: Write, cache: Path, digits: Digits) -> None:
    wide = digits.pixels[:, :5]
    dataset = load_data(npz(x=wide, y=digits.labels), 6, cache)
    expected = Image.fromarray(wide[7]).resize((6, 6), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(dataset.train.images[7, :, :, 0], np.asarray(expected))


def test_a_size_brings_train_and_test_together(npz: Write, cache: Path, digits: Digits) -> None:
    path = npz(x_train=digits.pixels, y_train=digits.labels, x_test=digits.pixels[:, :6], y_test=digits.labels)
    with pytest.raises(DataError, match=r"images are \(8, 8, 1\) and test images \(6, 8, 1\).*resize .* with --size"):
        load_data(path, cache=cache)
    dataset = load_data(path, 8, cache)
    assert dataset.test is not None
    assert dataset.test.images.shape[1:] == dataset.train.images.shape[1:] == (8, 8, 1)


def _with(array: Any, value: Any) -> Any:
    changed = array.astype(np.result_type(array, np.min_scalar_type(value)))
    changed[5, 3, 3] = value
    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: {"x": _with(x.astype(float), np.nan), "y": y}, " x: found NaN"),
        (lambda x, y: {"x": _with(x.astype(float), np.inf), "y": y}, "found pixels from 0 to inf"),
        (lambda x, y: {"x": _with(x.astype(int), 256), "y": y}, "found pixels from 0 to 256; expected 0..255"),
        (lambda x, y: {"x": _with(x.astype(int), -1), "y": y}, "found pixels from -1 to 255"),
        (lambda x, y: {"x": x.astype(complex), "y": y}, "found complex128 values"),
        (lambda x, y: {"x": x.reshape(-1, 64), "y": y}, r"found shape \(1797, 64\)"),
        (lambda x, y: {"x": np.stack([x] * 4, -1), "y": y}, r"found shape \(1797, 8, 8, 4\)"),
        (lambda x, y: {"x": x[:0], "y": y[:0]}, r"found shape \(0, 8, 8\)"),
        (lambda x, y: {"x": x, "y": y[1:]}, " x has 1797 images and .* y has 1796 labels"),
        (lambda x, y: {"x": x, "y": y + 0.5}, " y: found 0.5; expected whole numbers"),
        (lambda x, y: {"x": x, "y": np.where(y == 3, np.nan, y)}, " y: found nan"),
        (lambda x, y: {"x": x, "y": y.astype(str)}, "found <U21 labels"),
        (lambda x, y: {"x": x, "y": np.eye(10)[y]}, r"found shape \(1797, 10\).*argmax"),
        (lambda x, y: {"x": x, "y": y * 0}, "found one class only, 0; expected at least 2"),
        (lambda x, y: {"x": x[:11], "y": np.r_[y[:10] % 2, 7]}, "class '7' has 1 training image; expected at least 2"),
        (lambda x, y: {"x": x, "y": y.astype(object)}, "found a pickled array"),
        (lambda x, y: {"x": x}, "found arrays x; expected x_train and y_train"),
        (lambda x, y: {}, "found arrays none"),
        (lambda x, y: {"x_train": x, "y_train": y, "x_test": x}, "both x_test and y_test or neither"),
        (
            lambda x, y: {"x_train": x[y < 8], "y_train": y[y < 8], "x_test": x, "y_test": y},
            "no training image has the test labels 8, 9; expected only 0, 1, 2, 3, 4, 5, 6, 7",
        ),
        (
            lambda x, y: {"x_train": x, "y_train": y, "x_test": np.stack([x] * 3, -1), "y_test": y},
            r"test images \(8, 8, 3\)",
        ),
        (
            lambda x, y: {"x_train": x / 1.0, "y_train": y, "x_test": x / 255, "y_test": y},
            "expected one scale for both",
        ),
    ],
)
def test_what_is_wrong_is_named(
    change: Callable[[Any, Any], dict[str, Any]], message: str, npz: Write, cache: Path, digits: Digits
) -> None:
    path = npz(**change(digits.pixels, digits.labels))
    with pytest.raises(DataError, match=message) as caught:
        load_data(path, cache=cache)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, cache: Path, digits: Digits) -> None:
    path = tmp_path / "data.npz"
    np.save(tmp_path / "data.npy", digits.pixels)
    (tmp_path / "data.npy").rename(path)
    with pytest.raises(DataError, match=r"not a \.npz archive"):
        load_data(path, cache=cache)


def test_a_damaged_archive_is_refused(npz: Write, cache: Path, digits: Digits) -> None:
    path = npz(x=digits.pixels, y=digits.labels)
    content = bytearray(path.read_bytes())
    content[2000] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"the archive is damaged .*CRC"):
        load_data(path, cache=cache)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"not a \.npz archive, or one cut short"):
        load_data(path, cache=cache)


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    """What a .npy file begins with."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


LABELS = header((20,)) + bytes(10) + bytes([1]) * 10


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (
            header((10**12, 28, 28)),
            r"x\.npy says that it has shape \(1000000000000, 28, 28\).* bytes, and has 128 in all",
        ),
        (header((-5, 8, 8)), r"shape \(-5, 8, 8\)"),
        (header((2**62, 8, 8)), "says that it has shape"),
        (header((20, 8, 8)) + bytes(1279), "expected 1280 bytes got 1279"),
        (header((20,), "|O") + pickle.dumps(print), "found a pickled array, which is not opened"),
        (pickle.dumps(print), "the archive is damaged .the magic string is not correct"),
        (header((1,)).replace(b"(1,)", b"(((("), "the archive is damaged"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{", "the archive is damaged"),
        (b"\x93NUMPY\x09\x00", "the archive is damaged"),
        (b"", "the archive is damaged"),
    ],
    ids=["huge", "negative", "overflow", "short", "objects", "pickle", "deep", "long", "version", "empty"],
)
def test_an_array_that_is_not_what_it_says(member: bytes, message: str, tmp_path: Path, cache: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("x.npy", member)
        archive.writestr("y.npy", LABELS)
    with pytest.raises(DataError, match=message) as caught:
        load_data(tmp_path / "data.npz", cache=cache)
    assert len(str(caught.value)) < 1000


def test_a_bomb_is_not_unpacked(tmp_path: Path, cache: Path) -> None:
    """Two gigabytes of zeros in two megabytes: memory is not asked for, and no byte is unpacked."""
    with zipfile.ZipFile(tmp_path / "data.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("y.npy", LABELS)
        with archive.open("x.npy", "w") as file:
            file.write(header((20, 10_000, 10_000)))
            for _ in range(200):
                file.write(bytes(10**7))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"MB that unpack to 2\.0 GB, which is not done"):
        load_data(tmp_path / "data.npz", cache=cache)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_an_encrypted_archive_is_refused(npz: Write, cache: Path, digits: Digits) -> None:
    path = npz(x=digits.pixels, y=digits.labels)
    content = path.read_bytes()
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(mark) + flags
        content = content[:place] + b"\x01" + content[place + 1 :]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"the archive is damaged .*encrypted"):
        load_data(path, cache=cache)


@pytest.mark.parametrize("label", [1e300, -1e19, np.uint64(2**63), np.inf])
def test_labels_that_are_too_large(label: Any, npz: Write, cache: Path, digits: Digits) -> None:
    labels = digits.labels.astype(np.asarray(label).dtype)
    labels[3] = label
    with pytest.raises(DataError, match=r"y: found .*; expected whole numbers as labels"):
        load_data(npz(x=digits.pixels, y=labels), cache=cache)


def test_of_many_classes_with_too_few_images_ten_are_named(npz: Write, cache: Path, digits: Digits) -> None:
    with pytest.raises(DataError) as caught:
        load_data(npz(x=digits.pixels, y=np.arange(1797)), cache=cache)
    assert str(caught.value).count("has 1 training image;") == 10
    assert str(caught.value).endswith("1,787 more of 1,797 classes have fewer than 2 training images")


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_named_sets_have_a_name_for_each_of_ten_classes(name: str, digits: Digits) -> None:
    contents = array_contents(name, digits.pixels, digits.labels, size=None, names=CLASS_NAMES[name])
    assert contents.classes == CLASS_NAMES[name]
    assert len(set(contents.classes)) == 10
