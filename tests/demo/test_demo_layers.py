"""The copy that shows its layers answers as the model does, and shows what comes out of the activation functions."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from demo_models import Step, edges, network, strokes, tensor

from archsearch.demo.layers import read, show_layers
from archsearch.errors import InputError

BEFORE: list[Step] = [
    ("Cast", ["image"], "float", {"to": onnx.TensorProto.FLOAT}),
    ("Transpose", ["float"], "planes", {"perm": [0, 3, 1, 2]}),
    ("Conv", ["planes", "filters"], "conv", {}),
]
AFTER: list[Step] = [
    ("GlobalAveragePool", ["last"], "means", {}),
    ("Flatten", ["means"], "flat", {}),
    ("Softmax", ["flat"], "probabilities", {"axis": 1}),
]
CONSTANTS = [tensor("filters", np.ones((4, 1, 3, 3))), tensor("two", 2)]


def shown(*between: tuple[str, list[str], str]) -> list[str]:
    """What is shown of one convolution, "conv", followed by some operations of which the last gives "last"."""
    steps = [*BEFORE, *((kind, inputs, output, OPTIONS.get(kind, {})) for kind, inputs, output in between), *AFTER]
    model = network(steps, CONSTANTS, [None, 28, 28, 1], 4)
    names = show_layers(model)
    onnxruntime.InferenceSession(model.SerializeToString())
    return names


OPTIONS: dict[str, dict[str, Any]] = {"MaxPool": {"kernel_shape": [2, 2]}, "Transpose": {"perm": [0, 1, 3, 2]}}


def test_the_answers_stay_and_maps_come() -> None:
    images, _ = strokes()
    model = edges(28)
    (before,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": images})
    names = show_layers(model)
    after, found, gelu = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": images})
    assert names == ["found", "gelu"]
    np.testing.assert_array_equal(after, before)
    assert found.shape == gelu.shape == (60, 4, 28, 28)
    assert found.dtype == np.float32
    assert found.min() == 0
    assert found.max() > 0.5


def test_pooling_and_normalisation_may_lie_between() -> None:
    assert shown(
        ("MaxPool", ["conv"], "pool"), ("Mul", ["pool", "two"], "norm"), ("Add", ["norm", "two"], "shifted"),
        ("Relu", ["shifted"], "last"),
    ) == ["last"]  # fmt: skip


def test_silu_is_over_where_its_paths_meet() -> None:
    assert shown(("Sigmoid", ["conv"], "gate"), ("Mul", ["conv", "gate"], "last")) == ["last"]


def test_without_an_activation_it_is_the_convolution() -> None:
    assert shown(("MaxPool", ["conv"], "last")) == ["conv"]
    assert shown(("Transpose", ["conv"], "turned"), ("Relu", ["turned"], "last")) == ["conv"]


def test_a_shortcut_from_elsewhere_ends_the_walk() -> None:
    assert shown(
        ("GlobalAveragePool", ["planes"], "elsewhere"), ("Add", ["conv", "elsewhere"], "sum"), ("Relu", ["sum"], "last")
    ) == ["conv"]  # fmt: skip


def test_at_most_three_convolutions() -> None:
    between = []
    for number in range(5):
        between.append(("Conv", [f"r{number - 1}" if number else "conv", "same"], f"c{number}"))
        between.append(("Relu", [f"c{number}"], f"r{number}" if number < 4 else "last"))
    steps: list[Step] = [*BEFORE, *((kind, inputs, output, {}) for kind, inputs, output in between), *AFTER]
    model = network(steps, [*CONSTANTS, tensor("same", np.eye(4)[:, :, None, None])], [None, 28, 28, 1], 4)
    assert show_layers(model) == ["conv", "r0", "r1"]


def test_a_model_without_convolutions_shows_none() -> None:
    steps: list[Step] = [("Cast", ["image"], "last", {"to": onnx.TensorProto.FLOAT}), *AFTER]
    assert show_layers(network(steps, [], [None, 28, 28, 1], 1)) == []


def test_what_is_no_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"model\.onnx: is no ONNX model"):
        read(tmp_path / "model.onnx")
