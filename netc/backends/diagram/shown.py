"""What a picture shows of a network: how far it is opened, what each part costs, which parts only train."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from netc.backends.diagram import simplify
from netc.backends.diagram.siblings import stacked
from netc.backends.diagram.units import Box, Cluster, Opened, Unit, Wire, boxes, open_network
from netc.collector import uncollected
from netc.dims import Size
from netc.ir.model import Network

Level = Literal["overview", "blocks", "ops"]
LEVELS: Mapping[Level, Callable[[Opened], Opened]] = {
    "overview": simplify.overview,
    "blocks": simplify.blocks,
    "ops": simplify.every_op,
}
PLUMBING = 4
"""Boxes from which on a block without parameters is closed at level `blocks`."""


class Terminal(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """An input or an output of the network. count: how many it stands for."""

    name: str
    wire: Wire
    output: bool
    train_only: bool = False
    count: int = 1


Shown = Unit | Terminal


class View(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A network as it is to be drawn.

    batch: the size of the first axis, which shapes leave out; reads: how often each wire is read, outputs included;
    train_only: boxes that reach only outputs that training has.
    """

    network: Network
    opened: Opened
    batch: Size | None
    reads: Counter[Wire]
    makers: Mapping[Wire, Box]
    train_only: frozenset[Box]

    @property
    def top(self) -> list[Shown]:
        """Inputs, parts and outputs."""
        inputs = [Terminal(name=name, wire=wire, output=False) for name, wire in self.opened.inputs]
        return [*inputs, *self.opened.units, *_outputs(self.opened)]


@uncollected()
def view_of(
    network: Network,
    level: Level = "blocks",
    *,
    expand: Sequence[str] = (),
    collapse: Sequence[str] = (),
    depth: int | None = None,
) -> View:
    """Open a network as far as asked.

    expand, collapse: globs over paths of blocks, which open or close them whatever the level says; depth: frames within
    frames that are opened, 0 for none.
    """
    return viewed(network, closed(_opened(network, level, expand), level, expand, collapse, depth))


def _opened(network: Network, level: Level, expand: Sequence[str]) -> Opened:
    whole = open_network(network)
    if level == "overview" and expand:
        simple = stacked(simplify.blocks(whole))
        total = simplify.all_reads(simple)
        units = [u if _within(u, expand) else simplify.stage(u, total) for u in simple.units]
        return Opened(simple.inputs, tuple(units), simple.outputs)
    return LEVELS[level](whole) if level == "ops" else stacked(LEVELS[level](whole))


def _within(unit: Unit, globs: Sequence[str]) -> bool:
    """Is a frame, or one inside it, named?"""
    return isinstance(unit, Cluster) and (_named(unit.path, globs) or any(_within(item, globs) for item in unit.items))


def _named(path: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(path, glob) for glob in globs)


def viewed(network: Network, opened: Opened) -> View:
    """A view of what has been opened."""
    sizes = network.block.inputs[0].type.shape if network.block.inputs else ()
    every = list(boxes(opened.units))
    return View(
        network=network,
        opened=opened,
        batch=sizes[0] if len(sizes) > 1 else None,
        reads=simplify.all_reads(opened),
        makers={wire: box for box in every for wire in box.outputs},
        train_only=_train_only(opened, every),
    )


def _train_only(opened: Opened, every: Sequence[Box]) -> frozenset[Box]:
    if not any(output.train_only for output in opened.outputs):
        return frozenset()
    needed = {output.wire for output in opened.outputs if not output.train_only}
    paths = set()
    for box in reversed(every):
        if needed.isdisjoint(box.outputs):
            paths.add(box)
        else:
            needed.update(box.inputs)
    return frozenset(paths)


def closed(opened: Opened, level: Level, expand: Sequence[str], collapse: Sequence[str], depth: int | None) -> Opened:
    """Close frames by name, by depth and, at level `blocks`, those that are plumbing."""
    total = simplify.all_reads(opened)

    def shut(unit: Unit, level_now: int) -> Unit:
        if isinstance(unit, Box):
            return unit
        opened_by_name = _within(unit, expand)
        hidden = _named(unit.path, collapse) or (depth is not None and level_now >= depth and not opened_by_name)
        if hidden or (level == "blocks" and not opened_by_name and _is_plumbing(unit)):
            return simplify.stage(unit, total)
        return msgspec.structs.replace(unit, items=tuple(shut(item, level_now + 1) for item in unit.items))

    return Opened(opened.inputs, tuple(shut(unit, 0) for unit in opened.units), opened.outputs)


def _is_plumbing(unit: Cluster) -> bool:
    """A block that computes by rule alone: suppression, proposals, windows cut out and put back."""
    inner = list(boxes((unit,)))
    return unit.kind == "call" and len(inner) >= PLUMBING and not any(box.learned for box in inner)


MANY_OUTPUTS = 8


def _outputs(opened: Opened) -> list[Terminal]:
    """Outputs; those of one part beyond a handful as one."""
    single = [Terminal(name=o.name, wire=o.wire, output=True, train_only=o.train_only) for o in opened.outputs]
    if len(single) <= MANY_OUTPUTS:
        return single
    makers = {wire: n for n, unit in enumerate(opened.units) for box in boxes((unit,)) for wire in box.outputs}
    groups = defaultdict[tuple[int, bool, int], list[Terminal]](list)
    for terminal in single:
        groups[makers.get(terminal.wire, -1), terminal.train_only, len(terminal.wire.type.shape)].append(terminal)
    return [together for group in groups.values() for together in _together(group)]


def _together(group: list[Terminal]) -> list[Terminal]:
    if len(group) < 3:
        return group
    first, last = group[0], group[-1]
    name = f"{first.name} … {last.name}"
    return [msgspec.structs.replace(first, name=name, count=len(group))]
