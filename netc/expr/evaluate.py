"""Values of expressions: exact integers, symbolic sizes and a closed set of functions, all bounded."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Container
from itertools import product
from typing import Any

import msgspec

from netc.dims import Dim, Domain, Size, TooComplex, at_least, compare, dim_text, exact_div, symbol
from netc.expr.scope import Binding, Scope
from netc.expr.tree import (
    Attribute,
    Binary,
    Choice,
    Expr,
    Function,
    Index,
    ListExpr,
    Literal,
    Name,
    Range,
    Slice,
    TensorRef,
    Unary,
)
from netc.types import AXES, ERROR

LARGEST = 2**62
LONGEST = 100_000


class ExprError(Exception):
    """An expression without a value: a code, a message, and the characters it is about."""

    def __init__(self, code: str, message: str, at: Expr, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.start, self.end, self.help = code, message, at.start, at.end, help


class Silenced(Exception):
    """The value hangs on something already reported."""


class OperatorValue(msgspec.Struct, frozen=True, eq=False):
    """An operator or block given as an argument: `act=relu`, `"group_norm 32"`. `text` is what was written."""

    text: str
    scope: Scope
    at: Expr

    @property
    def plain(self) -> bool:
        return self.text.isidentifier()


class Context(msgspec.Struct, frozen=True, eq=False):
    """What an expression may see. words: the words of the attribute it is for; operators: names of operators and blocks
    that may be given as values; symbols: unknown single letters become symbolic sizes."""

    scope: Scope
    domain: Domain
    words: tuple[str, ...] = ()
    operators: Container[str] = ()
    symbols: bool = False


def evaluate(expr: Expr, context: Context) -> Any:
    """The value of an expression: int, float, bool, str (a word), None, Dim, tuple or OperatorValue.

    Raises ExprError with the place, or Silenced.
    """
    try:
        return _EVALUATORS[type(expr)](expr, context)
    except TooComplex as error:
        raise ExprError("too-complex", str(error), expr, "bind the symbol: --bind h=7") from None
    except (OverflowError, ZeroDivisionError) as error:
        raise ExprError("bad-expression", f"{error}", expr) from None


def truth(expr: Expr, context: Context) -> bool:
    """The value of a condition."""
    value = evaluate(expr, context)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    raise ExprError("bad-expression", f"a condition is true or false, not {show(value)}", expr)


def items(expr: Expr, context: Context) -> tuple[Any, ...]:
    """The items a loop runs over: of a list, or the whole numbers of a range, both ends included."""
    value = evaluate(expr, context)
    if not isinstance(value, tuple):
        raise ExprError("bad-expression", f"a loop runs over a list or a range such as 1..4, not {show(value)}", expr)
    return value


def texts(parts: tuple[str | Expr, ...], context: Context) -> list[str]:
    """A name or reference with its holes filled; a hole that holds a list makes one text per item."""
    if len(parts) == 1 and isinstance(parts[0], str):
        return [parts[0]]
    choices = [(part,) if isinstance(part, str) else _hole(part, context) for part in parts]
    return ["".join(chosen) for chosen in product(*choices)]


def _hole(expr: Expr, context: Context) -> tuple[str, ...]:
    value = evaluate(expr, context)
    return tuple(_word_of(v, expr) for v in (value if isinstance(value, tuple) else (value,)))


def _word_of(value: Any, at: Expr) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str) or (isinstance(value, int) and value < 0):
        raise ExprError("bad-expression", f"a name is built from whole numbers and words, not {show(value)}", at)
    return str(value)


def show(value: Any) -> str:
    """A value as a person would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return "(" + " ".join(show(v) for v in value) + ")"
    if isinstance(value, Dim):
        return dim_text(value)
    return value.text if isinstance(value, OperatorValue) else str(value)


def _literal(expr: Literal, context: Context) -> Any:
    if isinstance(expr.value, int) and abs(expr.value) >= LARGEST:
        raise ExprError("too-large", f"the number {str(expr.value)[:20]}… is too large", expr)
    if isinstance(expr.value, str) and expr.value not in context.words:
        return OperatorValue(expr.value, context.scope, expr)
    return expr.value


def _name(expr: Name, context: Context) -> Any:
    if expr.id in context.words:
        return expr.id
    found = context.scope.find(expr.id)
    if found is not None:
        return _bound(found[0])
    if context.symbols and len(expr.id) == 1:
        return symbol(expr.id)
    if expr.id in context.operators:
        return OperatorValue(expr.id, context.scope, expr)
    known = sorted({*context.scope.names(), *context.words})
    raise ExprError("unknown-name", f"`{expr.id}` is not known here", expr, _suggest(expr.id, known))


def _bound(binding: Binding) -> Any:
    if binding.value is ERROR:
        raise Silenced
    return binding.value


def _suggest(word: str, known: list[str]) -> str:
    from_start = [k for k in known if k[:1] == word[:1]] or known
    return f"known here: {', '.join(from_start[:12])}" if known else "nothing is named here"


def dotted(expr: Expr) -> str | None:
    """`a.b.0` of an attribute chain, or None when it is anything else."""
    if isinstance(expr, Name):
        return expr.id
    if isinstance(expr, Attribute):
        base = dotted(expr.base)
        return None if base is None else f"{base}.{expr.field}"
    return None


def _attribute(expr: Attribute, context: Context) -> Any:
    path = dotted(expr.base)
    value = None if path is None else context.scope.tensor(path)
    if value is None:
        shown = path or "this"
        raise ExprError("unknown-tensor", f"there is no tensor `{shown}` here to take `.{expr.field}` of", expr)
    return size_field(value.type, expr)


def size_field(type: Any, expr: Attribute) -> Any:
    """`.C`, `.shape` or `.rank` of a tensor type."""
    if type is ERROR:
        raise Silenced
    if expr.field == "rank":
        return type.rank
    if expr.field == "shape":
        return tuple(type.shape)
    axes = AXES.get(type.rank, "")
    if len(expr.field) != 1 or expr.field not in axes:
        known = ", ".join((*axes, "shape", "rank"))
        raise ExprError("unknown-name", f"a tensor {type} has no `{expr.field}`; it has {known}", expr)
    return type.shape[axes.index(expr.field)]


def _index(expr: Index, context: Context) -> Any:
    base, index = evaluate(expr.base, context), evaluate(expr.index, context)
    if not isinstance(base, tuple):
        raise ExprError("bad-expression", f"{show(base)} is not a list", expr.base)
    if isinstance(index, bool) or not isinstance(index, int):
        raise ExprError("bad-expression", f"an index is a whole number, not {show(index)}", expr.index)
    if not -len(base) <= index < len(base):
        raise ExprError("bad-expression", f"index {index} is outside a list of {len(base)}", expr.index)
    return base[index]


def _slice(expr: Slice, context: Context) -> Any:
    base = evaluate(expr.base, context)
    if not isinstance(base, tuple):
        raise ExprError("bad-expression", f"{show(base)} is not a list", expr.base)
    ends = [None if e is None else evaluate(e, context) for e in (expr.lower, expr.upper)]
    if any(e is not None and (isinstance(e, bool) or not isinstance(e, int)) for e in ends):
        raise ExprError("bad-expression", "the ends of a slice are whole numbers", expr)
    return base[ends[0] : ends[1]]


def _list(expr: ListExpr, context: Context) -> Any:
    return tuple(evaluate(item, context) for item in expr.items)


def _range(expr: Range, context: Context) -> Any:
    first, last = evaluate(expr.first, context), evaluate(expr.last, context)
    if not (_is_int(first) and _is_int(last)):
        raise ExprError("bad-expression", f"a range needs whole numbers, not {show(first)}..{show(last)}", expr)
    return _bounded_range(expr, first, last + 1, 1)


def _bounded_range(expr: Expr, start: int, stop: int, step: int) -> tuple[int, ...]:
    numbers = range(start, stop, step)
    if len(numbers) > LONGEST:
        raise ExprError("too-large", f"{len(numbers)} items are more than the {LONGEST} allowed", expr)
    return tuple(numbers)


def _choice(expr: Choice, context: Context) -> Any:
    return evaluate(expr.then if truth(expr.condition, context) else expr.otherwise, context)


def _unary(expr: Unary, context: Context) -> Any:
    if expr.op == "not":
        return not truth(expr.operand, context)
    value = _number(evaluate(expr.operand, context), expr.operand)
    return -value if expr.op == "-" else value


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any, at: Expr) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Dim):
        raise ExprError("bad-expression", f"{show(value)} is not a number", at)
    return value


def _binary(expr: Binary, context: Context) -> Any:
    if expr.op == "and":
        return truth(expr.left, context) and truth(expr.right, context)
    if expr.op == "or":
        return truth(expr.left, context) or truth(expr.right, context)
    left, right = evaluate(expr.left, context), evaluate(expr.right, context)
    if expr.op in _COMPARISONS:
        return _COMPARISONS[expr.op](left, right, expr, context)
    if expr.op == "+" and isinstance(left, tuple) and isinstance(right, tuple):
        return _short(left + right, expr)
    if expr.op == "*" and isinstance(left, tuple) and _is_int(right):
        return _short(left * min(right, LONGEST + 1), expr) if left else left
    result = _ARITHMETIC[expr.op](_number(left, expr.left), _number(right, expr.right), expr)
    return _finite(result, expr)


def _short(value: tuple[Any, ...], at: Expr) -> tuple[Any, ...]:
    if len(value) > LONGEST:
        raise ExprError("too-large", f"a list of more than {LONGEST} items", at)
    return value


def _finite(value: Any, at: Expr) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ExprError("too-large", "the result is not a finite number", at)
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise ExprError("too-large", "the result is too large", at)
    return value


def _no_float_dims(left: Any, right: Any, at: Expr) -> None:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Dim) and isinstance(other, float):
            raise ExprError("bad-expression", f"{show(one)} is a size and {other} is not a whole number", at)


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
            raise ExprError("bad-expression", f"{show(left)} / {show(right)} does not divide exactly", at, "use // to round down")
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
            raise ExprError("bad-expression", f"cannot divide by {show(right)}", at)
        return function(left, right)

    return run


def _power(left: Any, right: Any, at: Expr) -> Any:
    if isinstance(right, Dim) or (isinstance(left, Dim) and not (_is_int(right) and 0 <= right <= 8)):
        raise ExprError("bad-expression", f"cannot raise {show(left)} to {show(right)}", at)
    if isinstance(left, Dim):
        return math.prod([left] * right)
    if abs(right) > 1024 or (_is_int(left) and right > 0 and left.bit_length() * right > 80):
        raise ExprError("too-large", "the power is too large", at)
    result = left**right
    if isinstance(result, complex):
        raise ExprError("bad-expression", "the power of a negative number is not a real number", at)
    return result


_ARITHMETIC: dict[str, Callable[[Any, Any, Expr], Any]] = {
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
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, OperatorValue) or isinstance(right, OperatorValue):
        return show(left) == show(right)
    return bool(left == right)


def _less(left: Any, right: Any, at: Binary, context: Context) -> bool:
    left, right = _number(left, at.left), _number(right, at.right)
    if not isinstance(left, Dim) and not isinstance(right, Dim):
        return bool(left < right)
    _no_float_dims(left, right, at)
    if at_least(right - left, 1, context.domain).holds:
        return True
    if at_least(left - right, 0, context.domain).holds:
        return False
    raise ExprError("too-complex", f"whether {show(left)} < {show(right)} depends on the input's size", at, "bind it: --bind h=7")


def _contains(left: Any, right: Any, at: Binary, context: Context) -> bool:
    if not isinstance(right, tuple):
        raise ExprError("bad-expression", f"{show(right)} is not a list", at.right)
    return any(same(left, item) for item in right)


_COMPARISONS: dict[str, Callable[[Any, Any, Binary, Context], bool]] = {
    "==": lambda a, b, at, c: same(a, b),
    "!=": lambda a, b, at, c: not same(a, b),
    "<": _less,
    ">": lambda a, b, at, c: _less(b, a, at, c),
    "<=": lambda a, b, at, c: not _less(b, a, at, c),
    ">=": lambda a, b, at, c: not _less(a, b, at, c),
    "in": _contains,
}


def _function(expr: Function, context: Context) -> Any:
    arguments = [evaluate(a, context) for a in expr.arguments]
    wanted, run = FUNCTIONS[expr.name]
    if not wanted[0] <= len(arguments) <= wanted[1]:
        raise ExprError("bad-expression", f"`{expr.name}` takes {wanted[0]} to {wanted[1]} arguments, not {len(arguments)}", expr)
    return _finite(run(arguments, expr, context), expr)


def _rounder(function: Callable[[float], int]) -> Callable[[list[Any], Function, Context], Any]:
    def run(arguments: list[Any], expr: Function, context: Context) -> Any:
        value = _number(arguments[0], expr)
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
            best = value if _less(*pair, at, context) else best
        return _number(best, expr)

    return run


def _sum(arguments: list[Any], expr: Function, context: Context) -> Any:
    if not isinstance(arguments[0], tuple):
        raise ExprError("bad-expression", "`sum` takes a list", expr)
    total: Any = 0
    for value in arguments[0]:
        total = total + _number(value, expr)
    return total


def _real(function: Callable[[float], float]) -> Callable[[list[Any], Function, Context], Any]:
    def run(arguments: list[Any], expr: Function, context: Context) -> Any:
        value = arguments[0]
        if isinstance(value, Dim) or _number(value, expr) < 0 or (expr.name == "log2" and value == 0):
            raise ExprError("bad-expression", f"`{expr.name}` of {show(value)} is not a real number", expr)
        result = function(value)
        return int(result) if result.is_integer() else result

    return run


def _len(arguments: list[Any], expr: Function, context: Context) -> Any:
    if not isinstance(arguments[0], tuple):
        raise ExprError("bad-expression", "`len` takes a list", expr)
    return len(arguments[0])


def _range_function(arguments: list[Any], expr: Function, context: Context) -> Any:
    if not all(map(_is_int, arguments)) or (len(arguments) == 3 and arguments[2] == 0):
        raise ExprError("bad-expression", "`range` takes whole numbers and a step other than 0", expr)
    made = range(*arguments)
    return _bounded_range(expr, made.start, made.stop, made.step)


def _make_divisible(arguments: list[Any], expr: Function, context: Context) -> Any:
    """The channel rounding of MobileNet: nearest multiple of `divisor`, never under 90 % of the value."""
    value, divisor = arguments[0], arguments[1] if len(arguments) > 1 else 8
    if any(isinstance(a, bool) or not isinstance(a, int | float) for a in arguments) or not divisor > 0:
        raise ExprError("bad-expression", "`make_divisible` takes a number and a divisor", expr)
    least = arguments[2] if len(arguments) > 2 else divisor
    rounded = max(least, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def _abs(arguments: list[Any], expr: Function, context: Context) -> Any:
    value = _number(arguments[0], expr)
    if isinstance(value, Dim):
        raise ExprError("bad-expression", f"`abs` of {show(value)} depends on the input's size", expr)
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


def _tensor_ref(expr: TensorRef, context: Context) -> Any:
    raise ExprError("bad-expression", "a tensor stands only behind `of=` and `like=`, or by itself as an input", expr)


_EVALUATORS: dict[type[Expr], Callable[[Any, Context], Any]] = {
    Literal: _literal,
    Name: _name,
    Attribute: _attribute,
    Index: _index,
    Slice: _slice,
    ListExpr: _list,
    Range: _range,
    Choice: _choice,
    Unary: _unary,
    Binary: _binary,
    Function: _function,
    TensorRef: _tensor_ref,
}


def size_or_error(value: Any, at: Expr) -> Size:
    """A size given in an input's shape: a whole number of at least 0, or symbolic."""
    if isinstance(value, Dim):
        return value
    if _is_int(value) and 0 <= value < 2**40:
        return int(value)
    raise ExprError("bad-argument", f"a size is a whole number or a symbol, not {show(value)}", at)
