"""One small file for each mistake that people make, and exactly what they are told.

Beside each `NAME.yaml` lies `NAME.txt`, where FILE stands for the path of the file and FOLDER for its folder. The first
line of a file may name the images that it is for (`# task: 32x32x3, 10 classes`), or trust its code (`# trust`).
"""

import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archsearch.errors import Problem, SpaceError
from archsearch.space.architecture import Task
from archsearch.space.check import check_space
from archsearch.space.load import parse_space

FOLDER = Path(__file__).parents[1] / "bad_spaces"
SHIPPED = Path(__file__).parents[2] / "search_spaces"
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


TOKEN = re.compile(r"[\w.]+|\s+|[^\w\s]")
REPLACEMENTS = (
    "0",
    "-1",
    "1e9",
    "nothing",
    "choice",
    "int",
    "float",
    "block",
    "= stage",
    "null",
    "[",
    "}",
    ":",
    "- ",
    "'",
)


def mutated(text: str, seed: int) -> str:
    """`text` with up to four tokens or lines left out, doubled, or replaced."""
    generator = random.Random(seed)
    for _ in range(generator.randint(1, 4)):
        parts = TOKEN.findall(text) if generator.random() < 0.7 else text.splitlines(keepends=True)
        if not parts:
            break
        place = generator.randrange(len(parts))
        other = generator.choice([parts[generator.randrange(len(parts))], *REPLACEMENTS])
        parts[place] = generator.choice(["", parts[place] * 2, other])
        text = "".join(parts)
    return text


def problems_of(text: str, file: str) -> Sequence[Problem]:
    try:
        parse_space(text, file)
    except SpaceError as error:
        return error.problems
    return ()


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(file=st.sampled_from([*sorted(SHIPPED.glob("*.yaml")), *FILES]), seed=st.integers(0, 2**32))
def test_whatever_is_done_to_a_file_it_is_a_space_or_there_are_problems(file: Path, seed: int) -> None:
    problems = problems_of(mutated(file.read_text(encoding="utf-8"), seed), str(file))
    places = [(problem.file, problem.line, problem.column) for problem in problems]
    assert places == sorted(places)
    assert len({problem.pictured() for problem in problems}) == len(problems)
