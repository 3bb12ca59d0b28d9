"""One operator applied to tensors, as far as its line has been read."""

from __future__ import annotations

from typing import Any

from netc.diagnostics.model import Span
from netc.expr.scope import Provenance
from netc.ir.model import Value
from netc.ops.base import Op
from netc.passes.elaborate.reading import Resolver
from netc.passes.elaborate.target import Target
from netc.types import TensorType


class Application:
    """values: attributes so far; said and spans: how and where they are written; given: tensors that attributes name.

    open: the line names a number of inputs that may come to one.
    """

    def __init__(
        self, resolver: Resolver, cls: type[Op], target: Target, inputs: tuple[Value, ...], *, open: bool = False
    ) -> None:
        self.resolver, self.cls, self.target, self.inputs, self.open = resolver, cls, target, inputs, open and cls.skips
        self.report, self.session = resolver.report, resolver.session
        self.place, self.line = target.place, target.line
        self.values: dict[str, Any] = {}
        self.said: dict[str, Provenance] = {}
        self.spans: dict[str, Span] = {}
        self.given: dict[str, tuple[Value, ...]] = {}

    @property
    def references(self) -> tuple[Value, ...]:
        """The tensors named by attributes, in the operator's order."""
        if not self.given:
            return ()
        return tuple([value for name in self.cls.references for value in self.given.get(name, ())])

    @property
    def operands(self) -> tuple[Value, ...]:
        """All tensors that the operator reads."""
        return (*self.inputs, *self.references) if self.given else self.inputs

    @property
    def types(self) -> tuple[TensorType, ...]:
        return tuple([value.type for value in self.operands])
