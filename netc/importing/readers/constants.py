"""Constants of a source as statements."""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan
from typing import Any

import numpy as np

from netc.importing.graph import Graph, Node, Weight
from netc.ops.base import OPERATORS
from netc.ops.narrow import misfit

FEW = 8
"""Numbers that stand in the spec itself; more lie in the weights, as do NaN and types that no `constant` has."""


def state(graph: Graph, weight: Weight, origin: str, *, learned: bool, trained: bool = True) -> Node:
    """A constant as a statement. learned: it is a tensor of its own in the source; trained: and no buffer there, as far
    as is known."""
    held, count = weight.held, int(np.prod(weight.shape))
    if count <= FEW and not learned and held.dtype in OPERATORS["constant"].attributes["dtype"].words:
        values = tuple(plain(v) for v in weight.array().reshape(-1))
        if not any(map(isnan, values)):
            return graph.add("constant", (), origin=origin, value=values, shape=weight.shape, dtype=held.dtype)
    if not learned and (steps := _progression(weight, count)):
        return graph.add("arange", (), origin=origin, start=steps.start, end=steps.stop, step=steps.step)
    kind = "parameter" if held.dtype.startswith("float") and learned and trained else "buffer"
    node = graph.add(kind, (), {"": weight}, origin=origin, shape=weight.shape, dtype=held.dtype)
    node.path = held.name if learned else ""
    return node


def _progression(weight: Weight, count: int) -> range | None:
    """Positions, as `torch.arange` makes them, where they are no more than that."""
    if weight.held.dtype != "int64" or len(weight.shape) != 1 or count < 2:
        return None
    numbers = weight.array()
    first, second = int(numbers[0]), int(numbers[1])
    steps = range(first, first + count * (second - first), second - first) if first != second else None
    return steps if steps is not None and np.array_equal(numbers, np.array(steps)) else None


def plain(number: Any) -> float | int:
    """A number of an array as Python has it: the shortest that its type rounds to it, whole where it is. What is
    rounded down to the largest number is not one of the type in PyTorch."""
    if isinstance(number, np.bool_ | bool):
        return int(number)
    if isinstance(number, np.floating):
        value = float(np.format_float_positional(number, unique=True)) if np.isfinite(number) else float(number)
        value = float(number) if misfit(value, str(number.dtype)) else value
        return int(value) if value.is_integer() and abs(value) < 1e9 else value
    return int(number)


def short(number: float) -> float:
    """A float32 in as few digits as name it."""
    return float(plain(np.float32(number)))


def once(factors: Iterable[float]) -> tuple[float, ...]:
    """One factor where all axes have the same."""
    values = tuple(factors)
    return values[:1] if len(set(values)) == 1 else values
