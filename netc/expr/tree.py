"""The tree of an expression. Spans are character offsets into the source the expression was read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

CHOICE, OR, AND, NOT, COMPARISON, RANGE, SUM, PRODUCT, SIGN, POWER, ATOM = range(1, 12)
PRECEDENCE: Mapping[str, int] = {
    "or": OR,
    "and": AND,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), COMPARISON),
    **dict.fromkeys(("+", "-"), SUM),
    **dict.fromkeys(("*", "/", "//", "%"), PRODUCT),
    "**": POWER,
}
"""How tightly operators of two sides bind."""


class Expr(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all expression nodes; `start:end` are offsets into the source text (0:0 when synthetic). Nodes compare by
    structure and place."""

    start: int = 0
    end: int = 0


class Literal(Expr, frozen=True, eq=False):
    """int, float, bool, None (`none`) or a quoted str; in terms that were folded a tuple, or what a backend makes of an
    operator. 1, 1.0 and true are different texts, and different literals."""

    value: Any

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Literal) or self.start != other.start or self.end != other.end:
            return False
        one, two = self.value, other.value
        alike = one is two or (type(one) is type(two) and one == two)
        return alike and (not isinstance(one, tuple) or repr(one) == repr(two))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.value, self.start, self.end))


class Name(Expr, frozen=True):
    """A bare word: an argument, a let, a loop variable, a symbol, a word of an operator, an operator's name."""

    id: str


class Attribute(Expr, frozen=True):
    """`in.C`, `conv1.H`, `t.shape`, `t.rank`, `x.C`, `enc1.conv.C`: base (Name or Attribute) and a field."""

    base: Expr
    field: str


class Index(Expr, frozen=True):
    base: Expr
    index: Expr


class Slice(Expr, frozen=True):
    base: Expr
    lower: Expr | None
    upper: Expr | None


class Unary(Expr, frozen=True):
    """op: `-`, `+`, `not`."""

    op: str
    operand: Expr


class Binary(Expr, frozen=True):
    """op: `+ - * / // % **`, `and`, `or`, and the comparisons `== != < <= > >= in`."""

    op: str
    left: Expr
    right: Expr


class Choice(Expr, frozen=True):
    """`then if condition else otherwise`"""

    then: Expr
    condition: Expr
    otherwise: Expr


class Function(Expr, frozen=True):
    """`ceil(2*depth)`: one of the known functions."""

    name: str
    arguments: tuple[Expr, ...]


class ListExpr(Expr, frozen=True):
    """`(1 7)`, `[1, 7]`: two items or more, or none; one item in parentheses is the item."""

    items: tuple[Expr, ...]


class Comprehension(Expr, frozen=True):
    """`(8*i for i in 1..4 if i != 2)`: `item` for every row of `iterable` (a list or a Range) that `condition` keeps;
    several names take rows apart, as in a loop."""

    item: Expr
    names: tuple[str, ...]
    iterable: Expr
    condition: Expr | None = None


class Range(Expr, frozen=True):
    """`1..4`, both ends included; `1..0` is empty. Only as what loops and comprehensions run over, or in `$(2..6)`."""

    first: Expr
    last: Expr


class TensorRef(Expr, frozen=True):
    """`@stem.0`, `@p$i`, `@p$(2..6).scores`, `@convs.*`: literal texts and holes in order.

    A hole is the expression behind `$`; a hole that evaluates to a list makes several references.
    `@layer$i.conv` has parts ("layer", Name("i"), ".conv").
    """

    parts: tuple[str | Expr, ...]


_PARTS: Mapping[type[Expr], Callable[[Any], tuple[Expr, ...]]] = {
    Attribute: lambda expr: (expr.base,),
    Index: attrgetter("base", "index"),
    Slice: lambda expr: (expr.base, *(bound for bound in (expr.lower, expr.upper) if bound is not None)),
    Unary: lambda expr: (expr.operand,),
    Binary: attrgetter("left", "right"),
    Choice: attrgetter("then", "condition", "otherwise"),
    Function: attrgetter("arguments"),
    ListExpr: attrgetter("items"),
    Comprehension: lambda e: (e.item, e.iterable) if e.condition is None else (e.item, e.iterable, e.condition),
    Range: attrgetter("first", "last"),
    TensorRef: lambda expr: tuple(part for part in expr.parts if isinstance(part, Expr)),
}


def parts_of(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside an expression."""
    children = _PARTS.get(type(expr))
    return () if children is None else children(expr)


def with_parts(expr: Expr, parts: Sequence[Expr]) -> Expr:
    """The expression with others in the places of its `parts_of`."""
    rest = iter(parts)

    def put(value: Any) -> Any:
        return next(rest) if isinstance(value, Expr) else tuple(map(put, value)) if isinstance(value, tuple) else value

    names = [name for name in expr.__struct_fields__ if isinstance(getattr(expr, name), Expr | tuple)]
    return msgspec.structs.replace(expr, **{name: put(getattr(expr, name)) for name in names})


def walk(expr: Expr) -> Iterator[Expr]:
    """An expression and all inside it."""
    waiting = [expr]
    while waiting:
        part = waiting.pop()
        yield part
        waiting.extend(parts_of(part))


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


def dotted(expr: Expr) -> str | None:
    """`a.b.0` of an attribute chain, or None when it is anything else."""
    if isinstance(expr, Name):
        return expr.id
    if isinstance(expr, Attribute):
        base = dotted(expr.base)
        return None if base is None else f"{base}.{expr.field}"
    return None


_NO_NAMES: frozenset[str] = frozenset()


def names_in(expr: Expr) -> frozenset[str]:
    """All bare names of an expression."""
    if isinstance(expr, Literal):
        return _NO_NAMES
    names, waiting = set(), [expr]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Name):
            names.add(part.id)
        elif isinstance(part, Comprehension):
            names.update(*map(names_in, parts_of(part)))
            names.difference_update(part.names)
        else:
            waiting.extend(parts_of(part))
    return frozenset(names)


def makes_rows(expr: Expr) -> bool:
    """Whether an expression holds a comprehension, `zip` or `enumerate`: what it comes to is said as a list."""
    return any(
        isinstance(part, Comprehension) or (isinstance(part, Function) and part.name in ("zip", "enumerate"))
        for part in walk(expr)
    )


def tensors_in(expr: Expr) -> set[str]:
    """The first words of all dotted names: `in` of `in.C`."""
    if isinstance(expr, Attribute):
        base = expr.base
        while isinstance(base, Attribute):
            base = base.base
        return {base.id} if isinstance(base, Name) else tensors_in(base)
    return set().union(*map(tensors_in, parts_of(expr)))
