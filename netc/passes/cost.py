"""What each layer costs: trainable parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import msgspec

from netc.dims import Size, TooComplex
from netc.ir.flat import Flat, FlatNode, join


class Cost(msgspec.Struct, frozen=True):
    """parameters: trainable elements, those of a shared module at its first use only (as
    `sum(p.numel() for p in model.parameters())` counts them). macs: multiply-accumulates of one evaluation pass,
    without biases; 0 for what only training computes, None where the sum is too complex to write down."""

    parameters: int
    macs: Size | None


def costs(flat: Flat) -> tuple[Cost, ...]:
    """The cost of every node, in the order of `flat.nodes`."""
    seen: set[str] = set()
    return tuple(Cost(_parameters(node, seen), 0 if node.train_only else macs(node)) for node in flat.nodes)


def total(parts: Iterable[Cost]) -> Cost:
    """The sum of several costs."""
    parameters, work = 0, []
    for part in parts:
        parameters += part.parameters
        work.append(part.macs)
    return Cost(parameters, add(work))


def macs(node: FlatNode) -> Size | None:
    """Multiply-accumulates of a node whether or not evaluation computes it."""
    try:
        return node.node.op.macs(*(wire.type for wire in node.inputs))
    except TooComplex:
        return None


def add(sizes: Iterable[Size | None]) -> Size | None:
    """The sum, or None where a part is unknown or the sum is too complex."""
    whole: Size = 0
    try:
        for size in sizes:
            if size is None:
                return None
            whole = whole + size
    except TooComplex:
        return None
    return whole


def _parameters(node: FlatNode, seen: set[str]) -> int:
    count = 0
    for param in node.params:
        key = join(node.module, param.name)
        if param.trainable and key not in seen:
            seen.add(key)
            count += prod(param.shape)
    return count
