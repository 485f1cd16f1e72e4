"""The folder: complete, of files of its own alone, and never written over somebody's work."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from demo_models import CLASSES, SURE, edges, held_out, strokes, write_drawings, write_model, write_photos
from PIL import Image

from archsearch.demo import site
from archsearch.demo.site import require_ours, write_site
from archsearch.errors import InputError

VENDOR = site.HERE / "vendor"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawings(tmp_path_factory.mktemp("site"))


def test_the_runtime_is_what_it_says() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    sums = {name: total for total, name in (line.split() for line in lines)}
    assert len(sums) == 2
    for name, total in sums.items():
        packed = VENDOR / f"{name}.gz"
        content = gzip.decompress(packed.read_bytes()) if packed.exists() else (VENDOR / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == total, name


def test_the_folder_is_complete(written: Path) -> None:
    names = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    assert {"index.html", "demo.json", "model.onnx", "page/app.js", "page/style.css", "vendor/LICENSE"} <= names
    assert not [path.name for path in written.parent.iterdir() if path.name.startswith(".")]
    text = (written / "index.html").read_text() + "".join(p.read_text() for p in (written / "page").iterdir())
    for path in re.findall(r'"((?:page|vendor|examples)/[\w./-]+)"', text):
        assert path in names
    for path in re.findall(r'from "(\.[\w./-]+)"', text):
        assert (written / "page" / path).is_file()


def test_nothing_is_asked_for_outside_or_run_in_line(written: Path) -> None:
    index = (written / "index.html").read_text()
    for file in (written / "page").iterdir():
        assert "://" not in file.read_text(), file
    assert "://" not in index
    assert "script-src 'self' 'wasm-unsafe-eval';" in index
    assert "unsafe-inline" not in index
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|\bstyle=", index)


def test_it_says_what_the_page_needs(written: Path) -> None:
    about = json.loads((written / "demo.json").read_text())
    assert about["classes"] == list(CLASSES)
    assert (about["name"], about["shape"], about["trained_on"]) == ("strokes", [28, 28, 1], 60)
    assert about["preparation"]["longest"] == 20
    assert about["threshold"]["confidence"] == pytest.approx(SURE)
    assert about["layers"] == ["found", "gelu"]
    assert about["examples"] == ["upright", "level"]
    images, _ = strokes()
    for number in (0, 1):
        np.testing.assert_array_equal(Image.open(written / "examples" / f"{number}.png"), images[number, ..., 0])


def test_its_model_answers_as_the_exported_one(written: Path) -> None:
    images, labels = strokes()
    session = onnxruntime.InferenceSession(written / "model.onnx")
    (found,) = session.run(["probabilities"], {"image": images})
    np.testing.assert_array_equal(
        found, onnxruntime.InferenceSession(edges(28).SerializeToString()).run(None, {"image": images})[0]
    )
    assert (found.argmax(axis=1) == labels).all()


def test_photos_are_not_to_be_drawn(tmp_path: Path) -> None:
    about = json.loads((write_photos(tmp_path) / "demo.json").read_text())
    assert about["preparation"] is None
    assert about["shape"] == [16, 16, 3]


def test_an_earlier_page_is_replaced(tmp_path: Path) -> None:
    page = write_drawings(tmp_path)
    (page / "page" / "old.js").write_text("")
    write_drawings(tmp_path)
    assert not (page / "page" / "old.js").exists()


@pytest.mark.parametrize("there", ["notes.txt", "demo.json"])
def test_anything_else_is_left_alone(tmp_path: Path, there: str) -> None:
    (tmp_path / "drawings").mkdir()
    (tmp_path / "drawings" / there).write_text('{"mine": 1}')
    with pytest.raises(InputError, match="holds something else than an earlier page"):
        write_drawings(tmp_path)
    assert (tmp_path / "drawings" / there).read_text() == '{"mine": 1}'
    assert len(list((tmp_path / "drawings").iterdir())) == 1


def test_a_page_that_cannot_be_written_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_drawings(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(InputError, match="cannot be written: no space left; name another folder"):
        write_drawings(tmp_path)
    assert (page / "index.html").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawings", "drawings.onnx"]


def test_a_model_that_does_not_name_its_classes(tmp_path: Path) -> None:
    onnx.save(edges(28), tmp_path / "bare.onnx")
    with pytest.raises(InputError, match="does not say what its classes are"):
        write_site(tmp_path / "bare.onnx", *strokes(), *held_out(), tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_many_classes_have_twelve_examples() -> None:
    labels = np.arange(300) % 100
    assert [int(labels[index]) for index in site._examples(labels)] == [0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99]


def test_a_model_may_be_written_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = write_model(tmp_path / "m.onnx", edges(28), 28)
    write_site(model, *strokes(), *held_out(), Path("a/b/page"))
    assert (tmp_path / "a" / "b" / "page" / "index.html").is_file()


def test_what_lies_beside_a_page_is_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page"
    page.mkdir()
    (page / "demo.json").write_text('{"kind": "archsearch demo"}')
    require_ours(page)
    (page / ".git").mkdir()
    with pytest.raises(InputError, match=r"holds '\.git' beside a page; name a new or empty folder"):
        require_ours(page)
    monkeypatch.chdir(page)
    with pytest.raises(InputError, match="is the current folder"):
        require_ours(Path())
