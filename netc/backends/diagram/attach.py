"""Edges that nobody sees: they keep what begins late, or ends early, beside the part of the way it belongs to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

Edges = set[tuple[int, int]]


def attached(count: int, edges: Iterable[tuple[int, int]], heights: Sequence[float]) -> Edges:
    """The edges with unseen ones added, after which every node lies on a way from node 0 to node `count - 1`.

    What is not reached from node 0 is put beside the node whose reader it shares; what does not lead to the last node
    runs beside as much of the main way as it is high. heights: of each node, with the room below it.
    """
    whole = set(edges)
    whole |= _begun(count, whole, heights)
    return whole | _ended(count, whole, heights)


def neighbours(count: int, edges: Iterable[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Per node what it feeds and what feeds it, in order."""
    after: list[list[int]] = [[] for _ in range(count)]
    before: list[list[int]] = [[] for _ in range(count)]
    for source, target in sorted(edges):
        after[source].append(target)
        before[target].append(source)
    return after, before


def ordered(after: Sequence[Sequence[int]], before: Sequence[Sequence[int]]) -> list[int]:
    """The nodes so that every edge leads onwards, otherwise by number."""
    waiting = [len(sources) for sources in before]
    ready = [node for node, count in enumerate(waiting) if not count]
    heapify(ready)
    order = []
    while ready:
        node = heappop(ready)
        order.append(node)
        for target in after[node]:
            waiting[target] -= 1
            if not waiting[target]:
                heappush(ready, target)
    return order


def reached(start: int, after: Sequence[Sequence[int]]) -> set[int]:
    reached_, stack = {start}, [start]
    while stack:
        for node in after[stack.pop()]:
            if node not in reached_:
                reached_.add(node)
                stack.append(node)
    return reached_


def components(nodes: Iterable[int], links: Mapping[int, Sequence[int]] | Sequence[Sequence[int]]) -> list[list[int]]:
    """The nodes in groups that hang together, by their first node; `links` leads both ways."""
    left = dict.fromkeys(sorted(nodes))
    components_ = []
    while left:
        start = next(iter(left))
        del left[start]
        group, stack = [start], [start]
        while stack:
            for node in links[stack.pop()]:
                if node in left:
                    del left[node]
                    group.append(node)
                    stack.append(node)
        components_.append(sorted(group))
    return components_


def _depths(order: Sequence[int], before: Sequence[Sequence[int]], heights: Sequence[float]) -> dict[int, float]:
    """How far below the first node each begins."""
    depth: dict[int, float] = {}
    for node in order:
        depth[node] = max((depth[source] + heights[source] for source in before[node]), default=0.0)
    return depth


def _begun(count: int, edges: Edges, heights: Sequence[float]) -> Edges:
    after, before = neighbours(count, edges)
    fed = reached(0, after)
    if len(fed) == count:
        return set()
    order = ordered(after, before)
    depth = _depths(order, before, [1] * count)
    spine = _Spine(order, after, before, fed)
    both = [after[node] + before[node] for node in range(count)]
    groups = []
    for group in components(set(range(count)) - fed, both):
        reader = min((target for node in group for target in after[node] if target in fed), default=0)
        beside = [node for node in before[reader] if node in fed]
        start = max(beside, key=lambda node: (depth[node], -node), default=0)
        room = _height(group, after, heights)
        while room > 0 and start:
            room -= heights[start]
            start = max((n for n in before[start] if n in fed), key=lambda node: (depth[node], -node), default=0)
        groups.append((spine.place[reader], start, reader, group))
    new: Edges = set()
    for _, start, reader, group in sorted(groups):
        begin = spine.clear(start, reader)
        inside = set(group)
        new |= {(begin, root) for root in group if inside.isdisjoint(before[root])}
    return new


class _Spine:
    """The nodes on all ways from node 0, and which stretches of it something runs beside already."""

    def __init__(
        self, order: Sequence[int], after: Sequence[Sequence[int]], before: Sequence[Sequence[int]], fed: set[int]
    ) -> None:
        reachable = [node for node in order if node in fed]
        self.place = {node: at for at, node in enumerate(reachable)}
        self.nodes = cuts(reachable, after, before, fed)
        self.at = {node: n for n, node in enumerate(self.nodes)}
        self.places = [self.place[node] for node in self.nodes]
        self.taken: list[tuple[int, int]] = []

    def clear(self, start: int, reader: int) -> int:
        """Where to begin what runs beside the way from `start` to `reader`, so that stretches lie within one another or
        apart; readers come in order."""
        if reader not in self.at:
            return start
        begin, end = bisect_right(self.places, self.place[start]) - 1, self.at[reader]
        while self.taken and self.taken[-1][1] > begin:
            begin = min(begin, self.taken.pop()[0])
        self.taken.append((begin, end))
        return self.nodes[begin]


def _height(group: Sequence[int], after: Sequence[Sequence[int]], heights: Sequence[float]) -> float:
    """Of the longest way through a group."""
    inside = set(group)
    reach = {node: heights[node] for node in group}
    for node in group:
        for target in after[node]:
            if target in inside:
                reach[target] = max(reach[target], reach[node] + heights[target])
    return max(reach.values())


def _ended(count: int, edges: Edges, heights: Sequence[float]) -> Edges:
    after, before = neighbours(count, edges)
    last = count - 1
    leading = reached(last, before)
    if len(leading) == count:
        return set()
    order = ordered(after, before)
    top = _depths(order, before, heights)
    passed = cuts([node for node in order if node in leading], after, before, leading)
    both = [after[node] + before[node] for node in range(count)]
    new: Edges = set()
    for group in components(set(range(count)) - leading, both):
        sources = [source for node in group for source in before[node] if source in leading]
        begin = max((top[source] + heights[source] for source in sources), default=0.0)
        end = begin + _height(group, after, heights)
        goal = next((node for node in passed if top[node] >= end), last)
        inside = set(group)
        new |= {(node, goal) for node in group if not any(target in inside for target in after[node])}
    return new


def cuts(
    order: Sequence[int], after: Sequence[Sequence[int]], before: Sequence[Sequence[int]], among: set[int]
) -> list[int]:
    """The nodes of a part of the graph, given in an order in which data can flow, that lie on every way through it."""
    place = {node: at for at, node in enumerate(order)}
    begins = [not any(source in among for source in before[node]) for node in order]
    last_begin = max((at for at, begin in enumerate(begins) if begin), default=0)
    cuts_ = []
    farthest = 0
    for at, node in enumerate(order):
        targets = [place[target] for target in after[node] if target in among]
        if farthest <= at and last_begin <= at:
            cuts_.append(node)
        farthest = max(farthest, *targets) if targets else len(order)
    return cuts_
