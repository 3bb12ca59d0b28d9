"""From every operator to what a reader wants to see: fused runs, frames that say something, copies drawn once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from netc.backends.diagram import varied
from netc.backends.diagram.units import Box, Cluster, Opened, Unit, Wire, boxes, reads
from netc.ops.base import Family

FUSES: Mapping[Family, frozenset[Family]] = {
    Family.CONV: frozenset({Family.NORM, Family.ACTIVATION}),
    Family.LINEAR: frozenset({Family.NORM, Family.ACTIVATION}),
    Family.UPSAMPLE: frozenset({Family.NORM, Family.ACTIVATION}),
    Family.NORM: frozenset({Family.ACTIVATION}),
    Family.MERGE: frozenset({Family.ACTIVATION}),
    Family.RESHAPE: frozenset({Family.RESHAPE}),
}
"""What may join a box that ends with a family."""
FEW = 4
LONGEST_PERIOD = 6
"""Statements of a run that repeats as a whole."""


def every_op(opened: Opened) -> Opened:
    """Level `ops`: nothing fused or collapsed; only the frames of single loop turns go."""
    return _with_units(opened, _without_iterations(opened.units))


def blocks(opened: Opened) -> Opened:
    """Level `blocks`: runs fused, small frames opened, equal neighbours collapsed."""
    return _with_units(opened, _Simplifier(all_reads(opened)).units(opened.units, inside=False))


def overview(opened: Opened) -> Opened:
    """Level `overview`: one box per top-level stage."""
    simple = blocks(opened)
    total = all_reads(simple)
    size = sum(1 for _ in boxes(simple.units))
    return _with_units(simple, [_stages(unit, total, size) for unit in simple.units])


def _with_units(opened: Opened, units: Sequence[Unit]) -> Opened:
    return Opened(opened.inputs, tuple(units), opened.outputs)


def all_reads(opened: Opened) -> Counter[Wire]:
    """How often each wire is read, by boxes and as an output."""
    total = reads(opened.units)
    total.update(output.wire for output in opened.outputs)
    return total


def _without_iterations(units: Sequence[Unit]) -> list[Unit]:
    flat: list[Unit] = []
    for unit in units:
        if isinstance(unit, Box):
            flat.append(unit)
        elif unit.kind == "iteration" and unit.count == 1:
            flat += _without_iterations(unit.items)
        elif unit.items:
            flat.append(msgspec.structs.replace(unit, items=tuple(_without_iterations(unit.items))))
    return flat


def inputs_of(unit: Unit) -> tuple[Wire, ...]:
    """Wires read inside and made outside, in order of first reading."""
    if isinstance(unit, Box):
        return tuple(dict.fromkeys(unit.inputs))
    inner = {wire for box in boxes((unit,)) for wire in box.outputs}
    return tuple(wire for wire in reads((unit,)) if wire not in inner)


def outputs_of(unit: Unit, total: Counter[Wire]) -> tuple[Wire, ...]:
    """Wires made inside and read outside. `total` counts all reads of the network."""
    if isinstance(unit, Box):
        return tuple([wire for wire in unit.outputs if total[wire]])
    inside = reads((unit,))
    return tuple(wire for box in boxes((unit,)) for wire in box.outputs if total[wire] > inside[wire])


class _Simplifier:
    def __init__(self, total: Counter[Wire]) -> None:
        self.total = total

    def units(self, units: Sequence[Unit], *, inside: bool) -> list[Unit]:
        simplified = [simple for unit in units for simple in self._unit(unit, inside)]
        if any(isinstance(unit, Cluster) and unit.kind == "iteration" for unit in simplified):
            simplified = [inner for unit in self._collapse(simplified) for inner in _opened_iteration(unit)]
        return self._collapse_varied(self._collapse_periods(self._collapse(self._fuse(simplified))))

    def _unit(self, unit: Unit, inside: bool) -> Sequence[Unit]:
        if isinstance(unit, Box):
            return (unit,)
        items = tuple(self.units(unit.items, inside=inside or unit.kind == "call"))
        if unit.kind == "path" and len(items) > 1 and _hang_apart(items):
            return items
        if len(items) == 1:
            return (items[0] if unit.kind == "iteration" else _merged(unit, items[0]),)
        if inside and not unit.shared and unit.kind in ("chain", "call") and _is_straight(items):
            return items
        return (msgspec.structs.replace(unit, items=items),) if items else ()

    def _fuse(self, units: Sequence[Unit]) -> list[Unit]:
        fused: list[Unit] = []
        makers: dict[Wire, int] = {}
        for unit in units:
            at = makers.get(unit.inputs[0]) if isinstance(unit, Box) and len(unit.inputs) == 1 else None
            head = fused[at] if at is not None else None
            if at is not None and isinstance(head, Box) and isinstance(unit, Box) and self._fits(head, unit):
                fused[at] = unit = _rearranged(head, unit) if head.tail is Family.RESHAPE else _fused(head, unit)
            else:
                at = len(fused)
                fused.append(unit)
            if isinstance(unit, Box):
                makers.update(dict.fromkeys(unit.outputs, at))
        return fused

    def _fits(self, head: Box, box: Box) -> bool:
        alone = self.total[box.inputs[0]] == 1 and len(head.outputs) == 1
        plain = head.count == box.count == 1 and not head.shared and not box.shared
        joins = head.tail is not None and box.family in FUSES.get(head.tail, ())
        return alone and plain and joins

    def _collapse(self, units: Sequence[Unit]) -> list[Unit]:
        collapsed: list[Unit] = []
        keys = [self._key(unit) for unit in units]
        at = 0
        while at < len(units):
            end = self._run_end(units, keys, at)
            collapsed.append(units[at] if end == at + 1 else self._one_for_all(units[at:end]))
            at = end
        return collapsed

    def _collapse_periods(self, units: Sequence[Unit]) -> list[Unit]:
        """Runs that repeat as a whole, `a b a b a b`, in a frame that stands for all of them."""
        collapsed: list[Unit] = []
        keys = [self._key(unit) for unit in units]
        at = 0
        while at < len(units):
            periods = range(2, LONGEST_PERIOD + 1)
            runs = ((period, self._period_end(units, keys, at, period)) for period in periods)
            period, end = next((run for run in runs if run[1]), (1, 0))
            if end:
                turns = [_turn(units[n : n + period]) for n in range(at, end, period)]
                collapsed.append(self._one_for_all(turns))
            else:
                collapsed.append(units[at])
            at = end or at + 1
        return collapsed

    def _collapse_varied(self, units: Sequence[Unit]) -> list[Unit]:
        """Runs that differ in a number alone, `a(1) a(2) a(4)`, as one part that says the numbers."""
        collapsed: list[Unit] = []
        forms = [varied.form(unit) for unit in units]
        at = 0
        while at < len(units):
            end = at + 1 if forms[at] is None else self._run_end(units, forms, at, grows=False)
            end = at + varied.run_length(units[at:end]) if end - at >= varied.FEWEST else at + 1
            if end - at < varied.FEWEST:
                collapsed.append(units[at])
                at += 1
                continue
            collapsed.append(varied.with_parameter(self._one_for_all(units[at:end]), units[at:end]))
            at = end
        return collapsed

    def _period_end(self, units: Sequence[Unit], keys: Sequence[Hashable], start: int, period: int) -> int:
        """Where turns of `period` units each, equal and each feeding only the next, end; 0 where there is one."""
        end = start + period
        if keys[end : end + 1] != keys[start : start + 1]:
            return 0
        while keys[end : end + period] == keys[start : start + period]:
            end += period
        if end == start + period:
            return 0
        turns = [_turn(units[n : n + period]) for n in range(start, end, period)]
        run = self._run_end(turns, [self._key(turn) for turn in turns], 0)
        return start + run * period if run > 1 else 0

    def _run_end(self, units: Sequence[Unit], keys: Sequence[Hashable], start: int, *, grows: bool = True) -> int:
        """Where the run of equal units that starts at `start`, each feeding only the next, ends. grows: whether calls
        of one block may add channels to what they are given."""
        link = None
        end = start + 1
        while end < len(units) and keys[end] == keys[start]:
            kind = self._link(units[end - 1], units[end], grows)
            if kind is None or link not in (None, kind):
                break
            link = kind
            end += 1
        return end

    def _key(self, unit: Unit) -> Hashable:
        ids: dict[Wire, int] = {}
        return _unit_key(unit, ids), tuple(ids[wire] for wire in outputs_of(unit, self.total))

    def _link(self, first: Unit, second: Unit, grows: bool) -> tuple[int | None, ...] | None:
        """Per input of `second`, the output of `first` it reads (None: both read the same tensor from elsewhere);
        None when they are not a straight run."""
        outputs = outputs_of(first, self.total)
        pairs = list(zip(inputs_of(first), inputs_of(second), strict=True))
        link = tuple(outputs.index(b) if b in outputs else None for _, b in pairs)
        same = all(at is not None or a is b for at, (a, b) in zip(link, pairs, strict=True))
        inside = reads((first, second))
        only = all(self.total[wire] == inside[wire] for wire in outputs)
        same = same and ((grows and _may_grow(first)) or all(a.type == b.type for a, b in pairs))
        return link if same and only and any(at is not None for at in link) else None

    def _one_for_all(self, copies: Sequence[Unit]) -> Unit:
        first, last = copies[0], copies[-1]
        outside = dict(zip(_made(first), _made(last), strict=True))
        leaving = set(outputs_of(last, self.total))
        change = {a: b if b in leaving else Wire(a.type, b.last) for a, b in outside.items()}
        for a, b in change.items():
            self.total[b] = self.total[outside[a]]
        alike = zip(*(boxes((copy,)) for copy in copies), strict=True)
        nodes = iter([tuple(node for box in row for node in box.nodes) for row in alike])
        one = _rewired(first, change, nodes)
        return msgspec.structs.replace(one, count=first.count * len(copies), **title_of_run(first, last))


def _may_grow(unit: Unit) -> bool:
    """Calls of one block with the same arguments are copies even where each adds channels to what it was given."""
    return isinstance(unit, Cluster) and unit.kind == "call"


def _hang_apart(items: Sequence[Unit]) -> bool:
    """A few boxes none of which reads another share a name alone."""
    if len(items) > FEW or not all(isinstance(item, Box) for item in items):
        return False
    inner = {wire for box in boxes(items) for wire in box.outputs}
    return all(inner.isdisjoint(inputs_of(item)) for item in items)


def _is_straight(items: Sequence[Unit]) -> bool:
    """Boxes each of which reads only the one before: inside a block they need no frame of their own."""
    if not all(isinstance(item, Box) for item in items):
        return False
    run = list(boxes(items))
    return all(second.inputs == first.outputs for first, second in pairwise(run))


def _opened_iteration(unit: Unit) -> tuple[Unit, ...]:
    return unit.items if isinstance(unit, Cluster) and unit.kind == "iteration" and unit.count == 1 else (unit,)


def _merged(outer: Cluster, only: Unit) -> Unit:
    """A frame around one piece says no more than the piece with the frame's name."""
    shared = outer.shared or only.shared
    if isinstance(only, Box):
        return msgspec.structs.replace(only, shared=shared)
    return msgspec.structs.replace(
        only,
        path=outer.path,
        title=outer.title or only.title,
        note=outer.note if outer.kind == "call" else only.note or (only.title if outer.title else ""),
        shared=shared,
        key=(outer.key, only.key),
        kind=outer.kind,
        call=outer.call or only.call,
    )


def _fused(head: Box, box: Box) -> Box:
    joint = " · " if head.family is Family.MERGE else "·"
    start = _short_title(head) if head.family is head.tail else head.title
    return msgspec.structs.replace(
        head,
        title=start + joint + _short_title(box),
        tail=box.family,
        outputs=box.outputs,
        key=(head.key, box.key),
        detail=f"{head.detail}\n{box.detail}",
        sizes=head.sizes + box.sizes,
        nodes=head.nodes + box.nodes,
        learned=head.learned or box.learned,
        ops=head.ops + box.ops,
    )


def _rearranged(head: Box, box: Box) -> Box:
    """Changes of shape one after another are one."""
    steps = [detail.partition(" · ")[2].partition(" ")[0] for detail in (*head.detail.splitlines(), box.detail)]
    return msgspec.structs.replace(_fused(head, box), title="Rearrange", caption=", ".join(dict.fromkeys(steps)))


def _short_title(box: Box) -> str:
    """`BatchNorm` is `BN` among others."""
    first, dot, rest = box.title.partition("·")
    if box.family is not Family.NORM:
        return box.title
    return ("".join(filter(str.isupper, first)) or first) + dot + rest


def _unit_key(unit: Unit, ids: dict[Wire, int]) -> Hashable:
    """Equal for units that compute the same: operators, types and wiring, never names."""
    if isinstance(unit, Box):
        numbers = tuple(ids.setdefault(wire, len(ids)) for wire in (*unit.inputs, *unit.outputs))
        return (unit.key, unit.count, unit.shared, len(unit.inputs), numbers)
    return (unit.key, unit.count, unit.shared, tuple(_unit_key(item, ids) for item in unit.items))


def _made(unit: Unit) -> list[Wire]:
    return [wire for box in boxes((unit,)) for wire in box.outputs]


def _rewired(unit: Unit, change: Mapping[Wire, Wire], nodes: Iterator[tuple[str, ...]]) -> Unit:
    """nodes: the statements each box stands for, in order."""
    if isinstance(unit, Cluster):
        return msgspec.structs.replace(unit, items=tuple(_rewired(item, change, nodes) for item in unit.items))
    inputs = tuple(change.get(wire, wire) for wire in unit.inputs)
    outputs = tuple(change.get(wire, wire) for wire in unit.outputs)
    return msgspec.structs.replace(unit, inputs=inputs, outputs=outputs, nodes=next(nodes))


def _turn(units: Sequence[Unit]) -> Cluster:
    return Cluster(path=units[0].path, title="", kind="iteration", items=tuple(units), key="iteration")


def title_of_run(first: Unit, last: Unit) -> dict[str, str]:
    """`enc1`, …, `enc4` is `enc1…4`."""
    if isinstance(first, Box) or first.title == last.title:
        return {}
    name = first.title.rstrip("0123456789")
    return {"title": f"{first.title}…{last.title.removeprefix(name)}"}


def _stages(unit: Unit, total: Counter[Wire], size: int) -> Unit:
    if isinstance(unit, Cluster) and _is_whole(unit, size):
        return msgspec.structs.replace(unit, items=tuple(_stages(item, total, size) for item in unit.items))
    return stage(unit, total)


def stage(unit: Unit, total: Counter[Wire]) -> Box:
    """A frame as one box; `total` counts all reads of the network."""
    if isinstance(unit, Box):
        return unit
    caption = unit.about or _contents(unit)
    return Box(
        path=unit.path,
        title=unit.title or unit.note or unit.path,
        caption=caption,
        family=None,
        tail=None,
        inputs=inputs_of(unit),
        outputs=outputs_of(unit, total),
        key=unit.key,
        detail=unit.path,
        count=unit.count,
        shared=unit.shared,
        nodes=tuple(node for box in boxes((unit,)) for node in box.nodes),
        learned=any(box.learned for box in boxes((unit,))),
    )


def _is_whole(unit: Cluster, size: int) -> bool:
    """A stage that holds most of a network, itself in many frames, would hide what the overview is for."""
    frames = sum(isinstance(item, Cluster) for item in unit.items)
    most = 2 * sum(1 for _ in boxes((unit,))) > size
    return most and unit.kind != "call" and frames > 3


def _contents(unit: Cluster) -> str:
    counts: Counter[str] = Counter()
    for item in unit.items:
        counts[item.note or item.title if isinstance(item, Cluster) else item.title] += item.count
    common = [f"{n}× {name}" if n > 1 else name for name, n in counts.most_common(3) if name]
    return ", ".join(common) + (", …" if len(counts) > 3 else "")
