"""Tensors under other names matched with those of a network: by their order and shapes.

Two ways are tried. In the first, both sides are read in order, the longest common subsequence of forms is matched, and
what is left over in the same form after it. In the second, the n-th tensor of each form is matched with the n-th of the
other side. They differ where one side declares a shortcut, or a normalisation, before what the other declares first;
then that way is right which fewer rules describe, because names follow a plan.
"""

from __future__ import annotations

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

MOST = 8_000_000
"""Pairs of tensors that are compared, besides equal ones at both ends; longer lists are matched in pieces."""

Form = tuple[str, str, int, int]


class MatchedTensors(msgspec.Struct, frozen=True, eq=False):
    """pairs: name there → name in the network; rules: what makes one into the other. left: learned tensors of the files
    that nothing in the network is matched with; missing: those of the network. doubtful: tensors that could have been
    matched otherwise, by their forms alone."""

    pairs: dict[str, str]
    rules: Rules
    left: tuple[str, ...]
    missing: tuple[str, ...]
    doubtful: tuple[str, ...]


def match(available: Sequence[TensorSpec], expected: Sequence[TensorSpec]) -> MatchedTensors:
    """Match what files give with what a network wants. Whole numbers, counts of batches say, follow their module."""
    theirs, ours = _forms(available), _forms(expected)
    ways = [_by_order(theirs, ours), _by_form(theirs, ours)]
    rules = [infer_rules(pairs) for pairs in ways]
    first = min((0, 1), key=lambda way: (-len(ways[way]), len(rules[way])))
    pairs, other = ways[first], ways[1 - first]
    matched = set(pairs.values())
    everything = pairs | _followers(available, expected, pairs)
    return MatchedTensors(
        everything,
        infer_rules(everything, [tensor.name for tensor in available if tensor.name not in everything]),
        tuple(name for name in theirs if name not in pairs),
        tuple(name for name in ours if name not in matched),
        tuple(name for name, new in pairs.items() if other.get(name) != new),
    )


def _by_order(theirs: Mapping[str, Form], ours: Mapping[str, Form]) -> dict[str, str]:
    there, here = list(theirs), list(ours)
    pairs = {there[a]: here[b] for a, b in _in_order(list(theirs.values()), list(ours.values()))}
    matched = set(pairs.values())
    left = {name: form for name, form in theirs.items() if name not in pairs}
    return pairs | _by_form(left, {name: form for name, form in ours.items() if name not in matched})


def _by_form(theirs: Mapping[str, Form], ours: Mapping[str, Form]) -> dict[str, str]:
    """The n-th of each form with the n-th, where there are as many on both sides."""
    sides: defaultdict[Form, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, forms in enumerate((theirs, ours)):
        for name, form in forms.items():
            sides[form][side].append(name)
    alike = [both for both in sides.values() if len(both[0]) == len(both[1])]
    return {old: new for available, expected in alike for old, new in zip(available, expected, strict=True)}


def _forms(tensors: Sequence[TensorSpec]) -> dict[str, Form]:
    """What each learned tensor must share with its match: its kind and that of the others of its module, its rows, and
    how much is in one."""
    kinds: defaultdict[str, dict[str, str]] = defaultdict(dict)
    learned = [tensor for tensor in tensors if tensor.dtype in FLOATS]
    for tensor in learned:
        kinds[_module(tensor.name)][tensor.name] = _kind(tensor.name)
    forms = {}
    for tensor in learned:
        module = kinds[_module(tensor.name)]
        kind, around = module[tensor.name], " ".join(sorted({*module.values()} - {LONE}))
        rows = tensor.shape[0] if tensor.shape else 1
        forms[tensor.name] = (kind, "" if kind == LONE else around, rows, prod(tensor.shape[1:]))
    return forms


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
