"""What two spaces, or two candidates, differ in."""

import random

import pytest

from archsearch.space.architecture import Task
from archsearch.space.diff import MISSING, Difference, diff_parts, diff_spaces
from archsearch.space.load import parse_space
from archsearch.space.sample import FixedChooser, RandomChooser, sample

TASK = Task(height=8, width=8, channels=1, classes=3)
BASE = "name: one\nstages:\n  - filters: {choice: [4, 8]}\n    kernel: 3\n"


def differences(old: str, new: str) -> list[tuple[str, str, str]]:
    return [(each.path, each.old, each.new) for each in diff_spaces(parse_space(old), parse_space(new))]


@pytest.mark.parametrize(
    "same",
    [
        BASE,
        BASE + "    norm: batch\n",
        "# another layout\nname: one\ndescription: x\nstages: [{kernel: 3, filters: {choice: [4, 8]}, block: conv}]\n",
        BASE + "    block: {choice: {conv: {}}}\n",
        BASE + "head: {pool: average}\n",
    ],
)
def test_what_means_the_same_does_not_differ(same: str) -> None:
    assert differences(BASE, same) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("    norm: layer\n", ("stages.0.norm", "batch", "layer")),
        ("    dropout: {float: [0.0, 0.25]}\n", ("stages.0.dropout", "0", "0 to 0.25, real")),
        ("head: {hidden: {int: [8, 32], step: 8}}\n", ("head.hidden", "0", "8 to 32 in steps of 8")),
        ("let: {w: 3}\n", ("let.w", MISSING, "3")),
        ("limits: {parameters: 10K}\n", ("limits.parameters", MISSING, "10000")),
        ("  - filters: = 8 * stage\n", ("stages.1", MISSING, "filters = 8 * stage")),
        ("    block: {choice: [conv, residual]}\n", ("stages.0.block", "conv", "one of conv, residual")),
        ("augment: {rotate: 10}\n", ("augment", MISSING, "rotate 10")),
    ],
)
def test_one_change_is_one_difference(more: str, expected: tuple[str, str, str]) -> None:
    assert differences(BASE, BASE + more) == [expected]


def test_the_other_way_round_it_is_turned_round() -> None:
    more = BASE + "let: {w: 3}\n"
    assert differences(more, BASE) == [("let.w", "3", MISSING)]


def test_options_differ_by_field() -> None:
    written = "name: one\nstages: [{filters: 4, block: {choice: {conv: {}, inverted: {expansion: %s}}}}]\n"
    found = differences(written % 2, written % "{int: [2, 3]}")
    assert found == [("stages.0.block.inverted.expansion", "2", "2 to 3")]


def test_candidates_differ_by_path() -> None:
    space = parse_space(BASE + "    depth: {int: [1, 2]}\n")
    small, large = (
        sample(space, FixedChooser({"stages.0.depth": 1, "stages.0.filters": filters}), TASK) for filters in (4, 8)
    )
    assert diff_parts(small, large) == [Difference("architecture.stages.0.blocks.0.filters", "4", "8")]
    deep = sample(space, FixedChooser({"stages.0.depth": 2, "stages.0.filters": 4}), TASK)
    (found,) = diff_parts(small.architecture, deep.architecture)
    assert (found.path, found.old) == ("stages.0.blocks.1", MISSING)
    assert "conv" in found.new


def test_no_candidate_differs_from_itself() -> None:
    space = parse_space(BASE + "    dropout: {float: [0.0, 0.5]}\n    block: {choice: [cell, conv]}\n")
    for seed in range(20):
        drawn = [sample(space, RandomChooser(random.Random(seed)), TASK) for _ in range(2)]
        assert diff_parts(*drawn) == []
