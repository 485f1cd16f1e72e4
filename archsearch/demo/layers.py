"""Lets an ONNX model show what its first convolutions see: a copy that gives their activations too."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.errors import InputError, first_line
from archsearch.export.runtimes import to_install

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

MOST = 3
"""Convolutions that are shown; later ones are too small to recognise anything in them."""
PASSED = {"Add", "AveragePool", "BatchNormalization", "Div", "MaxPool", "Mul", "Neg", "Pow", "Sub"}
"""Operations that may lie between a convolution and its activation, or make one up: they keep maps in their place."""
BENT = {"Clip", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu"}
BENT |= {"Sigmoid", "Softplus", "Softsign", "Tanh"}
"""Operations that make an activation function; GELU and SiLU are an `Erf` or `Sigmoid` and some of `PASSED`."""


def read(path: Path) -> "ModelProto":
    """Reads an ONNX file. Raises InputError if it is none, or if the package onnx is not installed."""
    if needs := to_install("onnx", "onnx"):
        raise InputError(f"{path}: {needs}")
    import onnx

    try:
        return onnx.load(path)
    except Exception as error:  # on damaged files protobuf raises its own
        raise InputError(f"{path}: is no ONNX model: {first_line(error)}") from error


def show_layers(model: "ModelProto") -> list[str]:
    """Adds outputs to `model`: the maps after each of its first convolutions.

    Each is taken after the convolution's activation function where that can be told, with a normalisation or pooling
    that lies between, else right after the convolution. What the model gave before, it gives unchanged.

    Args:
        model: Of float32 convolutions; it is changed.

    Returns:
        The names of the outputs added, from the first convolution on, at most three: float32 (N, channels, height,
        width), which is ONNX's own layout.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    users: dict[str, list[NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    constant = {tensor.name for tensor in graph.initializer}
    constant |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    given = {output.name for output in graph.output}
    convolutions = [node.output[0] for node in graph.node if node.op_type == "Conv"][:MOST]
    shown = [_activated(graph, users, constant, name) for name in convolutions]
    added = [name for name in dict.fromkeys(shown) if name not in given]
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in added)
    return added


def _activated(graph: "GraphProto", users: "dict[str, list[NodeProto]]", constant: set[str], start: str) -> str:
    """The tensor behind the activation function that follows `start`; `start` if there is none.

    Walks on from `start` as long as operations keep maps in place and take nothing from elsewhere. The activation is
    over where, after something bent, all paths have met again in one tensor.
    """
    reached, open_paths, bent = {start}, len(users[start]), False
    for node in graph.node:
        came = sum(name in reached for name in node.input)
        if not came:
            continue
        if node.op_type not in PASSED | BENT or not all(name in reached | constant for name in node.input if name):
            return start
        bent |= node.op_type in BENT
        reached.add(node.output[0])
        open_paths += len(users[node.output[0]]) - came
        if bent and open_paths == len(users[node.output[0]]):
            return str(node.output[0])
    return start
