"""Files from elsewhere, damaged files, and what is no model."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from archsearch.errors import InputError
from archsearch.export import runtimes
from archsearch.export.runtimes import load


def from_elsewhere(path: Path, shape: list[int | str], classes: int | str, kind: int = TensorProto.FLOAT) -> Path:
    """A model that averages the pixels of each image, and says nothing of itself."""
    cast = helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)
    mean = helper.make_node("ReduceMean", ["f", "axes"], ["y"], keepdims=0)
    graph = helper.make_graph(
        [cast, mean],
        "elsewhere",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", classes])],
        [helper.make_tensor("axes", TensorProto.INT64, [len(shape) - 2], range(1, len(shape) - 1))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.UINT8])
def test_what_can_be_seen_of_a_file_from_elsewhere(tmp_path: Path, kind: int) -> None:
    model = load(from_elsewhere(tmp_path / "model.onnx", ["n", 6, 5, 3], 3, kind))
    assert model.description.classes == ("0", "1", "2")
    assert (model.description.height, model.description.width, model.description.channels) == (6, 5, 3)
    images = np.random.default_rng(0).integers(0, 256, (300, 6, 5, 3)).astype(np.uint8)
    assert model.predict(images) == pytest.approx(images.mean((1, 2)), rel=1e-5)
    assert len(list(model.predictions(images))) == 3, "in batches"


@pytest.mark.parametrize(
    ("shape", "classes", "said"),
    [(["n", 6, 3], 3, "it takes no images"), (["n", 6, 5, "c"], "k", "the number of its classes is not fixed")],
)
def test_a_model_of_another_kind(tmp_path: Path, shape: list[int | str], classes: int | str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(from_elsewhere(tmp_path / "model.onnx", shape, classes))


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.onnx: there is no such file"):
        load(tmp_path / "nothing.onnx")
    (tmp_path / "notes.txt").touch()
    for path in (tmp_path / "notes.txt", tmp_path):
        with pytest.raises(
            InputError, match=r"is no model; expected a \.onnx, \.tflite or \.keras file, or the folder"
        ):
            load(path)


@pytest.mark.parametrize("suffix", ["onnx", "tflite", "keras"])
def test_a_damaged_file(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"model.{suffix}"
    file.write_bytes(b"TFL3 and nothing else")
    with pytest.raises(InputError, match=rf"model\.{suffix}: cannot be loaded: "):
        load(file)


def test_a_runtime_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = from_elsewhere(tmp_path / "model.onnx", ["n", 6, 5, 3], 3)
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs onnxruntime; install it with: pip install 'archsearch\[onnx\]'"):
        load(file)
