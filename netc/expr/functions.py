"""The functions an expression may call. A closed table: no name of a spec ever reaches a Python object."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from netc.budget import ITEMS, spend
from netc.dims import Dim
from netc.expr.arithmetic import less
from netc.expr.terms import make_divisible
from netc.expr.tree import Binary, Function
from netc.expr.values import Context, ExprError, bounded_range, count_of, is_int, number
from netc.literals import literal


def _rounder(function: Callable[[float], int]) -> Callable[[list[Any], Function, Context], Any]:
    def run(arguments: list[Any], expr: Function, context: Context) -> Any:
        value = number(arguments[0], expr)
        return value if isinstance(value, Dim) else function(value)

    return run


def _extreme(sign: int) -> Callable[[list[Any], Function, Context], Any]:
    def run(arguments: list[Any], expr: Function, context: Context) -> Any:
        values = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple) else arguments
        if not values:
            raise ExprError("bad-expression", f"`{expr.name}` needs at least one value", expr)
        spend(len(values))
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
    spend(len(arguments[0]) // ITEMS)
    total: Any = 0
    for value in arguments[0]:
        total = total + number(value, expr)
    return total


def _real(function: Callable[[float], float]) -> Callable[[list[Any], Function, Context], Any]:
    def run(arguments: list[Any], expr: Function, context: Context) -> Any:
        value = arguments[0]
        if isinstance(value, Dim) or number(value, expr) < 0 or (expr.name == "log2" and value == 0):
            raise ExprError("bad-expression", f"`{expr.name}` of {literal(value)} is not a real number", expr)
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
    numbers = range(*arguments)
    return bounded_range(expr, numbers.start, numbers.stop, numbers.step)


def _lists(arguments: list[Any], expr: Function) -> list[tuple[Any, ...]]:
    if not all(isinstance(a, tuple) for a in arguments):
        raise ExprError("bad-expression", f"`{expr.name}` takes lists", expr)
    return arguments


def _zip(arguments: list[Any], expr: Function, context: Context) -> Any:
    """Rows of one item of each list."""
    lists = _lists(arguments, expr)
    if len({len(items) for items in lists}) > 1:
        lengths = " and ".join(str(len(items)) for items in lists)
        raise ExprError("bad-expression", f"`zip` takes lists of one length, not of {lengths}", expr)
    spend(sum(map(len, lists)) // ITEMS)
    return tuple(zip(*lists, strict=True))


def _enumerate(arguments: list[Any], expr: Function, context: Context) -> Any:
    """Rows of a number, from 0 on, and an item; the items of a row follow one by one."""
    spend(sum(map(count_of, _lists(arguments, expr)[0])) // ITEMS)
    rows = (row if isinstance(row, tuple) else (row,) for row in _lists(arguments, expr)[0])
    return tuple((index, *row) for index, row in enumerate(rows))


def _make_divisible(arguments: list[Any], expr: Function, context: Context) -> Any:
    """The channel rounding of MobileNet: nearest multiple of `divisor`, never under 90 % of the value."""
    value, divisor = arguments[0], arguments[1] if len(arguments) > 1 else 8
    if any(isinstance(a, bool) or not isinstance(a, int | float) for a in arguments) or not divisor > 0:
        raise ExprError("bad-expression", "`make_divisible` takes a number and a divisor", expr)
    return make_divisible(value, divisor, *arguments[2:])


def _abs(arguments: list[Any], expr: Function, context: Context) -> Any:
    value = number(arguments[0], expr)
    if not isinstance(value, Dim):
        return abs(value)
    for size in (value, -value):
        if context.domain.decide(size, 0):
            return size
    message = f"whether {literal(value)} is negative depends on the size of the input"
    raise ExprError("too-complex", message, expr, "bind it: --bind h=7")


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
    "zip": ((2, 16), _zip),
    "enumerate": ((1, 1), _enumerate),
    "make_divisible": ((1, 3), _make_divisible),
}
