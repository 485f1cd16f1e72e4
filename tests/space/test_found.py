"""Mistakes in space files that were once accepted, or explained wrongly."""

import pytest

from archsearch.errors import SpaceError
from archsearch.space.load import parse_space


def problem(text: str) -> str:
    """The only thing that is wrong with a file, without its name."""
    with pytest.raises(SpaceError) as caught:
        parse_space(f"name: a\n{text}", "a.yaml")
    (found,) = caught.value.problems
    return str(found).removeprefix("a.yaml:")


@pytest.mark.parametrize(
    ("let", "filters", "found"),
    [
        ("{int: [8, 64]}", "a / 2", "'= a / 2' gives 4.5 for a=9, expected a whole number (round(…) makes one)"),
        ("{int: [1, 5]}", "8 // (a - 3) + 8", "'= 8 // (a - 3) + 8' divides by zero for a=3"),
        ("{int: [0, 20]}", "(a - 10) ** 2", "'= (a - 10) ** 2' gives 0 for a=10, expected at least 1"),
        ("{int: [1, 9], step: 4}", "12 - 2 * a * (a == 5) - a", "gives -3 for a=5, expected at least 1"),
        (
            "{float: [1.0, 2.0]}",
            "8 * a",
            "gives 12.94427190999916 for a=1.618033988749895, expected a whole number (round(…) makes one)",
        ),
    ],
)
def test_expressions_are_tried_between_the_ends_of_a_range(let: str, filters: str, found: str) -> None:
    assert problem(f"let: {{a: {let}}}\nstages: [{{filters: = {filters}}}]").endswith(found)
