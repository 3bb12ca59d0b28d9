"""Terms, values and templates as Python: the one place that knows how tightly things bind."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from netc.backends.pytorch.tree import Dtype, Factory
from netc.expr.terms import lit
from netc.expr.tree import (
    ATOM,
    CHOICE,
    COMPARISON,
    NOT,
    OR,
    POWER,
    PRECEDENCE,
    PRODUCT,
    SIGN,
    SUM,
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
)

LEVELS = {"atom": ATOM, "unary": SIGN, "product": PRODUCT, "sum": SUM, "comparison": COMPARISON}
"""How tightly the templates of operators bind."""
_TURNED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
"""Comparisons by which side the number is on: people write it last."""
MATH = frozenset(("floor", "ceil", "sqrt", "log2"))
"""Functions of the language that Python has in `math`."""


class Code(msgspec.Struct, frozen=True):
    """An expression as text, and how tightly it binds."""

    text: str
    level: int = ATOM

    def within(self, level: int) -> str:
        """The text where something that binds like `level` stands around it."""
        return self.text if self.level >= level else f"({self.text})"


def said(term: Expr, name: Callable[[str], str], *, squares: bool = True) -> Code:
    """A term as ruff lays it out; `name` is the text of a name. Without `squares`, `x**2` is `x * x`: TorchScript makes
    a float of a power of integers."""

    def at(inner: Expr, level: int) -> str:
        return said(inner, name, squares=squares).within(level)

    match term:
        case Literal(value=value):
            negative = isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < 0
            return Code(literal(value), SIGN if negative else ATOM)
        case Name(id=known):
            return Code(name(known))
        case Binary(op="**", left=left, right=Literal(value=2)) if not squares:
            return Code(f"{at(left, ATOM)} * {at(left, ATOM)}", PRODUCT)
        case Binary(op="**", left=left, right=right):
            tight = "" if _is_simple(left) and _is_simple(right) else " "
            return Code(f"{at(left, ATOM)}{tight}**{tight}{at(right, SIGN)}", POWER)
        case Binary(op="==" | "!=" as op, left=left, right=Literal(value=None)):
            return Code(f"{at(left, SUM)} is {'' if op == '==' else 'not '}None", COMPARISON)
        case Binary(op=op, left=Literal() as left, right=right) if op in _TURNED and not isinstance(right, Literal):
            return said(Binary(op=_TURNED[op], left=right, right=left), name, squares=squares)
        case Binary(op=op, left=left, right=right):
            level = PRECEDENCE[op]
            first = SUM if level == COMPARISON else level
            return Code(f"{at(left, first)} {op} {at(right, level + 1)}", level)
        case Unary(op="not", operand=operand):
            return Code(f"not {at(operand, NOT)}", NOT)
        case Unary(op="-", operand=Unary(op="-", operand=operand)):
            return said(operand, name, squares=squares)
        case Unary(op=op, operand=operand):
            power = isinstance(operand, Binary) and operand.op == "**"
            return Code(f"{op}{at(operand, ATOM if power else SIGN)}", SIGN)
        case Choice() if (shorter := _plainer(term)) is not term:
            return said(shorter, name, squares=squares)
        case Choice(then=then, condition=condition, otherwise=otherwise):
            return Code(f"{at(then, OR)} if {at(condition, OR)} else {at(otherwise, CHOICE)}", CHOICE)
        case Function(name=called, arguments=arguments):
            prefix = "math." if called in MATH else ""
            return Code(f"{prefix}{called}({', '.join(at(a, CHOICE) for a in arguments)})")
        case Index(base=base, index=index):
            return Code(f"{at(base, ATOM)}[{at(index, CHOICE)}]")
        case Slice(base=base, lower=lower, upper=upper):
            return Code(f"{at(base, ATOM)}[{_bounds(lower, upper, lambda bound: at(bound, CHOICE))}]")
        case ListExpr(items=items):
            return Code(_tuple([at(item, CHOICE) for item in items]))
    raise TypeError(term)


def _plainer(term: Choice) -> Expr:
    """A choice by which of two numbers is larger is `max` or `min`; of equals, these take what they are told first."""
    branches = term.then, term.otherwise
    if term.then == term.otherwise:
        return term.then
    match term.condition:
        case Binary(op="<" | "<=" | ">" | ">=" as op, left=left, right=right) if {left, right} == set(branches):
            larger = (op[0] == ">") == (left == term.then)
            return Function(name="max" if larger else "min", arguments=branches if "=" in op else branches[::-1])
    return term


def _bounds(lower: Expr | None, upper: Expr | None, at: Callable[[Expr], str]) -> str:
    lower = None if lower == lit(0) else lower
    simple = all(bound is None or isinstance(bound, Literal | Name) for bound in (lower, upper))
    left, right = ("" if bound is None else at(bound) for bound in (lower, upper))
    return f"{left}:{right}" if simple else f"{left} : {right}".strip()


def _is_simple(term: Expr) -> bool:
    return isinstance(term, Name) or (
        isinstance(term, Literal) and isinstance(term.value, int | float) and term.value >= 0
    )


def literal(value: Any) -> str:
    """A value as Python text in ruff's quotes."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return _tuple([literal(v) for v in value])
    if isinstance(value, Factory):
        given = ", ".join(f"{n}={literal(v)}" if n else literal(v) for n, v in value.arguments)
        return f"partial({value.cls}, {given})" if given else value.cls
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return f"torch.{value.name}" if isinstance(value, Dtype) else repr(value).replace("e+", "e")


def quoted(value: str) -> str:
    """A string literal in double quotes wherever ruff prefers them; everything odd is escaped."""
    printed = repr(value)
    if printed[0] == "'" and '"' not in printed:
        return f'"{printed[1:-1]}"'
    return printed


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


_SLICE = re.compile(r"(\{\w+\})?(:(\{\w+\})?)+(?=[,\]])")
_FIELD = re.compile(r"\{(\*?\w*)\}")


def filled(template: str, operands: Sequence[Code], fields: Mapping[str, Code], level: int = ATOM) -> str:
    """A template with its operands and numbers in parentheses where they bind too loosely. `{*name}` are the items of a
    list."""

    def put(match: re.Match[str]) -> str:
        field = match[1]
        if field == "*":
            return ", ".join(operand.text for operand in operands)
        operand = operands[int(field)] if field.isdigit() else fields[field]
        if template[match.end() : match.end() + 1] in (".", "["):
            return operand.within(ATOM)
        if level == ATOM:
            return operand.text
        return operand.within(level if match.start() == 0 else level + 1)

    if ":" in template:
        template = _SLICE.sub(lambda found: _spaced(found[0], fields), template)
    return _FIELD.sub(put, template)


def _spaced(bounds: str, fields: Mapping[str, Code]) -> str:
    """`{start}:{end}` as ruff lays it out: with spaces where one is more than a name or a number."""
    parts = bounds.split(":")
    if all(not part or re.fullmatch(r"-?\w+", fields[part[1:-1]].text) for part in parts):
        return bounds
    return " : ".join(parts).strip().replace(":  :", "::")
