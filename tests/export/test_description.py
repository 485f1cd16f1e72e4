import zipfile
from pathlib import Path

import pytest

from archsearch.errors import InputError
from archsearch.export.description import ENTRY, Description, from_json, pack, unpack

DESCRIBED = Description(("zero", "<b>ett</b>", "två"), 28, 28, 1, study="digits", trial=3, version="0.1.0")


def test_json_and_back() -> None:
    assert from_json(DESCRIBED.to_json()) == DESCRIBED
    with pytest.raises(TypeError):
        from_json('{"classes": ["a"], "unknown": 1}')


@pytest.mark.parametrize(
    "text",
    [
        '{"classes": ["a", "b"], "height": "8", "width": 8, "channels": 1}',
        '{"classes": ["a", "b"], "height": 8, "width": -8, "channels": 1}',
        '{"classes": ["a", "b"], "height": 8, "width": 8, "channels": 0}',
        '{"classes": ["a", 1], "height": 8, "width": 8, "channels": 1}',
        '{"classes": ["a", ["b"]], "height": 8, "width": 8, "channels": 1}',
        '{"classes": ["a", "\\u001b[31m"], "height": 8, "width": 8, "channels": 1}',
        '{"classes": ["a", "b"], "height": 8, "width": 8, "channels": 1, "study": "a\\nb"}',
        '{"classes": ["a", "b"], "height": 8',
    ],
)
def test_what_is_no_description(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whoever reads the file says what it is about
        from_json(text)


def test_a_description_that_is_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(ENTRY, "w") as file:
        for _ in range(200):
            file.write(bytes(10**7))
    with pytest.raises(InputError, match=r"MB that unpack to 2\.0 GB, which is not done"):
        unpack(path)


def test_what_it_takes_in_words() -> None:
    assert DESCRIBED.takes == "uint8 pixels (N, 28, 28, 1)"
    assert Description(("a",), None, None, 3, size=32).takes == "uint8 pixels (N, any, any, 3)"


def test_the_shape_of_an_image_that_it_takes() -> None:
    resizing = Description(("a",), None, None, 3, size=16)
    assert resizing.shape(9, 9) == resizing.fixed.shape(9, 9) == (16, 16, 3)
    assert Description(("a",), 6, None, 1).shape(9, 8) == (6, 8, 1)


def test_it_travels_in_a_saved_model(tmp_path: Path) -> None:
    assert unpack(tmp_path) is None
    pack(tmp_path, DESCRIBED)
    assert unpack(tmp_path) == DESCRIBED


def test_it_travels_behind_the_end_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "model.tflite"
    file.write_bytes(b"a flatbuffer")
    assert unpack(file) is None
    pack(file, DESCRIBED)
    assert unpack(file) == DESCRIBED
    assert file.read_bytes().startswith(b"a flatbuffer")


def test_it_travels_in_an_archive_beside_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
    assert unpack(file) is None
    pack(file, DESCRIBED)
    assert unpack(file) == DESCRIBED
    assert zipfile.ZipFile(file).namelist() == ["config.json", ENTRY]
