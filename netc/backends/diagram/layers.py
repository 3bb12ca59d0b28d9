"""Layers: every edge leads from one row to the next, through lanes where it passes rows, on a track of its own between
two rows.

Rows by the longest way, order by barycentres (Sugiyama, Tagawa and Toda 1981), places by least squares that keep order
and distance (isotonic regression), as is usual for layered drawings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from netc.backends.diagram.plan import Layers, Plan
from netc.backends.diagram.scene import Point
from netc.backends.diagram.spots import Cell, Edge, Places, Route

IN = -1
"""The source of what enters from above."""
ITEM_GAP, LANE_GAP, TRACK = 16.0, 9.0, 6.0
CHANNEL_TOP, CHANNEL_LABEL, CHANNEL_END = 7.0, 11.0, 11.0
SWEEPS = 6

Item = tuple[int, int]
"""A node (0), or a lane of one of the tensors it makes, counted from 1."""
Key = tuple[int, Item]
"""An item in its row."""
Axes = dict[Key, float]
Beside = dict[Key, list[Key]]
NEAR, NEAR_SHARE = 16.0, 0.15
"""Points by which no line should turn, and share of the width by which the axis moves onto a line."""
MOST_MOVES = 200_000
"""Items that are looked at to straighten lines."""


class LayersBlock:
    def __init__(self, plan: Layers, cells: Sequence[Cell], edges: Sequence[Edge]) -> None:
        self.plan: Plan = plan
        self.cells = cells
        inside = set(plan.order)
        self.inner = sorted({(a, b) for a, b in edges if a in inside and b in inside and a != b})
        outer = sorted((b, self._lane(a, b)) for a, b in edges if a not in inside and b in inside)
        numbers: dict[Item, int] = {}
        lanes = [(b, (IN, 1 + numbers.setdefault(lane, len(numbers)))) for b, lane in outer]
        self.entering: dict[int, Item] = dict(reversed(lanes))
        self.out = {a: self._lane(a, b) for a, b in sorted(edges, reverse=True) if a in inside and b not in inside}
        self.rank = self._ranks(plan.order)
        self.last = max(self.rank.values())
        self.rows, self.links = self._rows(plan.order)
        self._sort()
        self.x = self._places()
        self._measure()

    def _ranks(self, order: Sequence[int]) -> dict[int, int]:
        sources, targets = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
        for a, b in self.inner:
            sources[b].append(a)
            targets[a].append(b)
        rank: dict[int, int] = {}
        for node in order:
            rank[node] = 1 + max((rank[a] for a in sources[node]), default=-1)
        fed = set(self.entering)
        for node in reversed(order):
            if not sources[node] and node not in fed and targets[node]:
                rank[node] = min(rank[b] for b in targets[node]) - 1
        return rank

    def _rows(self, order: Sequence[int]) -> tuple[list[list[Item]], list[list[tuple[Item, Item]]]]:
        """The items of each row, and between each row and the next which item leads to which."""
        rows: list[list[Item]] = [[] for _ in range(self.last + 1)]
        for node in order:
            rows[self.rank[node]].append((node, 0))
        lanes = self._lanes()
        links: list[list[tuple[Item, Item]]] = [[] for _ in range(self.last + 1)]
        for source in [IN, *order]:
            at = -1 if source == IN else self.rank[source]
            for lane, targets in lanes[source].items():
                ends = [self.rank[target] for target in targets]
                for row in range(at + 1, max([*ends, self.last + 1] if lane in self.out.values() else ends)):
                    rows[row].append(lane)
                    if row > 0:
                        links[row - 1].append((_upper(lane, row - 1 > at), lane))
                for target in targets:
                    row = self.rank[target]
                    if row > 0:
                        links[row - 1].append((_upper(lane, row - 1 > at), (target, 0)))
        return rows, links

    def _lanes(self) -> dict[int, dict[Item, list[int]]]:
        """For each source its lanes, and the nodes that each leads to."""
        lanes = defaultdict[int, dict[Item, list[int]]](dict)
        for a, b in self.inner:
            lanes[a].setdefault(self._lane(a, b), []).append(b)
        for b, lane in self.entering.items():
            lanes[IN].setdefault(lane, []).append(b)
        for a, lane in self.out.items():
            lanes[a].setdefault(lane, [])
        return lanes

    def _lane(self, source: int, target: int) -> Item:
        return (source, 1 + self.cells[source].ports.get(target, 0))

    def _sort(self) -> None:
        """Order each row to cross few lines; the author's order where nothing speaks against it."""
        best, fewest = [list(row) for row in self.rows], self._crossings()
        for sweep in range(SWEEPS):
            rows = range(1, len(self.rows)) if sweep % 2 == 0 else range(len(self.rows) - 2, -1, -1)
            for row in rows:
                self._by_barycentre(row, above=sweep % 2 == 0)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self.rows], crossings
        self.rows = best

    def _by_barycentre(self, row: int, above: bool) -> None:
        other = self.rows[row - 1 if above else row + 1]
        place = {item: at for at, item in enumerate(other)}
        neighbours = defaultdict[Item, list[int]](list)
        for upper, lower in self.links[row - 1 if above else row]:
            if above:
                neighbours[lower].append(place[upper])
            else:
                neighbours[upper].append(place[lower])
        here = {item: at for at, item in enumerate(self.rows[row])}
        key = {item: sum(neighbours[item]) / len(neighbours[item]) if neighbours[item] else here[item] for item in here}
        self.rows[row] = sorted(self.rows[row], key=lambda item: (key[item], here[item]))

    def _crossings(self) -> int:
        total = 0
        for row, links in enumerate(self.links[:-1]):
            upper = {item: at for at, item in enumerate(self.rows[row])}
            lower = {item: at for at, item in enumerate(self.rows[row + 1])}
            ends = [lower[b] for a, b in sorted(links, key=lambda link: (upper[link[0]], lower[link[1]]))]
            total += _inversions(ends)
        return total

    def _left(self, item: Item) -> float:
        return 0.0 if item[1] else self.cells[item[0]].ax

    def _right(self, item: Item) -> float:
        cell = self.cells[item[0]]
        return 0.0 if item[1] else max(cell.w - cell.ax, cell.label)

    def _places(self) -> Axes:
        """The axis of every item, by its row."""
        steps = [self._steps(row) for row in self.rows]
        x = {(r, item): at for r, row in enumerate(self.rows) for item, at in zip(row, steps[r], strict=True)}
        above, below = self._neighbours()
        for sweep in range(8):
            down = sweep % 2 == 1
            for r in range(len(self.rows)) if down else reversed(range(len(self.rows))):
                beside = above if down else below
                wished = [_mean([x[key] for key in beside[r, item]], x[r, item]) for item in self.rows[r]]
                weights = [4.0 if item[1] else 1.0 + len(beside[r, item]) for item in self.rows[r]]
                settled = _kept_apart(wished, weights, steps[r])
                x.update(((r, item), at) for item, at in zip(self.rows[r], settled, strict=True))
        return self._straightened(x, steps, above, below)

    def _straightened(self, x: Axes, steps: Sequence[Sequence[float]], above: Beside, below: Beside) -> Axes:
        """Places at which fewer lines turn: what stands on one line moves as a whole, within its rows' room, onto the
        line of what alone leads to it or alone follows it, or of anything near."""
        close = {(r, item): at for r, row in enumerate(self.rows) for item, at in zip(row, steps[r], strict=True)}
        room = _Room(x, close, self.rows)
        for _ in range(2):
            bends = sorted((abs(x[a] - x[b]), a, b) for a, lower in below.items() for b in lower)
            for _, a, b in bends:
                alone = len(below[a]) == 1 and len(above[b]) == 1
                if alone or abs(x[a] - x[b]) < NEAR:
                    room.join(a, b)
        return x

    def _steps(self, row: Sequence[Item]) -> list[float]:
        """Axes when everything stands as close as it may."""
        steps = []
        at = 0.0
        for n, item in enumerate(row):
            if n:
                before = row[n - 1]
                gap = ITEM_GAP if not (item[1] or before[1]) else LANE_GAP
                at += self._right(before) + gap + self._left(item)
            steps.append(at)
        return steps

    def _neighbours(self) -> tuple[Beside, Beside]:
        above, below = defaultdict[Key, list[Key]](list), defaultdict[Key, list[Key]](list)
        for row, links in enumerate(self.links[:-1]):
            for upper, lower in links:
                above[row + 1, lower].append((row, upper))
                below[row, upper].append((row + 1, lower))
        return above, below

    def _measure(self) -> None:
        low = min(self.x[r, item] - self._left(item) for r, row in enumerate(self.rows) for item in row)
        self.x = {key: at - low for key, at in self.x.items()}
        self.w = max(self.x[r, item] + self._right(item) for r, row in enumerate(self.rows) for item in row)
        heights = [max((self.cells[item[0]].h for item in row if not item[1]), default=0.0) for row in self.rows]
        self.tops: list[float] = []
        self.tracks: list[dict[Item, float]] = []
        y = 0.0
        for row, height in enumerate(heights):
            self.tops.append(y)
            y += height
            if row < self.last:
                labelled = any(not item[1] and self.cells[item[0]].label for item in self.rows[row])
                start = y + (CHANNEL_LABEL if labelled else 0.0) + CHANNEL_TOP
                levels = self._levels(row)
                self.tracks.append({item: start + TRACK * level for item, level in levels.items()})
                y = start + TRACK * max(levels.values(), default=0) + CHANNEL_END
        self.h = y
        self.ax = self._axis_of_all()

    def _axis_of_all(self) -> float:
        """The middle of what enters and leaves; the line of one of them, where it runs near it."""
        entered, left = {IN, *self.entering}, set(self.out)
        ends = [self.x[0, item] for item in self.rows[0] if item[0] in entered]
        ends += [self.x[self.last, item] for item in self.rows[-1] if item[0] in left]
        ends = ends or [self.x[0, item] for item in self.rows[0]]
        middle = (min(ends) + max(ends)) / 2
        nearest = min(ends, key=lambda end: abs(end - middle))
        return nearest if abs(nearest - middle) <= max(NEAR, NEAR_SHARE * (max(ends) - min(ends))) else middle

    def _levels(self, row: int) -> dict[Item, int]:
        """A track for each item of a row whose lines turn: no two of them on one track where they would touch, and
        above the tracks of lines that come down where its own leaves."""
        reach: dict[Item, list[float]] = {}
        for upper, lower in self.links[row]:
            reach.setdefault(upper, [self.x[row, upper]]).append(self.x[row + 1, lower])
        turning = {item: (min(xs), max(xs)) for item, xs in reach.items() if max(xs) - min(xs) > 0.5}
        ends = {item: reach[item][1:] for item in turning}
        level: dict[Item, int] = {}
        waiting = sorted(turning, key=lambda item: (turning[item][0], item))
        while waiting:
            item = next((i for i in waiting if not self._covered(i, row, waiting, ends)), waiting[0])
            waiting.remove(item)
            least = max([level[o] + 1 for o in level if _meets(self.x[row, o], ends[item])], default=0)
            taken = {level[o] for o in level if _touch(turning[o], turning[item])}
            level[item] = next(n for n in range(least, least + len(taken) + 1) if n not in taken)
        return level

    def _covered(self, item: Item, row: int, waiting: Sequence[Item], ends: dict[Item, list[float]]) -> bool:
        """Does a line that is still to be placed leave where one of this item's comes down?"""
        return any(other != item and _meets(self.x[row, other], ends[item]) for other in waiting)

    def put(self, x: float, y: float, places: Places) -> None:
        self.left, self.top = x, y
        for node, row in self.rank.items():
            places.put(node, x + self.x[row, (node, 0)] - self.cells[node].ax, y + self.tops[row])

    def enter(self, node: int, places: Places) -> list[Point]:
        row = self.rank[node]
        if row == 0:
            return [places.top(node)]
        lane = self.entering[node]
        return [(self._axis(0, lane), self.top), *self._way(lane, 0, row, node, places)]

    def leave(self, node: int, places: Places) -> list[Point]:
        row = self.rank[node]
        start = places.bottom(node)
        if row == self.last:
            return [start, (start[0], self.top + self.h)]
        points = [start]
        for at in range(row, self.last):
            points += self._turn(at, _upper(self.out[node], at > row), self.out[node])
        return [*points, (points[-1][0], self.top + self.h)]

    def routes(self, places: Places) -> Iterable[Route]:
        for a, b in self.inner:
            way = self._way(self._lane(a, b), self.rank[a], self.rank[b], b, places)
            yield Route(a, b, (places.bottom(a), *way))

    def _way(self, lane: Item, start: int, row: int, target: int, places: Places) -> list[Point]:
        points: list[Point] = []
        for at in range(start, row):
            upper = _upper(lane, lane[0] == IN or at > start)
            points += self._turn(at, upper, (target, 0) if at == row - 1 else lane)
        return [*points, places.top(target)]

    def _turn(self, row: int, upper: Item, lower: Item) -> list[Point]:
        x0, x1 = self._axis(row, upper), self._axis(row + 1, lower)
        if abs(x0 - x1) <= 0.5:
            return [(x0, self.top + self.tops[row + 1]), (x1, self.top + self.tops[row + 1])] if x0 != x1 else []
        y = self.top + self.tracks[row][upper]
        return [(x0, y), (x1, y)]

    def _axis(self, row: int, item: Item) -> float:
        return self.left + self.x[row, item]


class _Room:
    """Items at `x`, in rows in which they keep the distances of `steps`; those joined stand on one line."""

    def __init__(self, x: Axes, steps: Axes, rows: Sequence[Sequence[Item]]) -> None:
        self.x, self.steps, self.rows = x, steps, rows
        self.at = {(r, item): n for r, row in enumerate(rows) for n, item in enumerate(row)}
        self.line: dict[Key, list[Key]] = {key: [key] for key in x}
        self.low, self.high = min(x.values()), max(x.values())
        self.moves = MOST_MOVES

    def join(self, a: Key, b: Key) -> None:
        """Move the lines of both onto each other: the one as far as it has room, the other for the rest; else one of
        them all the way, where what stands beside it can make room."""
        one, other = self.line[a], self.line[b]
        self.moves -= len(one) + len(other)
        if one is other or self.moves < 0 or {r for r, _ in one} & {r for r, _ in other}:
            return
        by = self.x[a] - self.x[b]
        part = min(abs(by), self._slack(other, by))
        if self._slack(one, -by) >= abs(by) - part - 1e-6:
            goal = self.x[b] + (part if by > 0 else -part)
            self.x.update(dict.fromkeys([*one, *other], goal))
        elif not (self._push(other, by, one) or self._push(one, -by, other)):
            return
        joined = [*one, *other]
        self.line.update(dict.fromkeys(joined, joined))

    def _push(self, line: Sequence[Key], by: float, still: Sequence[Key]) -> bool:
        """Move a line, and as far as they are in its way those beside it as whole lines, but never the one that stays;
        False where something would have to leave the picture or a straight line to bend."""
        side = 1 if by > 0 else -1
        shift = {id(line): abs(by)}
        waiting = [line]
        while waiting:
            moving = waiting.pop()
            self.moves -= len(moving)
            if moving is still or self.moves < 0:
                return False
            for key in moving:
                short = shift[id(moving)] - self._free(key, side)
                beside = self._next(key, side)
                if short <= 1e-6:
                    continue
                if beside is None:
                    return False
                pushed = self.line[beside]
                if shift.get(id(pushed), 0.0) < short:
                    shift[id(pushed)] = short
                    waiting.append(pushed)
        moved = {id(group): group for group in self.line.values() if id(group) in shift}
        for group in moved.values():
            self.x.update({key: self.x[key] + side * shift[id(group)] for key in group})
        return True

    def _next(self, key: Key, side: int) -> Key | None:
        row, n = self.rows[key[0]], self.at[key] + side
        return (key[0], row[n]) if 0 <= n < len(row) else None

    def _slack(self, line: Sequence[Key], by: float) -> float:
        """How far a line can move, to the right where `by` is positive."""
        return max(0.0, min(self._free(key, 1 if by > 0 else -1) for key in line))

    def _free(self, key: Key, side: int) -> float:
        """How far a key can move to a side before it meets its neighbour or the edge."""
        beside = self._next(key, side)
        end = self._beside(key, beside) if beside is not None else self.high if side > 0 else self.low
        return side * (end - self.x[key])

    def _beside(self, key: Key, other: Key) -> float:
        """Where a key would stand as close to its neighbour as it may."""
        return self.x[other] + self.steps[key] - self.steps[other]


def _upper(lane: Item, passed: bool) -> Item:
    """Where a lane comes from: itself where it has passed a row, else its node."""
    return lane if passed else (lane[0], 0)


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _meets(x: float, ends: Iterable[float]) -> bool:
    return any(abs(x - end) < 3 for end in ends)


def _touch(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] < b[1] + 4 and b[0] < a[1] + 4


def _inversions(values: list[int]) -> int:
    """Pairs in the wrong order, by merging."""
    if len(values) < 2:
        return 0
    half = len(values) // 2
    left, right = values[:half], values[half:]
    total = _inversions(left) + _inversions(right)
    left.sort()
    right.sort()
    at = 0
    for value in right:
        while at < len(left) and left[at] <= value:
            at += 1
        total += len(left) - at
    return total


def _kept_apart(wished: Sequence[float], weights: Sequence[float], steps: Sequence[float]) -> list[float]:
    """The places nearest to the wished ones (weighted least squares) that are as far apart as `steps`."""
    groups: list[list[float]] = []
    for wish, weight, step in zip(wished, weights, steps, strict=True):
        groups.append([wish - step, weight, 1])
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            value, mass, count = groups.pop()
            before = groups[-1]
            before[0] = (before[0] * before[1] + value * mass) / (before[1] + mass)
            before[1] += mass
            before[2] += count
    settled = [value for value, _, count in groups for _ in range(int(count))]
    return [value + step for value, step in zip(settled, steps, strict=True)]
