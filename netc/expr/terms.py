"""Expressions as terms over plain names: taken apart, put together, simplified, and evaluated as Python would.

A term is an expression without places, tensors or sizes: generated code says its numbers by terms.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netc.expr.tree import (
    Binary,
    Choice,
    Expr,
    Function,
    Index,
    ListExpr,
    Literal,
    Name,
    Slice,
    Unary,
    parts_of,
    with_parts,
)


class NoValue(Exception):
    """A term that has no value for these names."""


def lit(value: Any) -> Literal:
    """A value as a term."""
    return Literal(value=value)


ZERO, ONE = lit(0), lit(1)


def is_plain(value: Any) -> bool:
    """Whether Python prints the value as a literal: numbers, words, booleans, None and tuples of these."""
    if value is None or isinstance(value, (int, str)):
        return True
    if isinstance(value, tuple):
        return all(map(is_plain, value))
    return isinstance(value, float) and not math.isnan(value)


def rebuilt(term: Expr, inner: Sequence[Expr]) -> Expr:
    """The same term with other terms inside, folded."""
    if isinstance(term, Binary):
        return folded(Binary(op=term.op, left=inner[0], right=inner[1]))
    return folded(with_parts(term, inner))


def cost(term: Expr) -> int:
    """Nodes of the term."""
    parts = parts_of(term)
    return 1 + sum(map(cost, parts)) if parts else 1


def has_choice(term: Expr) -> bool:
    """Whether there is an `a if b else c` in the term."""
    if isinstance(term, Choice):
        return True
    parts = parts_of(term)
    return bool(parts) and any(map(has_choice, parts))


def substitute(term: Expr, said: Callable[[str], Expr | None]) -> Expr | None:
    """The term with every name replaced, or None where one has no replacement."""
    if isinstance(term, Name):
        replacement = said(term.id)
        return term if replacement == term else replacement
    before = parts_of(term)
    if not before:
        return term
    inner: list[Expr] = []
    for part in before:
        found = substitute(part, said)
        if found is None:
            return None
        inner.append(found)
    return term if all(map(operator.is_, inner, before)) else rebuilt(term, inner)


def rewritten(term: Expr, rule: Callable[[Expr, Expr], Expr]) -> Expr:
    """The term from the inside out: the rule is given each part as it was, and as it is with its parts rewritten."""
    before = parts_of(term)
    if not before:
        return rule(term, term)
    inner = [rewritten(part, rule) for part in before]
    return rule(term, term if all(map(operator.is_, inner, before)) else rebuilt(term, inner))


def folded(term: Expr) -> Expr:
    """The literal that a term without names is, the branch that a literal decides for, else the term."""
    if isinstance(term, Choice) and isinstance(term.condition, Literal):
        return term.then if term.condition.value else term.otherwise
    inner = parts_of(term)
    if not inner:
        return term
    if not all(isinstance(part, Literal) for part in inner):
        return _neutral(term) if isinstance(term, Binary) else term
    if isinstance(term, Function) and term.name in ("sqrt", "log2"):
        return term
    try:
        value = evaluate(term, {})
    except NoValue:
        return term
    return lit(value) if is_plain(value) else term


def _neutral(term: Binary) -> Expr:
    """`2 * (4 * width)`, `width * 1` and `width + 0`, which terms put into terms leave behind, simplified where the
    result stays the same number of the same kind."""
    match term:
        case Binary(op="*", left=Literal(value=int(a)), right=Binary(op="*", left=Literal(value=int(b)), right=other)):
            return Binary(op="*", left=lit(a * b), right=other)
        case Binary(op="*", left=Literal(value=int(a)), right=Binary(op="*", left=other, right=Literal(value=int(b)))):
            return Binary(op="*", left=lit(a * b), right=other)
        case Binary(op="and" | "or" as op, left=left, right=Literal(value=bool(known))) if _is_condition(left):
            return left if known is (op == "and") else lit(known)
        case Binary(op="and" | "or" as op, left=Literal(value=bool(known)), right=right):
            return right if known is (op == "and") else lit(known)
        case Binary(op="*" | "+" as op, left=left, right=right):
            unit = ONE if op == "*" else ZERO
            return left if right == unit else right if left == unit else term
        case Binary(op="-", left=left, right=right) if right == ZERO:
            return left
    return term


def _is_condition(term: Expr) -> bool:
    """Whether a term is true or false."""
    match term:
        case Binary(op="and" | "or", left=left, right=right):
            return _is_condition(left) and _is_condition(right)
        case Binary(op=op):
            return op in ("==", "!=", "<", "<=", ">", ">=", "in")
    return isinstance(term, Unary) and term.op == "not"


def settled(term: Expr, env: Mapping[str, Any]) -> Expr:
    """The term with the branch taken for every `a if b == none else c`."""

    def rule(before: Expr, pattern: Expr) -> Expr:
        match before, pattern:
            case Choice(condition=asked), Choice(then=then, otherwise=otherwise) if is_compared_with_none(asked):
                try:
                    return then if evaluate(asked, env) else otherwise
                except NoValue:
                    return pattern
        return pattern

    return rewritten(term, rule)


def is_compared_with_none(term: Expr) -> bool:
    return isinstance(term, Binary) and term.op in ("==", "!=") and lit(None) in (term.left, term.right)


def make_divisible(value: float, divisor: int = 8, least: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, never more than 10 % below it."""
    floor = divisor if least is None else least
    near = max(floor, int(value + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * value else near


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "len": len,
    "sum": sum,
    "floor": math.floor,
    "ceil": math.ceil,
    "sqrt": math.sqrt,
    "log2": math.log2,
    "range": lambda *bounds: tuple(range(*bounds)),
    "make_divisible": make_divisible,
}
"""What the functions of the language are in Python."""

OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda a, b: a in b,
}


def evaluate(term: Expr, env: Mapping[str, Any]) -> Any:
    """What Python makes of the term for these names. Raises NoValue where there is nothing."""
    try:
        return _value(term, env)
    except (ArithmeticError, TypeError, LookupError, ValueError) as problem:
        raise NoValue(str(problem)) from problem


def _value(term: Expr, env: Mapping[str, Any]) -> Any:
    if isinstance(term, Literal):
        return term.value
    if isinstance(term, Name):
        return env[term.id]
    match term:
        case Binary(op="and", left=left, right=right):
            return _value(left, env) and _value(right, env)
        case Binary(op="or", left=left, right=right):
            return _value(left, env) or _value(right, env)
        case Binary(op=op, left=left, right=right):
            return _binary(op, _value(left, env), _value(right, env))
        case Unary(op="not", operand=operand):
            return not _value(operand, env)
        case Unary(op=op, operand=operand):
            value = _value(operand, env)
            return -value if op == "-" else +value
        case Choice(then=then, condition=condition, otherwise=otherwise):
            return _value(then if _value(condition, env) else otherwise, env)
        case Function(name=name, arguments=arguments):
            return FUNCTIONS[name](*(_value(a, env) for a in arguments))
        case Index(base=base, index=index):
            return _value(base, env)[_value(index, env)]
        case Slice(base=base, lower=lower, upper=upper):
            bounds = [None if bound is None else _value(bound, env) for bound in (lower, upper)]
            return _value(base, env)[slice(*bounds)]
        case ListExpr(items=items):
            return tuple(_value(item, env) for item in items)
    raise TypeError(term)


def _binary(op: str, left: Any, right: Any) -> Any:
    if op == "**" and isinstance(right, int) and abs(right) > 64:
        raise OverflowError("a power too large to compute")
    if op == "*" and isinstance(left, tuple) != isinstance(right, tuple):
        raise TypeError("a list times a number")
    return OPERATORS[op](left, right)


Linear = dict[Expr | None, int]
"""A sum of multiples: whole coefficients by term; None is the constant."""


def linear(term: Expr) -> Linear | None:
    """The term as a sum of multiples, or None where it is none."""
    match term:
        case Literal(value=int(value)) if not isinstance(value, bool):
            return {None: value} if value else {}
        case Literal():
            return None
        case Binary(op="+" | "-" as op, left=left, right=right):
            return combined(linear(left), linear(right), 1 if op == "+" else -1)
        case Binary(op="*", left=left, right=right):
            scaled = _scaled(linear(left), linear(right))
            return {term: 1} if scaled is None else scaled
        case Unary(op="-", operand=operand):
            return combined({}, linear(operand), -1)
    return {term: 1}


def combined(a: Linear | None, b: Linear | None, sign: int) -> Linear | None:
    """`a + sign·b`"""
    if a is None or b is None:
        return None
    total = dict(a)
    for term, factor in b.items():
        total[term] = total.get(term, 0) + sign * factor
    return {term: factor for term, factor in total.items() if factor}


def _scaled(a: Linear | None, b: Linear | None) -> Linear | None:
    for one, other in ((a, b), (b, a)):
        if one is not None and other is not None and set(one) <= {None}:
            factor = one.get(None, 0)
            return {term: f * factor for term, f in other.items() if f * factor}
    return None


def _times(factor: int, term: Expr) -> Expr:
    """`4 * wide * width`: the factor first."""
    if factor == 1:
        return term
    if isinstance(term, Binary) and term.op == "*":
        return Binary(op="*", left=_times(factor, term.left), right=term.right)
    return Binary(op="*", left=lit(factor), right=term)


def from_linear(terms: Linear) -> Expr:
    """`in_channels + 2 * growth - 1`: terms in order, the constant last."""
    result: Expr | None = None
    for term, factor in sorted(terms.items(), key=lambda item: (item[0] is None, item[1] < 0)):
        size = abs(factor)
        one = lit(size) if term is None else _times(size, term)
        if result is None:
            result = one if factor > 0 else lit(factor) if term is None else Unary(op="-", operand=one)
        else:
            result = Binary(op="+" if factor > 0 else "-", left=result, right=one)
    return lit(0) if result is None else result
