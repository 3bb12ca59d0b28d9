"""The imported network before it has a structure: netc's operators in order, with weights by reference.

Every reader makes one of these, whatever its file is like, and nothing after it knows where it came from. Each
operator is checked as it is added and its sizes are inferred by netc itself, so a reader needs no rules of its own
for sizes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from netc.diagnostics.model import NetcError, failure
from netc.ops.base import OPERATORS, BadValue, Op
from netc.ops.conversion import convert
from netc.ops.records import Require
from netc.ops.target import tensors_with
from netc.types import TensorType

MOST_NODES = 100_000


class Gap(Exception):
    """Something of the source that cannot be said in netc: why, and at which place of the source."""

    def __init__(self, why: str, place: str = "") -> None:
        super().__init__(why)
        self.why, self.place = why, place

    def error(self, source: str) -> NetcError:
        """The diagnostic for whoever called."""
        return failure("cannot-import", ": ".join(part for part in (source, self.place, self.why) if part))


class Held(msgspec.Struct, frozen=True, eq=False):
    """A tensor of the source; its data are read when they are asked for, and not kept."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], Any]


class Weight(msgspec.Struct, frozen=True, eq=False):
    """A tensor of the source as an operator of netc wants it: the steps, (what, numbers), are taken one by one.

    `permute` axes, `reshape` to a shape, `rows` from and to on the first axis, `times` a number, `zeros` of a shape.
    """

    held: Held
    shape: tuple[int, ...]
    steps: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def permuted(self, *axes: int) -> Weight:
        return self._then("permute", axes, tuple(self.shape[axis] for axis in axes))

    def reshaped(self, *shape: int) -> Weight:
        return self if shape == self.shape else self._then("reshape", shape, shape)

    def rows(self, start: int, stop: int) -> Weight:
        return self._then("rows", (start, stop), (stop - start, *self.shape[1:]))

    def times(self, factor: float) -> Weight:
        return self if factor == 1 else self._then("times", (factor,), self.shape)

    def order(self, *blocks: int) -> Weight:
        """As many equal blocks of rows, in another order: the gates of a recurrent layer."""
        return self._then("order", blocks, self.shape)

    def _then(self, what: str, numbers: tuple[Any, ...], shape: tuple[int, ...]) -> Weight:
        return Weight(self.held, shape, (*self.steps, (what, numbers)))

    def array(self) -> Any:
        """The values, C-contiguous. Raises NetcError as reading the source does."""
        return np.asarray(self.view(), order="C")

    def view(self) -> Any:
        """The values in whatever order they lie in memory, or in a file that is mapped into it."""
        array = self.held.read()
        for what, numbers in self.steps:
            array = _STEPS[what](array, numbers)
        return array

    def varies(self) -> bool:
        """Whether not all elements are the same number, as they are in tensors that no training has changed."""
        try:
            array = self.view()
        except Gap:
            return False
        return bool(array.size > 1 and np.any(array != array.reshape(-1)[0]))

    def told(self) -> str:
        """`permute (1 0)`: what was done to the tensor; empty where nothing was."""
        return ", ".join(f"{what} ({' '.join(map(str, numbers))})" for what, numbers in self.steps)


_STEPS: Mapping[str, Callable[[Any, tuple[Any, ...]], Any]] = {
    "permute": lambda array, axes: array.transpose(axes),
    "reshape": lambda array, shape: array.reshape(shape),
    "times": lambda array, factor: array * array.dtype.type(factor[0]),
    "rows": lambda array, ends: array[ends[0] : ends[1]],
    "order": lambda array, blocks: np.concatenate([np.split(array, len(blocks))[block] for block in blocks]),
}


def held_array(name: str, array: Any) -> Held:
    """A tensor that is in memory, because it was computed."""
    return Held(name, str(array.dtype), tuple(array.shape), lambda: array)


def whole(held: Held) -> Weight:
    """A tensor as it is."""
    return Weight(held, held.shape)


class Frame(msgspec.Struct, frozen=True):
    """A module of the source around a node: its path, and its class, empty where that is unknown."""

    path: str
    cls: str = ""


Scope = tuple[Frame, ...]


class Value:
    """A tensor between nodes; `maker` is None for an input of the network. `source`: what the source calls it."""

    __slots__ = ("index", "maker", "name", "source", "type")

    def __init__(self, maker: Node | None, index: int, type_: TensorType, name: str = "", source: str = "") -> None:
        self.maker, self.index, self.type, self.name, self.source = maker, index, type_, name, source

    @property
    def channels(self) -> Any:
        """The size of axis 1, or of the last where there are three axes."""
        shape = self.type.shape
        return shape[-1] if len(shape) == 3 else shape[1] if len(shape) > 1 else None


class Node:
    """An operator of netc on values. `references` are tensors that attributes name; `path` a name the source has for
    it; `origin` what to call it in a message."""

    __slots__ = ("inputs", "op", "origin", "outputs", "params", "path", "references", "scope")

    def __init__(self, op: Op, inputs: Sequence[Value], params: Mapping[str, Weight], origin: str) -> None:
        self.op, self.origin = op, origin
        self.inputs = list(inputs)
        self.params = dict(params)
        self.references: dict[str, Value] = {}
        self.outputs: list[Value] = []
        self.scope: Scope = ()
        self.path = ""

    def __repr__(self) -> str:
        return f"<{self.op} {self.origin}>"

    @property
    def reads(self) -> list[Value]:
        return [*self.inputs, *self.references.values()]

    @property
    def operands(self) -> list[Value]:
        """What the operator is given, in its order: for the pool that it undoes, that one's indices and input."""
        undone = self.references["of"].maker if self.op.undoes and "of" in self.references else None
        return self.reads if undone is None else [*self.inputs, *undone.outputs[1:], undone.inputs[0]]

    @property
    def out(self) -> Value:
        return self.outputs[0]


class Left(msgspec.Struct, frozen=True, eq=False):
    """A node of the source that is not in the graph: why, where, what it reads and what it gives, which are outputs and
    inputs of the graph instead."""

    why: str
    place: str
    reads: list[Value]
    gives: list[Value]


class Graph:
    """Nodes in an order in which they can be computed. `unused`: names of tensors that nothing needs, and why; `left`:
    gaps in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.outputs: list[tuple[str, Value]] = []
        self.unused: dict[str, str] = {}
        self.notes: list[str] = []
        self.left: list[Left] = []
        self.idle: list[Value] = []
        """Inputs of the source that nothing reads, which a spec cannot have."""
        self.has_weights = True
        self.shared: dict[Node, str] = {}
        """What nodes are called that are one operator in the source, used several times."""

    def add_input(self, name: str, type_: TensorType, source: str = "") -> Value:
        value = Value(None, len(self.inputs), type_, name, source or name)
        self.inputs.append(value)
        return value

    def add(
        self,
        name: str,
        inputs: Sequence[Value],
        params: Mapping[str, Weight] | None = None,
        *,
        origin: str = "",
        references: Mapping[str, Value] | None = None,
        **attributes: Any,
    ) -> Node:
        """An operator, checked. Attributes may be in any form that a spec may have them in. Raises Gap."""
        if len(self.nodes) >= MOST_NODES:
            raise Gap(f"the network has more than {MOST_NODES:,} operators", origin)
        node = Node(made(name, attributes, origin), inputs, params or {}, origin)
        node.references = dict(references or {})
        self.settle(node)
        self.nodes.append(node)
        return node

    def settle(self, node: Node) -> None:
        """Check an operator on its inputs and infer its outputs. Raises Gap."""
        types = [value.type for value in node.operands]
        types += self._sought(node, types)
        for finding in node.op.problems(*types):
            if isinstance(finding, Require):
                if not finding.fails:
                    continue
                finding = finding.problem
            raise Gap(f"{node.op}: {finding.message}", node.origin)
        results = node.op.outputs(*types)
        for value, type_ in zip(node.outputs, results, strict=False):
            value.type = type_
        node.outputs += [Value(node, i, results[i]) for i in range(len(node.outputs), len(results))]
        self._check_params(node, types)

    def _sought(self, node: Node, types: Sequence[TensorType]) -> list[TensorType]:
        """Inputs of the network that sizes follow from which an attribute asks for: netc finds them by itself."""
        sizes = node.op.sizes_sought(*types) if types and not node.references else ()
        values = tensors_with(sizes, self.inputs, lambda value: value.type.shape) if sizes else ()
        return [value.type for value in values]

    def _check_params(self, node: Node, types: Sequence[TensorType]) -> None:
        expected = {p.name: p for p in node.op.params(*types) if p.persistent}
        for name, weight in node.params.items():
            if name not in expected or expected[name].shape != weight.shape:
                has = "x".join(map(str, weight.shape)) or "scalar"
                raise Gap(f"{weight.held.name} of shape {has} does not fit {node.op}.{name}", node.origin)

    def readers(self) -> dict[Value, list[Node]]:
        """Who reads a value; outputs of the network are not counted."""
        readers: dict[Value, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for value in node.reads:
                readers[value].append(node)
        return readers

    def results(self) -> set[Value]:
        """The values that are outputs of the network."""
        return {value for _, value in self.outputs}

    def redirect(self, changes: Mapping[Value, Value]) -> None:
        """Everything that reads a value reads another instead."""

        def final(value: Value) -> Value:
            while value in changes:
                value = changes[value]
            return value

        for node in self.nodes:
            node.inputs = [final(value) for value in node.inputs]
            node.references = {name: final(value) for name, value in node.references.items()}
        self.outputs = [(name, final(value)) for name, value in self.outputs]

    def prune(self) -> None:
        """Take out what no output needs."""
        needed = {value.maker for _, value in self.outputs}
        for node in reversed(self.nodes):
            if node in needed:
                needed.update(value.maker for value in node.reads)
        self.nodes = [node for node in self.nodes if node in needed]

    def drop_idle(self) -> None:
        """Leave out the inputs that nothing reads, unless none would be left."""
        read = {value for node in self.nodes for value in node.reads} | self.results()
        self.idle = [value for value in self.inputs if value not in read]
        if not self.idle or len(self.idle) == len(self.inputs):
            self.idle = []
            return
        self.inputs = [value for value in self.inputs if value in read]
        self.notes += [f"the input {value.source} is never read, so the spec does without it" for value in self.idle]

    def sort(self) -> None:
        """Order nodes so that each stands behind what it reads, otherwise as they stand."""
        done: set[Node] = set()
        order: list[Node] = []
        for node in self.nodes:
            stack = [node]
            while stack:
                top = stack[-1]
                todo = [v.maker for v in top.reads if v.maker is not None and v.maker not in done]
                if todo and top not in done:
                    stack += todo
                    continue
                stack.pop()
                if top not in done:
                    done.add(top)
                    order.append(top)
        self.nodes = order

    def gaps(self) -> list[str]:
        """What is left out, in the words of the spec."""
        outputs = {value: name for name, value in self.outputs}
        gaps = []
        for left in self.left:
            reads = ", ".join(outputs.get(value, value.name) for value in left.reads) or "nothing"
            gives = ", ".join(value.name for value in left.gives) or "nothing"
            gaps.append(" ".join(f"gap: {left.place}: {left.why}; reads {reads}, gives {gives}".split()))
        return gaps

    def weights(self) -> Iterator[tuple[Node, str, Weight]]:
        for node in self.nodes:
            for role, weight in node.params.items():
                yield node, role, weight


def made(name: str, attributes: Mapping[str, Any], origin: str) -> Op:
    """An operator with attributes in any form that a spec may have them in. Raises Gap."""
    if name not in OPERATORS:
        raise Gap(f"netc has no operator {name}", origin)
    cls = OPERATORS[name]
    values = {}
    for key, value in attributes.items():
        try:
            values[key] = convert(cls, cls.attributes[key], value)
        except BadValue as error:
            raise Gap(f"{name}: {error}", origin) from error
    return cls(**values)


def parameters(node: Node) -> Iterable[tuple[str, tuple[int, ...], str]]:
    """Name, shape and type of what the operator owns and a file holds."""
    for param in node.op.params(*(value.type for value in node.operands)):
        if param.persistent:
            yield param.name, param.shape, param.dtype
