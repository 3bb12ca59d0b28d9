"""The names of a block's tensors while it is elaborated, and what is remembered of the calls in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property

import msgspec

from netc.budget import spend
from netc.diagnostics.model import Span
from netc.ir.flat import join
from netc.ir.model import Block, Call, Value
from netc.syntax.ast import Body, Definition, Named
from netc.types import ERROR, NONE


class AliasedValue(Value, frozen=True, eq=False):
    """Another statement's tensor under the name of a statement that only passes it on. Who reads which of the names
    counts for forks; nodes are given the tensor itself."""

    of: Value


def unaliased(value: Value) -> Value:
    """The tensor behind its names."""
    while isinstance(value, AliasedValue):
        value = value.of
    return value


class DeclaredOutput(msgspec.Struct, frozen=True, eq=False):
    """An output as its block declares it; `enabled` unless a condition removed it."""

    name: str
    value: Value
    train_only: bool
    enabled: bool
    span: Span


class Elaborated(msgspec.Struct, frozen=True, eq=False):
    """A definition elaborated for certain arguments and input types, and the names that callers may reach inside."""

    block: Block
    outputs: tuple[DeclaredOutput, ...]
    names: Namespace

    def none(self) -> dict[str, Value]:
        """Outputs that no condition removed and that are none, by name."""
        return {o.name: o.value for o in self.outputs if o.enabled and o.value.type is NONE}


class CallSite(msgspec.Struct, frozen=True, eq=False):
    """A call and what it calls. exposed: tensors inside that somebody named, by path, and what the caller has for each:
    `passes.expose` makes outputs of them."""

    call: Call
    callee: Elaborated
    exposed: dict[str, tuple[Value, Value]]

    def _handed_out(self) -> Iterator[tuple[Value, Value]]:
        """The callee's tensors, each with the caller's."""
        yield from zip((o.value for o in self.callee.block.outputs), self.call.outputs, strict=True)
        yield from self.exposed.values()

    def inside(self, outer: Value) -> Value | None:
        """The callee's own tensor behind one that the call hands out."""
        return next((inner for inner, value in self._handed_out() if value is outer), None)

    def reach(self, inner: Value) -> Value:
        """A tensor of the callee as the caller has it: one handed in or out, or handed out from now on."""
        for own, value in (*zip(self.callee.block.inputs, self.call.inputs, strict=True), *self._handed_out()):
            if own is inner:
                return value
        return self.expose(inner.path, inner, f"{self.call.path}.{inner.path}")

    def expose(self, path: str, inner: Value, name: str) -> Value:
        """Hand out one more tensor from inside, under a name of the caller's."""
        if path not in self.exposed:
            self.exposed[path] = inner, Value(inner.type, name, self.call.span)
        return self.exposed[path][1]


class NameEntry(msgspec.Struct, eq=False):
    """A statement's name: the tensor it stands for, its ports, and the call behind it where it is one."""

    value: Value | None
    ports: dict[str, Value] = {}
    call: CallSite | None = None
    container: bool = False


class UnknownTensor(Exception):
    """No tensor has that name; `known` finds the names that exist where the search ended."""

    def __init__(self, text: str, base: str, known: Callable[[], list[str]] = list) -> None:
        super().__init__(text)
        self.text, self.base, self.known = text, base, known


class Namespace:
    """The tensors of one block by module path. A bare path is the last member's or the first output's tensor."""

    def __init__(self, definition: Definition, shared: tuple[Named, ...]) -> None:
        self.definition = definition
        self.inputs: dict[str, Value] = {}
        self.many: dict[str, int] = {}
        """The input that takes all further tensors, and how many there are: `maps.0`, `maps.1`, …"""
        self.body_inputs: dict[str, Value | None] = {}
        self.entries: dict[str, NameEntry] = {}
        self.heads: set[str] = set()
        self._members: defaultdict[str, dict[str, None]] = defaultdict(dict)
        """The names directly under a path, and under none."""
        self.shared = {named.text: named for named in shared}

    @cached_property
    def statements(self) -> dict[str, Named]:
        """The statements of the body by name, the first of those that share one."""
        net = self.definition.net
        return {one.text: one for one in reversed(net.statements)} if isinstance(net, Body) else {}

    def add(self, path: str, entry: NameEntry) -> bool:
        """Name a statement; False when another has that name already."""
        value = self.entries.get(path)
        if value is not None and not value.container:
            return False
        self.entries[path] = entry
        self._add_containers(path, entry.value)
        return True

    def add_group(self, path: str, value: Value | None) -> None:
        """Name a chain, body, loop or condition, unless a leaf of it already carries the name itself."""
        entry = self.entries.get(path)
        if entry is None or entry.container:
            self.entries[path] = NameEntry(value)
        self._add_containers(path, value)

    def _add_containers(self, path: str, value: Value | None) -> None:
        self.heads.add(path)
        end, at = len(path), path.rfind(".")
        while at > 0:
            outer = path[:at]
            self._members[outer][path[at + 1 : end]] = None
            entry = self.entries.get(outer)
            if entry is None:
                self.entries[outer] = NameEntry(value, container=True)
            elif entry.container:
                entry.value = value
            self.heads.add(outer)
            end, at = at, path.rfind(".", 0, at)
        self._members[""][path[:end]] = None

    def find(self, text: str, prefix: str, *, expose: bool = True) -> Value:
        """The tensor a reference means, seen from the nested body `prefix`; raises UnknownTensor."""
        first, _, rest = text.partition(".")
        for level in _outward(prefix):
            spend(1)
            if first == "in" and not rest and level in self.body_inputs:
                return _known(self.body_inputs[level], text)
            if join(level, first) in self.heads:
                return self._inside(join(level, text), expose)
        if text in self.inputs:
            return self.inputs[text]
        raise UnknownTensor(text, "", lambda: self.visible(prefix))

    def _inside(self, path: str, expose: bool) -> Value:
        base = path
        while base not in self.entries:
            base = base.rpartition(".")[0]
        entry, rest = self.entries[base], path[len(base) + 1 :]
        if not rest:
            return _known(entry.value, path)
        if entry.value is not None and entry.value.type is ERROR:
            return entry.value
        if entry.value is not None and entry.value.type is NONE and entry.call is None:
            return entry.value
        if entry.call is not None:
            return self._through(entry.call, rest, path, expose)
        if rest in entry.ports:
            return entry.ports[rest]
        raise UnknownTensor(path, base, lambda: [*entry.ports, *self.members(base)])

    def _through(self, site: CallSite, rest: str, path: str, expose: bool) -> Value:
        names, block, call = site.callee.names, site.callee.block, site.call
        if rest.partition(".")[0] not in names.heads:
            ports = {o.name: v for o, v in zip(block.outputs, call.outputs, strict=True)} | site.callee.none()
            if rest in ports:
                return ports[rest]
            raise UnknownTensor(path, call.path, lambda: [*ports, *names.visible("")])
        inner = unaliased(names.find(rest, "", expose=expose))
        for output, outer in zip(block.outputs, call.outputs, strict=True):
            if output.value is inner:
                return outer
        return inner if not expose or inner.type is NONE else site.expose(rest, inner, path)

    def members(self, path: str) -> list[str]:
        """Names directly under a path."""
        members = self._members.get(path, ())
        spend(len(members))
        return sorted(members, key=_natural)

    def numbered(self, path: str, prefix: str) -> list[str]:
        """Absolute paths of the numbered members of `path`, in order: what `@convs.*` means."""
        for level in _outward(prefix):
            full = join(level, path)
            if full in self.entries:
                return [f"{full}.{m}" for m in self.members(full) if m.isdigit()]
        return [f"{path}.{i}" for i in range(self.many.get(path, 0))]

    def visible(self, prefix: str) -> list[str]:
        """Names a reference may start with here."""
        names = [m for level in _outward(prefix) for m in self.members(level)]
        return [*self.inputs, *names]


def _known(value: Value | None, text: str) -> Value:
    if value is None:
        raise UnknownTensor(text, text)
    return value


def _outward(prefix: str) -> Iterator[str]:
    while prefix:
        yield prefix
        prefix = prefix.rpartition(".")[0]
    yield ""


def _natural(word: str) -> tuple[int, int, str]:
    return (0, int(word), "") if word.isdigit() else (1, 0, word)


class TensorNames:
    """The tensors an expression sees from one place: `get("conv1")` is its IR value or None."""

    __slots__ = ("names", "own", "prefix")

    def __init__(self, names: Namespace, prefix: str, own: Value | None = None) -> None:
        self.names, self.prefix, self.own = names, prefix, own

    def get(self, path: str) -> Value | None:
        if path == "x" and self.own is not None:
            return unaliased(self.own)
        try:
            return unaliased(self.names.find(path, self.prefix, expose=False))
        except UnknownTensor:
            return None
