"""What comes out of each statement of a spec and how many parameters it has, wherever its block is used."""

from __future__ import annotations

from math import prod

import msgspec

from netc.dims import Dim
from netc.ir.model import Block, Call, Group, Item, Network, Node, Value
from netc.types import TensorType


class Measure(msgspec.Struct, frozen=True):
    """The types that come out, and the learned elements inside, of one use of a statement."""

    types: tuple[TensorType, ...]
    parameters: int

    def __str__(self) -> str:
        shapes = ", ".join(map(type_text, self.types))
        return f"{shapes} · {count_text(self.parameters)}" if self.parameters else shapes


class Measures:
    """By statement: one measure for every different use."""

    def __init__(self, network: Network) -> None:
        self._uses: dict[int, list[Measure]] = {}
        self._parameters: dict[int, int] = {}
        queue, visited = [network.block], {id(network.block)}
        for block in queue:
            for item in block.items:
                self._item(item)
            for leaf in block.leaves():
                if isinstance(leaf, Call) and id(leaf.block) not in visited:
                    visited.add(id(leaf.block))
                    queue.append(leaf.block)

    def of(self, statement: object) -> list[Measure]:
        """The uses of a statement (of the network's own syntax tree), in the order of the network."""
        return self._uses.get(id(statement), [])

    def _item(self, item: Item) -> int:
        """Counts an item, and notes it."""
        values: tuple[Value, ...]
        if isinstance(item, Group):
            count = sum([self._item(inner) for inner in item.items])
            values = () if item.result is None else (item.result,)
        else:
            count, values = self._leaf(item), _declared(item)
        types = tuple([value.type for value in values])
        uses = self._uses.setdefault(id(item.statement), [])
        measure = Measure(types, count)
        if types and measure not in uses:
            uses.append(measure)
        return count

    def _leaf(self, leaf: Node | Call) -> int:
        if isinstance(leaf, Call):
            return self._block(leaf.block)
        params = leaf.op.params(*(value.type for value in leaf.inputs))
        return sum(prod(param.shape) for param in params if param.trainable)

    def _block(self, block: Block) -> int:
        if id(block) not in self._parameters:
            self._parameters[id(block)] = sum(map(self._leaf, block.leaves()))
        return self._parameters[id(block)]


def _declared(leaf: Node | Call) -> tuple[Value, ...]:
    """What a leaf puts out, without what somebody reaches inside a block for."""
    if isinstance(leaf, Node):
        return leaf.outputs
    pairs = zip(leaf.block.outputs, leaf.outputs, strict=True)
    return tuple([value for output, value in pairs if not output.exposed])


def type_text(type_: TensorType) -> str:
    """`N×64×56×56`, and the type of its elements where that is not float32."""
    return str(type_) if type_.dtype == "float32" else f"{type_} {type_.dtype}"


def count_text(count: int | Dim) -> str:
    """A number of parameters in few characters: `9.4k params`."""
    if isinstance(count, Dim):
        return f"{count} params"
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= limit:
            return f"{count / limit:.3g}{unit} params"
    return f"{count} {'param' if count == 1 else 'params'}"
