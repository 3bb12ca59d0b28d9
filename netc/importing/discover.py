"""Structure without names: what repeats in the wiring.

A region is what lies between a merge and the node that all of its ways come from. Regions that are alike are
instances of a class; pairs of classes that always follow one another are one; runs of a class at one resolution are a
stage; what is left are lists. The result is a tree as one that names tell, so that all that follows is the same.

Dominators and not cut points: one long skip of a detector hides every residual below it from those.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

from netc.importing.graph import Frame, Graph, Node, Value
from netc.importing.parts import Part, Place, arranged, flat
from netc.importing.roles import role_of
from netc.importing.spans import placed
from netc.importing.units import OFTEN, is_activation, is_unit_class, unit_begun
from netc.ir.flat import join
from netc.ops.base import OPERATORS, Family

ALIKE = 0.65
"""Share of their operators that two regions of one class have in common."""

FOLLOW = 0.9
"""Share of both classes that has to stand in a pair for the pair to be one class."""

LARGEST = 400
"""Nodes of a region."""

OFTEN_BARE = 12
"""Convolutions with an activation and no norm that must be there to be worth a block."""

LIST, STAGE = "Sequential", "ModuleList"


class Unit(msgspec.Struct, eq=False):
    """Atoms that follow one another: regions or single nodes, with the classes of regions."""

    key: tuple[int, ...]
    atoms: list[list[Node]]

    @property
    def nodes(self) -> list[Node]:
        return [node for atom in self.atoms for node in atom]


def discover(graph: Graph) -> Part:
    """The modules of a network, whatever it calls them."""
    return _Discovery(graph).tree()


def discover_spans(graph: Graph) -> Part:
    """These, and in straight ways what comes again and again; no modules at all where nothing does."""
    return _Discovery(graph).tree(with_spans=True)


def reads(node: Node) -> list[Value]:
    """What a node reads that comes from the network's inputs."""
    return [value for value in node.reads if value.maker is None or value.maker.reads]


class _Discovery:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = [node for node in graph.nodes if node.reads]
        self.at = {node: i for i, node in enumerate(self.nodes)}
        self.results = graph.results()
        self.readers: dict[Value, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for value in reads(node):
                self.readers[value].append(node)
        self.frames: dict[Node, list[Frame]] = {}
        self.leaves: dict[Node, str] = {}

    def tree(self, with_spans: bool = False) -> Part:
        regions = self._chosen(self._regions())
        atoms = self._atoms(regions)
        order = [node for atom in atoms for node in atom]
        units = self._paired(self._units(atoms))
        self._arrange(units)
        self._conv_units(order)
        if with_spans and not self._spans(order):
            return flat(self.graph)
        self._reorder(order)
        places: dict[Node, Place] = {n: (self.frames.get(n, []), self.leaves.get(n, "")) for n in self.graph.nodes}
        return arranged(self.graph, places)

    def _dominators(self) -> dict[Node, Node | None]:
        """The nearest node that all ways from the inputs to a node go through."""
        dominators: dict[Node, Node | None] = {}
        depth: dict[Node | None, int] = {None: 0}
        for node in self.nodes:
            makers = [value.maker for value in reads(node)] or [None]
            common = makers[0]
            for other in makers[1:]:
                while common is not other:
                    if depth.get(common, 0) >= depth.get(other, 0):
                        common = dominators.get(common) if common is not None else None
                    else:
                        other = dominators.get(other) if other is not None else None
            dominators[node] = common
            depth[node] = depth.get(common, 0) + 1
        return dominators

    def _regions(self) -> list[list[Node]]:
        dominators = self._dominators()
        regions = []
        for node in self.nodes:
            if len(set(reads(node))) < 2:
                continue
            top = dominators[node]
            region = self._between(top, node)
            if region is not None:
                regions.append(self._with_activation(region))
        return regions

    def _between(self, top: Node | None, end: Node) -> list[Node] | None:
        """All nodes on the ways from `top` to `end`, if none of them is read elsewhere."""
        if top is not None and len(top.outputs) > 1:
            return None
        inside, stack = {end}, [end]
        while stack:
            for value in reads(stack.pop()):
                maker = value.maker
                if maker is not None and maker is not top and maker not in inside:
                    inside.add(maker)
                    stack.append(maker)
            if len(inside) > LARGEST:
                return None
        for node in inside - {end}:
            for value in node.outputs:
                if value in self.results or any(reader not in inside for reader in self.readers.get(value, ())):
                    return None
        return sorted(inside, key=self.at.__getitem__)

    def _with_activation(self, region: list[Node]) -> list[Node]:
        end = region[-1]
        readers = self.readers.get(end.out, [])
        if end.op.name == "add" and len(readers) == 1 and is_activation(readers[0].op) and end.out not in self.results:
            return [*region, readers[0]]
        return region

    def _chosen(self, regions: list[list[Node]]) -> list[list[Node]]:
        """The largest regions that have their like and are no more than half of the network."""
        regions = sorted(regions, key=len)
        kinds = _kinds(regions)
        counts = Counter(kinds)
        chosen, taken = [], set[Node]()
        for region, kind in sorted(zip(regions, kinds, strict=True), key=lambda item: -len(item[0])):
            if counts[kind] < 2 or not 3 <= len(region) <= len(self.nodes) / 2 or not taken.isdisjoint(region):
                continue
            chosen.append(region)
            taken.update(region)
        return chosen

    def _atoms(self, regions: list[list[Node]]) -> list[list[Node]]:
        taken = {node for region in regions for node in region}
        atoms = [[node] for node in self.nodes if node not in taken] + regions
        return sorted(atoms, key=lambda atom: max(self.at[node] for node in atom))

    def _units(self, atoms: list[list[Node]]) -> list[Unit]:
        large = [atom for atom in atoms if len(atom) >= 3]
        kinds = iter(_kinds(large))
        return [Unit((next(kinds),) if len(atom) >= 3 else (), [atom]) for atom in atoms]

    def _paired(self, units: list[Unit]) -> list[Unit]:
        """Classes that always follow one another become one: attention and what stands behind it."""
        tried: set[tuple[Any, Any]] = set()
        while True:
            pairs = Counter((a.key, b.key) for a, b in pairwise(units) if a.key and b.key and a.key != b.key)
            counts = Counter(unit.key for unit in units)
            likely = [
                (count, pair)
                for pair, count in pairs.items()
                if count >= 2 and count >= FOLLOW * max(counts[pair[0]], counts[pair[1]]) and pair not in tried
            ]
            if not likely:
                return units
            _, pair = max(likely)
            tried.add(pair)
            units = self._joined(units, pair)

    def _joined(self, units: list[Unit], pair: tuple[Any, Any]) -> list[Unit]:
        joined: list[Unit] = []
        for unit in units:
            last = joined[-1] if joined else None
            if last is not None and (last.key, unit.key) == pair and self._only_feeds(last.nodes[-1], unit.nodes):
                joined[-1] = Unit(last.key + unit.key, last.atoms + unit.atoms)
            else:
                joined.append(unit)
        return joined

    def _only_feeds(self, node: Node, nodes: Sequence[Node]) -> bool:
        """Whether nodes read nothing from outside but what `node` gives, which nothing else reads."""
        inside = set(nodes)
        outside = {value for inner in nodes for value in reads(inner) if value.maker not in inside}
        return outside == {node.out} and self.readers[node.out] and set(self.readers[node.out]) <= inside  # type: ignore[return-value]

    def _arrange(self, units: list[Unit]) -> None:
        """Stages of units of one class at one resolution, and lists of what stands between them."""
        counts = Counter(unit.key for unit in units)
        classes: dict[tuple[int, ...], str] = {}
        stage = part = index = number = 0
        before: tuple[object, ...] | None = None
        last: Node | None = None
        opened = False
        for unit in units:
            nodes = unit.nodes
            if unit.key and counts[unit.key] >= 2:
                space = nodes[-1].out.type.shape[2:]
                if before != (unit.key, space) or last is None or not self._only_feeds(last, nodes):
                    stage, index, before = stage + 1, 0, (unit.key, space)
                cls = classes.setdefault(unit.key, _fresh(role_of(unit.nodes), set(classes.values())))
                path = f"stage{stage}"
                frames = [Frame(path, STAGE), Frame(f"{path}.{index}", cls)]
                for node in nodes:
                    self.frames[node] = frames
                for at, atom in enumerate(unit.atoms):
                    self._lists(atom, frames, "" if len(unit.atoms) == 1 else "abcdefgh"[min(at, 7)] + "_")
                index, opened, last = index + 1, False, nodes[-1]
                continue
            before = None
            for node in nodes:
                follows = last is not None and reads(node) == [last.out] and len(self.readers[last.out]) == 1
                opened = (
                    opened and follows and last is not None and last.out not in self.results and len(last.outputs) == 1
                )
                last = node
                if len(unit.atoms[0]) > 1 or len(node.inputs) != 1 or node.references:
                    opened = False
                    continue
                if not opened:
                    part, number, opened = part + 1, 0, True
                self.frames[node] = [Frame(f"part{part}", LIST)]
                self.leaves[node] = str(number)
                number += 1

    def _lists(self, atom: list[Node], frames: list[Frame], prefix: str) -> None:
        """Straight ways inside a region become lists: `body`, `shortcut`, `branch1`, …"""
        ways = self._ways(atom)
        if not ways:
            return
        main = max(ways, key=lambda way: sum(bool(node.params) for node in way))
        end = next((node for node in reversed(atom) if not is_activation(node.op)), atom[-1])
        merged = [way for way in ways if any(value is way[-1].out for value in end.inputs)]
        branches = iter(range(1, len(ways) + 1))
        taken: set[str] = set()
        for way in ways:
            if len(way) < 2:
                continue
            if end.op.name == "concat" and way in merged and len(end.inputs) > 2:
                word = f"branch{next(branches)}"
            else:
                word = "body" if way is main else "shortcut" if way in merged else "path"
            name = _fresh(prefix + word, taken)
            path = f"{frames[-1].path}.{name}"
            for number, node in enumerate(way):
                self.frames[node] = [*frames, Frame(path, LIST)]
                self.leaves[node] = str(number)

    def _ways(self, atom: list[Node]) -> list[list[Node]]:
        inside, where = set(atom), dict[Node, list[Node]]()
        ways: list[list[Node]] = []
        for node in atom:
            values = list(dict.fromkeys(reads(node)))
            if len(node.reads) != 1 or not values:
                continue
            maker = values[0].maker
            way = where.get(maker) if maker in inside and maker is not None else None
            if way is not None and way[-1] is maker and len(self.readers[values[0]]) == 1 and len(maker.outputs) == 1:
                way.append(node)
            else:
                way = [node]
                ways.append(way)
            where[node] = way
        return ways

    def _spans(self, order: list[Node]) -> bool:
        """Whether there are any."""
        ways: dict[Frame, list[Node]] = {}
        for node in order:
            around = self.frames.get(node, [])
            if around and around[0].cls == LIST:
                ways.setdefault(around[0], []).append(node)
        found = placed(ways.values(), self.frames, LIST)
        for node, (around, leaf) in found.items():
            self.frames[node], self.leaves[node] = around, leaf
        return bool(found)

    def _conv_units(self, order: list[Node]) -> None:
        """A convolution, its norm and its activation are a unit, where there are many."""
        begun: dict[str, list[Node]] = {}
        for node in order:
            if unit := unit_begun(node):
                begun.setdefault(unit, []).append(node)
        number = 0
        for unit, nodes in begun.items():
            number = self._grouped(unit, [self._following(node) for node in nodes], number)

    def _grouped(self, unit: str, groups: list[list[Node]], number: int) -> int:
        """number: of units there are; and then."""
        normed = [group for group in groups if any(OPERATORS[n.op.name].family is Family.NORM for n in group)]
        bare = [group for group in groups if len(group) == 2 and group not in normed]
        if len(normed) >= OFTEN:
            chosen = [group for group in groups if group in normed]
        elif len(bare) >= OFTEN_BARE:
            chosen = bare
        else:
            return number
        for group in chosen:
            around = self.frames.get(group[0], [])
            base = around[-1].path if around else ""
            leaf = self.leaves.get(group[0], "")
            name = leaf if around and around[-1].cls == LIST else f"conv{number}"
            path = join(base, name)
            for at, node in enumerate(group):
                self.frames[node] = [*around, Frame(path, unit)]
                self.leaves[node] = str(at)
            number += 1
        return number

    def _following(self, conv: Node) -> list[Node]:
        group = [conv]
        for kind in (Family.NORM, Family.ACTIVATION):
            last = group[-1]
            readers = self.readers.get(last.out, [])
            if len(readers) != 1 or last.out in self.results:
                continue
            node = readers[0]
            fits = OPERATORS[node.op.name].family is kind and (kind is Family.NORM or is_activation(node.op))
            if fits and len(node.reads) == 1 and self.frames.get(node) == self.frames.get(conv):
                group.append(node)
        return group

    def _reorder(self, order: list[Node]) -> None:
        """Nodes in the order that was found, tensors that read nothing before their first reader and in its module."""
        ordered: list[Node] = []
        placed: set[Node] = set()
        for node in order:
            for value in node.reads:
                maker = value.maker
                if maker is not None and not maker.reads and maker not in placed:
                    placed.add(maker)
                    around = self.frames.get(node, [])
                    while around and (around[-1].cls in (LIST, STAGE) or is_unit_class(around[-1].cls)):
                        around = around[:-1]
                    self.frames[maker] = around
                    ordered.append(maker)
            ordered.append(node)
        self.graph.nodes = [*ordered, *(node for node in self.graph.nodes if not node.reads and node not in placed)]


def _kinds(regions: Sequence[Sequence[Node]]) -> list[int]:
    """A number per region, equal for those that have the same operators for the most part and end in the same one."""
    profiles: list[tuple[Counter[str], str]] = []
    kinds = []
    for region in regions:
        bag = Counter(node.op.name for node in region if not is_activation(node.op))
        end = next((node.op.name for node in reversed(region) if not is_activation(node.op)), "")
        for at, (other, last) in enumerate(profiles):
            if last == end and (bag & other).total() >= ALIKE * (bag | other).total():
                kinds.append(at)
                break
        else:
            profiles.append((bag, end))
            kinds.append(len(profiles) - 1)
    return kinds


def _fresh(stem: str, taken: set[str]) -> str:
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}{count}"
    taken.add(name)
    return name
