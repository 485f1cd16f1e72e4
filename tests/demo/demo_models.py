"""A model small enough to write down: it tells upright strokes from level ones by the edges in them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from archsearch.demo.site import write_site
from archsearch.export.description import Description

CLASSES = ("upright", "level", "<b>neither</b>")
EDGE = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32) / 4
SURE = 0.8

Step = tuple[str, list[str], str, dict[str, Any]]


def tensor(name: str, values: object, kind: type = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, kind), name)


def edges(side: int, channels: int = 1) -> onnx.ModelProto:
    """uint8 (N, side, side, channels) to the probabilities of `CLASSES`.

    A convolution that finds edges either way, with a Relu; one that passes them on, with a GELU in pieces; their means.
    """
    filters = np.stack([EDGE, EDGE.T])[:, None].repeat(channels, axis=1) / channels
    filters = np.concatenate([filters, -filters])
    steps: list[Step] = [
        ("Cast", ["image"], "float", {"to": TensorProto.FLOAT}),
        ("Mul", ["float", "scale"], "scaled", {}),
        ("Transpose", ["scaled"], "planes", {"perm": [0, 3, 1, 2]}),
        ("Conv", ["planes", "edge"], "edges", {"pads": [1, 1, 1, 1]}),
        ("Relu", ["edges"], "found", {}),
        ("Conv", ["found", "pass"], "passed", {}),
        ("Mul", ["passed", "root"], "shrunk", {}),
        ("Erf", ["shrunk"], "bent", {}),
        ("Add", ["bent", "one"], "raised", {}),
        ("Mul", ["passed", "raised"], "gelu", {}),
        ("GlobalAveragePool", ["gelu"], "means", {}),
        ("Flatten", ["means"], "flat", {}),
        ("Gemm", ["flat", "weights"], "scores", {}),
        ("Softmax", ["scores"], "probabilities", {"axis": 1}),
    ]
    constants = [
        tensor("scale", 1 / 255),
        tensor("edge", filters),
        tensor("pass", np.eye(4)[:, :, None, None]),
        tensor("root", 0.5**0.5),
        tensor("one", 1),
        tensor("weights", np.array([[1, -1, 0], [-1, 1, 0]] * 2) * 40),
    ]
    return network(steps, constants, [None, side, side, channels], len(CLASSES))


def network(
    steps: list[Step],
    constants: list[TensorProto],
    shape: list[int | None],
    classes: int,
) -> onnx.ModelProto:
    """Operations, each (kind, inputs, output, attributes), from "image" to "probabilities"."""
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **options) for kind, inputs, output, options in steps],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, classes])],
        constants,
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])


def write_model(path: Path, model: onnx.ModelProto, side: int, channels: int = 1) -> Path:
    """As an export: it says what its classes are."""
    described = Description(CLASSES, side, side, channels, study="strokes")
    helper.set_model_props(model, {"description": described.to_json()})
    onnx.save(model, path)
    return path


def strokes(side: int = 28, channels: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Sixty bright bars, upright and level in turn, 20 long and 3 wide in 28 pixels, centred by their mass."""
    images = np.zeros((60, side, side, channels), np.uint8)
    labels = np.arange(60, dtype=np.int32) % 2
    long, wide = slice(side // 7, side - side // 7), slice(side // 2 - 1, side // 2 + 2)
    images[labels == 0, long, wide] = 255
    images[labels == 1, wide, long] = 255
    return images, labels


def photos(side: int = 16) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Sixty coloured images of stripes, upright and level in turn; none of their pixels is background."""
    labels = np.arange(60, dtype=np.int32) % 2
    stripes = np.tile(np.where(np.arange(side) // 3 % 2, 230, 30), (side, 1))
    grey = np.where(labels[:, None, None] == 0, stripes, stripes.T)
    return np.stack([grey, 255 - grey // 2, grey // 3], axis=-1).astype(np.uint8), labels


def held_out() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Ten answers; those of at least `SURE` are right, and two of the four below are wrong."""
    confidence = np.array([0.99] * 3 + [0.95] * 2 + [SURE, 0.7, 0.6, 0.6, 0.6], np.float32)
    probabilities = np.stack([confidence, 1 - confidence, 0 * confidence], axis=1)
    return probabilities, np.array([0, 0, 0, 0, 0, 0, 1, 0, 1, 0], np.int32)


def write_drawings(folder: Path) -> Path:
    """The page of a model of drawings."""
    model = write_model(folder / "drawings.onnx", edges(28), 28)
    write_site(model, *strokes(), *held_out(), folder / "drawings")
    return folder / "drawings"


def write_photos(folder: Path) -> Path:
    """The page of a model of coloured images."""
    model = write_model(folder / "photos.onnx", edges(16, 3), 16, 3)
    write_site(model, *photos(), *held_out(), folder / "photos")
    return folder / "photos"
