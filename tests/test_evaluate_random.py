"""Random arithmetic against Python's, in exact fractions."""

from __future__ import annotations

import ast
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netc.dims import Domain
from netc.expr.evaluate import Context, ExprError, evaluate
from netc.expr.parser import parse_expression
from netc.expr.scope import Scope


def value(text: str) -> Any:
    return evaluate(parse_expression(text), Context(Scope(None, {}), Domain()))


NUMBERS = st.integers(-20, 20)
TREES = st.recursive(
    NUMBERS.map(lambda n: f"({n})"),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "//", "%", "/"]), inner)
        | st.builds(
            "({} if {} {} {} else {})".format,
            inner,
            inner,
            st.sampled_from(["<", "<=", "==", "!=", ">", ">="]),
            inner,
            inner,
        )
        | st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner)
        | st.builds("{}({})".format, st.sampled_from(["abs", "-"]), inner)
    ),
    max_leaves=8,
)


def exact(text: str) -> Fraction | None:
    """Python's value of the text in exact fractions, or None where it divides by zero."""
    try:
        return _fraction(ast.parse(text, mode="eval"))
    except ZeroDivisionError:
        return None


def _fraction(tree: Any) -> Fraction:
    return _WALK[type(tree).__name__](tree)


_ARITHMETIC = {
    "Add": lambda a, b: a + b, "Sub": lambda a, b: a - b, "Mult": lambda a, b: a * b, "Div": lambda a, b: a / b,
    "FloorDiv": lambda a, b: Fraction(a // b), "Mod": lambda a, b: a % b,
    "Lt": lambda a, b: a < b, "LtE": lambda a, b: a <= b,
    "Eq": lambda a, b: a == b, "NotEq": lambda a, b: a != b, "Gt": lambda a, b: a > b, "GtE": lambda a, b: a >= b,
}  # fmt: skip


def _name(node: Any) -> str:
    return type(node).__name__


_WALK: dict[str, Any] = {
    "Expression": lambda t: _fraction(t.body),
    "Constant": lambda t: Fraction(t.value),
    "UnaryOp": lambda t: -_fraction(t.operand),
    "BinOp": lambda t: _ARITHMETIC[_name(t.op)](_fraction(t.left), _fraction(t.right)),
    "Compare": lambda t: _ARITHMETIC[_name(t.ops[0])](_fraction(t.left), _fraction(t.comparators[0])),
    "IfExp": lambda t: _fraction(t.body) if _fraction(t.test) else _fraction(t.orelse),
    "Call": lambda t: {"min": min, "max": max, "abs": abs}[t.func.id](*map(_fraction, t.args)),
}


@settings(max_examples=400, deadline=None)
@given(TREES)
def test_arithmetic_is_pythons(text: str) -> None:
    expected = exact(text)
    if expected is None:
        with pytest.raises(ExprError):
            value(text)
        return
    found = _value_or_none(text)
    if found is None:
        assert abs(expected) > 2**61
    elif isinstance(found, int):
        assert found == expected
    elif not any(sign in text for sign in ("//", "%", "if")):
        assert math.isclose(found, float(expected), rel_tol=1e-9, abs_tol=1e-9)


def _value_or_none(text: str) -> Any:
    """None where a number grows too large."""
    try:
        return value(text)
    except ExprError as error:
        return None if error.code == "too-large" else error
