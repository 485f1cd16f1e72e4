"""Whatever is written as an expression is refused in words or has a bounded value, the one that Python gives."""

import math
from dataclasses import dataclass
from itertools import cycle

from fuzzing import fuzzed, no_hanging
from hypothesis import given
from hypothesis import strategies as st

from archsearch.space.expression import (
    FUNCTIONS,
    MAX_LENGTH,
    MAX_SIZE,
    OPERATORS,
    Expression,
    ExpressionError,
    Number,
    parse_expression,
)

NAMES = ("a", "width", "stage", "e", "_", "é")
PIECES = r"""
. .. ... .a __class__ .__class__.__mro__ [ ] [0] [a] [:] { } {a} {a:a} () (a,) , ; : := -> => = @ ~ ! ? $ & | ^ << >>
' '' ''' " f'{a}' f'{ r'\ b'' \ \n \N{ # ` 1j 1e999 1e12 1e-320 999999999999999999999 0x 0xff 0b1 0o7 1_ 1__0 .5 5. 00
True None if else for in is not and or lambda lambda: 1if import exec eval( open( pow( print( __import__( yield await
*a **a a=1 a:=1 9**9**9 ** (( )) ((((((((( ]]]]]]]]] --------- ~~~~~~~~~ min max min() max(1) round(1,1)
９ ª ﬁ × ÷ − ² ½
"""
NASTY = (*PIECES.split(), "\n", "\\\n", " not ", "\ud800", "\u00a0", "\x00", "\x0c", "\x85", "\u2028", "\ufeff")


@dataclass(frozen=True)
class Term:
    """A valid expression, with all of its parentheses, and in another layout."""

    whole: str
    other: str


def _binary(left: Term, op: str, right: Term) -> Term:
    return Term(f"({left.whole} {op} {right.whole})", f"( {left.other}{op}  ({right.other}))")


def _power(base: Term, exponent: str) -> Term:
    return Term(f"({base.whole} ** {exponent})", f"(({base.other})**({exponent}))")


def _signed(sign: str, operand: Term) -> Term:
    return Term(f"({sign}{operand.whole})", f"({sign} ({operand.other}))")


def _chain(first: Term, others: list[tuple[str, Term]]) -> Term:
    return Term(
        f"({first.whole}{''.join(f' {op} {term.whole}' for op, term in others)})",
        f"({first.other}{''.join(f'{op}({term.other})' for op, term in others)})",
    )


def _call(name: str, arguments: list[Term]) -> Term:
    return Term(
        f"{name}({', '.join(term.whole for term in arguments)})",
        f"{name} ( {','.join(term.other for term in arguments)} )",
    )


def _above(inner: st.SearchStrategy[Term]) -> st.SearchStrategy[Term]:
    arithmetic, comparisons = OPERATORS[:6], OPERATORS[7:]
    return st.one_of(
        st.builds(_binary, inner, st.sampled_from(arithmetic), inner),
        st.builds(_power, inner, st.sampled_from(["0", "2", "3", "-1", "-2", "0.5"])),
        st.builds(_signed, st.sampled_from(["-", "+"]), inner),
        st.builds(_chain, inner, st.lists(st.tuples(st.sampled_from(comparisons), inner), min_size=1, max_size=3)),
        st.builds(_call, st.sampled_from(["min", "max"]), st.lists(inner, min_size=2, max_size=4)),
        st.builds(_call, st.sampled_from(["round", "floor", "ceil"]), st.tuples(inner).map(list)),
    )


def _spoil(term: Term, place: float, gone: int, piece: str) -> str:
    cut = round(place * len(term.other))
    return term.other[:cut] + piece + term.other[cut + gone :]


_leaves = st.sampled_from(["a", "b"]) | st.integers(0, 20).map(str) | st.floats(0, 20).map(repr)
_terms = st.recursive(_leaves.map(lambda text: Term(text, text)), _above, max_leaves=8).filter(
    lambda term: max(len(term.whole), len(term.other)) <= MAX_LENGTH - 2
)
_small = st.integers(-20, 20) | st.floats(-20, 20)
_large = st.integers(-int(MAX_SIZE), int(MAX_SIZE)) | st.floats(-MAX_SIZE, MAX_SIZE)

_grammar = st.sampled_from([*OPERATORS, *NAMES, "(", ")", ",", " ", *(f"{name}(" for name in FUNCTIONS)])
_nasty = st.sampled_from(NASTY)
_literals = st.integers(-(10**13), 10**13).map(str) | st.floats().map(repr)
_pieces = st.lists(_grammar | _literals | _nasty, max_size=40)
_written = _pieces.map("".join) | _pieces.map(" ".join)
_repeated = st.builds(lambda piece, times, rest: piece * times + rest, _nasty, st.integers(1, 200), _written)
_spoilt = st.builds(_spoil, _terms, st.floats(0, 1), st.integers(0, 3), _nasty | st.text(max_size=2))


def parsed(text: str) -> Expression | str:
    """The expression, or why there is none."""
    try:
        return parse_expression(text)
    except ExpressionError as error:
        return str(error)


def value(expression: Expression, names: dict[str, Number]) -> Number | str:
    """The value, or why there is none."""
    try:
        return expression.evaluate(names)
    except ExpressionError as error:
        return str(error)


def pythons(text: str, names: dict[str, Number]) -> Number | str:
    """What Python makes of the same text."""
    functions = {"min": min, "max": max, "round": round, "floor": math.floor, "ceil": math.ceil}
    try:
        found: Number = eval(text, {"__builtins__": {}} | functions | names)
    except (ArithmeticError, TypeError, ValueError) as error:  # of what became of a complex number, or is none
        return type(error).__name__
    return int(found) if isinstance(found, bool) else found


@fuzzed
@given(st.text() | _written | _repeated | _spoilt, st.lists(_large, min_size=1))
def test_any_text_is_refused_or_has_a_bounded_value(text: str, values: list[Number]) -> None:
    for written in (text, f"= {text}"):
        with no_hanging():
            expression = parsed(written)
        if isinstance(expression, str):
            assert len(expression) < 4 * MAX_LENGTH
            continue
        assert all(name.isidentifier() for name in expression.names)
        with no_hanging():
            found = value(expression, dict(zip(sorted(expression.names), cycle(values), strict=False)))
        if not isinstance(found, str):
            assert type(found) in (int, float)
            assert abs(found) <= MAX_SIZE
        if len(expression.text) <= MAX_LENGTH:
            assert parse_expression(expression.text) == expression


@fuzzed
@given(_terms, _small, _small)
def test_values_are_those_of_python(term: Term, a: Number, b: Number) -> None:
    names: dict[str, Number] = {"a": a, "b": b}
    found, expected = value(parse_expression(f"= {term.whole}"), names), pythons(term.whole, names)
    if not isinstance(found, str):
        assert found == expected
        assert type(found) is type(expected)
    elif "divides by zero" in found:
        assert expected == "ZeroDivisionError"
    else:  # somewhere on the way, which Python may not mind
        assert "goes beyond" in found or "takes a root" in found


@fuzzed
@given(_terms, _small, _small)
def test_the_canonical_text_is_one_and_means_the_same(term: Term, a: Number, b: Number) -> None:
    expression = parse_expression(f"= {term.whole}")
    other = parse_expression(f"={term.other}")
    assert other == expression
    assert value(other, {"a": a, "b": b}) == value(expression, {"a": a, "b": b})
    if len(expression.text) <= MAX_LENGTH:
        assert parse_expression(expression.text) == expression
