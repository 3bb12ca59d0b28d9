"""Runs of parts that differ in a number alone, as a block called with dilations 1, 2, 4 and 8: what may differ, and
how the picture says it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from netc.backends.diagram.units import Box, Cluster, Unit, Wire, boxes
from netc.backends.diagram.words import value_text
from netc.ops.base import Family

FEWEST = 3
"""Copies from which on a run with a parameter is drawn once."""
MOST_VALUES = 6
Values = Mapping[str, tuple[Any, ...]]
"""What differs, by name: its value in each copy."""


def form(unit: Unit) -> Hashable:
    """Equal for parts of the same operators, wired alike, on as many channels, whatever their other numbers; None for
    what stands for several already."""
    return None if unit.count > 1 else _form(unit, {})


def _form(unit: Unit, ids: dict[Wire, int]) -> Hashable:
    if isinstance(unit, Box):
        wires = tuple(ids.setdefault(wire, len(ids)) for wire in (*unit.inputs, *unit.outputs))
        types = tuple((wire.type.dtype, len(wire.type.shape), wire.type.shape[1:2]) for wire in unit.outputs)
        return (tuple(map(type, unit.ops)), unit.title, unit.count, unit.shared, len(unit.inputs), wires, types)
    call = None if unit.call is None else id(unit.call.block.definition)
    return (unit.kind, call, unit.count, unit.shared, tuple(_form(item, ids) for item in unit.items))


def run_length(copies: Sequence[Unit]) -> int:
    """How many of them, from the first, one part can stand for: each number is the same in all or another in each."""
    values = defaultdict[Hashable, set[str]](set)
    for n, copy in enumerate(copies, 1):
        for name, value in _numbers(copy):
            values[name].add(value_text(value))
            if len(values[name]) not in (1, n) or (n > 1 and len(values[name]) > 1 and not _is_number(value)):
                return n - 1
    return len(copies)


def with_parameter(one: Unit, copies: Sequence[Unit]) -> Unit:
    """The part that stands for `copies`, which says the numbers that differ: in the author's words where they are
    arguments of a block."""
    rows = iter(list(zip(*(boxes((copy,)) for copy in copies), strict=True)))
    if isinstance(one, Box):
        return _box(one, next(rows), whole=True)
    inner = msgspec.structs.replace(one, items=tuple(_inside(item, rows) for item in one.items))
    told = _differing([dict(_numbers(copy)) for copy in copies])
    words = tuple((name, _listed(tuple(map(value_text, values)))) for name, values in told.items())
    return msgspec.structs.replace(inner, varied=words)


def _inside(unit: Unit, rows: Iterator[tuple[Box, ...]]) -> Unit:
    if isinstance(unit, Box):
        return _box(unit, next(rows), whole=False)
    return msgspec.structs.replace(unit, items=tuple(_inside(item, rows) for item in unit.items))


def _box(one: Box, row: Sequence[Box], *, whole: bool) -> Box:
    """Its caption says what all copies share, then what differs: every value, or the first and the last."""
    values = _differing([dict(_attributes((box,))) for box in row])
    if not values:
        return one
    shared = [word for word in one.caption.split(", ") if all(word in box.caption.split(", ") for box in row)]
    return msgspec.structs.replace(one, caption=", ".join(word for word in (*shared, _told(values, whole)) if word))


def _numbers(unit: Unit) -> Iterator[tuple[Hashable, Any]]:
    """The arguments of a call; else the attributes of the operators inside."""
    if isinstance(unit, Cluster) and unit.call is not None:
        yield from unit.call.block.arguments.items()
    else:
        yield from _attributes(boxes((unit,)))


def _attributes(inner: Iterable[Box]) -> Iterator[tuple[tuple[int, str], Any]]:
    for n, op in enumerate(op for box in inner for op in box.ops):
        if op.family is not Family.DROPOUT:
            yield from (((n, name), _one_number(getattr(op, name))) for name in op.attributes)


def _one_number(value: Any) -> Any:
    """One number where all axes have the same."""
    return value[0] if isinstance(value, tuple) and value and len(set(value)) == 1 else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _differing(rows: Sequence[Mapping[Any, Any]]) -> dict[str, tuple[Any, ...]]:
    differing: dict[str, tuple[Any, ...]] = {}
    for key, first in rows[0].items():
        values = tuple(row[key] for row in rows)
        if any(value != first for value in values):
            differing.setdefault(key[1] if isinstance(key, tuple) else key, values)
    return differing


def _told(values: Values, whole: bool) -> str:
    """`dilation 1,2,4,8`, or `dilation 1…8`; names with the same values together."""
    names = defaultdict[tuple[str, ...], list[str]](list)
    for name, numbers in values.items():
        names[tuple(map(value_text, numbers))].append(name)
    told = ((same, _listed(texts) if whole else f"{texts[0]}…{texts[-1]}") for texts, same in names.items())
    return ", ".join(f"{' = '.join(same)} {text}" for same, text in told)


def _listed(texts: tuple[str, ...]) -> str:
    return ",".join(texts if len(texts) <= MOST_VALUES else (*texts[: MOST_VALUES - 2], "…", texts[-1]))
