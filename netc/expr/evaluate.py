"""Values of expressions: exact integers, symbolic sizes and a closed set of functions, all bounded."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import msgspec

from netc.budget import ITEMS, TERM, spend
from netc.diagnostics.suggest import closest
from netc.dims import TooComplex, symbol
from netc.expr.arithmetic import ARITHMETIC, COMPARISONS, same
from netc.expr.functions import FUNCTIONS
from netc.expr.scope import Binding, Scope
from netc.expr.tree import (
    Attribute,
    Binary,
    Choice,
    Comprehension,
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
    dotted,
    spelled,
)
from netc.expr.values import (
    LARGEST,
    LONGEST,
    MOST_TURNS,
    Context,
    ExprError,
    OperatorValue,
    Silenced,
    bounded_range,
    finite,
    is_int,
    number,
    short,
    size_or_error,
)
from netc.literals import literal
from netc.types import AXES, ERROR, NONE

__all__ = [
    "FUNCTIONS",
    "Context",
    "ExprError",
    "OperatorValue",
    "Silenced",
    "evaluate",
    "items",
    "same",
    "size_field",
    "size_or_error",
    "texts",
    "truth",
]


def evaluate(expr: Expr, context: Context) -> Any:
    """The value of an expression: int, float, bool, str (a word), None, Dim, tuple or OperatorValue.

    Raises ExprError with the place, or Silenced.
    """
    spend(TERM)
    if context.words and spelled(expr) in context.words:
        return spelled(expr)
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
    raise ExprError("bad-expression", f"a condition must be true or false, not {literal(value)}", expr)


def refuted(expr: Expr, context: Context) -> str:
    """A condition that does not hold, with the numbers that make it so: `142,606 == 61,706`. Of an `and` that is the
    first side that does not hold, of an `or` both."""
    if not isinstance(expr, Binary) or expr.op not in (*COMPARISONS, "and", "or"):
        return _side(expr, context)
    if expr.op == "and":
        return refuted(expr.right if truth(expr.left, context) else expr.left, context)
    said = refuted if expr.op == "or" else _side
    return f"{said(expr.left, context)} {expr.op} {said(expr.right, context)}"


def _side(expr: Expr, context: Context) -> str:
    value = evaluate(expr, context)
    return f"{value:,}" if is_int(value) else literal(value)


def items(expr: Expr, context: Context) -> tuple[Any, ...]:
    """The items a loop runs over: of a list, or the whole numbers of a range, both ends included."""
    value = evaluate(expr, context)
    if not isinstance(value, tuple):
        raise ExprError(
            "bad-expression", f"a loop runs over a list or a range such as 1..4, not {literal(value)}", expr
        )
    return value


def texts(parts: tuple[str | Expr, ...], context: Context) -> list[str]:
    """A name or reference with its holes filled; a hole that holds a list makes one text per item."""
    choices = [(part,) if isinstance(part, str) else _hole(part, context) for part in parts]
    if math.prod(map(len, choices)) > LONGEST:
        last = next(part for part in reversed(parts) if not isinstance(part, str))
        raise ExprError("too-large", f"more than {LONGEST} names", last)
    spend(math.prod(map(len, choices)))
    return ["".join(chosen) for chosen in product(*choices)]


def _hole(expr: Expr, context: Context) -> tuple[str, ...]:
    value = evaluate(expr, context)
    return tuple(_word_of(v, expr) for v in (value if isinstance(value, tuple) else (value,)))


def _word_of(value: Any, at: Expr) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str) or (isinstance(value, int) and value < 0):
        raise ExprError("bad-expression", f"a name can be built from integers and words, not from {literal(value)}", at)
    return str(value)


def _literal(expr: Literal, context: Context) -> Any:
    if isinstance(expr.value, int) and abs(expr.value) >= LARGEST:
        raise ExprError("too-large", f"the number {str(expr.value)[:20]}… is too large", expr)
    if isinstance(expr.value, str) and expr.value not in context.words:
        return OperatorValue(expr.value, context.scope, expr)
    return expr.value


def _name(expr: Name, context: Context) -> Any:
    found = context.scope.find(expr.id)
    if found is not None:
        return _bound(found[0])
    if context.symbols and len(expr.id) == 1:
        return symbol(expr.id)
    if expr.id in context.operators:
        return OperatorValue(expr.id, context.scope, expr)
    if context.scope.tensor(expr.id) is not None:
        message = f"`{expr.id}` is a tensor, but a number or a word is expected here"
        raise ExprError("unknown-name", message, expr, f"a tensor is read with @: write `@{expr.id}`", f"@{expr.id}")
    names = sorted({*context.scope.names(), *context.words})
    near = closest(expr.id, names) or closest(expr.id, context.operators)
    help = _suggest(near, expr.id, names)
    raise ExprError("unknown-name", f"`{expr.id}` is not known here", expr, help, near)


def _bound(binding: Binding) -> Any:
    if binding.value is ERROR:
        raise Silenced
    return binding.value


def _suggest(near: str | None, word: str, names: list[str]) -> str:
    if near is not None:
        return f"did you mean `{near}`?"
    from_start = [k for k in names if k[:1] == word[:1]] or names
    return (
        f"known here: {', '.join(from_start[:12])}"
        if names
        else "a value is a number, `true`, `false`, `none`, an operator, or a word in quotes"
    )


def _attribute(expr: Attribute, context: Context) -> Any:
    path = dotted(expr.base)
    value = None if path is None else context.scope.tensor(path)
    if value is None:
        message = f"there is no tensor `{path or 'this'}` here to read `.{expr.field}` from"
        if path == "x" and context.scope.tensor("in") is not None:
            help = f"`x` is what a statement reads; the input of the block is `in`: write `in.{expr.field}`"
            raise ExprError("unknown-tensor", message, expr, help, f"in.{expr.field}")
        raise ExprError("unknown-tensor", message, expr)
    return size_field(value.type, expr)


def size_field(type: Any, expr: Attribute) -> Any:
    """`.C`, `.shape` or `.rank` of a tensor type."""
    if type is ERROR:
        raise Silenced
    if type is NONE:
        raise ExprError("absent-tensor", f"`{dotted(expr.base)}` is none here and has no sizes", expr)
    if expr.field == "rank":
        return type.rank
    if expr.field == "shape":
        return tuple(type.shape)
    axes = AXES.get(type.rank, "")
    if len(expr.field) != 1 or expr.field not in axes:
        fields = ", ".join((*axes, "shape", "rank"))
        raise ExprError("unknown-name", f"a tensor {type} has no `{expr.field}`; it has {fields}", expr)
    return type.shape[axes.index(expr.field)]


def _index(expr: Index, context: Context) -> Any:
    base, index = evaluate(expr.base, context), evaluate(expr.index, context)
    if not isinstance(base, tuple):
        raise ExprError("bad-expression", f"{literal(base)} is not a list", expr.base)
    if isinstance(index, bool) or not isinstance(index, int):
        raise ExprError("bad-expression", f"an index must be an integer, not {literal(index)}", expr.index)
    if not -len(base) <= index < len(base):
        raise ExprError("bad-expression", f"index {index} is out of range for a list of {len(base)}", expr.index)
    return base[index]


def _slice(expr: Slice, context: Context) -> Any:
    base = evaluate(expr.base, context)
    if not isinstance(base, tuple):
        raise ExprError("bad-expression", f"{literal(base)} is not a list", expr.base)
    ends = [None if e is None else evaluate(e, context) for e in (expr.lower, expr.upper)]
    if any(e is not None and (isinstance(e, bool) or not isinstance(e, int)) for e in ends):
        raise ExprError("bad-expression", "the ends of a slice must be integers", expr)
    spend(len(base) // ITEMS)
    return base[ends[0] : ends[1]]


def _list(expr: ListExpr, context: Context) -> Any:
    return short(tuple(evaluate(item, context) for item in expr.items), expr)


def _range(expr: Range, context: Context) -> Any:
    first, last = evaluate(expr.first, context), evaluate(expr.last, context)
    if not (is_int(first) and is_int(last)):
        raise ExprError("bad-expression", f"a range needs integers, not {literal(first)}..{literal(last)}", expr)
    return bounded_range(expr, first, last + 1, 1)


def _comprehension(expr: Comprehension, context: Context) -> Any:
    for name in expr.names:
        if context.scope.find(name) is not None:
            raise ExprError("ambiguous-name", f"`{name}` is already in use here", expr)
    rows = items(expr.iterable, context)
    turns = context.turns * max(len(rows), 1)
    if turns > MOST_TURNS:
        raise ExprError("too-large", f"a comprehension may run over at most {MOST_TURNS:,} rows", expr)
    results = []
    for index, row in enumerate(rows):
        values = row if len(expr.names) > 1 else (row,)
        if not isinstance(values, tuple) or len(values) != len(expr.names):
            message = f"each row must have {len(expr.names)} items for `{' '.join(expr.names)}`"
            raise ExprError("bad-expression", message, expr.iterable)
        pairs = zip(expr.names, values, strict=True)
        bindings = {name: Binding("loop", value, index=index, count=len(rows)) for name, value in pairs}
        inner = msgspec.structs.replace(context, scope=Scope(context.scope, bindings), turns=turns)
        if expr.condition is None or truth(expr.condition, inner):
            results.append(evaluate(expr.item, inner))
    return short(tuple(results), expr)


def _choice(expr: Choice, context: Context) -> Any:
    return evaluate(expr.then if truth(expr.condition, context) else expr.otherwise, context)


def _unary(expr: Unary, context: Context) -> Any:
    if expr.op == "not":
        return not truth(expr.operand, context)
    value = number(evaluate(expr.operand, context), expr.operand)
    return -value if expr.op == "-" else value


def _binary(expr: Binary, context: Context) -> Any:
    if expr.op == "and":
        return truth(expr.left, context) and truth(expr.right, context)
    if expr.op == "or":
        return truth(expr.left, context) or truth(expr.right, context)
    left, right = evaluate(expr.left, context), evaluate(expr.right, context)
    if expr.op in COMPARISONS:
        return COMPARISONS[expr.op](left, right, expr, context)
    if expr.op == "+" and isinstance(left, tuple) and isinstance(right, tuple):
        return short(left + right, expr)
    if expr.op == "*" and isinstance(left, tuple) and is_int(right):
        return short(left * min(right, LONGEST // max(len(left), 1) + 1), expr)
    result = ARITHMETIC[expr.op](number(left, expr.left), number(right, expr.right), expr)
    return finite(result, expr)


def _function(expr: Function, context: Context) -> Any:
    arguments = [evaluate(a, context) for a in expr.arguments]
    wanted, run = FUNCTIONS[expr.name]
    if not wanted[0] <= len(arguments) <= wanted[1]:
        raise ExprError(
            "bad-expression", f"`{expr.name}` takes {wanted[0]} to {wanted[1]} arguments, not {len(arguments)}", expr
        )
    return finite(run(arguments, expr, context), expr)


def _tensor_ref(expr: TensorRef, context: Context) -> Any:
    raise ExprError("bad-expression", "a tensor can only be an input or the value of an argument such as `like=`", expr)


_EVALUATORS: dict[type[Expr], Callable[[Any, Context], Any]] = {
    Literal: _literal,
    Name: _name,
    Attribute: _attribute,
    Index: _index,
    Slice: _slice,
    ListExpr: _list,
    Comprehension: _comprehension,
    Range: _range,
    Choice: _choice,
    Unary: _unary,
    Binary: _binary,
    Function: _function,
    TensorRef: _tensor_ref,
}
