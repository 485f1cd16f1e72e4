from collections.abc import Sequence

import pytest

from archsearch.errors import Problem, SpaceError
from archsearch.space.source import MAX_FILE, Mark, did_you_mean, listed, parse_source, shown, written


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("300_000", 300_000),
        ("007", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e-4", 1e-4),
        ("3.0e-4", 3e-4),
        (".5", 0.5),
        ("1_000.5", 1000.5),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("yes", "yes"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        (".inf", ".inf"),
        ("_1", "_1"),
        ("'3'", "3"),
        ('"true"', "true"),
        ("=", "="),
        ("= width * 2 ** stage  # twice", "= width * 2 ** stage"),
        ("[1, [2]]", [1, [2]]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_scalars_follow_yaml_1_2(written: str, value: object) -> None:
    data = parse_source(f"x: {written}\n", "f").data
    assert data == {"x": value}
    assert type(data["x"]) is type(value)


def test_keys_are_text() -> None:
    assert parse_source("1: a\ntrue: b\nyes: c", "f").data == {"1": "a", "true": "b", "yes": "c"}


def test_places_of_keys_and_values() -> None:
    source = parse_source("a:\n  - b: {c: 1}\n  - 2\n", "f")
    assert source.keys["a", 0, "b"] == Mark("f", 2, 5)
    assert source.values["a", 0, "b", "c"] == Mark("f", 2, 12)
    assert source.values["a", 1] == Mark("f", 3, 5)


def test_a_problem_with_what_is_not_there_points_at_what_should_hold_it() -> None:
    problem = parse_source("a:\n  - b: 1\n", "f").problem(("a", 0, "c"), "missing")
    assert str(problem) == "f:2:5: a.0.c: missing"


def problems(text: str) -> Sequence[Problem]:
    try:
        return parse_source(text, "f").problems
    except SpaceError as error:
        return error.problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1:1: the file is empty; expected a search space"),
        ("# only this\n", "f:1:1: the file is empty; expected a search space"),
        (
            "a: 1\nb:\n  c: 1\n  c: 2",
            "f:4:3: b.c: this key is here twice; the first is in line 3; expected one of them",
        ),
        (
            "a: &x 1\nb: [*x]",
            "f:2:5: b.0: found the alias '*x'; aliases are not used here, write the value out",
        ),
        ("a: !!int 3", "f:1:4: a: found the tag '!!int'; tags are not used here, leave it out"),
        ("a: 1\n---\nb: 2", "f:2:1: a second document begins here; expected one search space a file"),
        (
            "a: b: c",
            "f:1:5: not YAML: mapping values are not allowed here; expected one 'key: value' a line, and quotes "
            "around text with ': '",
        ),
        ("a: [1", "f:1:6: not YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
        (
            "a: 1\n\tb: 2",
            "f:2:1: not YAML: while scanning for the next token, found character '\\t' that cannot start any token; "
            "expected spaces, YAML takes no tabs",
        ),
        ("a: 1\nb: \x07", "f:2:4: character '\\x07' is not allowed in YAML"),
        (
            "{[1]: 2}",
            "f:1:2: not YAML: found a key that is not a name; braces and brackets belong after a colon",
        ),
        ("a: " + "9" * 41, "f:1:4: a: a number of 41 characters; expected at most 40"),
        ("[" * 100 + "]" * 100, "f:1:33: not YAML: nested more than 32 levels deep"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    assert [str(problem) for problem in problems(text)] == [message]


def test_a_file_that_is_too_long_is_not_read() -> None:
    text = "#" * MAX_FILE
    assert [str(problem) for problem in problems(text)] == ["f:1:1: the file is empty; expected a search space"]
    assert [str(problem) for problem in problems(text + "#")] == [
        "f:1:1: longer than a search space can be; expected at most 50,000 bytes"
    ]


def test_all_problems_show_lines_of_one_text() -> None:
    """Else a file of fifty kilobytes on one line with thousands of problems would take hundreds of megabytes."""
    lines = [problem.source for problem in problems(f"a: [{', '.join(['*x'] * 100)}]")]
    assert len(lines) == 100
    assert all(line is lines[0] for line in lines)


def test_what_cannot_be_read_as_it_was_meant_is_known() -> None:
    assert parse_source("a: [*x, !!int 3, 4]\nb: 1\nb: 2", "f").spoilt == {("a", 0), ("a", 1)}


def test_a_section_that_is_there_twice_has_the_names_of_both() -> None:
    assert parse_source("let: {a: 1, b: 1}\nlet: {b: 2}", "f").data == {"let": {"a": 1, "b": 2}}


def test_all_problems_in_the_order_of_the_file() -> None:
    found = problems("a: 1\na: *x\nb: {c: 1, c: 2}\nd: [")
    assert [(p.line, p.column) for p in found] == [(2, 1), (2, 4), (3, 11), (4, 5)]


def test_values_in_a_sentence() -> None:
    assert shown({"float": [0.0, 1], "log": True, "x": None}) == "{float: [0.0, 1], log: true, x: nothing}"
    assert len(shown(list(range(100)))) == 60


def test_values_as_a_file_has_them() -> None:
    value = {"a": ["x", "3", "= max(1, 2)", True], "b": 0.5}
    assert written(value) == "{a: [x, '3', '= max(1, 2)', true], b: 0.5}"
    assert parse_source(f"value: {written(value)}", "f").data["value"] == value


def test_lists_in_a_sentence() -> None:
    assert listed(["a", "b", "c"], "and") == "a, b and c"
    assert (listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])) == ("a", "a or b", "a, b or c")


def test_suggestions() -> None:
    assert did_you_mean("widht", ["width", "depth"]) == "; did you mean 'width'?"
    assert did_you_mean("ReLU", ["relu", "gelu"]) == "; did you mean 'relu'?"
    assert did_you_mean("xyz", ["width", "depth"]) == ""
