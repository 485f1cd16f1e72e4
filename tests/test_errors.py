import pytest

from archsearch.errors import Problem, SpaceError


@pytest.mark.parametrize(
    ("line", "column", "shown", "caret"),
    [
        ("    dropout: 2", 14, "    dropout: 2", 13),
        ("\tdropout: 2", 11, " dropout: 2", 10),
        ("名: 形 # 2", 8, "名: 形 # 2", 9),
        ("x" * 100 + "y" + "z" * 100, 101, "…" + "x" * 60 + "y" + "z" * 49 + "…", 61),
        ("name: a", 8, "name: a", 7),
        ("kernel: 3   ", 9, "kernel: 3", 8),
    ],
)
def test_the_caret_stands_below_the_column(line: str, column: int, shown: str, caret: int) -> None:
    picture = Problem("f", 3, column, "a", "wrong", line).pictured().splitlines()
    assert picture == [f"f:3:{column}: a: wrong", f"    {shown}", "    " + " " * caret + "^"]


def test_a_problem_without_a_line_is_one_sentence() -> None:
    error = SpaceError([Problem("f", 1, 1, "", "no such file"), Problem("f", 2, 1, "a", "wrong", "a: 1")])
    assert str(error).splitlines() == ["f:1:1: no such file", "f:2:1: a: wrong"]
    assert error.pictured().splitlines() == ["f:1:1: no such file", "f:2:1: a: wrong", "    a: 1", "    ^"]


def test_a_message_has_the_first_hundred_problems() -> None:
    error = SpaceError([Problem("f", line, 1, "", "wrong") for line in range(1, 1103)])
    assert len(error.problems) == 1102
    for said in (str(error), error.pictured()):
        assert said.splitlines()[99:] == ["f:100:1: wrong", "and 1,002 more problems"]
