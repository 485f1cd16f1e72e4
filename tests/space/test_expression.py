import pytest

from archsearch.space.expression import ExpressionError, Number, parse_expression, unknown_name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("= 3", 3),
        ("=-width", -8),
        ("= width * 2 ** stage", 32),
        ("= (width + 1) // 2", 4),
        ("= width / 2", 4.0),
        ("= width % 3 - +1", 1),
        ("= min(width, 64, 2)", 2),
        ("= max(width, 64)", 64),
        ("= round(width * 0.3)", 2),
        ("= 2 ** -1", 0.5),
        ("= 0 ** 0", 1),
        ("= 1_000", 1000),
        ("= 1e12", 1e12),
        ("= floor(width * 0.3)", 2),
        ("= ceil(width * 0.3)", 3),
        ("= floor(-0.5)", -1),
        ("= width > 8", 0),
        ("= width >= 8", 1),
        ("= width < 8", 0),
        ("= width <= 8", 1),
        ("= width == 8.0", 1),
        ("= width != 8.0", 0),
        ("= 1 < stage < 3", 1),
        ("= 1 < stage > 3 < 1 / 0", 0),
        ("= 32 * (stage > 1)", 32),
        ("= (1 < stage) < 3", 1),
        ("= min(stage > 1, 5)", 1),
        ("= 2 ** -(10 ** 12)", 0.0),
        ("= 1 ** 10 ** 12", 1),
    ],
)
def test_values(text: str, value: Number) -> None:
    found = parse_expression(text).evaluate({"width": 8, "stage": 2})
    assert found == value
    assert type(found) is type(value)


def test_names() -> None:
    assert parse_expression("= min(a, b) * a").names == {"a", "b"}


def test_layout_does_not_count() -> None:
    assert parse_expression("=( a*2 )") == parse_expression("=  a * 2")
    assert parse_expression("=a\n+\u00a02") == parse_expression("= a + 2")
    assert parse_expression("= (a < b) < c") != parse_expression("= a < b < c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("= a +", "cannot read '= a +'; expected arithmetic such as '= width * 2 ** stage'"),
        ("=", "cannot read '='; expected arithmetic such as '= width * 2 ** stage'"),
        (
            "= min(a",
            "cannot read '= min(a'; expected arithmetic such as '= width * 2 ** stage' "
            "(inside braces, quote an expression that has commas)",
        ),
        ("= " + "1+" * 100 + "1", "an expression of 203 characters; expected at most 200"),
        ("= " + "-" * 40 + "1", "'= " + "-" * 40 + "1' is nested more than 30 levels deep"),
        ("= 1e13", "a number in '= 1e13' is beyond 1e+12"),
        ("= mix(a, b)", "unknown function 'mix' in '= mix(a, b)'; did you mean 'min'?"),
        ("= exec(a)", "unknown function 'exec' in '= exec(a)'; the functions are min, max, round, floor, ceil"),
        ("= min(a)", "'min' in '= min(a)' has 1 arguments; expected 2 to 16"),
        ("= round(a, 2)", "'round' in '= round(a, 2)' has 2 arguments; expected 1"),
        ("= min + 1", "'min' in '= min + 1' is a function; expected 'min(…)'"),
        (
            "= a.b",
            "'a.b' in '= a.b' is not arithmetic; expected numbers, names, + - * / // % ** < <= > >= == !=, "
            "parentheses, min, max, round, floor, ceil",
        ),
        (
            "= 8 if a else 4",
            "'8 if a else 4' in '= 8 if a else 4' is not arithmetic; "
            "choose by multiplying with a comparison, which is 1 or 0: '= 32 * (stage > 1)'",
        ),
        (
            "= a ? 8 : 4",
            "cannot read '= a ? 8 : 4'; choose by multiplying with a comparison, which is 1 or 0: '= 32 * (stage > 1)'",
        ),
        ("= 2 * a ^ 2", "'2 * a ^ 2' in '= 2 * a ^ 2' is not arithmetic; a power is written '**'"),
        ("= 2 * (a = 1)", "cannot read '= 2 * (a = 1)'; '==' compares two values"),
        ("= a # + 1", "cannot read '= a # + 1'; expected arithmetic such as '= width * 2 ** stage'"),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "a.b",
        "a[0]",
        "'a'",
        "True",
        "None",
        "1j",
        "...",
        "a if b else c",
        "a in b",
        "a is b",
        "a and b",
        "not a",
        "~a",
        "a << b",
        "a @ b",
        "lambda: 1",
        "[a]",
        "(a, b)",
        "[a for a in b]",
        "(a := 1)",
        "f'{a}'",
        "min(*a)",
        "max(a, b, key=a)",
        "min(a, b)(c)",
        "().__class__",
        "(yield)",
        "await a",
        "{a: b}",
        "{*a}",
        "1if a else 2",
        "'\\d'",
        "\x00",
        "\ud800",
        "[" * 190,
        "[" * 90 + "]" * 90,
        "~" * 190 + "a",
        "a" + "[a" * 60 + "]" * 60,
        "a; b",
        "import os",
    ],
)
def test_only_arithmetic_passes(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_expression(f"= {text}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("= a / (b - 1)", "'= a / (b - 1)' divides by zero for a=3, b=1"),
        ("= 0 ** -b", "'= 0 ** (-b)' divides by zero for b=1"),
        ("= 9 ** 9 ** 9", "'= 9 ** 9 ** 9' goes beyond 1e+12"),
        ("= 1e12 * 10", "'= 1000000000000.0 * 10' goes beyond 1e+12"),
        ("= 1e12 / 1e-320", "'= 1000000000000.0 / 1e-320' goes beyond 1e+12"),
        ("= 0.5 ** -1e9", "'= 0.5 ** (-1000000000.0)' goes beyond 1e+12"),
        ("= a ** a ** a * b", "'= a ** a ** a * b' goes beyond 1e+12 for a=3, b=1"),
        ("= (b - a) ** 0.5 > 0", "'= (b - a) ** 0.5 > 0' takes a root of a negative number for a=3, b=1"),
        ("= floor(a / (b == 2))", "'= floor(a / (b == 2))' divides by zero for a=3, b=1"),
        ("= (-8) ** 0.5", "'= (-8) ** 0.5' takes a root of a negative number"),
    ],
)
def test_what_has_no_value(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text).evaluate({"a": 3, "b": 1})
    assert str(caught.value) == message


def test_unknown_names() -> None:
    assert unknown_name("hight", "= hight", ("width", "stage")) == (
        "unknown name 'hight' in '= hight'; known names are width, stage"
    )
    assert (
        unknown_name("stge", "= stge", ("width", "stage")) == "unknown name 'stge' in '= stge'; did you mean 'stage'?"
    )
    assert unknown_name("a", "= a", ()) == "unknown name 'a' in '= a'; no names are known here"
