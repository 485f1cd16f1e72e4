"""Whatever the language can build gives the same answers in every format."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from candidates import BLOCK_CLASSES, architecture, block
from exporting import described, order, pixels, random_model
from PIL import Image

from archsearch.export.formats import FORMATS, NUMBERS, WHOLE
from archsearch.export.prove import TOLERANCE
from archsearch.export.runtimes import load
from archsearch.space.architecture import Stage

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("export")]

KINDS = [
    *((kind, "batch", "relu") for kind in BLOCK_CLASSES),
    ("conv", "layer", "gelu"),
    ("conv", "group", "silu"),
    ("residual", "none", "elu"),
]
FILES = ["saved_model", "onnx", "litert"]


@pytest.mark.parametrize(("kind", "norm", "activation"), KINDS, ids=lambda word: word)
def test_every_kind_of_block(kind: str, norm: str, activation: str, tmp_path: Path) -> None:
    stage = Stage(blocks=(block(kind, norm=norm, activation=activation),) * 2, downsample="max", attention=2)
    model = random_model(architecture(stage, stage, side=9, channels=3, classes=4, pool="average", hidden=5))
    images = pixels(7, 9, 9, 3)
    expected = model.predict(images, verbose=0)
    assert expected.max() < 0.999, "a model that is sure of everything hides what differs"
    for name in FILES:
        path = tmp_path / FORMATS[name].file_name(WHOLE)
        FORMATS[name].write(order(model, path))
        loaded = load(path)
        assert np.abs(loaded.predict(images) - expected).max() < TOLERANCE, name
        assert loaded.description == described(model)
        np.testing.assert_allclose(loaded.run(images[:1]), expected[:1], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "numbers"), [*((name, WHOLE) for name in FILES), ("onnx", "float16"), ("litert", "float16")]
)
def test_images_of_any_size_are_resized_in_the_graph(name: str, numbers: str, tmp_path: Path) -> None:
    model = random_model(architecture(side=12, channels=3, classes=4))
    path = tmp_path / FORMATS[name].file_name(numbers)
    FORMATS[name].write(order(model, path, numbers, height=None, width=None, size=12))
    loaded = load(path)
    assert loaded.description.size == 12
    for height, width in ((12, 12), (40, 25), (7, 9)):
        images = pixels(3, height, width, 3)
        small = np.stack(
            [np.asarray(Image.fromarray(each).resize((12, 12), Image.Resampling.BILINEAR)) for each in images]
        )
        # A rounding of Pillow's that falls the other way is one of 255 grey values.
        assert np.abs(loaded.predict(images) - model.predict(small, verbose=0)).max() < 0.03


@pytest.mark.parametrize("numbers", [numbers for numbers in NUMBERS if numbers != WHOLE])
@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_smaller_weights_answer_nearly_the_same(name: str, numbers: str, tmp_path: Path) -> None:
    stage = Stage(blocks=(block("residual", filters=32),) * 2, downsample="max")
    model = random_model(architecture(stage, side=12, classes=4, hidden=32))
    whole, small = tmp_path / FORMATS[name].file_name(WHOLE), tmp_path / FORMATS[name].file_name(numbers)
    FORMATS[name].write(order(model, whole))
    FORMATS[name].write(order(model, small, numbers))
    assert small.name == f"model.{numbers}{FORMATS[name].suffix}"
    images = pixels(50, 12, 12, 1)
    difference = np.abs(load(small).predict(images) - model.predict(images, verbose=0)).max()
    assert 0 < difference < {"float16": 0.01, "int8": 0.2, "dynamic": 0.1}[numbers]
    assert small.stat().st_size < (0.75 if numbers == "float16" else 0.6) * whole.stat().st_size


def test_onnx_names_its_classes_and_its_ends(tmp_path: Path) -> None:
    model = random_model(architecture(classes=3))
    FORMATS["onnx"].write(order(model, tmp_path / "model.onnx", classes=("zero", "<b>", "två")))
    made = onnx.load(tmp_path / "model.onnx")
    props = {prop.key: prop.value for prop in made.metadata_props}
    assert json.loads(props["classes"]) == ["zero", "<b>", "två"]
    (image,), (scores,) = made.graph.input, made.graph.output
    assert (image.name, scores.name) == ("image", "probabilities")
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [side.dim_value for side in image.type.tensor_type.shape.dim][1:] == [8, 8, 1]
    assert image.type.tensor_type.shape.dim[0].dim_param == "batch", "any number of images"


def test_litert_names_its_classes_and_its_ends(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = random_model(architecture(classes=3))
    path = tmp_path / "model.tflite"
    FORMATS["litert"].write(order(model, path, classes=("zero", "<b>", "två")))
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("description.json"))["classes"] == ["zero", "<b>", "två"]
    (signature,) = Interpreter(model_path=str(path)).get_signature_list().values()
    assert signature == {"inputs": ["image"], "outputs": ["probabilities"]}


def test_nothing_of_this_machine_is_in_the_files(tmp_path: Path) -> None:
    model = random_model(architecture(classes=3))
    for name in ("onnx", "litert"):
        path = tmp_path / FORMATS[name].file_name(WHOLE)
        FORMATS[name].write(order(model, path))
        assert not re.search(rb"/home/|/work/|/usr/|/tmp/", path.read_bytes()), name
