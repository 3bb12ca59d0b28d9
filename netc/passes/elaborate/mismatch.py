"""Changes that might make two tensors fit each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from netc.diagnostics.model import Edit, Fix, Span
from netc.diagnostics.suggest import in_order
from netc.dims import Size, dim_text
from netc.geometry import Window
from netc.ir.model import Node, Value
from netc.ops.base import Family, Op
from netc.ops.records import Clash
from netc.passes.elaborate.application import Application
from netc.passes.elaborate.changes import (
    Tensor,
    another,
    changed,
    give,
    in_words,
    insert_before,
    name_of,
    offer,
    reference_spans,
)
from netc.passes.elaborate.namespace import Namespace
from netc.passes.elaborate.provenance import Ancestor, Provenance, steps
from netc.syntax.ast import Line, SpecFile
from netc.types import ERROR

MAX_STRIDE = 32
MAX_OTHERS = 3
_DIGITS = re.compile(r"\d+")


class _Side(msgspec.Struct, frozen=True, eq=False):
    """One of two tensors that disagree: what names it in the line, if anything does."""

    value: Value
    ref: Span | None


class Mismatch(msgspec.Struct, frozen=True, eq=False):
    """Two inputs of an operator that disagree, the names around the operator, and who makes what.

    named: the name of the statement it stands in.
    """

    op: Op
    sides: tuple[_Side, _Side]
    axes: Sequence[int]
    names: Namespace
    prefix: str
    named: Span | None
    provenance: Provenance
    inputs: Sequence[Value]
    """All inputs of the operator, these two included."""

    def offers(self) -> Iterator[Fix]:
        """Those that change the least first."""
        if self.sides[0].value.type.rank != self.sides[1].value.type.rank:
            yield from self._kept()
            yield from self._spread()
            return
        for own, other in (self.sides[::-1], self.sides):
            yield from self._like(own, other)
        for own, other in (self.sides[::-1], self.sides):
            yield from self._another(own, other)
        for side in self.sides:
            yield from self._padded(side.value)
        for own, other in (self.sides, self.sides[::-1]):
            yield from self._meeting(own.value, other.value)
        if len(self.inputs) > 2:
            steps_found = {id(s.node.statement): (s, v) for value in self.inputs for s, v in self._shrinking(value)}
            yield from _set([*steps_found.values()][::-1])
        yield from self._projected()
        for own, other in (self.sides, self.sides[::-1]):
            yield from self._added(own.value, other.value)

    def _like(self, own: _Side, other: _Side) -> Iterator[Fix]:
        """Resize to the size of the other tensor."""
        if other.ref is None or min(self.axes) < 2:
            return
        for step in steps(own.value, self.provenance):
            node = step.node
            if node.op.like_replaces and not step.inside and len(node.inputs) == 1 and isinstance(node.statement, Line):
                yield from _resized(step, node.statement, Tensor(name_of(other.ref)))
                return
            if not _keeps_space(node):
                return

    def _another(self, own: _Side, other: _Side) -> Iterator[Fix]:
        """Another tensor of that kind of name that has the size."""
        if own.ref is None:
            return
        word = name_of(own.ref)
        others = [name for name in _alike(self.names, word, self.prefix) if name != word]
        fitting = [name for name in others if self._fits(name, other.value)]
        for name in fitting[:MAX_OTHERS]:
            yield from offer(f"read `@{name}`, which fits", another(own.ref, name))

    def _fits(self, name: str, target: Value) -> bool:
        value = self.names.entries[name].value
        if value is None or value.type is ERROR or value.type.rank != target.type.rank:
            return False
        return all(value.type.shape[axis] == target.type.shape[axis] for axis in self.axes)

    def _padded(self, value: Value) -> Iterator[Fix]:
        """Padding around windows that shrink a tensor by a few rows."""
        shrinking = [*self._shrinking(value)]
        if shrinking:
            yield from _set(shrinking[:1])
        if len({id(step.node.statement) for step, _ in shrinking}) > 1:
            yield from _set(shrinking)

    def _shrinking(self, value: Value) -> Iterator[tuple[Ancestor, dict[str, Any]]]:
        """Windows of stride 1 that change the size, last first, and the padding with which they would not."""
        for step in steps(value, self.provenance):
            if not _keeps_space(step.node):
                windows = step.node.op.windows(step.node.inputs[0].type)
                if {w.stride for w in windows} != {1} or "padding" not in step.node.op.attributes:
                    return
                yield step, {"padding": tuple([w.extent // 2 for w in windows])}

    def _meeting(self, value: Value, other: Value) -> Iterator[Fix]:
        """Half padding around a window that moves by more than one element, where the sizes then meet."""
        step = next((step for step in steps(value, self.provenance) if not _keeps_space(step.node)), None)
        if step is None or "padding" not in step.node.op.attributes:
            return
        types = [read.type for read in step.node.inputs]
        windows = step.node.op.windows(types[0])
        values = {"padding": tuple([w.extent // 2 for w in windows])}
        changed_op = None if {w.stride for w in windows} <= {1} else changed(step.node.op, values)
        if changed_op is not None and all(
            changed_op.outputs(*types)[0].shape[axis] == other.type.shape[axis] for axis in self.axes
        ):
            yield from _set([(step, values)])

    def _added(self, value: Value, other: Value) -> Iterator[Fix]:
        """Rows at the end of a transposed convolution."""
        gaps = [other.type.shape[axis] - value.type.shape[axis] for axis in self.axes]
        if min(self.axes) < 2 or not all(isinstance(gap, int) and gap > 0 for gap in gaps):
            return
        for step in steps(value, self.provenance):
            node = step.node
            if "output_padding" in node.op.attributes:
                first = node.inputs[0].type.rank - node.op.rank
                wider = list(node.op.__dict__["output_padding"])
                for axis, gap in zip(self.axes, gaps, strict=True):
                    wider[axis - first] += gap
                yield from _set(
                    [(step, {"output_padding": tuple(wider)})], "; the added rows are computed from the border only"
                )
            if not _keeps_space(node):
                return

    def _projected(self) -> Iterator[Fix]:
        """A convolution of one element on the shortcut, as residual networks have."""
        if self.named is None or self.op.family is not Family.MERGE or "dim" in self.op.attributes:
            return
        shortcut, body = self._shortcut()
        if (maker := self.provenance.nodes.get(body.value)) is not None and maker is self.provenance.nodes.get(
            shortcut.value
        ):
            return
        rank = shortcut.value.type.rank - 2
        if shortcut.ref is None or body.ref is None or rank not in (1, 2, 3) or body.value.type.rank != rank + 2:
            return
        strides = {_stride(a, b) for a, b in zip(shortcut.value.type.shape[2:], body.value.type.shape[2:], strict=True)}
        if len(strides) != 1 or None in strides:
            return
        step = strides.pop()
        if 1 not in self.axes and step == 1:
            return
        inside = not isinstance(self.names.definition, SpecFile)
        channels = f"{name_of(body.ref)}.C" if inside else dim_text(body.value.type.shape[1])
        line = f"conv{rank}d {channels} 1{f' stride={step}' if step != 1 else ''} @{name_of(shortcut.ref)}"
        name = self._fresh_name("shortcut")
        edits = (insert_before(self.named, name, line), another(shortcut.ref, name))
        yield from offer(f"put a convolution on the shortcut: `{name}: {line}` before this, and `@{name}` here", *edits)

    def _spread(self) -> Iterator[Fix]:
        """A number for each channel, N×C, in the shape that meets a map, N×C×1×1."""
        low, high = sorted(self.sides, key=lambda side: side.value.type.rank)
        if self.named is None or low.ref is None or low.value.type.rank != 2:
            return
        channels = low.value.type.shape[1]
        if channels != high.value.type.shape[1]:
            return
        ones = " 1" * (high.value.type.rank - 2)
        name = self._fresh_name(f"{name_of(low.ref).rpartition('.')[2]}_map")
        line = f"unflatten 1 ({dim_text(channels)}{ones}) @{name_of(low.ref)}"
        edits = (insert_before(self.named, name, line), another(low.ref, name))
        yield from offer(f"put `{name}: {line}` before this, and `@{name}` here", *edits)

    def _kept(self) -> Iterator[Fix]:
        """The axes that a reduction of the smaller tensor drops."""
        low = min(self.sides, key=lambda side: side.value.type.rank)
        for step in steps(low.value, self.provenance):
            line = step.node.statement
            if step.node.op.__dict__.get("keepdim") is False and isinstance(line, Line):
                yield from offer(
                    f"write `keepdim=true` in `{step.path}`", *give(line, step.node.spans, {"keepdim": True})
                )
                return
            if step.node.inputs[0].type.shape != step.node.outputs[0].type.shape:
                return

    def _shortcut(self) -> tuple[_Side, _Side]:
        """The side that the other is computed from, else the one with fewer channels, and the other."""
        left, right = self.sides
        before = [node.inputs[0] for node in (step.node for step in steps(left.value, self.provenance))]
        after = [node.inputs[0] for node in (step.node for step in steps(right.value, self.provenance))]
        if right.value in before or left.value in after:
            return (right, left) if right.value in before else (left, right)
        return (left, right) if len(before) < len(after) else (right, left)

    def _fresh_name(self, stem: str) -> str:
        taken = self.names.heads | set(self.names.inputs)
        return next(name for i in range(1, 1000) if (name := stem if i == 1 else f"{stem}{i}") not in taken)


def mismatch(op: Op, applied: Application, clash: Clash) -> Mismatch | None:
    """The two inputs that disagree; None where they are no inputs of the line."""
    inputs, place = applied.inputs, applied.place
    if clash.inputs is None or max(clash.inputs) >= len(inputs):
        return None
    refs = reference_spans(applied.line)
    spans: list[Span | None] = [*refs] if len(refs) == len(inputs) else [None] * len(inputs)
    first, second = [_Side(inputs[at], spans[at]) for at in clash.inputs]
    return Mismatch(
        op, (first, second), clash.axes, place.names, place.prefix, applied.resolver.naming,
        applied.session.provenance, inputs,
    )  # fmt: skip


def _set(ancestors: Sequence[tuple[Ancestor, dict[str, Any]]], tail: str = "") -> Iterator[Fix]:
    """Attributes of lines above."""
    if not ancestors:
        return
    edits: list[Edit] = []
    names: list[str] = []
    wordings: list[str] = []
    lines: set[tuple[int, int]] = set()
    for step, values in ancestors:
        line = step.node.statement
        if not isinstance(line, Line) or changed(step.node.op, values) is None:
            return
        if (line.span.start, line.span.end) not in lines:
            lines.add((line.span.start, line.span.end))
            edits += give(line, step.node.spans, values)
            names.append(f"`{step.path}`")
            wordings.append(in_words(values))
    step, values = ancestors[0]
    changed_op = changed(step.node.op, values)
    shown = (
        f" (gives {changed_op.outputs(*[v.type for v in step.node.inputs])[0]})"
        if changed_op and len(names) == 1
        else ""
    )
    where: dict[str, list[str]] = {}
    for name, said in zip(names, wordings, strict=True):
        where.setdefault(said, []).insert(0, name)
    given = any(values.keys() & step.node.spans.keys() for step, values in ancestors)
    verb, to = ("write", "in") if given else ("add", "to")
    told = " and ".join(f"`{said}` {to} {in_order(named)}" for said, named in reversed(where.items()))
    yield from offer(f"{verb} {told}{shown}{tail}", *edits)


def _resized(step: Ancestor, line: Line, like: Tensor) -> Iterator[Fix]:
    """The line with `like` in place of what says the size otherwise."""
    spans = step.node.spans
    replaced = [name for name in step.node.op.like_replaces if name in spans]
    said = f" instead of `{spans[replaced[0]].text}` in" if replaced else " in"
    yield from offer(f"write `like=@{like}`{said} `{step.path}`", *give(line, spans, {"like": like}, replaced))


def _keeps_space(node: Node) -> bool:
    """Whether all axes but the channels come out as they went in."""
    before, after = node.inputs[0].type.shape, node.outputs[0].type.shape
    return before[:1] == after[:1] and before[2:] == after[2:]


def _stride(before: Size, after: Size) -> int | None:
    """The stride of a window of one element that makes `after` of `before`."""
    return next((s for s in range(1, MAX_STRIDE + 1) if Window(1, s).output(before) == after), None)


def _alike(names: Namespace, word: str, prefix: str) -> list[str]:
    """Statements whose names differ from `word` in numbers only, the nearest numbers first."""
    stem, own = _DIGITS.sub("#", word), [int(n) for n in _DIGITS.findall(word)[:1]]
    names_alike = [name for name in names.entries if _DIGITS.sub("#", name) == stem and "#" in stem]
    return sorted(
        names_alike, key=lambda name: [abs(int(n) - m) for n, m in zip(_DIGITS.findall(name), own, strict=False)]
    )
