"""The functions an expression may call. A closed table: no name of a spec ever reaches a Python object."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from netc.dims import Dim
from netc.expr.arithmetic import less
from netc.expr.tree import Binary, Function
from netc.expr.values import Context, ExprError, bounded_range, is_int, number, show


def _rounder(function: Callable[[float], int]) -> Callable[[list[Any], Function, Context], Any]:
    def run(arguments: list[Any], expr: Function, context: Context) -> Any:
        value = number(arguments[0], expr)
        return value if isinstance(value, Dim) else function(value)

    return run


def _extreme(sign: int) -> Callable[[list[Any], Function, Context], Any]:
    def run(arguments: list[Any], expr: Function, context: Context) -> Any:
        values = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple) else arguments
        if not values:
            raise ExprError("bad-expression", f"`{expr.name}` of nothing", expr)
        best = values[0]
        for value in values[1:]:
            pair = (value, best) if sign < 0 else (best, value)
            at = Binary(op="<", left=expr, right=expr, start=expr.start, end=expr.end)
            best = value if less(*pair, at, context) else best
        return number(best, expr)

    return run


def _sum(arguments: list[Any], expr: Function, context: Context) -> Any:
    if not isinstance(arguments[0], tuple):
        raise ExprError("bad-expression", "`sum` takes a list", expr)
    total: Any = 0
    for value in arguments[0]:
        total = total + number(value, expr)
    return total


def _real(function: Callable[[float], float]) -> Callable[[list[Any], Function, Context], Any]:
    def run(arguments: list[Any], expr: Function, context: Context) -> Any:
        value = arguments[0]
        if isinstance(value, Dim) or number(value, expr) < 0 or (expr.name == "log2" and value == 0):
            raise ExprError("bad-expression", f"`{expr.name}` of {show(value)} is not a real number", expr)
        result = function(value)
        return int(result) if result.is_integer() else result

    return run


def _len(arguments: list[Any], expr: Function, context: Context) -> Any:
    if not isinstance(arguments[0], tuple):
        raise ExprError("bad-expression", "`len` takes a list", expr)
    return len(arguments[0])


def _range_function(arguments: list[Any], expr: Function, context: Context) -> Any:
    if not all(map(is_int, arguments)) or (len(arguments) == 3 and arguments[2] == 0):
        raise ExprError("bad-expression", "`range` takes integers and a step other than 0", expr)
    made = range(*arguments)
    return bounded_range(expr, made.start, made.stop, made.step)


def _make_divisible(arguments: list[Any], expr: Function, context: Context) -> Any:
    """The channel rounding of MobileNet: nearest multiple of `divisor`, never under 90 % of the value."""
    value, divisor = arguments[0], arguments[1] if len(arguments) > 1 else 8
    if any(isinstance(a, bool) or not isinstance(a, int | float) for a in arguments) or not divisor > 0:
        raise ExprError("bad-expression", "`make_divisible` takes a number and a divisor", expr)
    least = arguments[2] if len(arguments) > 2 else divisor
    rounded = max(least, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def _abs(arguments: list[Any], expr: Function, context: Context) -> Any:
    value = number(arguments[0], expr)
    if isinstance(value, Dim):
        raise ExprError("bad-expression", f"`abs` of {show(value)} depends on the size of the input", expr)
    return abs(value)


FUNCTIONS: dict[str, tuple[tuple[int, int], Callable[[list[Any], Function, Context], Any]]] = {
    "min": ((1, 64), _extreme(-1)),
    "max": ((1, 64), _extreme(1)),
    "abs": ((1, 1), _abs),
    "round": ((1, 1), _rounder(round)),
    "floor": ((1, 1), _rounder(math.floor)),
    "ceil": ((1, 1), _rounder(math.ceil)),
    "sqrt": ((1, 1), _real(math.sqrt)),
    "log2": ((1, 1), _real(math.log2)),
    "len": ((1, 1), _len),
    "sum": ((1, 1), _sum),
    "range": ((1, 3), _range_function),
    "make_divisible": ((1, 3), _make_divisible),
}
