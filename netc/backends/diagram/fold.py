"""Coarser views of a view: what repeats is opened once, then what lies deep is closed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Hashable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from netc.backends.diagram.shown import View, viewed
from netc.backends.diagram.simplify import overview, stage
from netc.backends.diagram.units import Box, Cluster, Opened, Unit, Wire
from netc.backends.diagram.words import value_text
from netc.ir.model import Call


def kinds(view: View) -> list[Hashable]:
    """The blocks of a view that look different, outer ones first, in the order of their first use."""
    kinds_: dict[Hashable, None] = {}

    def walk(units: Sequence[Unit]) -> None:
        for unit in units:
            if isinstance(unit, Cluster):
                if unit.call is not None:
                    kinds_.setdefault(structure(unit))
                walk(unit.items)

    walk(view.opened.units)
    return list(kinds_)


def folded(
    view: View, opened: Container[Hashable] | None = None, depth: int | None = None, kept: Sequence[str] = ()
) -> View:
    """A view in which each kind of block is opened once.

    opened: the kinds that are opened at all, None for every one; depth: frames within frames that are opened; kept:
    globs over paths that stay open.
    """
    drawn: set[Hashable] = set()
    varying = varying_arguments(view.opened.units)

    def is_closed(unit: Cluster, at: int) -> bool:
        if any(fnmatchcase(unit.path, glob) for glob in kept):
            return False
        key = None if unit.call is None else structure(unit)
        if key is None:
            return depth is not None and at >= depth
        known = key in drawn
        drawn.add(key)
        return known or (opened is not None and key not in opened) or (depth is not None and at >= depth)

    def fold(unit: Unit, at: int) -> Unit:
        if isinstance(unit, Box):
            return unit
        if is_closed(unit, at):
            return closed_call(unit, view, varying)
        return msgspec.structs.replace(unit, items=tuple(fold(item, at + 1) for item in unit.items))

    units = tuple(fold(unit, 0) for unit in view.opened.units)
    return viewed(view.network, Opened(view.opened.inputs, units, view.opened.outputs))


def stages(view: View) -> View:
    """One box per stage."""
    return viewed(view.network, overview(view.opened))


def closed_call(unit: Cluster, view: View, varying: Mapping[int, Sequence[str]]) -> Box:
    """A frame as one box that says which arguments set this call apart."""
    box = stage(unit, view.reads)
    words = argument_words(unit, varying)
    named = unit.note and not unit.title.startswith(unit.note)
    caption = ", ".join([*([unit.note] if named else []), *words]) or box.caption
    return msgspec.structs.replace(box, caption=caption)


def argument_words(unit: Cluster, varying: Mapping[int, Sequence[str]]) -> list[str]:
    """`width=128` for each argument that differs between the calls of a block, `d 1,2,4` between copies."""
    told = [" ".join(pair) for pair in unit.varied]
    if unit.call is None:
        return told
    block, differing = unit.call.block, {name for name, _ in unit.varied}
    names = [name for name in varying.get(id(block.definition), ()) if name in block.arguments.keys() - differing]
    return [*(f"{name}={value_text(block.arguments[name])}" for name in names), *told]


def varying_arguments(units: Sequence[Unit]) -> dict[int, list[str]]:
    """Definition → its arguments that differ between its calls."""
    values = defaultdict[tuple[int, str], set[str]](set)
    for call, differing in calls_in(units):
        told = {name: value_text(value) for name, value in call.block.arguments.items()}
        for name, text in told.items():
            values[id(call.block.definition), name] |= {text, differing.get(name, text)}
    varying = defaultdict[int, list[str]](list)
    for (definition, name), texts in values.items():
        if len(texts) > 1:
            varying[definition].append(name)
    return dict(varying)


def calls_in(units: Sequence[Unit]) -> Iterator[tuple[Call, Mapping[str, str]]]:
    """Calls, and which arguments differ between the copies each stands for."""
    for unit in units:
        if isinstance(unit, Cluster):
            if unit.call is not None:
                yield unit.call, dict(unit.varied)
            yield from calls_in(unit.items)


def structure(unit: Cluster) -> Hashable:
    """Equal for calls of one block that look alike: the same operators, wired alike, whatever their sizes."""
    ids: dict[Wire, int] = {}
    definition = None if unit.call is None else id(unit.call.block.definition)
    return (definition, _signature(unit, ids))


def _signature(unit: Unit, ids: dict[Wire, int]) -> Hashable:
    if isinstance(unit, Box):
        wires = tuple(ids.setdefault(wire, len(ids)) for wire in (*unit.inputs, *unit.outputs))
        return (unit.title, unit.count, wires)
    return tuple(_signature(item, ids) for item in unit.items)
