"""Tensors under other names matched with those of a network: by their order and shapes.

A layer's weight, offset and statistics are matched together. Several ways are tried. In the first, both sides are
read in order, the longest common subsequence of forms is matched, and what is left over in the same form after it. In
the second, the n-th layer of each form is matched with the n-th of the other side; in the third as well, behind
layers whose shapes no other has on its side. They differ where one side declares a shortcut, or a normalisation,
before what the other declares first; then that way is right which fewer rules describe, because names follow a plan.
In the last, layers of the same name and form are matched before the others are.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod

import msgspec

from netc.types import FLOATS
from netc.weights.infer import Rules, infer_rules
from netc.weights.safetensors import TensorSpec

STATISTICS = ("running_mean", "running_var")
LONE = "lone"
"""A parameter that is neither the weight nor the offset of a layer: a scale, a token, a table."""

_PARTS = re.compile(r"(\d+)")

MOST = 8_000_000
"""Pairs of tensors that are compared, besides equal ones at both ends; longer lists are matched in pieces."""

Form = tuple[tuple[str, int, int], ...]
"""Of each tensor of a unit what it must share with its match: its kind, its rows, and how much is in one."""
Unit = tuple[str, ...]
"""Names of tensors that belong together: a layer's weight, offset and statistics, or one lone tensor."""
Units = Mapping[Unit, Form]


class MatchedTensors(msgspec.Struct, frozen=True, eq=False):
    """pairs: name there → name in the network; rules: what makes one into the other. left: learned tensors of the files
    that nothing in the network is matched with; missing: those of the network. doubtful: tensors that could have been
    matched otherwise, by their forms alone. by_name: they lie in the order of their names, which says little of that of
    the layers."""

    pairs: dict[str, str]
    rules: Rules
    left: tuple[str, ...]
    missing: tuple[str, ...]
    doubtful: tuple[str, ...]
    by_name: bool


def match(available: Sequence[TensorSpec], expected: Sequence[TensorSpec]) -> MatchedTensors:
    """Match what files give with what a network wants. Whole numbers, counts of batches say, follow their module."""
    by_name = _is_sorted(available)
    ordered = _by_name(available) if by_name else available
    theirs, ours = _units(ordered), _units(expected)
    own = _of_their_own(ordered, expected, theirs, ours)
    in_order, same = (_by_order(theirs, ours, pairs) for pairs in ({}, _same_names(theirs, ours)))
    ways = [in_order, _by_form(theirs, ours, {}), _by_form(theirs, ours, own), same]
    rules = [infer_rules(pairs) for pairs in ways]
    first = min(range(len(ways)), key=lambda way: (-len(ways[way]), len(rules[way])))
    pairs, others = ways[first], [way for way in ways[:3] if way is not ways[first]]
    matched = set(pairs.values())
    everything = pairs | _followers(available, expected, pairs)
    return MatchedTensors(
        everything,
        infer_rules(everything, [tensor.name for tensor in available if tensor.name not in everything]),
        tuple(name for unit in theirs for name in unit if name not in pairs),
        tuple(name for unit in ours for name in unit if name not in matched),
        tuple(name for name, new in pairs.items() if new != name and any(other.get(name) != new for other in others)),
        by_name,
    )


def _by_order(theirs: Units, ours: Units, given: Mapping[Unit, Unit]) -> dict[str, str]:
    """Those that are given, the others in the order of both sides, and what is left over by form."""
    taken = set(given.values())
    there, here = [unit for unit in theirs if unit not in given], [unit for unit in ours if unit not in taken]
    both = _in_order([theirs[unit] for unit in there], [ours[unit] for unit in here])
    pairs = {there[a]: here[b] for a, b in both}
    return _by_form(theirs, ours, {**given, **pairs})


def _by_form(theirs: Units, ours: Units, given: Mapping[Unit, Unit]) -> dict[str, str]:
    """Those that are given, and of the others the n-th of each form with the n-th, where there are as many on both
    sides."""
    taken = set(given.values())
    sides: defaultdict[Form, tuple[list[Unit], list[Unit]]] = defaultdict(lambda: ([], []))
    for side, units in enumerate((theirs, ours)):
        for unit, form in units.items():
            if unit not in (taken if side else given):
                sides[form][side].append(unit)
    alike = [both for both in sides.values() if len(both[0]) == len(both[1])]
    pairs = {old: new for available, expected in alike for old, new in zip(available, expected, strict=True)}
    return _names({**given, **pairs})


def _same_names(theirs: Units, ours: Units) -> dict[Unit, Unit]:
    return {unit: unit for unit, form in theirs.items() if ours.get(unit) == form}


def _of_their_own(
    available: Sequence[TensorSpec], expected: Sequence[TensorSpec], theirs: Units, ours: Units
) -> dict[Unit, Unit]:
    """Units whose shapes no other unit has on its side."""
    found = []
    for tensors, units in ((available, theirs), (expected, ours)):
        shapes = {tensor.name: tensor.shape for tensor in tensors}
        alike: defaultdict[tuple[Form, tuple[tuple[int, ...], ...]], list[Unit]] = defaultdict(list)
        for unit, form in units.items():
            alike[form, tuple(shapes[name] for name in unit)].append(unit)
        found.append({form: unit for form, (unit, *others) in alike.items() if not others})
    return {unit: found[1][form] for form, unit in found[0].items() if form in found[1]}


def _names(pairs: Mapping[Unit, Unit]) -> dict[str, str]:
    return {old: new for units in pairs.items() for old, new in zip(*units, strict=True)}


def _units(tensors: Sequence[TensorSpec]) -> dict[Unit, Form]:
    members: defaultdict[str, list[tuple[tuple[str, int, int], str]]] = defaultdict(list)
    for tensor in tensors:
        if tensor.dtype in FLOATS:
            kind, rows = _kind(tensor.name), tensor.shape[0] if tensor.shape else 1
            unit = tensor.name if kind == LONE else f"{_module(tensor.name)}."
            members[unit].append(((kind, rows, prod(tensor.shape[1:])), tensor.name))
    both = (zip(*sorted(unit, key=lambda member: member[0][0]), strict=True) for unit in members.values())
    return {names: form for form, names in both}


def _is_sorted(tensors: Sequence[TensorSpec]) -> bool:
    """Whether they lie by type and name, as safetensors writes them, and not in the order of the layers."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for tensor in tensors:
        names[tensor.dtype].append(tensor.name)
    return all(each == sorted(each) for each in names.values())


def _by_name(tensors: Sequence[TensorSpec]) -> list[TensorSpec]:
    """With numbers in names counted: `layer10` after `layer9`."""
    return sorted(
        tensors, key=lambda t: [(int(part), "") if part.isdigit() else (-1, part) for part in _PARTS.split(t.name)]
    )


def _kind(name: str) -> str:
    leaf = name.rpartition(".")[2]
    if leaf in STATISTICS:
        return leaf
    return "offset" if leaf.endswith("bias") else "weight" if leaf.endswith("weight") else LONE


def _in_order(theirs: Sequence[Form], ours: Sequence[Form]) -> list[tuple[int, int]]:
    """Places of equal forms, in the order of both."""
    first = 0
    while first < min(len(theirs), len(ours)) and theirs[first] == ours[first]:
        first += 1
    last = 0
    while last < min(len(theirs), len(ours)) - first and theirs[-1 - last] == ours[-1 - last]:
        last += 1
    ends = [(at, at) for at in range(first)]
    ends += [(len(theirs) - at, len(ours) - at) for at in range(last, 0, -1)]
    middle = _subsequence(theirs[first : len(theirs) - last], ours[first : len(ours) - last])
    return sorted((*ends, *((first + a, first + b) for a, b in middle)))


def _subsequence(theirs: Sequence[Form], ours: Sequence[Form]) -> list[tuple[int, int]]:
    """A longest common subsequence."""
    if len(theirs) * len(ours) > MOST:
        half, other = len(theirs) // 2, len(ours) // 2
        ends = _subsequence(theirs[half:], ours[other:])
        return [*_subsequence(theirs[:half], ours[:other]), *((half + a, other + b) for a, b in ends)]
    lengths = [[0] * (len(ours) + 1) for _ in range(len(theirs) + 1)]
    for a in range(len(theirs) - 1, -1, -1):
        row, below = lengths[a], lengths[a + 1]
        for b in range(len(ours) - 1, -1, -1):
            row[b] = below[b + 1] + 1 if theirs[a] == ours[b] else max(below[b], row[b + 1])
    positions, a, b = [], 0, 0
    while a < len(theirs) and b < len(ours):
        if theirs[a] == ours[b]:
            positions.append((a, b))
            a, b = a + 1, b + 1
        elif lengths[a + 1][b] >= lengths[a][b + 1]:
            a += 1
        else:
            b += 1
    return positions


def _followers(
    available: Sequence[TensorSpec], expected: Sequence[TensorSpec], pairs: dict[str, str]
) -> dict[str, str]:
    """Whole numbers of a module whose other tensors are matched, of the same name and shape."""
    modules = {_module(old): _module(new) for old, new in pairs.items()}
    there = {tensor.name: tensor.shape for tensor in expected if tensor.dtype not in FLOATS}
    followers = {}
    for tensor in available:
        module, dot, leaf = tensor.name.rpartition(".")
        new = modules.get(module)
        name = f"{new}{dot if new else ''}{leaf}"
        if tensor.dtype not in FLOATS and new is not None and there.get(name) == tensor.shape:
            followers[tensor.name] = name
    return followers


def _module(name: str) -> str:
    return name.rpartition(".")[0]
