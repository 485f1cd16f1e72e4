"""One small file for each mistake that people make, and exactly what they are told.

Beside each `NAME.yaml` lies `NAME.txt`, where FILE stands for the path of the file and FOLDER for its folder. The first
line of a file may name the images that it is for (`# task: 32x32x3, 10 classes`), or trust its code (`# trust`).
"""

import re
from pathlib import Path

import pytest

from archsearch.errors import SpaceError
from archsearch.space.architecture import Task
from archsearch.space.check import check_space

FOLDER = Path(__file__).parents[1] / "bad_spaces"
FILES = sorted(FOLDER.glob("*.yaml"))


def error_of(file: Path) -> SpaceError:
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    written = re.fullmatch(r"# task: (\d+)x(\d+)x(\d), (\d+) classes", first)
    height, width, channels, classes = map(int, written.groups()) if written else (8, 8, 1, 10)
    task = Task(height=height, width=width, channels=1 if channels == 1 else 3, classes=classes)
    with pytest.raises(SpaceError) as caught:
        check_space(file, task, trust_code=first == "# trust")
    return caught.value


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_said(file: Path) -> None:
    said = str(error_of(file)).replace(str(file), "FILE").replace(str(file.parent), "FOLDER")
    assert f"{said}\n" == file.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_file_has_what_is_said_about_it() -> None:
    assert {file.stem for file in FILES} == {file.stem for file in FOLDER.glob("*.txt")}
    assert len(FILES) >= 45


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_caret_stands_below_what_is_wrong(file: Path) -> None:
    for problem in error_of(file).problems:
        assert problem.source == (Path(problem.file).read_text(encoding="utf-8") + "\n").split("\n")[problem.line - 1]
        assert 1 <= problem.column <= len(problem.source) + 1
