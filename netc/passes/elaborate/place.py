"""Where a statement stands, what flows into it, and what it came to."""

from __future__ import annotations

import msgspec

from netc.expr.scope import Scope
from netc.ir.flat import join
from netc.ir.model import Call, Node, Value
from netc.passes.elaborate.files import FileInstance
from netc.passes.elaborate.namespace import NameEntry, Namespace, TensorNames
from netc.syntax.ast import Line
from netc.types import ERROR


class Place(msgspec.Struct, frozen=True, eq=False):
    """Where a statement stands: its path, the path its parameters live under, the nested body around it, its names.

    outer: whether `module` is a path of the file, which a block calls a shared module of.
    """

    path: str
    module: str
    prefix: str
    scope: Scope
    instance: FileInstance
    names: Namespace
    outer: bool = False

    def at(self, name: str) -> Place:
        """One step down."""
        path = join(self.path, name)
        return self.moved(path, path if self.module == self.path else join(self.module, name))

    def moved(self, path: str, module: str) -> Place:
        return Place(path, module, self.prefix, self.scope, self.instance, self.names, self.outer)

    def borrowing(self, module: str) -> Place:
        """The same place for a shared module of the file, whose arguments are read there."""
        scope = Scope(self.instance.scope, {}, owner=self.instance.spec)
        return Place(self.path, module, self.prefix, scope, self.instance, self.names, outer=True)

    def within(self, scope: Scope) -> Place:
        return Place(self.path, self.module, self.prefix, scope, self.instance, self.names, self.outer)

    def nested(self) -> Place:
        """The same place as a body that its statements see outward from."""
        scope = Scope(self.scope, {}, tensors=TensorNames(self.names, self.path))
        return Place(self.path, self.module, self.path, scope, self.instance, self.names, self.outer)

    def reading(self, value: Value | None) -> Place:
        """The same place for an expression in which `x` is what flows in."""
        return self.within(Scope(self.scope, {}, tensors=self._tensors(value)))

    def beside(self, scope: Scope, inputs: tuple[Value, ...]) -> Scope:
        """A scope of the statement's arguments in which `x` is its input."""
        return Scope(scope, {}, tensors=self._tensors(inputs[0] if inputs else None))

    def _tensors(self, own: Value | None) -> TensorNames:
        return TensorNames(self.names, self.prefix, own)


class Incoming(msgspec.Struct, frozen=True, eq=False):
    """The tensor that flows into a statement without `@`; `linked` inside a chain, where no fork can hide."""

    value: Value | None
    linked: bool = False

    def then(self, value: Value | None) -> Incoming:
        return Incoming(value, linked=True)


class Applied(msgspec.Struct, frozen=True, eq=False):
    """What a leaf came to: the item (None where it needs none, and after an error), its name's entry, and whether the
    next statement reads it."""

    item: Node | Call | None
    entry: NameEntry
    feeds: bool = True

    @property
    def failed(self) -> bool:
        return self.entry.value is not None and self.entry.value.type is ERROR


def failed(place: Place, line: Line) -> Applied:
    """A line that was rejected: whatever reads it stays silent."""
    return Applied(None, NameEntry(Value(ERROR, place.path, line.span)))
