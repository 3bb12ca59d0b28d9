"""Checks of what a whole network costs and sees: `parameters == 61706`, `macs < 1e9`, `conv5.field == 73`.

They are a file's own and hold of its network, so they are looked at when that is complete, and not where the file is
imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from netc.budget import OPERATOR, spend
from netc.diagnostics.suggest import closest
from netc.dims import Size
from netc.expr.evaluate import ExprError
from netc.expr.scope import Scope
from netc.expr.tree import Attribute, Expr, Literal, Name, dotted, parts_of, with_parts
from netc.ir.flat import Flat, Wire, is_within
from netc.ir.model import Network
from netc.passes.cost import Cost, Work, costs, total
from netc.passes.receptive_field import Field, receptive_fields
from netc.syntax.ast import Check

COUNTS = ("parameters", "trainable", "macs", "memory")
SEEN = ("field", "step")


def is_budget(expr: Expr, scope: Scope) -> bool:
    """Whether an expression asks for what only the whole network says. An argument of that name comes first."""
    if isinstance(expr, Name):
        return expr.id in COUNTS and scope.find(expr.id) is None
    if isinstance(expr, Attribute):
        return expr.field in COUNTS or expr.field in SEEN
    return any(is_budget(part, scope) for part in parts_of(expr))


class Budgets:
    """What checks may ask of a network. `known` as for `costs`."""

    def __init__(self, network: Network, flat: Flat, scope: Scope, cache: dict[Any, Work] | None = None) -> None:
        self._flat = flat
        self._scope = scope
        spend(OPERATOR * len(flat.nodes))
        self._costs = costs(network, flat, cache)

    @cached_property
    def total(self) -> Cost:
        """The cost of the whole network."""
        return total(self._costs)

    @cached_property
    def fields(self) -> Mapping[Wire, Field | None]:
        """What every tensor sees."""
        return receptive_fields(self._flat)

    def told(self, check: Check) -> Check:
        """The check with numbers in place of what it asks for. Raises ExprError."""
        message = tuple(part if isinstance(part, str) else self.filled(part) for part in check.message)
        return replace(check, that=self.filled(check.that), message=message)

    def filled(self, expr: Expr) -> Expr:
        """An expression with those numbers in it. Raises ExprError.

        Whole numbers such as 1e9 are made integers, which sizes can be compared with.
        """
        if isinstance(expr, Literal):
            whole = isinstance(expr.value, float) and expr.value.is_integer()
            return replace(expr, value=int(expr.value)) if whole else expr
        if isinstance(expr, Name) and is_budget(expr, self._scope):
            spend(len(self._costs))
            return self._literal(expr, self._count(self.total, expr.id, expr))
        if isinstance(expr, Attribute):
            return self._literal(expr, self._of_layer(expr)) if is_budget(expr, self._scope) else expr
        return with_parts(expr, [self.filled(part) for part in parts_of(expr)])

    def _literal(self, expr: Expr, value: Any) -> Literal:
        return Literal(value=value, start=expr.start, end=expr.end)

    def _of_layer(self, expr: Attribute) -> Any:
        path = dotted(expr.base)
        spend(len(self._flat.nodes))
        places = [i for i, node in enumerate(self._flat.nodes) if path is not None and is_within(node.path, path)]
        if not places:
            near = closest(path or "", dict.fromkeys(node.path for node in self._flat.nodes))
            help = f"did you mean `{near}`?" if near else "`netc summary` lists the layers"
            raise ExprError("unknown-tensor", f"there is no layer `{path}` to read `.{expr.field}` from", expr, help)
        if expr.field in COUNTS:
            return self._count(total(self._costs[i] for i in places), expr.field, expr)
        field = self.fields[self._flat.nodes[places[-1]].outputs[0]]
        if field is None or not (field.whole or field.reach):
            raise ExprError("bad-expression", f"`{path}` has no receptive field", expr)
        return _seen(field, expr)

    def _count(self, cost: Cost, name: str, at: Expr) -> Size:
        count: Size | None = getattr(cost, name)
        if count is None:
            raise ExprError("too-complex", f"`{name}` is too complex to write down", at, "give the sizes with --size")
        return count


def _seen(field: Field, expr: Attribute) -> Any:
    """One number where all axes have the same, else a list of them."""
    if field.whole:
        raise ExprError("bad-expression", f"a position of `{dotted(expr.base)}` sees the whole input", expr)
    values: Sequence[Any] = field.size if expr.field == "field" else [_plain(step) for step in field.step]
    return values[0] if len(set(values)) == 1 else tuple(values)


def _plain(step: Fraction) -> int | float:
    return int(step) if step.denominator == 1 else float(step)
