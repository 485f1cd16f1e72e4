"""Whatever is done to a space file: it is a space whose candidates can be drawn, or all of its problems are said."""

import random
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from fuzzing import fuzzed, no_hanging, spoilt
from hypothesis import given
from hypothesis import strategies as st

from archsearch.errors import Problem, SpaceError, TrialError
from archsearch.space.architecture import Task
from archsearch.space.check import check_space
from archsearch.space.load import Space, parse_space
from archsearch.space.sample import RandomChooser, sample

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / "search_spaces").glob("*.yaml")), *sorted((ROOT / "tests" / "bad_spaces").glob("*.yaml"))]
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


def mutated(text: str, seed: int) -> str:
    """`text` with up to six tokens or lines left out, doubled, moved, or replaced."""
    generator = random.Random(seed)
    for _ in range(generator.randint(1, 6)):
        parts = TOKEN.findall(text) if generator.random() < 0.7 else text.splitlines(keepends=True)
        if not parts:
            break
        place = generator.randrange(len(parts))
        there = parts[generator.randrange(len(parts))]
        other = generator.choice([there, generator.choice(WORDS), generator.choice(REPLACEMENTS)])
        parts[place] = generator.choice(["", parts[place] * 2, parts[place] + other, other, other])
        text = "".join(parts)
    return text


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
@given(file=st.sampled_from(FILES), seed=st.integers(0, 2**32))
def test_words_and_lines_that_are_changed(file: Path, seed: int) -> None:
    with no_hanging():
        try:
            space = parse_space(mutated(TEXTS[file], seed), str(file))
        except SpaceError as error:
            looked_at(error.problems)
        else:
            drawn_from(space, seed)


@fuzzed
@given(content=st.sampled_from(FILES).flatmap(lambda file: spoilt(file.read_bytes())) | st.binary(max_size=200))
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
