"""Finding operators that belong together: who reads what, and how one takes the place of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netc.importing.graph import Graph, Node, Value, Weight, held_array, made, whole

Rule = Callable[["Matcher", Node], bool]
RULES: list[tuple[frozenset[str], Rule]] = []


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Register a pattern whose last node is one of these operators."""

    def register(rewrite: Rule) -> Rule:
        RULES.append((frozenset(operators), rewrite))
        return rewrite

    return register


class Matcher:
    """A graph while patterns are looked for."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers = graph.readers()
        self.results = graph.results()
        self.gone: set[Node] = set()

    def single(self, value: Value) -> Node | None:
        """The node that reads a value, where it is the only one and the value no output."""
        readers = self.readers.get(value, [])
        return readers[0] if len(readers) == 1 and value not in self.results else None

    def made_by(self, value: Value, *operators: str) -> Node | None:
        """What makes a value, if it is one of these operators and nothing else reads the value."""
        node = value.maker
        if node is None or node.op.name not in operators or len(self.readers.get(value, ())) != 1:
            return None
        return node if value not in self.results and not node.references else None

    def become(self, node: Node, name: str, inputs: list[Value], gone: list[Node], **attributes: Any) -> bool:
        """`node` is another operator from now on; the others go."""
        self._enter(node, made(name, attributes, node.origin), inputs, gone)
        return True

    def _enter(self, node: Node, op: Any, inputs: list[Value], gone: list[Node]) -> None:
        for value in node.reads:
            self._forget(value, node)
        for other in gone:
            for value in other.reads:
                self._forget(value, other)
        node.op, node.inputs, node.references = op, inputs, {}
        for value in inputs:
            self.readers[value].append(node)
        self.gone.update(gone)
        self.graph.settle(node)
        if not node.path:
            node.path = next((other.path for other in gone if other.path and other.params), "")

    def _forget(self, value: Value, node: Node) -> None:
        nodes = self.readers.get(value, [])
        if node in nodes:
            nodes.remove(node)

    def behind(self, node: Node, name: str, **attributes: Any) -> Value:
        """The first output of an operator that is added behind a node and reads what that gives."""
        added = Node(made(name, attributes, node.origin), [node.out], {}, node.origin)
        added.scope = node.scope
        self.graph.settle(added)
        self.graph.nodes.insert(self.graph.nodes.index(node) + 1, added)
        self.readers[node.out].append(added)
        return added.out

    def merge(self, keep: Node, last: Node) -> None:
        """What `last` gives is from now on what `keep` gives, under the name that has in the source."""
        keep.out.source = last.out.source
        self.replace(last.out, keep.out)
        self.gone.add(last)

    def replace(self, value: Value, other: Value) -> None:
        """Whatever reads a value reads another instead."""
        for node in self.readers.pop(value, []):
            node.inputs = [other if read is value else read for read in node.inputs]
            node.references = {name: other if read is value else read for name, read in node.references.items()}
            self.readers[other].append(node)
        if value in self.results:
            self.graph.outputs = [(name, other if result is value else result) for name, result in self.graph.outputs]
            self.results = self.graph.results()


def number(value: Value) -> float | None:
    """The number that a constant of one element is."""
    node = value.maker
    if node is None or node.op.name != "constant":
        return None
    values: tuple[float, ...] = node.op.value  # type: ignore[attr-defined]
    return values[0] if len(values) == 1 else None


def scalar(node: Node) -> float | None:
    """The number of an operator that takes one."""
    found = getattr(node.op, "other", None)
    return float(found) if len(node.inputs) == 1 and found is not None else None


def factor_of(node: Node) -> float | None:
    """What a product by a number, or a division by one that is not 0, multiplies by."""
    found = scalar(node)
    if node.op.name == "mul" or found is None:
        return found
    return 1 / found if found else None


def weight_of(value: Value) -> Weight | None:
    """The tensor of the file that a value is, or the few numbers that a constant is."""
    node = value.maker
    if node is not None and node.op.name == "constant":
        numbers = np.array(node.op.value, node.out.type.dtype)  # type: ignore[attr-defined]
        shape: Any = node.out.type.shape
        filled = np.broadcast_to(numbers, shape) if numbers.size == 1 else numbers.reshape(shape)
        return whole(held_array(value.source, filled))
    if node is not None and node.op.name == "arange":
        op: Any = node.op
        return whole(held_array(value.source, np.arange(op.start, op.end, op.step, dtype=op.dtype)))
    return node.params[""] if node is not None and node.op.name in ("parameter", "buffer") else None
