"""Image files → classes, with a model that takes no training and no TensorFlow."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from searches import Cli

from archsearch.data.contents import Unreadable
from archsearch.errors import InputError
from archsearch.export.description import Description
from archsearch.export.predict import Prediction, predictions, write_csv, write_json
from archsearch.export.runtimes import Model, Pixels, Probabilities

NAMES = ("dark", "bright, very")


def brightness(images: Pixels) -> Probabilities:
    share = images.mean((1, 2, 3)) / 255
    return np.stack([1 - share, share], axis=1).astype(np.float32)


MODEL = Model(Description(NAMES, 4, 6, 1), brightness)


def picture(path: Path, value: int, size: tuple[int, int] = (6, 4)) -> Path:
    Image.new("L", size, value).save(path)
    return path


def test_files_keep_their_order_and_what_cannot_be_read_its_place(tmp_path: Path) -> None:
    damaged = tmp_path / "b.png"
    damaged.write_bytes(b"no picture")
    files = [picture(tmp_path / "a.png", 255), damaged, picture(tmp_path / "c.png", 51, (60, 40))]
    first, second, third = predictions(MODEL, files)
    assert isinstance(first, Prediction)
    assert isinstance(third, Prediction)
    assert (first.file, first.name, first.probabilities) == (str(files[0]), "bright, very", {"dark": 0, NAMES[1]: 1})
    assert second == Unreadable(str(damaged), "not a PNG or JPEG")
    assert third.name == "dark"
    assert third.probabilities["dark"] == pytest.approx(0.8)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="such names cannot be there")
def test_names_of_files_are_told_as_they_can_be_shown(tmp_path: Path) -> None:
    file = picture(tmp_path / "\x1b[31m\udcff.png", 255)
    (found,) = predictions(MODEL, [file])
    assert isinstance(found, Prediction)
    assert found.file == f"{tmp_path}/\\x1b[31m\\udcff.png"


def test_csv_and_json(tmp_path: Path) -> None:
    damaged = Unreadable("b.png", "damaged")
    found: list[Prediction | Unreadable] = [Prediction("a.png", {"dark": 0.25, NAMES[1]: 0.75}), damaged]
    table, objects = StringIO(), StringIO()
    assert write_csv(found, table) == write_json(found, objects) == [damaged]
    assert table.getvalue() == 'file,class,confidence\na.png,"bright, very",0.7500\n'
    assert json.loads(objects.getvalue()) == [
        {
            "file": "a.png",
            "class": "bright, very",
            "confidence": 0.75,
            "probabilities": {"dark": 0.25, "bright, very": 0.75},
        }
    ]


def test_a_model_that_takes_any_size_gets_the_one_it_was_trained_on(tmp_path: Path) -> None:
    shapes: list[tuple[int, ...]] = []

    def run(images: Pixels) -> Probabilities:
        shapes.append(images.shape)
        return brightness(images)

    file = picture(tmp_path / "a.png", 9, (50, 20))
    list(predictions(Model(Description(NAMES, None, None, 3, size=8), run), [file]))
    assert shapes == [(1, 8, 8, 3)]
    with pytest.raises(InputError, match="does not say which one it was trained on"):
        list(predictions(Model(Description(NAMES, None, None, 3), run), [file]))


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from test_runtimes import from_elsewhere

    return from_elsewhere(tmp_path_factory.mktemp("model") / "model.onnx", ["n", 4, 6, 3], 3)


def test_on_the_command_line(cli: Cli, onnx_file: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, value in enumerate((250, 10)):
        Image.new("RGB", (6, 4), (0, value, 100)).save(tmp_path / "in" / f"{number}.png")
    done = cli("predict", onnx_file, tmp_path / "in")
    assert (done.code, done.err) == (0, "")
    assert [line.split(",")[1] for line in done.out.splitlines()[1:]] == ["1", "2"]
    (tmp_path / "in" / "2.jpg").write_bytes(b"\xff\xd8")
    done = cli("predict", onnx_file, tmp_path / "in", "--format", "json")
    assert done.code == 1
    assert len(json.loads(done.out)) == 2, "the others are named all the same"
    assert done.err == f"{tmp_path / 'in' / '2.jpg'}: not a PNG or JPEG\n"
    done = cli("predict", onnx_file, tmp_path / "elsewhere")
    assert (done.code, done.err) == (2, f"{tmp_path / 'elsewhere'}: there is no such file or folder\n")


def test_tensorflow_is_not_needed(onnx_file: Path, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 3)
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; from archsearch.cli import main; "
        f"sys.argv[1:] = ['predict', {str(onnx_file)!r}, {str(file)!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("file,class,confidence\n")
