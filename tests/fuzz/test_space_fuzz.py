"""Whatever is done to a space file: it is a space whose candidates can be drawn, or all of its problems are said."""

import json
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fuzzing import SEEDS, fuzzed, no_hanging, spoilt
from hypothesis import given
from hypothesis import strategies as st

from archsearch.errors import Problem, SpaceError, TrialError
from archsearch.space.architecture import Task
from archsearch.space.check import check_space
from archsearch.space.load import Space, parse_space
from archsearch.space.sample import RandomChooser, sample
from archsearch.space.source import parse_source

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / "search_spaces").glob("*.yaml")), *sorted((ROOT / "tests" / "bad_spaces").glob("*.yaml"))]
CONTENTS = [file.read_bytes() for file in FILES]
TEXTS = {file: file.read_text(encoding="utf-8") for file in FILES}
TASK = Task(height=12, width=10, channels=3, classes=4)

TOKEN = re.compile(r"[\w.]+|\s+|[^\w\s]")
WORDS = sorted({token for text in TEXTS.values() for token in TOKEN.findall(text) if token.strip()})
ODD = r"""
0 -1 1e9 1e-9 .5 0x1F 1_000 99999999999999999999 1e999 .inf .nan ~ null true nothing yes = == [ ] { } : - ' " # & * !
% @ ` | > ? << *a &a !!int !!python/object/apply:os.system --- ... \x00 \uffff \ud800 é 🦊
{choice:[1,2]} {int:[1,3]} {float:[0,1]} [1,2]
"""
NASTY = ("= stage", "= 2 ** stage", "= 9**9**9", "= block", "- ", ": ", "\n", "\t", "\x1b", "\u2028", "\ufeff")
REPLACEMENTS = (*ODD.split(), *NASTY)


SIMPLE = (None, True, 0, -1, 0.5, 1e300, 10**30, "")
VALUES: tuple[Any, ...] = (*SIMPLE, "= stage", "= 2 ** stage", "= width", "= 1 / 0", [], {}, [1, 2])


@cache
def _data(file: Path) -> Any:
    try:
        return parse_source(TEXTS[file], str(file)).data
    except SpaceError:
        return {}


def _parts(node: Any) -> Iterator[Any]:
    yield node
    if isinstance(node, dict | list):
        for part in node.values() if isinstance(node, dict) else node:
            yield from _parts(part)


def mutated(text: str, seed: int) -> str:
    """`text` with a few tokens or lines left out, doubled, moved, or replaced."""
    generator = random.Random(seed)
    for _ in range(generator.choice((1, 1, 2, 3, 6))):
        parts = TOKEN.findall(text) if generator.random() < 0.7 else text.splitlines(keepends=True)
        if not parts:
            break
        place = generator.randrange(len(parts))
        there = parts[generator.randrange(len(parts))]
        other = generator.choice([there, generator.choice(WORDS), generator.choice(REPLACEMENTS)])
        parts[place] = generator.choice(["", parts[place] * 2, parts[place] + other, other, other])
        text = "".join(parts)
    return text


PARTS = [part for file in FILES for part in _parts(_data(file))]
"""Everything that stands anywhere in a file: mappings, lists, numbers and names."""


def revalued(file: Path, seed: int) -> Any:
    """What a file says, with a few of its parts taken out, or replaced by something that stands elsewhere."""
    generator = random.Random(seed)
    data = deepcopy(_data(file))
    for _ in range(generator.choice((1, 1, 2, 3, 5))):
        homes = [part for part in _parts(data) if isinstance(part, dict | list) and part]
        if not homes:
            break
        home = generator.choice(homes)
        key = generator.choice(list(home) if isinstance(home, dict) else range(len(home)))
        other = deepcopy(generator.choice((generator.choice(PARTS), generator.choice(WORDS), generator.choice(VALUES))))
        match generator.randrange(6):
            case 0:
                del home[key]
            case 1 if isinstance(home, dict):
                home[generator.choice(WORDS)] = other
            case 1 if isinstance(home, list):
                home.insert(key, other)
            case _:
                home[key] = other
    return data


def looked_at(problems: Sequence[Problem]) -> None:
    """Each problem stands where it says, and is said once."""
    assert problems
    places = [(problem.file, problem.line, problem.column) for problem in problems]
    assert places == sorted(places)
    assert len({problem.pictured() for problem in problems}) == len(problems)


def drawn_from(space: Space, seed: int) -> None:
    with suppress(TrialError):  # an expression without a value for what was drawn, an image that becomes too small
        sample(space, RandomChooser(random.Random(seed)), TASK)


@fuzzed
@given(file=st.sampled_from(FILES), seed=SEEDS)
def test_words_and_lines_that_are_changed(file: Path, seed: int) -> None:
    with no_hanging():
        try:
            space = parse_space(mutated(TEXTS[file], seed), str(file))
        except SpaceError as error:
            looked_at(error.problems)
        else:
            drawn_from(space, seed)


@fuzzed
@given(file=st.sampled_from(FILES), seed=SEEDS)
def test_values_that_are_changed(file: Path, seed: int) -> None:
    """The text stays YAML, as which few of the others get any further."""
    with no_hanging():
        try:
            space = parse_space(json.dumps(revalued(file, seed)), str(file))
        except SpaceError as error:
            looked_at(error.problems)
        else:
            drawn_from(space, seed)


@fuzzed
@given(content=st.builds(spoilt, st.sampled_from(CONTENTS), SEEDS) | st.binary(max_size=200))
def test_bytes_that_are_changed(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "spoilt.yaml"
    file.write_bytes(content)
    with no_hanging():
        try:
            space = check_space(file, TASK)
        except SpaceError as error:
            looked_at(error.problems)
        else:
            drawn_from(space, len(content))
