"""Operators of the expression language on numbers, sizes and lists. Sizes are compared as proofs."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from netc.budget import ITEMS, spend
from netc.dims import Dim, compare, exact_div
from netc.expr.tree import Binary, Expr
from netc.expr.values import Context, ExprError, OperatorValue, is_int, number
from netc.literals import literal


def _no_float_dims(left: Any, right: Any, at: Expr) -> None:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Dim) and isinstance(other, float):
            raise ExprError("bad-expression", f"{literal(one)} is a size and {other} is not a whole number", at)


def _plain(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Expr], Any]:
    def run(left: Any, right: Any, at: Expr) -> Any:
        _no_float_dims(left, right, at)
        return function(left, right)

    return run


def _divide(left: Any, right: Any, at: Expr) -> Any:
    if right == 0:
        raise ExprError("bad-expression", "division by zero", at)
    if isinstance(left, Dim) or isinstance(right, Dim):
        _no_float_dims(left, right, at)
        exact = exact_div(left, right)
        if exact is None:
            raise ExprError(
                "bad-expression",
                f"{literal(left)} / {literal(right)} does not divide exactly",
                at,
                "use // to round down",
            )
        return exact
    if isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right
    return left / right


def _floor(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Expr], Any]:
    def run(left: Any, right: Any, at: Expr) -> Any:
        _no_float_dims(left, right, at)
        if right == 0:
            raise ExprError("bad-expression", "division by zero", at)
        if isinstance(right, Dim) or (isinstance(left, Dim) and right < 0):
            raise ExprError("bad-expression", f"cannot divide by {literal(right)}", at)
        return function(left, right)

    return run


def _power(left: Any, right: Any, at: Expr) -> Any:
    if isinstance(right, Dim) or (isinstance(left, Dim) and not (is_int(right) and 0 <= right <= 8)):
        raise ExprError("bad-expression", f"cannot raise {literal(left)} to {literal(right)}", at)
    if isinstance(left, Dim):
        return math.prod([left] * right)
    if abs(right) > 1024 or (is_int(left) and right > 0 and (left.bit_length() - 1) * right > 80):
        raise ExprError("too-large", "the power is too large", at)
    result = left**right
    if isinstance(result, complex):
        raise ExprError("bad-expression", "the power of a negative number is not a real number", at)
    return result


ARITHMETIC: dict[str, Callable[[Any, Any, Expr], Any]] = {
    "+": _plain(operator.add),
    "-": _plain(operator.sub),
    "*": _plain(operator.mul),
    "/": _divide,
    "//": _floor(operator.floordiv),
    "%": _floor(operator.mod),
    "**": _power,
}


def same(left: Any, right: Any) -> bool:
    """Equality of values; sizes are compared as proofs."""
    if isinstance(left, Dim) or isinstance(right, Dim):
        if not isinstance(left, int | Dim) or not isinstance(right, int | Dim):
            return False
        return compare(left, right).holds
    if isinstance(left, tuple) and isinstance(right, tuple):
        spend(len(left) // ITEMS)
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, OperatorValue) or isinstance(right, OperatorValue):
        return literal(left) == literal(right)
    return bool(left == right)


def less(left: Any, right: Any, at: Binary, context: Context) -> bool:
    """Whether left < right for every size the symbols can have; raises ExprError when that depends."""
    left, right = number(left, at.left), number(right, at.right)
    if not isinstance(left, Dim) and not isinstance(right, Dim):
        return bool(left < right)
    _no_float_dims(left, right, at)
    if context.domain.decide(right - left, 1):
        return True
    if context.domain.decide(left - right, 0):
        return False
    raise ExprError(
        "too-complex",
        f"whether {literal(left)} < {literal(right)} depends on the size of the input",
        at,
        "bind it: --bind h=7",
    )


def _contains(left: Any, right: Any, at: Binary, context: Context) -> bool:
    if not isinstance(right, tuple):
        raise ExprError("bad-expression", f"{literal(right)} is not a list", at.right)
    spend(len(right) // ITEMS)
    return any(same(left, item) for item in right)


COMPARISONS: dict[str, Callable[[Any, Any, Binary, Context], bool]] = {
    "==": lambda a, b, at, c: same(a, b),
    "!=": lambda a, b, at, c: not same(a, b),
    "<": less,
    ">": lambda a, b, at, c: less(b, a, at, c),
    "<=": lambda a, b, at, c: not less(b, a, at, c),
    ">=": lambda a, b, at, c: not less(a, b, at, c),
    "in": _contains,
}
