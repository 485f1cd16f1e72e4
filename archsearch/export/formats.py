"""The kinds of files that a model can be exported to, and how each is written."""

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from archsearch.export.description import Description, pack
from archsearch.export.graph import IMAGE, serving, specification
from archsearch.export.runtimes import Pixels, to_install
from archsearch.files import scratch

WHOLE = "float32"
"""Numbers as they were trained."""
OPSET = 18
"""Of ONNX: what runtimes since early 2023 know."""


@dataclass(frozen=True)
class Order:
    """One file that is to be written.

    Attributes:
        model: From raw pixels to class probabilities.
        description: What travels in it.
        path: Where to.
        numbers: How weights are kept: `float32`, `float16`, `int8` or `dynamic`.
        images: (N, H, W, C) uint8 from training, from which int8 learns its ranges.
    """

    model: keras.Model
    description: Description
    path: Path
    numbers: str
    images: Pixels


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        suffix: Of its name; empty for a folder.
        write: Writes one, and its description into it.
        numbers: How it can keep weights.
        resizes: Whether it can resize images itself, with weights as they are.
        module: What has to be installed for it beside TensorFlow, and the extra that brings it.
    """

    suffix: str
    write: Callable[[Order], None]
    numbers: tuple[str, ...] = (WHOLE,)
    resizes: bool = True
    module: tuple[str, str] | None = None

    def described(self, description: Description, numbers: str) -> Description:
        """What a file says of itself: one that computes with whole numbers would resize too coarsely."""
        return description if self.resizes and numbers != "int8" else description.fixed

    def file_name(self, numbers: str) -> str:
        """`model.onnx`, or `model.int8.onnx`."""
        if not self.suffix:
            return "saved_model"
        return f"model{self.suffix}" if numbers == WHOLE else f"model.{numbers}{self.suffix}"


def _write_keras(order: Order) -> None:
    order.model.save(order.path)
    pack(order.path, order.description)


def _write_saved_model(order: Order) -> None:
    archive = keras.export.ExportArchive()
    archive.track(order.model)
    archive.add_endpoint("serve", serving(order.model, order.description), [specification(order.description)])
    archive.write_out(str(order.path), verbose=False)
    pack(order.path, order.description)


def _write_litert(order: Order) -> None:
    with tempfile.TemporaryDirectory(dir=scratch()) as folder, contextlib.redirect_stdout(io.StringIO()):
        saved = Path(folder, "saved_model")
        _write_saved_model(Order(order.model, order.description, saved, WHOLE, order.images))
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        if order.numbers != WHOLE:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if order.numbers == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if order.numbers == "int8":
            converter.representative_dataset = lambda: ([image[None]] for image in order.images)
        order.path.write_bytes(converter.convert())
    pack(order.path, order.description)


def _write_onnx(order: Order) -> None:
    import onnx

    whole = _to_onnx(order.model, order.description)
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        plain = Path(folder, "model.onnx")
        onnx.save(whole, plain)
        made = _QUANTIZED[order.numbers](plain, order) if order.numbers != WHOLE else whole
    onnx.helper.set_model_props(
        made, {"description": order.description.to_json(), "classes": json.dumps(order.description.classes)}
    )
    onnx.checker.check_model(made)
    onnx.save(made, order.path)


def _to_onnx(model: keras.Model, description: Description) -> Any:
    import tf2onnx

    from archsearch.export import erfc  # noqa: F401  teaches tf2onnx an operation of GELU's

    function = tf.function(serving(model, description), autograph=False)
    made, _ = tf2onnx.convert.from_function(function, [specification(description)], opset=OPSET)
    for end in (*made.graph.input, *made.graph.output):
        for side, name in zip(end.type.tensor_type.shape.dim, ("batch", "height", "width"), strict=False):
            if not side.dim_value:
                side.dim_param = name
    return made


def _onnx_float16(plain: Path, order: Order) -> Any:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    made = OnnxModel(convert_float_to_float16(onnx.load(plain), keep_io_types=True))
    made.topological_sort()  # what stays float32 is cast by nodes that were added at the end
    return made.model


def _onnx_int8(plain: Path, order: Order) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quant_pre_process, quantize_static

    class Calibration(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._images: Iterator[Pixels] = iter(order.images)

        def get_next(self) -> dict[str, Pixels] | None:
            image = next(self._images, None)
            return None if image is None else {IMAGE: image[None]}

    prepared, done = plain.with_name("prepared.onnx"), plain.with_name("int8.onnx")
    quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    quantize_static(str(prepared), str(done), Calibration(), quant_format=QuantFormat.QDQ, per_channel=True)
    return onnx.load(done)


def _onnx_dynamic(plain: Path, order: Order) -> Any:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    done = plain.with_name("dynamic.onnx")
    quantize_dynamic(str(plain), str(done), weight_type=QuantType.QUInt8)
    return onnx.load(done)


_QUANTIZED: dict[str, Callable[[Path, Order], Any]] = {
    "float16": _onnx_float16,
    "int8": _onnx_int8,
    "dynamic": _onnx_dynamic,
}

NUMBERS = (WHOLE, *_QUANTIZED)
"""How weights can be kept. int8 computes with whole numbers, too; dynamic learns their ranges while it does."""

FORMATS = {
    "keras": Format(".keras", _write_keras, resizes=False),
    "saved_model": Format("", _write_saved_model),
    "onnx": Format(".onnx", _write_onnx, NUMBERS, module=("tf2onnx", "onnx")),
    "litert": Format(".tflite", _write_litert, NUMBERS, module=("ai_edge_litert", "litert")),
}
"""What a model can be exported to, by name."""


def missing(name: str) -> str:
    """What to do so that a format can be written; empty if it can."""
    module = FORMATS[name].module
    needs = to_install(*module) if module else ""
    return needs and f"{name}: {needs}"
