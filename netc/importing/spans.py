"""What comes again and again in a straight way: two convolutions and a pool, a depthwise convolution and one of 1×1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec

from netc.importing.graph import Frame, Node
from netc.importing.roles import role_of
from netc.importing.units import is_unit_class

PERIOD = 6
"""Members that may be repeated together."""

TIMES = 3
"""How often they have to be there for a block to be worth it."""

MOST = 8
"""Blocks of a way."""


class Span(msgspec.Struct, frozen=True):
    """From `start` on, `period` members come `times` times."""

    start: int
    period: int
    times: int

    @property
    def end(self) -> int:
        return self.start + self.period * self.times


class Member(msgspec.Struct, frozen=True, eq=False):
    """A unit of the class `cls`, or a node that is none."""

    nodes: list[Node]
    cls: str

    @property
    def key(self) -> Any:
        """Equal for those that may be members of one class: widths and strides are arguments."""
        first: Any = self.nodes[0].op
        depthwise = getattr(first, "groups", 1) > 1
        return [node.op.name for node in self.nodes], getattr(first, "kernel_size", None), depthwise


Places = dict[Node, tuple[list[Frame], str]]


def placed(ways: Iterable[Sequence[Node]], frames: dict[Node, list[Frame]], listed: str) -> Places:
    """Where the nodes of straight ways are if what is repeated in them is a module each, in a list of these; {} where
    nothing is. listed: the class of lists."""
    taken = {frame.cls for around in frames.values() for frame in around}
    found = _Placing(frames, listed, taken)
    for nodes in ways:
        found.way(nodes)
    return found.places if found.spans else {}


class _Placing:
    def __init__(self, frames: dict[Node, list[Frame]], listed: str, taken: set[str]) -> None:
        self.frames, self.listed, self.taken = frames, listed, taken
        self.places: Places = {}
        self.spans = self.lists = 0

    def way(self, nodes: Sequence[Node]) -> None:
        members = [Member(list(group), cls) for cls, group in _members(nodes, self.frames)]
        runs = [list(run) for _, run in groupby(members, key=lambda member: member.key)]
        at = 0
        for span in sorted(repeated([run[0].key for run in runs]), key=lambda span: span.start):
            self._list(runs[at : span.start])
            self._modules(runs[span.start : span.end], span)
            at = span.end
        self._list(runs[at:])

    def _next(self) -> Frame:
        self.lists += 1
        return Frame(f"part{self.lists}", self.listed)

    def _list(self, runs: Sequence[Sequence[Member]]) -> None:
        members = [member for run in runs for member in run]
        if members:
            self._members([self._next()], members)

    def _members(self, around: list[Frame], members: Sequence[Member]) -> None:
        for at, member in enumerate(members):
            within, name = around, str(at)
            if member.cls:
                within = [*around, Frame(f"{around[-1].path}.{at}", member.cls)]
            for inner, node in enumerate(member.nodes):
                self.places[node] = within, str(inner) if member.cls else name

    def _modules(self, runs: Sequence[Sequence[Member]], span: Span) -> None:
        self.spans += 1
        way, cls = self._next(), _class(runs[: span.period], self.taken)
        for number in range(span.times):
            inside = [member for run in runs[number * span.period :][: span.period] for member in run]
            self._members([way, Frame(f"{way.path}.{number}", cls)], inside)


def _members(nodes: Sequence[Node], frames: dict[Node, list[Frame]]) -> Iterator[tuple[str, list[Node]]]:
    for _, group in groupby(nodes, key=lambda node: frames[node][-1].path if len(frames[node]) > 1 else id(node)):
        found = list(group)
        last = frames[found[0]][-1]
        yield (last.cls if is_unit_class(last.cls) else ""), found


def _class(runs: Sequence[Sequence[Member]], taken: set[str]) -> str:
    stem = role_of([node for run in runs for member in run for node in member.nodes], "stage")
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}{count}"
    taken.add(name)
    return name


def repeated(keys: Sequence[Any]) -> list[Span]:
    """The spans that cover most, none in another."""
    found: list[Span] = []
    todo = [(0, len(keys))]
    while todo and len(found) < MOST:
        low, high = todo.pop()
        best = _longest(keys, low, high)
        if best is not None:
            found.append(best)
            todo += [(low, best.start), (best.end, high)]
    return found


def _longest(keys: Sequence[Any], low: int, high: int) -> Span | None:
    best: Span | None = None
    for period in range(2, PERIOD + 1):
        run = 0
        for at in range(low, high - period):
            run = run + 1 if keys[at] == keys[at + period] else 0
            times = run // period + 1
            span = Span(at - run + 1, period, times)
            if times >= TIMES and (best is None or span.end - span.start > best.end - best.start):
                best = span
    return best
