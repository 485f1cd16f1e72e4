"""Files from elsewhere, damaged files, and what is no model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import keras
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


def rewritten(path: Path, change: Callable[[dict[str, Any]], object], **more: bytes) -> Path:
    """A `.keras` file whose configuration somebody has changed, and added files to."""
    image = keras.Input((8, 8, 1))
    keras.Model(image, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(image))).save(path)
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    with ZipFile(path, "w") as archive:
        for name, content in (parts | {"config.json": json.dumps(config).encode()} | more).items():
            archive.writestr(name, content)
    return path


def layer(**changes: object) -> Callable[[dict[str, Any]], object]:
    return lambda config: config["config"]["layers"][1].update(changes)


def activation(found: object) -> Callable[[dict[str, Any]], object]:
    return lambda config: config["config"]["layers"][2]["config"].update(activation=found)


@pytest.mark.parametrize(
    "change",
    [
        layer(module="os", class_name="system", config={"command": "touch ran"}, registered_name=None),
        layer(module="builtins", class_name="exec", config={"source": "open('ran', 'w')"}, registered_name=None),
        layer(module="subprocess", class_name="Popen", config={"args": ["touch", "ran"]}, registered_name=None),
        layer(module="keras.utils", class_name="get_file", config={"fname": "ran"}, registered_name=None),
        layer(module=None, class_name="Evil", config={}, registered_name="evil>Evil"),
        activation({"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "exec"}),
        activation({"module": "os", "class_name": "function", "config": "system", "registered_name": "function"}),
        activation({"class_name": "__lambda__", "config": {"code": "", "defaults": None, "closure": None}}),
    ],
)
def test_code_that_a_file_names_is_not_run(
    change: Callable[[dict[str, Any]], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"model\.keras: "):
        load(rewritten(tmp_path / "model.keras", change))
    assert not (tmp_path / "ran").exists()


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = tmp_path / "ran"
    image = keras.Input((8, 8, 1))
    code = keras.layers.Lambda(lambda pixels: (open("ran", "w"), pixels)[1])  # noqa: PTH123, SIM115
    keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(code(image)))).save(tmp_path / "model.keras")
    ran.unlink()
    with pytest.raises(InputError, match=r"model\.keras: has Python code in it, which is not run"):
        load(tmp_path / "model.keras")
    assert not ran.exists()


@pytest.mark.filterwarnings("ignore:Skipping invalid path")  # which is Keras's own defence
def test_what_a_file_holds_beside_a_model_goes_nowhere(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    outside = {"../out": b"1", "assets/../../out": b"2", str(tmp_path / "out"): b"3"}
    assert load(rewritten(inside / "model.keras", lambda config: None, **outside)).description.classes == ("0", "1")
    assert list(tmp_path.iterdir()) == [inside]
    assert [path.name for path in inside.iterdir()] == ["model.keras"]


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "model.keras", lambda config: None)
    with ZipFile(path, "a", ZIP_DEFLATED) as archive, archive.open("assets/bomb", "w") as file:
        for _ in range(200):
            file.write(bytes(10**7))
    with pytest.raises(InputError, match=r"MB that unpack to 2\.0 GB, which is not done"):
        load(path)


@pytest.mark.parametrize("size", [{"height": 60_000, "width": 60_000}, {"height": None, "width": None, "size": 60_000}])
def test_a_model_for_images_that_no_memory_holds(size: dict[str, object], tmp_path: Path) -> None:
    said = json.dumps({"classes": ["a", "b"], "channels": 3} | size).encode()
    with pytest.raises(InputError, match="takes images of 60000×60000, which would fill the memory"):
        load(rewritten(tmp_path / "model.keras", lambda config: None, **{"description.json": said}))


def test_a_runtime_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = from_elsewhere(tmp_path / "model.onnx", ["n", 6, 5, 3], 3)
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs onnxruntime; install it with: pip install 'archsearch\[onnx\]'"):
        load(file)
