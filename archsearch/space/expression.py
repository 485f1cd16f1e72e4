"""The small arithmetic behind `= width * 2 ** stage`.

Numbers, names, `+ - * / // % **`, comparisons (1 where they hold, 0 where they do not), parentheses, and `min`, `max`,
`round`, `floor` and `ceil` of them; nothing else. Python's parser reads it, tables of allowed operations evaluate it,
and what comes out is what Python would say. Length, depth and size are bounded: no expression hangs a search.
"""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, floor, isfinite, log2

from archsearch.space.source import did_you_mean

Number = int | float

MAX_LENGTH = 200
MAX_DEPTH = 30
MAX_SIZE = 1e12
"""Largest number, either sign, that may be written or come up on the way."""


class ExpressionError(ValueError):
    """An expression that cannot be read, or has no usable value; whoever holds it says where it stands."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    Attributes:
        text: In one canonical form, such as `= width * 2 ** stage`; spaces and needless parentheses do not count.
        names: The names it needs values for.
    """

    text: str
    names: frozenset[str]
    _tree: ast.expr = field(repr=False, compare=False)

    def evaluate(self, names: Mapping[str, Number]) -> Number:
        """The value for these `names`, an int wherever Python's arithmetic gives one.

        Raises:
            ExpressionError: No value, or one beyond `MAX_SIZE`; the message has the values of the names.
        """
        try:
            return _evaluate(self._tree, names)
        except ZeroDivisionError:
            reason = "divides by zero"
        except OverflowError:
            reason = f"goes beyond {MAX_SIZE:g}"
        except ArithmeticError as error:
            reason = str(error)
        raise ExpressionError(f"'{self.text}' {reason}{self.given(names)}")

    def given(self, names: Mapping[str, Number]) -> str:
        """The values it was evaluated for, as the middle of a sentence: ` for width=8, stage=1`."""
        used = ", ".join(f"{name}={names[name]!r}" for name in names if name in self.names)
        return f" for {used}" if used else ""


def parse_expression(text: str) -> Expression:
    """Reads `= …`.

    Raises:
        ExpressionError: It is too long, too deep, or holds anything but the arithmetic above.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression of {len(text)} characters; expected at most {MAX_LENGTH}")
    text = " ".join(text.split())
    code = text.removeprefix("=").strip()
    try:
        if "#" in code:
            raise SyntaxError  # Python would drop the rest as a comment
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python only frowns upon is no arithmetic either
            tree = ast.parse(code, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        cut = text.count("(") > text.count(")")
        hint = " (inside braces, quote an expression that has commas)" if cut else ""
        wanted = _instead(code) or "expected arithmetic such as '= width * 2 ** stage'"
        raise ExpressionError(f"cannot read '{text}'; {wanted}{hint}") from error
    names: set[str] = set()
    _check(tree, names, code, MAX_DEPTH)
    return Expression(f"= {ast.unparse(tree)}", frozenset(names), tree)


def unknown_name(name: str, text: str, known: tuple[str, ...]) -> str:
    """The sentence for a name in `text` that is not among `known`."""
    if name == "stage":
        return f"unknown name 'stage' in '{text}'; it exists only in the fields of 'stages', but for 'repeat'"
    allowed = f"; known names are {', '.join(known)}" if known else "; no names are known here"
    return f"unknown name '{name}' in '{text}'" + (did_you_mean(name, known) or allowed)


def _power(base: Number, exponent: Number) -> Number:
    if abs(base) > 1 and exponent * log2(abs(base)) > log2(MAX_SIZE):
        raise OverflowError  # before Python sets out to compute 9 ** 9 ** 9
    result = base**exponent
    if isinstance(result, complex):
        raise ArithmeticError("takes a root of a negative number")
    return result


_BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_UNARY: dict[type[ast.unaryop], Callable[[Number], Number]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Number, Number], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, tuple[Callable[..., Number], int, int]] = {  # what it does, fewest and most arguments
    "min": (min, 2, 16),
    "max": (max, 2, 16),
    "round": (round, 1, 1),
    "floor": (floor, 1, 1),
    "ceil": (ceil, 1, 1),
}
FUNCTIONS = tuple(_FUNCTIONS)
OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "!=")

_INSTEAD = {  # what people write, and how it is said here
    r"\b(if|else|and|or|not)\b|[&|?~]|!(?!=)": "choose by multiplying with a comparison, which is 1 or 0: "
    "'= 32 * (stage > 1)'",
    r"\^": "a power is written '**'",
    r"(?<![<>=!])=(?!=)": "'==' compares two values",
}


def _instead(code: str) -> str:
    return next((advice for written, advice in _INSTEAD.items() if re.search(written, code)), "")


def _check(node: ast.expr, names: set[str], code: str, depth: int) -> None:
    """Notes the names below `node`; raises for whatever `_evaluate` does not know."""
    text = f"= {code}"
    if depth == 0:
        raise ExpressionError(f"'{text}' is nested more than {MAX_DEPTH} levels deep")
    below: list[ast.expr] = []
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            if value > MAX_SIZE:
                raise ExpressionError(f"a number in '{text}' is beyond {MAX_SIZE:g}")
        case ast.Name(id=name):
            if name in _FUNCTIONS:
                raise ExpressionError(f"'{name}' in '{text}' is a function; expected '{name}(…)'")
            names.add(name)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            below = [operand]
        case ast.BinOp(left=left, op=binary, right=right) if type(binary) in _BINARY:
            below = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARISONS for op in ops):
            below = [left, *others]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            _, fewest, most = _FUNCTIONS[name]
            if not fewest <= len(arguments) <= most:
                wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
                raise ExpressionError(f"'{name}' in '{text}' has {len(arguments)} arguments; expected {wanted}")
            below = arguments
        case ast.Call(func=ast.Name(id=name)) if name not in _FUNCTIONS:
            hint = did_you_mean(name, _FUNCTIONS) or f"; the functions are {', '.join(_FUNCTIONS)}"
            raise ExpressionError(f"unknown function '{name}' in '{text}'{hint}")
        case _:
            wanted = f"expected numbers, names, {' '.join(OPERATORS)}, parentheses, {', '.join(_FUNCTIONS)}"
            part = ast.get_source_segment(code, node)
            raise ExpressionError(f"'{part}' in '{text}' is not arithmetic; {_instead(code) or wanted}")
    for child in below:
        _check(child, names, code, depth - 1)


def _evaluate(node: ast.expr, names: Mapping[str, Number]) -> Number:
    result: Number
    match node:
        case ast.Constant(value=int() | float() as value):
            result = value
        case ast.Name(id=name):
            result = names[name]
        case ast.UnaryOp(op=op, operand=operand):
            result = _UNARY[type(op)](_evaluate(operand, names))
        case ast.BinOp(left=left, op=binary, right=right):
            result = _BINARY[type(binary)](_evaluate(left, names), _evaluate(right, names))
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = (_evaluate(each, names) for each in (left, *others))
            result = int(all(_COMPARISONS[type(op)](*pair) for op, pair in zip(ops, pairwise(values), strict=True)))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            result = _FUNCTIONS[name][0](*(_evaluate(argument, names) for argument in arguments))
        case _:
            raise AssertionError(f"{ast.dump(node)} passed _check")
    if not isfinite(result) or abs(result) > MAX_SIZE:
        raise OverflowError
    return result
