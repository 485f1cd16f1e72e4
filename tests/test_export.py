"""Exports give the answers of `predict`, here and where archsearch is not installed; what does not is not kept."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from searches import Cli, Searched, contents

from archsearch import export as exports
from archsearch.errors import ExportError, InputError
from archsearch.export import FORMATS, TOLERANCE, Format, export
from archsearch.study import COMPARED, Study

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("study")]


@pytest.fixture(scope="module")
def images(searched: Searched) -> NDArray[np.uint8]:
    return searched.study.splits().train.images[:100]


@pytest.fixture(scope="module")
def model(searched: Searched) -> keras.Model:
    return keras.saving.load_model(searched.study.folder.model)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_gives_the_answers_of_predict(
    searched: Searched, model: keras.Model, images: NDArray[np.uint8], tmp_path: Path, name: str
) -> None:
    (made,) = export(searched.study.folder.model, [name], images, tmp_path)
    assert made.format == name
    assert made.path == tmp_path / FORMATS[name].name
    assert made.images == 100
    assert made.agreement == 1.0
    assert made.largest_difference <= TOLERANCE
    assert made.bytes == sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    unseen = searched.study.splits().train.images[-50:]
    expected = model.predict(unseen, verbose=0)
    assert FORMATS[name].load(made.path)(unseen) == pytest.approx(expected, abs=TOLERANCE)


FOREIGN = """
import json, sys
import keras, numpy as np, tensorflow as tf
folder, images, expected = sys.argv[1], np.load(sys.argv[2]), np.load(sys.argv[3])
restored = tf.saved_model.load(folder + "/saved_model")
served = restored.serve(tf.cast(images, tf.float32)).numpy()
loaded = keras.saving.load_model(folder + "/model.keras").predict(images, verbose=0)
largest = [float(abs(found - expected).max()) for found in (served, loaded)]
print(json.dumps({"largest": largest, "archsearch": "archsearch" in sys.modules}))
"""


def test_exports_work_where_archsearch_is_not(
    searched: Searched, model: keras.Model, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    export(searched.study.folder.model, [], images, tmp_path)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "expected.npy", model.predict(images, verbose=0))
    (tmp_path / "foreign.py").write_text(textwrap.dedent(FOREIGN))
    words = ["foreign.py", ".", "images.npy", "expected.npy"]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert not found["archsearch"]
    assert max(found["largest"]) <= TOLERANCE


def scaled_weights(model: keras.Model, path: Path) -> None:
    wrong = keras.models.clone_model(model)
    wrong.set_weights([weights * 1.5 for weights in model.get_weights()])
    wrong.save(path)


def swapped_classes(model: keras.Model, path: Path) -> None:
    """Differs by very little, and yet by the class it names, wherever two classes are level."""
    kernel, bias = model.layers[-2].get_weights() if model.layers[-2].weights else model.layers[-1].get_weights()
    wrong = keras.models.clone_model(model)
    wrong.set_weights([*model.get_weights()[:-2], kernel[:, ::-1], bias[::-1]])
    wrong.save(path)


def no_disk(model: keras.Model, path: Path) -> None:
    path.write_bytes(b"half of it")
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("write", "error", "said"),
    [
        (scaled_weights, ExportError, r"^keras: the exported model differs from predict by up to .* it was not kept$"),
        (swapped_classes, ExportError, r"names the same class for \d+\.\d\d% of 100 images"),
        (no_disk, OSError, "No space left"),
    ],
)
@pytest.mark.parametrize("before", [False, True], ids=["first", "again"])
def test_what_is_wrong_is_not_kept(
    searched: Searched,
    images: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[keras.Model, Path], None],
    error: type[Exception],
    said: str,
    before: bool,
) -> None:
    if before:
        export(searched.study.folder.model, ["keras"], images, tmp_path)
    there = contents(tmp_path)
    monkeypatch.setitem(FORMATS, "keras", Format("model.keras", write, exports.FORMATS["keras"].load))
    with pytest.raises(error, match=said):
        export(searched.study.folder.model, ["keras"], images, tmp_path)
    assert contents(tmp_path) == there


def test_an_export_takes_the_place_of_the_one_before(
    searched: Searched, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "old.txt").write_text("from another winner")
    export(searched.study.folder.model, ["saved_model"], images, tmp_path)
    assert not (tmp_path / "saved_model" / "old.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"saved_model"}


def test_an_unknown_format_and_a_missing_model_are_input_errors(
    searched: Searched, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"^format: found 'onx', expected one of keras, saved_model$"):
        export(searched.study.folder.model, ["keras", "onx"], images, tmp_path / "out")
    with pytest.raises(InputError, match=r"model\.keras: there is no model here yet; retrain the study first"):
        export(tmp_path / "model.keras", [], images, tmp_path / "out")
    assert contents(tmp_path) == {}


def test_a_study_exports_its_winner(a_copy: Study) -> None:
    made = a_copy.export(["keras"])
    assert [(one.format, one.path, one.images) for one in made] == [
        ("keras", a_copy.folder.exports / "model.keras", COMPARED)
    ]


@pytest.mark.parametrize(
    "words",
    [["--format", "keras", "saved_model"], ["--format", "keras", "--format", "saved_model"], []],
    ids=["one option", "two options", "all"],
)
def test_formats_on_the_command_line(cli: Cli, a_copy: Study, words: list[str]) -> None:
    done = cli("export", a_copy.path, *words)
    assert (done.code, done.err) == (0, "")
    one, two = done.out.splitlines()
    assert one.startswith(f"keras: {a_copy.folder.exports / 'model.keras'}, 0.0")
    assert two.startswith(f"saved_model: {a_copy.folder.exports / 'saved_model'}, 0.0")
    assert two.endswith("on 512 images")
    assert {path.name for path in a_copy.folder.exports.iterdir()} == {"model.keras", "saved_model"}
