"""Readers of images that come as arrays: scikit-learn's digits, Keras's named sets, .npz files."""

import math
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from archsearch.data.archives import require_no_bomb
from archsearch.data.contents import Contents, Part, Pixels, Shape, listing, resized, unknown_classes
from archsearch.errors import DataError, InputError, first_line

NPZ_LAYOUTS = (("x_train", "y_train", "x_test", "y_test"), ("x_train", "y_train"), ("x", "y"))
CLASS_NAMES = {
    "fashion_mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}


def read_digits(name: str, size: int | None) -> Contents:
    """1,797 handwritten digits of 8×8 pixels in 0..16 (Alpaydin & Kaynak 1998, through scikit-learn)."""
    from sklearn.datasets import load_digits  # takes seconds to import, and only this reader needs it

    digits = load_digits()
    return array_contents(name, digits.images * (255 / 16), digits.target, size=size)


def read_keras(name: str, size: int | None) -> Contents:
    """A set that Keras downloads and keeps, https://keras.io/api/datasets; DataError if the download fails."""
    import keras  # starts TensorFlow

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise DataError(
            f"{name}: Keras could not download it ({error}); "
            "give the path of a .npz file with x_train, y_train, x_test and y_test instead"
        ) from error
    return array_contents(name, *train, *test, size=size, names=CLASS_NAMES.get(name))


def read_npz(name: str, size: int | None) -> Contents:
    """Arrays in Keras's layout, or x and y. Pickled arrays are refused, as unpickling can run any code."""
    path = Path(name)
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not a .npz archive, or one cut short; expected what numpy.savez_compressed writes")
    try:
        with zipfile.ZipFile(path) as archive, warnings.catch_warnings(action="ignore"):  # of headers by Python 2
            found = {name.removesuffix(".npy") for name in archive.namelist()}
            layout = next((names for names in NPZ_LAYOUTS if found.issuperset(names)), None)
            if layout is None or len(found & {"x_test", "y_test"}) == 1:
                raise DataError(
                    f"{path}: found arrays {listing(sorted(found)) or 'none'}; "
                    "expected x_train and y_train, with both x_test and y_test or neither; or x and y"
                )
            members = [archive.getinfo(f"{key}.npy") for key in layout]
            require_no_bomb(path, sum(_bytes_of(archive, member, path) for member in members))
            arrays = [_array(archive, member) for member in members]
    except (InputError, MemoryError):
        raise
    except Exception as error:  # on damaged archives zipfile and NumPy raise nearly anything
        raise DataError(f"{path}: the archive is damaged ({first_line(error)}); write the file again") from error
    return array_contents(name, *arrays, size=size, keys=layout)


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def _bytes_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> int:
    """What an array takes in memory; DataError if it is pickled, or larger than what there is of it.

    NumPy asks for the memory before it looks how much there is.
    """
    with archive.open(member) as file:
        shape, _, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    if dtype.hasobject:
        raise DataError(
            f"{path}: found a pickled array, which is not opened because unpickling can run any code; "
            "expected plain numbers: images of one shape, and whole numbers as labels"
        )
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > member.file_size or min(shape, default=0) < 0:
        raise DataError(
            f"{path}: {member.filename} says that it has shape {shape}, {wanted:,} bytes, and has "
            f"{member.file_size:,} in all; write the file again"
        )
    return wanted


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


class _Array(NamedTuple):
    """Images and labels that were looked at, and what to do with them."""

    pixels: NDArray[Any]
    labels: NDArray[np.int64]
    shape: Shape
    scale: float


def array_contents(
    where: str,
    x_train: NDArray[Any],
    y_train: NDArray[Any],
    x_test: NDArray[Any] | None = None,
    y_test: NDArray[Any] | None = None,
    *,
    size: int | None,
    names: tuple[str, ...] | None = None,
    keys: tuple[str, ...] = NPZ_LAYOUTS[0],
) -> Contents:
    """Checks arrays and puts them on one footing: uint8 pixels in 0..255, labels 0..classes - 1.

    Args:
        where: Name of the source, for messages.
        x_train, x_test: (N, height, width) or (N, height, width, 1 or 3); whole numbers in 0..255, or floats, which are
            multiplied by 255 if all of them lie in 0..1.
        y_train, y_test: (N,) or (N, 1) whole numbers, in any type; the values in `y_train`, sorted, are the classes.
        size: Side to resize to, in pixels; None keeps the size.
        names: Of the classes, by value; None takes the values.
        keys: What the source calls the arrays, for messages.

    Raises:
        DataError: Anything else, or a test set that does not fit the training images.
    """
    train = _examine(x_train, y_train, f"{where}: {keys[0]}", f"{where}: {keys[1]}")
    values = np.unique(train.labels)
    test = None
    if x_test is not None and y_test is not None:
        test = _examine(x_test, y_test, f"{where}: {keys[2]}", f"{where}: {keys[3]}")
        _require_alike(where, train, test, size)
        unknown = np.setdiff1d(test.labels, values)
        if len(unknown):
            raise unknown_classes(where, unknown, values)
    height, width, channels = train.shape
    return Contents(
        classes=tuple(names[value] if names else str(value) for value in values.tolist()),
        shape=(size or height, size or width, channels),
        train=_part(train, values, size),
        test=_part(test, values, size) if test else None,
    )


def _part(array: _Array, values: NDArray[np.int64], size: int | None) -> Part:
    images = (_image(pixels, array, size) for pixels in array.pixels)
    return Part(np.searchsorted(values, array.labels).tolist(), images)


def _examine(pixels: NDArray[Any], labels: NDArray[Any], x: str, y: str) -> _Array:
    array = _Array(pixels, _whole_numbers(labels, y), _shape(pixels, x), _scale(pixels, x))
    if len(pixels) != len(array.labels):
        raise DataError(f"{x} has {len(pixels)} images and {y} has {len(array.labels)} labels; expected as many")
    return array


def _shape(pixels: NDArray[Any], what: str) -> Shape:
    match pixels.shape:
        case (count, height, width) | (count, height, width, 1) if count and height and width:
            return height, width, 1
        case (count, height, width, 3) if count and height and width:
            return height, width, 3
    raise DataError(
        f"{what}: found shape {pixels.shape}; expected images as (N, height, width) with 1 or 3 channels last"
    )


def _scale(pixels: NDArray[Any], what: str) -> float:
    """What brings the pixels to 0..255."""
    if pixels.dtype.kind not in "uif":
        raise DataError(f"{what}: found {pixels.dtype} values; expected whole numbers in 0..255, or floats")
    low, high = float(pixels.min()), float(pixels.max())
    if math.isnan(low):
        raise DataError(f"{what}: found NaN; expected every pixel to be a number in 0..255, or all in 0..1")
    if low < 0 or high > 255:
        raise DataError(f"{what}: found pixels from {low:g} to {high:g}; expected 0..255, or floats in 0..1")
    return 255.0 if pixels.dtype.kind == "f" and high <= 1 else 1.0


def _whole_numbers(labels: NDArray[Any], what: str) -> NDArray[np.int64]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        hint = "; if these are one-hot rows, give their argmax(axis=1)" if labels.ndim == 2 else ""
        raise DataError(f"{what}: found shape {labels.shape}; expected one label for each image, (N,) or (N, 1){hint}")
    if labels.dtype.kind not in "buif":
        raise DataError(f"{what}: found {labels.dtype} labels; expected whole numbers")
    with np.errstate(invalid="ignore"):  # of what is no whole number, or too large for one
        whole = labels.astype(np.int64)
    odd = labels[whole != labels]
    if len(odd):
        raise DataError(f"{what}: found {odd[0]}; expected whole numbers as labels")
    return whole


def _require_alike(where: str, train: _Array, test: _Array, size: int | None) -> None:
    if train.shape[2] != test.shape[2] or (size is None and train.shape != test.shape):
        raise DataError(
            f"{where}: training images are {train.shape} and test images {test.shape} (height, width, channels); "
            "expected one shape; resize both with --size (the channels must agree)"
        )
    if train.pixels.dtype.kind == test.pixels.dtype.kind and train.scale != test.scale:
        raise DataError(
            f"{where}: one of x_train and x_test lies within 0..1, the other does not; expected one scale for both"
        )


def _image(pixels: NDArray[Any], array: _Array, size: int | None) -> Pixels:
    if pixels.dtype.kind == "f":
        pixels = np.rint(pixels.astype(np.float64) * array.scale)
    image: Pixels = pixels.astype(np.uint8).reshape(array.shape)
    if size is None or image.shape[:2] == (size, size):
        return image
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    return np.asarray(resized(picture, size)).reshape(size, size, image.shape[2])
