"""The winner as files for other runtimes; each one is loaded again and compared with `predict` before it counts."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.errors import ExportError, InputError

TOLERANCE = 1e-4
"""Largest difference of any probability from Keras's own that an export may show."""

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Raw pixels (N, H, W, C) uint8 to class probabilities (N, classes) float32."""


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        name: Of the file or folder in exports/.
        write: Writes a model to a path.
        load: Reads it back, as a function that predicts.
    """

    name: str
    write: Callable[[keras.Model, Path], None]
    load: Callable[[Path], Predict]


@dataclass(frozen=True)
class Exported:
    """A file that gives Keras's answers.

    Attributes:
        format: A name in `FORMATS`.
        path: Where it lies.
        bytes: Its size, or that of the folder's content.
        largest_difference: Of any probability from `predict`'s, on `images` images.
        agreement: Share of the images that get the same class.
        images: How many were compared.
    """

    format: str
    path: Path
    bytes: int
    largest_difference: float
    agreement: float
    images: int


def _write_keras(model: keras.Model, path: Path) -> None:
    model.save(path)


def _load_keras(path: Path) -> Predict:
    model = keras.saving.load_model(path)
    return lambda images: np.asarray(model.predict(images, verbose=0), np.float32)


def _write_saved_model(model: keras.Model, path: Path) -> None:
    # Keras exports a model as it was last called; without this, layers may be written in their training mode.
    inputs = keras.Input(model.input_shape[1:], name="image")
    frozen = keras.Model(inputs, model(inputs, training=False))
    frozen(np.zeros((1, *model.input_shape[1:]), np.float32))
    frozen.export(path, format="tf_saved_model", verbose=False)


def _load_saved_model(path: Path) -> Predict:
    loaded = tf.saved_model.load(str(path))
    return lambda images: np.asarray(loaded.serve(tf.cast(images, tf.float32)), np.float32)


FORMATS = {
    "keras": Format("model.keras", _write_keras, _load_keras),
    "saved_model": Format("saved_model", _write_saved_model, _load_saved_model),
}
"""What a model can be exported to, by name."""


def export(
    model_file: Path, formats: Sequence[str], images: NDArray[np.uint8], out: Path, code: ModuleType | None = None
) -> list[Exported]:
    """Writes a saved model in other formats and proves that each gives the same answers.

    Args:
        model_file: A `.keras` file from raw pixels to class probabilities.
        formats: Names in `FORMATS`; none is all of them.
        images: What to compare on, (N, H, W, C) uint8.
        out: Folder for the files; made if it is not there. What is already there under the same name is replaced once
            the new one is proven.
        code: Where classes of the model's own are defined, if it has any.

    Returns:
        One entry a format.

    Raises:
        InputError: A format is unknown, or there is no model.
        ExportError: A file's answers differ by more than `TOLERANCE`, or name another class.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError(f"format: found '{unknown[0]}', expected one of {', '.join(FORMATS)}")
    if not model_file.is_file():
        raise InputError(f"{model_file}: there is no model here yet; retrain the study first")
    own = {name: found for name, found in vars(code).items() if isinstance(found, type)} if code else {}
    try:
        with keras.saving.custom_object_scope(own):
            model = keras.saving.load_model(model_file)
    except (TypeError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(
            f"{model_file}: cannot be loaded: {reason}; layers of a HyperModel's own code need --trust-code"
        ) from error
    expected = np.asarray(model.predict(images, verbose=0), np.float32)
    out.mkdir(parents=True, exist_ok=True)
    with keras.saving.custom_object_scope(own):
        return [_export_one(model, name, images, expected, out) for name in formats or FORMATS]


def _export_one(
    model: keras.Model, name: str, images: NDArray[np.uint8], expected: NDArray[np.float32], out: Path
) -> Exported:
    kind = FORMATS[name]
    beside = out / f".tmp-{kind.name}"
    _remove(beside)
    try:
        kind.write(model, beside)
        found = kind.load(beside)(images)
        difference = float(np.abs(found - expected).max())
        agreement = float((found.argmax(1) == expected.argmax(1)).mean())
        if difference > TOLERANCE or agreement < 1.0:
            raise ExportError(
                f"{name}: the exported model differs from predict by up to {difference:.2g} (at most {TOLERANCE:.0e} "
                f"is accepted) and names the same class for {agreement:.2%} of {len(images)} images; it was not kept"
            )
        path = out / kind.name
        _remove(path)
        beside.rename(path)
    finally:
        _remove(beside)
    return Exported(name, path, _size(path), difference, agreement, len(images))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
