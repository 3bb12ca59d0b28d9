"""The tree of an expression. Spans are character offsets into the source the expression was read from."""

from __future__ import annotations

import msgspec


class Expr(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Base of all expression nodes; `start:end` are offsets into the source text (0:0 when synthetic)."""

    start: int = 0
    end: int = 0


class Literal(Expr, frozen=True, eq=False):
    """int, float, bool, None (`none`) or a quoted str."""

    value: int | float | bool | str | None


class Name(Expr, frozen=True, eq=False):
    """A bare word: an argument, a let, a loop variable, a symbol, a word of an operator, an operator's name."""

    id: str


class Attribute(Expr, frozen=True, eq=False):
    """`in.C`, `conv1.H`, `t.shape`, `t.rank`, `x.C`, `enc1.conv.C`: base (Name or Attribute) and a field."""

    base: Expr
    field: str


class Index(Expr, frozen=True, eq=False):
    base: Expr
    index: Expr


class Slice(Expr, frozen=True, eq=False):
    base: Expr
    lower: Expr | None
    upper: Expr | None


class Unary(Expr, frozen=True, eq=False):
    """op: `-`, `+`, `not`."""

    op: str
    operand: Expr


class Binary(Expr, frozen=True, eq=False):
    """op: `+ - * / // % **`, `and`, `or`, and the comparisons `== != < <= > >= in`."""

    op: str
    left: Expr
    right: Expr


class Choice(Expr, frozen=True, eq=False):
    """`then if condition else otherwise`"""

    then: Expr
    condition: Expr
    otherwise: Expr


class Function(Expr, frozen=True, eq=False):
    """`ceil(2*depth)`: one of the known functions."""

    name: str
    arguments: tuple[Expr, ...]


class ListExpr(Expr, frozen=True, eq=False):
    """`(1 7)`, `[1, 7]`: two items or more, or none; one item in parentheses is the item."""

    items: tuple[Expr, ...]


class Range(Expr, frozen=True, eq=False):
    """`1..4`, both ends included; `1..0` is empty. Only as the iterable of a loop or in `$(2..6)`."""

    first: Expr
    last: Expr


class TensorRef(Expr, frozen=True, eq=False):
    """`@stem.0`, `@p$i`, `@p$(2..6).scores`, `@convs.*`: literal texts and holes in order.

    A hole is the expression behind `$`; a hole that evaluates to a list makes several references.
    `@layer$i.conv` has parts ("layer", Name("i"), ".conv").
    """

    parts: tuple[str | Expr, ...]


def spelled(expr: Expr) -> str:
    """A word as it is written, `nearest`, `nearest-exact` or `-inf`; "" for what is no word."""
    match expr:
        case Name(id=word):
            return word
        case Unary(op="-", operand=Name(id=word)):
            return f"-{word}"
        case Binary(op="-", left=Name(id=first), right=Name(id=second)):
            return f"{first}-{second}"
    return ""


def names_in(expr: Expr) -> set[str]:
    """All bare names of an expression."""
    if isinstance(expr, Name):
        return {expr.id}
    fields = (getattr(expr, field) for field in expr.__struct_fields__)
    parts = (part for field in fields for part in (field if isinstance(field, tuple) else (field,)))
    return set().union(*(names_in(part) for part in parts if isinstance(part, Expr)))


def tensors_in(expr: Expr) -> set[str]:
    """The first words of all dotted names: `in` of `in.C`."""
    if isinstance(expr, Attribute):
        base = expr.base
        while isinstance(base, Attribute):
            base = base.base
        return {base.id} if isinstance(base, Name) else tensors_in(base)
    fields = (getattr(expr, field) for field in expr.__struct_fields__)
    parts = (part for field in fields for part in (field if isinstance(field, tuple) else (field,)))
    return set().union(*(tensors_in(part) for part in parts if isinstance(part, Expr)))
