"""Names and what they stand for. A scope never changes once an expression has been read in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

import msgspec

from netc.expr.tree import Attribute, Comprehension, Expr, ListExpr, Name, TensorRef, makes_rows, parts_of

Kind = Literal["argument", "let", "loop", "symbol"]


class Binding(msgspec.Struct, frozen=True, eq=False):
    """What a name stands for.

    value: the evaluated value. kind `argument`: a constructor argument of the definition that owns `scope`
    (said by its caller elsewhere); `let`: `said` is its defining expression; `loop`: position `index` of `count`;
    `symbol`: a symbolic size.
    """

    kind: Kind
    value: Any
    said: Provenance | None = None
    index: int = 0
    count: int = 0


class TensorLookup(Protocol):
    """Answers the dotted name of a tensor with its IR value, or None."""

    def get(self, path: str, /) -> Any: ...


class Scope:
    """A chain of name tables. `owner` is the Definition whose arguments live here (a file or a block), else None.

    `tensors` answers the dotted names of tensors (`in`, `x`, `conv1`, `enc1.conv`) with their IR value.
    """

    __slots__ = ("bindings", "owner", "parent", "tensors")

    def __init__(
        self,
        parent: Scope | None,
        bindings: Mapping[str, Binding],
        owner: Any = None,
        tensors: TensorLookup | None = None,
    ) -> None:
        self.parent = parent
        self.bindings = dict(bindings)
        self.owner = owner
        self.tensors = tensors

    def find(self, name: str) -> tuple[Binding, Scope] | None:
        """The binding of a name and the scope it lives in."""
        scope: Scope | None = self
        while scope is not None:
            binding = scope.bindings.get(name)
            if binding is not None:
                return binding, scope
            scope = scope.parent
        return None

    def tensor(self, path: str) -> Any:
        """The IR value a dotted name means here, or None."""
        scope: Scope | None = self
        while scope is not None:
            if scope.tensors is not None:
                value = scope.tensors.get(path)
                if value is not None:
                    return value
            scope = scope.parent
        return None

    def names(self) -> list[str]:
        """Every name visible here, nearest first."""
        scope: Scope | None = self
        names: list[str] = []
        while scope is not None:
            names.extend(scope.bindings)
            scope = scope.parent
        return names


class Provenance(msgspec.Struct, frozen=True, eq=False):
    """How a number was written: the author's expression, and the scope its names have there."""

    expr: Expr
    scope: Scope


def how_said(expr: Expr, scope: Scope) -> Provenance:
    """How a number was written. What makes lists of rows is not said again: a tensor's name, which is no number, stands
    for it beside everything that it depends on."""
    if makes_rows(expr):
        unsayable = TensorRef(parts=(), start=expr.start, end=expr.end)
        expr = ListExpr(items=(unsayable, *_depends(expr, frozenset())), start=expr.start, end=expr.end)
    return Provenance(expr, scope)


def _depends(expr: Expr, own: frozenset[str]) -> Iterator[Expr]:
    """The names and sizes in an expression, without the variables of its comprehensions."""
    if isinstance(expr, Attribute) or (isinstance(expr, Name) and expr.id not in own):
        yield expr
    elif not isinstance(expr, Name):
        inner = own.union(expr.names) if isinstance(expr, Comprehension) else own
        for part in parts_of(expr):
            yield from _depends(part, inner)
