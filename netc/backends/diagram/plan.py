"""How the parts of a frame hang together: one below another, side by side, or in layers where neither holds.

What lies on all ways is the spine; what lies between two parts of it are branches. Edges that pass over a longer way
are taken out first and come back as rails beside the spine. A part in which an edge cannot run beside the spine, or
that is no nest of chains and branches (a feature pyramid, a high-resolution network), is laid out in layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from netc.backends.diagram.attach import attached, components, cuts, neighbours, ordered

DEEPEST = 40
"""Branches within branches that are taken apart; what lies deeper is laid out in layers."""


class Leaf(msgspec.Struct, frozen=True, eq=False):
    node: int


class Series(msgspec.Struct, frozen=True, eq=False):
    """rails: edges between two leaves among the parts that pass over others; sizes: those of which only the size is
    read."""

    parts: tuple[Plan, ...]
    rails: tuple[tuple[int, int], ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()

    def with_sizes(self, pairs: Iterable[tuple[int, int]]) -> Series:
        """With rails for those pairs of which one reads only the size of the other, where both are on the spine."""
        at = {part.node: n for n, part in enumerate(self.parts) if isinstance(part, Leaf)}
        apart = [(a, b) for a, b in pairs if a in at and b in at and at[b] > at[a] + 1]
        return Series(self.parts, self.rails, tuple(pair for pair in apart if pair not in self.rails))

    def every_rail(self) -> list[tuple[int, int]]:
        """Its rails and those of the parts inside."""
        inner = [rail for part in self.parts for rail in _rails_of(part)]
        return [*self.rails, *self.sizes, *inner]


class Parallel(msgspec.Struct, frozen=True, eq=False):
    """tied: for each branch, whether a drawn edge ties it to what stands before and after (what merely begins or ends
    beside the way is not)."""

    branches: tuple[Plan, ...]
    tied: tuple[bool, ...]


class Layers(msgspec.Struct, frozen=True, eq=False):
    """order: the nodes so that every edge leads onwards."""

    order: tuple[int, ...]


Plan = Leaf | Series | Parallel | Layers


def nodes_of(plan: Plan) -> list[int]:
    """Every node of a plan."""
    if isinstance(plan, Leaf):
        return [plan.node]
    if isinstance(plan, Layers):
        return list(plan.order)
    parts = plan.parts if isinstance(plan, Series) else plan.branches
    return [node for part in parts for node in nodes_of(part)]


def _rails_of(plan: Plan) -> list[tuple[int, int]]:
    if isinstance(plan, Series):
        return plan.every_rail()
    return [rail for branch in plan.branches for rail in _rails_of(branch)] if isinstance(plan, Parallel) else []


def planned(
    edges: Iterable[tuple[int, int]], heights: Sequence[float], unseen: Iterable[tuple[int, int]] = ()
) -> Series:
    """The plan of a frame whose node 0 is its entry and whose last node is its exit; other nodes are its parts, in the
    author's order. heights: of each node, with the room below it; unseen: edges that count without being drawn."""
    drawn = {(a, b) for a, b in edges if a != b}
    return _Planner(drawn, drawn.union(unseen), heights).plan()


class _Planner:
    def __init__(self, drawn: set[tuple[int, int]], fixed: set[tuple[int, int]], heights: Sequence[float]) -> None:
        self.drawn, self.given = drawn, fixed
        count = len(heights)
        whole = attached(count, fixed, heights)
        self.after, self.before = neighbours(count, whole)
        self.order = ordered(self.after, self.before)
        self.place = {node: at for at, node in enumerate(self.order)}
        self.over = _passing_over(self.order, self.before)
        if self.over:
            self.after, self.before = neighbours(count, whole - self.over)
        self.both = [self.after[node] + self.before[node] for node in range(count)]

    def plan(self) -> Series:
        root = self._region(self.order, 0)
        assert isinstance(root, Series), "entry and exit lie on every way"
        return _with_rails(root, sorted(self.over & self.drawn))

    def _region(self, nodes: Sequence[int], depth: int) -> Plan:
        """`nodes` in flow order."""
        if len(nodes) == 1:
            return Leaf(nodes[0])
        groups = components(nodes, self.both)
        if depth > DEEPEST:
            return Layers(tuple(nodes))
        if len(groups) > 1:
            branches = [self._region(self._flow(group), depth + 1) for group in groups]
            return Parallel(tuple(branches), tuple(self._tied(group) for group in groups))
        spine = cuts(nodes, self.after, self.before, set(nodes))
        if not spine:
            return Layers(tuple(nodes))
        return Series(tuple(self._parts(nodes, spine, depth)))

    def _parts(self, nodes: Sequence[int], spine: Sequence[int], depth: int) -> list[Plan]:
        parts: list[Plan] = []
        between: list[int] = []
        on_spine = set(spine)
        for node in nodes:
            if node not in on_spine:
                between.append(node)
                continue
            if between:
                parts.append(self._region(between, depth + 1))
            parts.append(Leaf(node))
            between = []
        return [*parts, self._region(between, depth + 1)] if between else parts

    def _flow(self, group: Sequence[int]) -> list[int]:
        return sorted(group, key=lambda node: self.place[node])

    def _tied(self, group: Sequence[int]) -> bool:
        """Does it read and feed what is outside, or does it only begin or end there?"""
        inside = set(group)
        enters = any((s, n) in self.given for n in group for s in self.before[n] if s not in inside)
        leaves = any((n, t) in self.given for n in group for t in self.after[n] if t not in inside)
        return enters and leaves


def _passing_over(order: Sequence[int], before: Sequence[Sequence[int]]) -> set[tuple[int, int]]:
    """The edges beside which a longer way leads from the same node to the same node."""
    bit = {node: 1 << at for at, node in enumerate(order)}
    ancestors: dict[int, int] = {}
    passing = set()
    for node in order:
        sources = before[node]
        reached = 0
        for source in sources:
            reached |= ancestors[source]
        passing |= {(source, node) for source in sources if reached & bit[source]}
        for source in sources:
            reached |= bit[source]
        ancestors[node] = reached
    return passing


def _with_rails(root: Series, rails: Sequence[tuple[int, int]]) -> Series:
    """The plan with its rails; where one cannot run beside a spine, the parts it touches become layers."""
    if not rails:
        return root
    where = {node: (at, isinstance(part, Leaf)) for at, part in enumerate(root.parts) for node in nodes_of(part)}
    inner: dict[int, list[tuple[int, int]]] = {}
    across = []
    for rail in rails:
        (a, _), (b, _) = where[rail[0]], where[rail[1]]
        if a == b:
            inner.setdefault(a, []).append(rail)
        else:
            across.append(rail)
    spans = _merged_spans(across, where)
    parts: list[Plan] = []
    at = 0
    for low, high in [*spans, (len(root.parts), len(root.parts))]:
        parts += [_inside(part, inner.get(n, [])) for n, part in enumerate(root.parts[at:low], at)]
        if low < len(root.parts):
            parts.append(Layers(tuple(node for part in root.parts[low : high + 1] for node in nodes_of(part))))
        at = high + 1
    covered = {n for low, high in spans for n in range(low, high + 1)}
    kept = [rail for rail in across if where[rail[0]][0] not in covered and where[rail[1]][0] not in covered]
    return Series(tuple(parts), tuple(kept))


def _inside(part: Plan, rails: Sequence[tuple[int, int]]) -> Plan:
    if not rails or isinstance(part, Leaf | Layers):
        return part
    if isinstance(part, Series):
        return _with_rails(part, rails)
    branches = []
    for branch in part.branches:
        nodes = set(nodes_of(branch))
        branches.append(_inside(branch, [rail for rail in rails if rail[0] in nodes]))
    return Parallel(tuple(branches), part.tied)


def _merged_spans(rails: Sequence[tuple[int, int]], where: dict[int, tuple[int, bool]]) -> list[tuple[int, int]]:
    """The runs of parts that become layers: those that a rail begins or ends inside, and all it passes."""
    spans: list[tuple[int, int]] = []
    while True:
        pending = list(spans)
        for a, b in rails:
            (i, leaf_i), (j, leaf_j) = where[a], where[b]
            inside_i = _span_at(spans, i) or (None if leaf_i else (i, i))
            inside_j = _span_at(spans, j) or (None if leaf_j else (j, j))
            if inside_i or inside_j:
                low = inside_i[0] if inside_i else i + 1
                high = inside_j[1] if inside_j else j - 1
                pending.append((low, max(high, inside_i[1] if inside_i else low)))
        joined = _joined(pending)
        if joined == spans:
            return spans
        spans = joined


def _span_at(spans: Sequence[tuple[int, int]], at: int) -> tuple[int, int] | None:
    return next(((low, high) for low, high in spans if low <= at <= high), None)


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return joined
