"""What each layer costs: parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import msgspec

from netc.dims import Dim, Size, TooComplex, exact_div, substitute, symbols
from netc.ir.flat import Flat, FlatNode, Wire, join
from netc.ir.model import Network, Node
from netc.ops.base import Op
from netc.passes.batch import batch_symbol
from netc.passes.files import frozen
from netc.types import TensorType


class Cost(msgspec.Struct, frozen=True):
    """parameters: learned elements, those of a shared module at its first use only (as
    `sum(p.numel() for p in model.parameters())` counts them). trainable: those that `freeze` leaves to train.
    macs: multiply-accumulates of one evaluation pass per sample of the batch, without biases, as PyTorch's
    FlopCounterMode counts them, two operations each; 0 for what only training computes, None where the sum is too
    complex to write down. memory: bytes of what a sample makes, without what is only another view of it; nothing is
    taken to be written over. None as for macs."""

    parameters: int
    trainable: int
    macs: Size | None
    memory: Size | None = 0


NOTHING = Cost(0, 0, 0)


Work = tuple[Size | None, Size | None]
"""MACs and memory."""


def costs(network: Network, flat: Flat, cache: dict[Any, Work] | None = None) -> tuple[Cost, ...]:
    """The cost of every node, in the order of `flat.nodes`.

    cache: the work of nodes of blocks that other networks with these inputs have too, looked up and added to.
    """
    batch, fed, counted = Batch(network), set(flat.inputs), set[str]()
    table = {} if cache is None else cache
    rows = []
    for node in flat.nodes:
        reached = not fed.isdisjoint(node.inputs)
        if reached:
            fed.update(node.outputs)
        key = (node.node, reached)
        work = table.get(key)
        if work is None:
            work = batch.macs(node, fed), batch.memory(node, fed)
            if node.trail:
                table[key] = work
        macs, memory = work
        rows.append(Cost(*_parameters(network, node, counted), 0 if node.train_only else macs, memory))
    return tuple(rows)


def macs(network: Network, flat: Flat) -> Size | None:
    """The multiply-accumulates of the whole network per sample; None where the sum is too complex to write down."""
    batch, fed = Batch(network), set(flat.inputs)
    table: dict[tuple[Node, bool], Size | None] = {}
    counts = []
    for node in flat.nodes:
        reached = not fed.isdisjoint(node.inputs)
        if reached:
            fed.update(node.outputs)
        key = (node.node, reached)
        if key not in table:
            table[key] = batch.macs(node, fed)
        counts.append(0 if node.train_only else table[key])
    return _sum(counts)


def total(parts: Iterable[Cost]) -> Cost:
    """The sum of several costs."""
    counted = list(parts)
    parameters, trainable = sum(p.parameters for p in counted), sum(p.trainable for p in counted)
    return Cost(parameters, trainable, _sum(p.macs for p in counted), _sum(p.memory for p in counted))


def _sum(sizes: Iterable[Size | None]) -> Size | None:
    """None where a part is unknown or the sum is too complex."""
    whole: Size = 0
    try:
        for size in sizes:
            if size is None:
                return None
            whole = whole + size
    except TooComplex:
        return None
    return whole


class Batch:
    """How many samples a network takes at once: the size called `B` or `N`, else the first axis of the first input.

    Where that is a symbol, a sample costs what a batch of one does. Where it is a number, a sample costs its share of
    all that depends on the inputs.
    """

    def __init__(self, network: Network) -> None:
        shape = network.block.inputs[0].type.shape if network.block.inputs else ()
        size: Size = shape[0] if shape else 1
        named = batch_symbol(network)
        if named is not None:
            _, size = named
        self.one = dict.fromkeys(symbols(size), 1)
        self.size = 1 if isinstance(size, Dim) else size
        self._singles: dict[TensorType, TensorType] = {}

    def macs(self, node: FlatNode, fed: set[Wire]) -> Size | None:
        op = node.node.op
        if type(op).work is Op.work and type(op).macs is Op.macs:
            return 0
        try:
            whole = op.macs(*(self.single(wire.type) for wire in node.inputs))
        except TooComplex:
            return None
        return self._share(whole, node, fed)

    def memory(self, node: FlatNode, fed: set[Wire]) -> Size | None:
        """Bytes of a node's outputs."""
        if node.node.op.view:
            return 0
        try:
            types = [self.single(wire.type) for wire in node.outputs]
            whole = sum([prod(type_.shape, start=type_.width) for type_ in types], start=0)
        except TooComplex:
            return None
        return self._share(whole, node, fed)

    def _share(self, whole: Size, node: FlatNode, fed: set[Wire]) -> Size:
        """What a sample has of what depends on the inputs."""
        share = exact_div(whole, self.size) if not fed.isdisjoint(node.inputs) else None
        return whole if share is None else share

    def single(self, type_: TensorType) -> TensorType:
        """A type with the batch as one sample, where its size is a symbol."""
        if self.one and type_ not in self._singles:
            self._singles[type_] = type_.with_shape(*(substitute(size, self.one) for size in type_.shape))
        return self._singles.get(type_, type_)


def _parameters(network: Network, node: FlatNode, counted: set[str]) -> tuple[int, int]:
    """All, and those that train."""
    learned = trained = 0
    for param in node.params:
        key = join(node.module, param.name)
        if param.trainable and key not in counted:
            counted.add(key)
            count = prod(param.shape)
            learned += count
            trained += 0 if frozen(network, node, key) else count
    return learned, trained
