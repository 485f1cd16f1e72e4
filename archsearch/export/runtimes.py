"""Reads an exported file back, each kind in its own runtime, and asks it. Nothing of the training code is needed."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from archsearch.data.archives import require_no_bomb
from archsearch.errors import InputError, first_line
from archsearch.export.description import Description, from_json, unpack
from archsearch.training.environment import TENSORFLOW, all_of_float32, environment, stderr_to

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]

BATCH = 128
"""Images that are asked for at once."""
MOST_VALUES = 4096 * 4096 * 3
"""Of an image: a model that takes larger ones would fill the memory before it is asked for the first."""
MOST_CLASSES = 1_000_000


@dataclass(frozen=True)
class Model:
    """An exported model, loaded.

    Attributes:
        description: What it says of itself; of a file from elsewhere, what can be seen of it.
        run: Pixels (N, H, W, C) uint8 to probabilities (N, classes) float32, all at once.
    """

    description: Description
    run: Callable[[Pixels], Probabilities]

    def predict(self, images: Pixels) -> Probabilities:
        """The probability of each class for each image, batch by batch.

        Args:
            images: (N, H, W, C) uint8, 0 to 255, of the size that the model takes.
        """
        return np.concatenate(list(self.predictions(images)))

    def predictions(self, images: Pixels) -> Iterator[Probabilities]:
        """The same, one batch after the other."""
        for start in range(0, max(1, len(images)), BATCH):
            yield self.run(images[start : start + BATCH])


@dataclass(frozen=True)
class Runtime:
    """What one kind of file is asked in.

    Attributes:
        module: What is imported for it.
        load: Reads a file, to be asked with so many threads.
        extra: Of archsearch, which brings the module; empty if none does.
    """

    module: str
    load: Callable[[Path, int | None], Model]
    extra: str = ""


def load(path: Path, threads: int | None = None) -> Model:
    """Loads a file that was exported: `.onnx`, `.tflite`, `.keras`, or the folder of a SavedModel.

    Python code in a `.keras` file is not run. A SavedModel is a program, which may read and write files.

    Args:
        path: The file or folder.
        threads: How many the runtime may use; None is as many as it wants. TensorFlow takes it only in a process in
            which it has done nothing yet.

    Raises:
        InputError: There is nothing, it is of no such kind, it is damaged, or its runtime is not installed.
    """
    runtime = runtime_of(path)
    if needs := to_install(runtime.module, runtime.extra):
        raise InputError(f"{path}: {needs}")
    try:
        with environment(TENSORFLOW), stderr_to(os.devnull):  # where runtimes greet
            return _checked(runtime.load(path, threads), path)
    except InputError:
        raise
    except Exception as error:  # on damaged files runtimes raise nearly anything
        raise InputError(f"{path}: cannot be loaded: {first_line(error)}; it may be damaged: export it anew") from error


def runtime_of(path: Path) -> Runtime:
    """What reads a file or folder. Raises InputError if there is nothing, or it is of no kind that is known."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    found = RUNTIMES.get("saved_model" if path.is_dir() else path.suffix)
    if found is None or (path.is_dir() and not (path / "saved_model.pb").is_file()):
        raise InputError(
            f"{path}: is no model; expected a .onnx, .tflite or .keras file, or the folder of a SavedModel"
        )
    return found


def to_install(module: str, extra: str = "") -> str:
    """What to install for a module, by an extra of archsearch or its own name; empty if it is there."""
    if find_spec(module) is not None:
        return ""
    package = f"'archsearch[{extra}]'" if extra else module
    return f"needs {module}; install it with: pip install {package}"


def read_keras(path: Path) -> Any:
    """The Keras model of a `.keras` file, not compiled; code in it is not run.

    Raises:
        InputError: It cannot be loaded, or would fill the memory.
    """
    import keras

    if not is_zipfile(path):
        raise InputError(f"{path}: cannot be loaded: it is damaged, or no .keras file")
    with ZipFile(path) as archive:
        require_no_bomb(path, sum(member.file_size for member in archive.infolist()))
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever a stranger's file makes Keras raise
        if "safe_mode" in str(error):
            raise InputError(f"{path}: has Python code in it, which is not run, as it can do anything") from error
        raise InputError(
            f"{path}: cannot be loaded: {first_line(error)}; layers of a user's own need --trust-code"
        ) from error


def _checked(model: Model, path: Path) -> Model:
    """Raises InputError if it does not give as many probabilities as it says it has classes."""
    described = model.description
    height, width, channels = described.shape()
    if height * width * channels > MOST_VALUES:
        raise InputError(f"{path}: takes images of {height}×{width}, which would fill the memory")
    answers = model.run(np.zeros((1, height, width, channels), np.uint8))
    if answers.shape != (1, len(described.classes)):
        raise InputError(
            f"{path}: gives {'×'.join(map(str, answers.shape))} numbers for an image, expected the probabilities of "
            f"its {len(described.classes)} classes"
        )
    return model


def _load_onnx(path: Path, threads: int | None) -> Model:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kept = session.get_modelmeta().custom_metadata_map.get("description")
    (image,) = session.get_inputs()
    (scores,) = session.get_outputs()
    seen = _seen(image.shape, scores.shape[-1])
    whole = np.uint8 if "uint8" in image.type else np.float32
    return Model(
        from_json(kept) if kept else seen,
        lambda images: session.run([scores.name], {image.name: images.astype(whole)})[0],
    )


def _load_litert(path: Path, threads: int | None) -> Model:
    with contextlib.redirect_stdout(io.StringIO()):
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    shape: tuple[int, ...] = ()

    def run(images: Pixels) -> Probabilities:
        nonlocal shape
        if images.shape != shape:
            interpreter.resize_tensor_input(image["index"], images.shape)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(image["index"], images.astype(image["dtype"]))
        interpreter.invoke()
        return np.array(interpreter.get_tensor(scores["index"]), np.float32)

    return Model(unpack(path) or _seen(image["shape_signature"], scores["shape"][-1]), run)


def _load_saved_model(path: Path, threads: int | None) -> Model:
    import tensorflow as tf

    _limit(threads)
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    (spec,) = served.structured_input_signature[1].values()
    ((name, scores),) = served.structured_outputs.items()

    def run(images: Pixels) -> Probabilities:
        with all_of_float32():
            return np.asarray(served(tf.cast(images, spec.dtype))[name], np.float32)

    return Model(unpack(path) or _seen(spec.shape.as_list(), scores.shape[-1]), run)


def _load_keras(path: Path, threads: int | None) -> Model:
    _limit(threads)
    model = read_keras(path)

    def run(images: Pixels) -> Probabilities:
        with all_of_float32():
            return np.asarray(model(images, training=False), np.float32)

    return Model(unpack(path) or _seen(model.input_shape, model.output_shape[-1]), run)


RUNTIMES = {
    ".onnx": Runtime("onnxruntime", _load_onnx, "onnx"),
    ".tflite": Runtime("ai_edge_litert", _load_litert, "litert"),
    ".keras": Runtime("keras", _load_keras),
    "saved_model": Runtime("tensorflow", _load_saved_model),
}
"""By a file's suffix; the folder of a SavedModel has none."""


def _limit(threads: int | None) -> None:
    import tensorflow as tf

    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def _seen(shape: object, classes: object) -> Description:
    """What can be seen of a model that says nothing of itself."""
    if not isinstance(classes, int | np.integer):
        raise InputError("the number of its classes is not fixed; expected probabilities (N, classes)")
    if classes > MOST_CLASSES:
        raise InputError(f"it has {classes:,} classes; expected at most {MOST_CLASSES:,}")
    sides = [int(side) if isinstance(side, int | np.integer) and side > 0 else None for side in list(shape)]  # type: ignore[call-overload]
    if len(sides) != 4 or sides[3] is None:
        raise InputError("it takes no images; expected an input (N, height, width, channels)")
    return Description(tuple(map(str, range(int(classes)))), sides[1], sides[2], sides[3])
