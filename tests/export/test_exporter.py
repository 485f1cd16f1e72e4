"""Exports give the answers of `predict`, here and where archsearch is not installed; what does not is not kept."""

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from candidates import architecture
from exporting import described, pixels, random_model
from searches import Cli, contents

from archsearch.errors import ExportError, InputError
from archsearch.export import graph
from archsearch.export.exporter import chosen, export
from archsearch.export.formats import FORMATS, Order
from archsearch.export.prove import MOST_LOST, TOLERANCE
from archsearch.export.runtimes import load
from archsearch.export.source import ASKED, Source
from archsearch.search.certificate import RECORD, Certificate, read_exports
from archsearch.study import Study

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("study")]

SIDE, CLASSES = 8, 4
ONNX = FORMATS["onnx"]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return random_model(architecture(side=SIDE, classes=CLASSES))


@pytest.fixture(scope="module")
def source(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Source:
    file = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(file)
    images = pixels(100, SIDE, SIDE, 1)
    labels = model.predict(images, verbose=0).argmax(1).astype(np.int32)
    labels[:10] = (labels[:10] + 1) % CLASSES
    return Source(file, described(model), images, labels, "100 images", images[:20])


@pytest.fixture(scope="module")
def everything(source: Source, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Certificate]]:
    out = tmp_path_factory.mktemp("exports")
    return out, export(source, [], out)


def test_every_format_is_proven_in_a_process_of_its_own(
    everything: tuple[Path, list[Certificate]], source: Source, model: keras.Model
) -> None:
    out, made = everything
    assert [one.format for one in made] == ["keras", "saved_model", "onnx", "litert"]
    for one in made:
        path = out / one.file
        assert one.images == 100
        assert one.agreement == 1.0
        assert one.largest_difference <= TOLERANCE
        assert one.accuracy == one.keras_accuracy == 0.9
        assert one.bytes == sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
        assert 0 < one.latency <= one.latency_95
        assert one.load_seconds > 0
        # An import of TensorFlow takes more memory than that, and this process has made one.
        assert one.peak_memory is None or (one.peak_memory < 150e6) == (one.format in ("onnx", "litert"))
        # The certificate can be worked out again from the file alone.
        answers = load(path).predict(source.images)
        expected = model.predict(source.images, verbose=0)
        assert np.abs(answers - expected).max() == pytest.approx(one.largest_difference, abs=1e-6)
        unseen = pixels(9, SIDE, SIDE, 1, seed=5)
        assert load(path).predict(unseen) == pytest.approx(model.predict(unseen, verbose=0), abs=TOLERANCE)


def test_what_was_proven_lies_beside_the_files(everything: tuple[Path, list[Certificate]], source: Source) -> None:
    out, made = everything
    kept = read_exports(out)
    assert kept is not None
    assert list(kept.files) == made
    assert kept.classes == source.description.classes
    assert kept.takes == "uint8 pixels (N, 8, 8, 1)"
    assert kept.asked == "100 images"
    assert sorted(path.name for path in out.iterdir()) == sorted([RECORD, *(one.file for one in made)])


FOREIGN = """
import json, sys
import numpy as np
folder, images = sys.argv[1], np.load("images.npy")
found = {}

import onnxruntime
session = onnxruntime.InferenceSession(folder + "/model.onnx")
found["onnx"] = session.run(["probabilities"], {"image": images})[0]
names = {"onnx": json.loads(session.get_modelmeta().custom_metadata_map["classes"])}

import zipfile
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=folder + "/model.tflite")
interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], images.shape)
found["litert"] = interpreter.get_signature_runner()(image=images)["probabilities"]
names["litert"] = json.loads(zipfile.ZipFile(folder + "/model.tflite").read("description.json"))["classes"]
assert "tensorflow" not in sys.modules

import tensorflow as tf
served = tf.saved_model.load(folder + "/saved_model")
found["saved_model"] = served.serve(images)["probabilities"].numpy()
import keras
model = keras.saving.load_model(folder + "/model.keras")
found["keras"] = model.predict(images, verbose=0)
found["keras, floats"] = model.predict(images.astype(np.float32), verbose=0)
np.savez("answers.npz", **found)
print(json.dumps({"names": names, "archsearch": "archsearch" in sys.modules}))
"""


def test_exports_work_where_archsearch_is_not(
    everything: tuple[Path, list[Certificate]], model: keras.Model, tmp_path: Path
) -> None:
    images = pixels(33, SIDE, SIDE, 1, seed=3)
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "foreign.py").write_text(textwrap.dedent(FOREIGN))
    words = ["foreign.py", str(everything[0])]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert not told["archsearch"]
    assert told["names"] == {key: [f"class {number}" for number in range(CLASSES)] for key in ("onnx", "litert")}
    expected = model.predict(images, verbose=0)
    answers = np.load(tmp_path / "answers.npz")
    assert len(answers.files) == 5
    for name in answers.files:
        assert answers[name] == pytest.approx(expected, abs=TOLERANCE), name


def changed_weights(order: Order) -> None:
    wrong = keras.models.clone_model(order.model)
    wrong.set_weights([weights * 1.5 for weights in order.model.get_weights()])
    ONNX.write(replace(order, model=wrong))


def wrong_scaling(order: Order) -> None:
    """A file that takes pixels from 0 to 1, as is easily done."""
    inputs = keras.Input(order.model.input_shape[1:])
    wrong = keras.Model(inputs, order.model(inputs / 255.0))
    ONNX.write(replace(order, model=wrong))


def swapped_classes(order: Order) -> None:
    wrong = keras.models.clone_model(order.model)
    kernel, bias = order.model.get_weights()[-2:]
    wrong.set_weights([*order.model.get_weights()[:-2], kernel[:, ::-1], bias[::-1]])
    ONNX.write(replace(order, model=wrong))


def half_a_file(order: Order) -> None:
    ONNX.write(order)
    content = order.path.read_bytes()
    order.path.write_bytes(content[: len(content) // 2])


def unknown_operation(order: Order) -> None:
    raise NotImplementedError("no translation for Foo\nand much more")


def no_disk(order: Order) -> None:
    order.path.write_bytes(b"half of it")
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("write", "error", "said"),
    [
        (changed_weights, ExportError, r"^onnx: the exported model differs from predict by up to .* it was not kept$"),
        (wrong_scaling, ExportError, r"^onnx: the exported model differs from predict by up to .* it was not kept$"),
        (swapped_classes, ExportError, r"names the same class for \d+\.\d\d% of 100 images"),
        (half_a_file, ExportError, r"^onnx: the exported model cannot be used in its own runtime: .*model\.onnx"),
        (unknown_operation, ExportError, r"^onnx: the model cannot be written: no translation for Foo$"),
        (no_disk, OSError, "No space left"),
    ],
)
@pytest.mark.parametrize("before", [False, True], ids=["first", "again"])
def test_what_is_wrong_is_not_kept(
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Order], None],
    error: type[Exception],
    said: str,
    before: bool,
) -> None:
    if before:
        export(source, ["onnx"], tmp_path)
    there = contents(tmp_path)
    monkeypatch.setitem(FORMATS, "onnx", replace(ONNX, write=write))
    with pytest.raises(error, match=said):
        export(source, ["onnx"], tmp_path)
    assert contents(tmp_path) == there


def test_an_export_takes_the_place_of_the_one_before(source: Source, tmp_path: Path) -> None:
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "old.txt").write_text("from another winner")
    export(source, ["saved_model"], tmp_path)
    first = read_exports(tmp_path)
    export(source, ["saved_model"], tmp_path)
    assert not (tmp_path / "saved_model" / "old.txt").exists()
    second = read_exports(tmp_path)
    assert first is not None
    assert second is not None
    assert [one.file for one in second.files] == ["saved_model"]
    assert {path.name for path in tmp_path.iterdir()} == {"saved_model", RECORD}


@pytest.fixture(scope="module")
def resizing(source: Source) -> Source:
    """The same model, of images that were resized."""
    return replace(source, description=replace(source.description, height=None, width=None, size=SIDE))


def test_resizing_is_proven_and_left_to_files_that_can(
    resizing: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MOST_LOST, "int8", 0.2)  # weights that nothing was learnt with are not made for it
    export(resizing, ["keras", "onnx"], tmp_path)
    export(resizing, ["onnx", "litert"], tmp_path, "int8")
    taken = {name: load(tmp_path / name).description for name in ("model.keras", "model.onnx", "model.int8.onnx")}
    assert taken["model.onnx"].takes == "uint8 pixels (N, any, any, 1)"
    fixed = replace(resizing.description, height=SIDE, width=SIDE, size=None)
    assert taken["model.keras"] == taken["model.int8.onnx"] == load(tmp_path / "model.int8.tflite").description == fixed


def test_a_file_that_resizes_otherwise_is_refused(
    resizing: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearest(pixels: Any, size: int) -> Any:
        return tf.image.resize(pixels, (size, size), method="nearest")

    def write(order: Order) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(graph, "resized", nearest)
            ONNX.write(order)

    monkeypatch.setitem(FORMATS, "onnx", replace(ONNX, write=write))
    with pytest.raises(ExportError, match="of images of another size, the exported model differs from TensorFlow"):
        export(resizing, ["onnx"], tmp_path)


def test_files_of_another_model_are_not_mixed_in(source: Source, tmp_path: Path) -> None:
    export(replace(source, description=replace(source.description, study="digits", trial=3)), ["keras"], tmp_path)
    there = contents(tmp_path)
    with pytest.raises(InputError, match="holds files of trial 3 of digits; choose another --out"):
        export(source, ["keras"], tmp_path)
    assert contents(tmp_path) == there


def test_files_of_the_current_folder_are_not_run(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise SystemExit('a stranger was run')")
    monkeypatch.chdir(tmp_path)
    (made,) = export(source, ["onnx"], tmp_path / "out")
    assert made.agreement == 1.0


def test_a_damaged_record_does_not_spoil_the_report(a_copy: Study, caplog: pytest.LogCaptureFixture) -> None:
    a_copy.folder.exports.mkdir()
    (a_copy.folder.exports / RECORD).write_text("{")
    a_copy.folder.stress.write_text("{}")
    (a_copy.path / "trials" / ".3.tmp").mkdir(parents=True)
    (a_copy.path / "trials" / ".3.tmp" / "model.json").write_text("{")
    data = a_copy.report()
    assert data.exports is None
    assert data.stress is None
    assert caplog.text.count("it is left out") == 2
    a_copy.export(["onnx"])
    assert a_copy.collect().exports is not None, "exporting again mends it"


def test_what_cannot_be_written_is_said_before_anything_is() -> None:
    expected = "expected one of keras, saved_model, onnx, litert"
    for name, hint in (
        ("onx", "did you mean 'onnx'?"),
        ("tflite", "did you mean 'litert'?"),
        ("onnx,litert", "spaces"),
    ):
        with pytest.raises(
            InputError, match=re.escape(f"format: found '{name}', {expected}") + f".*{re.escape(hint)}$"
        ):
            chosen(["keras", name], "float32")
    with pytest.raises(InputError, match=r"^quantize: found 'int4', expected one of float16, int8, dynamic$"):
        chosen([], "int4")
    with pytest.raises(
        InputError, match="keras keeps its weights as they are, so it cannot be int8; expected onnx or litert"
    ):
        chosen(["onnx", "keras"], "int8")
    assert chosen([], "int8") == ["onnx", "litert"]
    assert chosen(["onnx", "onnx"], "float32") == ["onnx"]


def test_what_is_not_installed_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(InputError, match=r"^onnx: needs tf2onnx; install it with: pip install 'archsearch\[onnx\]'$"):
        chosen(["onnx"], "float32")
    assert chosen([], "float32") == ["keras", "saved_model", "litert"]
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(InputError, match=r"^onnx: needs tf2onnx; .*; or litert: needs ai_edge_litert; install it with"):
        chosen([], "int8")


def test_a_file_that_is_no_model(source: Source, tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match=r"model\.keras: cannot be loaded: "):
        export(replace(source, file=tmp_path / "model.keras"), [], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_study_exports_its_winner_on_its_test_images(cli: Cli, a_copy: Study) -> None:
    done = cli("export", a_copy.path, "--format", "onnx", "litert")
    assert (done.code, done.err) == (0, "")
    head, *rows, asked, where = done.out.splitlines()
    assert head.split()[:2] == ["file", "size"]
    assert [row.split()[0] for row in rows] == ["model.onnx", "model.tflite"]
    assert where == f"files: {a_copy.folder.exports}"
    kept = read_exports(a_copy.folder.exports)
    winner = a_copy.winner()
    assert kept is not None
    assert winner is not None
    assert (kept.study, kept.trial, kept.classes) == (a_copy.path.name, winner.trial, winner.classes)
    images = len(a_copy.splits().test.labels)
    assert images < ASKED
    assert kept.asked == f"all {images} test images"
    assert asked == f"asked for all {images} test images, each in its own runtime, on one thread"
    assert {one.accuracy for one in kept.files} == {winner.test.accuracy}
    assert [Path(made.file).stem for made in kept.files] == ["model", "model"]
    page = a_copy.folder.report.read_text()
    assert "model.tflite</td>" in page
    _run_the_card(a_copy)


def _run_the_card(study: Study) -> None:
    """What the card says of using the model in Python is done, from where the card lies."""
    blocks = re.findall(r"```python\n(.*?)```", study.folder.card.read_text(), re.DOTALL)
    assert len(blocks) == 3
    images = study.splits().test.images
    np.save(study.folder.card.with_name("images.npy"), images)
    code = f"import numpy as np\nimages = np.load('images.npy')\n{blocks[0]}\nfirst = probabilities\n{blocks[1]}"
    code += f"\n{blocks[2]}\nprint(max(abs(first - each).max() for each in (probabilities, answers)) < 1e-4, names[:3])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=study.folder.card.parent, capture_output=True, text=True, check=True
    )
    expected = [study.info.classes[label] for label in load(study.folder.model).predict(images[:3]).argmax(1)]
    assert done.stdout.splitlines()[-1] == f"True {expected}"


def test_a_keras_file_of_no_study(cli: Cli, source: Source, tmp_path: Path) -> None:
    alone = tmp_path / "alone.keras"
    alone.write_bytes(source.file.read_bytes())
    done = cli("export", alone, "--format", "onnx")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "alone-exports" / "model.onnx").is_file()
    kept = read_exports(tmp_path / "alone-exports")
    assert kept is not None
    assert kept.asked == "200 images of random pixels"
    assert kept.files[0].accuracy is None
    done = cli("export", alone, "--data", "digits")
    assert done.code == 2
    assert done.err.endswith(
        "takes images 8×8×1 of 4 classes, and digits has 8×8×1 of 10; name the data it was trained on\n"
    )
    done = cli("export", tmp_path, "--out", tmp_path)
    assert (done.code, done.err) == (2, "export: --data and --out go with a .keras file; a study knows its own\n")
