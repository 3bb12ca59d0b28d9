"""ONNX files of any exporter, from opset 9 on.

Nodes are read in order. Sizes are symbolic where the file leaves them open or the caller wants them so, and what the
file computes from sizes (`Shape`, `Gather`, `Concat`, …) is computed here with them, so that nothing of it is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper

from netc.dims import Dim, Size
from netc.importing.graph import Gap, Graph, Held, Scope, Value, Weight, held_array, whole
from netc.importing.readers.call import Emitter, registering
from netc.importing.readers.constants import plain, state
from netc.importing.readers.onnx_external import array_of
from netc.importing.readers.onnx_folding import SIZE_FOLDS, evaluate
from netc.importing.readers.onnx_names import is_dotted, module_of, scopes_of, statement_of
from netc.types import OF_ONNX, TensorType

OLDEST = 9
KNOWN = 1 << 16
"""Elements; larger constants are weights and never looked at."""

FOLDED = 1 << 26
"""Bytes of a constant that may be computed here."""

Entry = Value | Weight | np.ndarray[Any, Any]
"""What a name of the file stands for: a tensor of the network, a constant of the file, or numbers that are known, among
which sizes may be."""

Whole = Callable[["Reader"], Sequence[NodeProto]]
"""Reads several nodes as one operator: those that were, none where they are not one."""

Handler = Callable[["Call"], None]
HANDLERS: dict[str, Handler] = {}

handles = registering(HANDLERS)
"""Registers what reads nodes of these operators."""


class Call(Emitter):
    """A node while it is read: its inputs as values, weights or numbers, and where its results go."""

    def __init__(self, reader: Reader, node: NodeProto) -> None:
        self.reader, self.node = reader, node
        self.op_type = node.op_type
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.origin = f"node {node.name or node.output[0]} ({node.op_type})"

    def gap(self, why: str) -> Gap:
        shown = ", ".join(f"{k}={_shown(v)}" for k, v in sorted(self.attributes.items()))
        return Gap(f"{why}{f'; its attributes are {shown}' if shown else ''}", self.origin)

    def get(self, name: str, default: Any = None) -> Any:
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def has(self, at: int) -> bool:
        return at < len(self.node.input) and bool(self.node.input[at])

    def entry(self, at: int) -> Entry:
        return self.reader.env[self.node.input[at]]

    def value(self, at: int) -> Value:
        """An input as a tensor of the network; constants become statements."""
        return self.reader.as_value(self.node.input[at], self)

    def values(self) -> list[Value]:
        return [self.value(at) for at in range(len(self.node.input))]

    def weight(self, at: int) -> Weight:
        value = self.entry(at)
        if isinstance(value, Weight):
            return value
        raise self.gap(f"input {at} would have to be a constant of the file")

    def is_constant(self, at: int) -> bool:
        return self.has(at) and not isinstance(self.entry(at), Value)

    def known(self, at: int) -> Any:
        """An input's numbers, None where it has none that are known."""
        return self.reader.known(self.node.input[at]) if self.has(at) else None

    def number(self, at: int) -> float | int | None:
        """The one number that an input is."""
        array = self.known(at)
        if array is None or array.size != 1 or array.dtype == object:
            return None
        return plain(array.reshape(-1)[0])

    def ints(self, at: int, attribute: str) -> list[Any] | None:
        """Whole numbers that older opsets have in an attribute and newer ones in an input."""
        if attribute in self.attributes:
            return [*self.attributes[attribute]]
        if not self.has(at):
            return None
        array = self.known(at)
        if array is None:
            raise self.gap(f"`{attribute}` depends on the data")
        return [whole_number(n) for n in array.reshape(-1)]

    def dtype(self, at: int) -> str:
        """The type of an input's elements; sizes are int64."""
        entry = self.entry(at)
        if isinstance(entry, np.ndarray):
            return "int64" if entry.dtype == object else str(entry.dtype)
        return entry.type.dtype if isinstance(entry, Value) else entry.held.dtype

    def shape(self, at: int) -> tuple[Size, ...]:
        entry = self.entry(at)
        return entry.type.shape if isinstance(entry, Value) else tuple(entry.shape)

    @property
    def graph(self) -> Graph:
        return self.reader.graph

    @property
    def scope(self) -> Scope:
        return self.reader.scope(self.node)

    def owner(self, weights: list[str]) -> str:
        told, scope = module_of(weights), self.scope
        if told and scope and self.reader.may_be_another(weights) and is_dotted(scope[-1].path):
            told = scope[-1].path
        return told or statement_of(self.node)

    def result(self, *entries: Entry) -> None:
        """What the outputs of the node are."""
        for name, entry in zip(self.node.output, entries, strict=False):
            if name:
                self.reader.env[name] = entry
                if isinstance(entry, Value):
                    entry.source = entry.source or name


class Reader:
    """A file on its way to a graph."""

    def __init__(
        self, model: Any, folder: Path, name: str, types: Mapping[str, TensorType], wholes: Mapping[str, Whole]
    ) -> None:
        self.graph = Graph(name)
        self.model, self.folder, self.wholes = model, folder, wholes
        self.opset = opset_of(model)
        self._uses = Counter(name for node in model.graph.node for name in node.input)
        self.env: dict[str, Entry] = {}
        self.sized: dict[tuple[Size, ...], Value] = {}
        """The last tensor whose spatial sizes were asked for, by these."""
        self._stated: dict[str, Value] = {}
        self._scopes = scopes_of(model.graph.node)
        for tensor in model.graph.initializer:
            self.env[tensor.name] = whole(self._held(tensor))
        for value in model.graph.input:
            if value.name not in self.env:
                self.env[value.name] = self.graph.add_input(value.name, types[value.name])

    def read(self) -> Graph:
        """Raises Gap."""
        done: set[str] = set()
        for node in self.model.graph.node:
            first = next(iter(node.output), "")
            if first in self.wholes:
                done.update(output for member in self.wholes[first](self) for output in member.output)
            if first not in done:
                self._read(node)
        for value in self.model.graph.output:
            if value.name not in self.env:
                raise Gap(f"the output {value.name} is not computed")
            entry = self.env[value.name]
            if not isinstance(entry, Value):
                entry = self.as_value(value.name, None)
            self.graph.outputs.append((value.name, entry))
        return self.graph

    def _read(self, node: NodeProto) -> None:
        call = Call(self, node)
        for name in node.input:
            if name and name not in self.env:
                raise Gap(f"reads {name}, which nothing computes", call.origin)
        if node.domain not in ("", "ai.onnx") and node.op_type not in HANDLERS:
            raise call.gap(f"netc does not know operators of {node.domain}")
        if node.op_type == "If" and call.number(0) is not None:
            self._branch(call)
            return
        if self._folds(call):
            return
        if node.op_type not in HANDLERS:
            raise call.gap(f"netc has no operator for {node.op_type}")
        HANDLERS[node.op_type](call)

    def _branch(self, call: Call) -> None:
        """Read the one branch that is taken. Its values are not compared: nothing outside it has names for them."""
        body = call.attributes["then_branch" if call.number(0) else "else_branch"]
        known = len(self.graph.nodes)
        for tensor in body.initializer:
            self.env[tensor.name] = whole(self._held(tensor))
        for node in body.node:
            self._read(node)
        for made in self.graph.nodes[known:]:
            made.scope = call.scope
            for value in made.outputs:
                value.source = ""
        lost = [value.name for value in body.output if value.name not in self.env]
        if lost:
            raise call.gap(f"nothing in its body computes {lost[0]}")
        call.result(*(self.env[value.name] for value in body.output))

    def _folds(self, call: Call) -> bool:
        """Whether a node depends on constants and sizes alone; then its results are known."""
        entries = [self.env[name] for name in call.node.input if name]
        if call.op_type in ("Constant", "Shape", "Size", "ConstantOfShape") or not entries:
            return False
        if any(isinstance(entry, Value) for entry in entries):
            return False
        if call.op_type in ("Transpose", "Reshape", "Identity", "Unsqueeze", "Squeeze") and self._lazily(call):
            return True
        constants = [self.known(name) if name else None for name in call.node.input]
        if all(k is not None for k, name in zip(constants, call.node.input, strict=True) if name):
            if call.op_type in SIZE_FOLDS and any(k is not None and k.dtype == object for k in constants):
                call.result(SIZE_FOLDS[call.op_type](call, constants))
                return True
            if call.op_type == "Expand" and not _is_table(entries[0], constants):
                return False
            if any(k is not None and k.dtype == object for k in constants):
                raise call.gap("cannot be computed, as it depends on sizes of the input")
        return self._computed(call)

    def _lazily(self, call: Call) -> bool:
        """Weights in another layout stay where they are."""
        weight = call.entry(0)
        if not isinstance(weight, Weight):
            return False
        if call.op_type == "Identity":
            call.result(weight)
        elif call.op_type == "Transpose":
            order = call.get("perm", range(len(weight.shape))[::-1])
            if sorted(order) != [*range(len(weight.shape))]:
                raise call.gap(f"perm {list(order)} is not an order of {len(weight.shape)} axes")
            call.result(weight.permuted(*order))
        elif call.op_type == "Reshape":
            target = call.ints(1, "shape") or []
            sizes = [weight.shape[i] if n == 0 and i < len(weight.shape) else n for i, n in enumerate(target)]
            if not _fit(weight.shape, sizes):
                raise call.gap(f"a constant of shape {list(weight.shape)} does not have as many elements as {target}")
            call.result(weight.reshaped(*np.empty(weight.shape, "V0").reshape(sizes).shape))
        else:
            call.result(weight.reshaped(*_with_ones(weight.shape, call)))
        return True

    def _computed(self, call: Call) -> bool:
        arrays = [None if not name else self._array(name, call) for name in call.node.input]
        results = evaluate(call, arrays, self.model.opset_import)
        names = [name for name in call.node.output if name]
        call.result(*(whole(held_array(name, array)) for name, array in zip(names, results, strict=True)))
        return True

    def _array(self, name: str, call: Call) -> Any:
        entry = self.env[name]
        if isinstance(entry, Weight):
            if int(np.prod(entry.shape)) * 4 > FOLDED:
                raise call.gap(f"{name} is too large to be computed with")
            return entry.array()
        return entry

    def known(self, name: str) -> Any:
        """The numbers a name stands for, where these are few and known, and it has been read."""
        entry = self.env.get(name)
        if isinstance(entry, Weight):
            return entry.array() if int(np.prod(entry.shape)) <= KNOWN else None
        return entry if isinstance(entry, np.ndarray) else None

    def may_be_another(self, names: Sequence[str]) -> bool:
        """Whether tensors may stand for equal ones of other modules, as exporters keep equal tensors once: each is used
        several times, and is one number everywhere."""
        found = [self.env.get(name) for name in names]
        return all(isinstance(weight, Weight) and self._uses[weight.held.name] > 1 for weight in found) and not any(
            isinstance(weight, Weight) and weight.varies() for weight in found
        )

    def as_value(self, name: str, call: Call | None) -> Value:
        """A name as a tensor of the network: a constant becomes a statement before its first reader."""
        if call is not None and not name:
            raise call.gap("a required input is missing")
        entry = self.env[name]
        if isinstance(entry, Value):
            return entry
        if name not in self._stated:
            self._stated[name] = self._state(name, entry, call)
        return self._stated[name]

    def _state(self, name: str, entry: Weight | np.ndarray[Any, Any], call: Call | None) -> Value:
        origin = call.origin if call else f"output {name}"
        weight = entry if isinstance(entry, Weight) else whole(held_array(name, _plain_array(entry, origin)))
        scope = self.scope(call.node) if call else ()
        learned = is_dotted(weight.held.name)
        node = state(self.graph, weight, origin, learned=learned)
        node.scope = scope
        node.out.source = name
        return node.out

    def scope(self, node: NodeProto) -> Scope:
        return self._scopes.get(node.output[0], ())

    def _held(self, tensor: TensorProto) -> Held:
        if tensor.data_type not in OF_ONNX:
            kind = (
                TensorProto.DataType.Name(tensor.data_type)
                if tensor.data_type in TensorProto.DataType.values()
                else "?"
            )
            raise Gap(f"netc has no tensors of {kind}", f"initializer {tensor.name}")
        folder = self.folder

        def read() -> Any:
            try:
                return array_of(tensor, folder)
            except ValueError as error:
                raise Gap(
                    f"its data does not match its type and shape: {error}", f"initializer {tensor.name}"
                ) from error

        return Held(tensor.name, OF_ONNX[tensor.data_type], tuple(tensor.dims), read)


def _with_ones(shape: tuple[int, ...], call: Call) -> tuple[int, ...]:
    """A shape after Unsqueeze or Squeeze. Raises Gap."""
    axes = call.ints(1, "axes")
    if call.op_type == "Squeeze":
        gone = [i for i, n in enumerate(shape) if n == 1] if axes is None else [a % max(len(shape), 1) for a in axes]
        if any(a >= len(shape) or shape[a] != 1 for a in gone):
            raise call.gap(f"not all of the axes {axes} of a constant of shape {list(shape)} are of size 1")
        return tuple(n for i, n in enumerate(shape) if i not in gone)
    rank = len(shape) + len(axes or ())
    added = {a + rank if a < 0 else a for a in axes or ()}
    if len(added) != rank - len(shape) or not all(0 <= a < rank for a in added):
        raise call.gap(f"{axes} are not axes of a tensor of rank {rank}")
    sizes = iter(shape)
    return tuple(1 if i in added else next(sizes) for i in range(rank))


def _is_table(entry: Entry, known: Sequence[Any]) -> bool:
    """Is it made of few numbers that nobody learns? Tensors of modules are spread by the spec itself."""
    number, sizes = known
    learned = isinstance(entry, Weight) and number.dtype.kind == "f" and entry.varies()
    if sizes.dtype == object or not sizes.size or not (sizes >= 1).all():
        return False
    return not learned and max(prod(sizes.tolist()), number.size) <= KNOWN


def _fit(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Whether one shape has the elements of the other, in which at most one size is left open as -1."""
    count, product = prod(shape), prod(n for n in target if n != -1)
    open_ = list(target).count(-1)
    return product == count if open_ == 0 else open_ == 1 and product > 0 and count % product == 0


def opset_of(model: Any) -> int:
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)


def whole_number(number: Any) -> Any:
    return number if isinstance(number, Dim) else int(number)


def _plain_array(array: Any, origin: str) -> Any:
    if array.dtype == object:
        raise Gap("a size that depends on the input is used as data", origin)
    return array


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, GraphProto):
        return f"a graph that begins with {value.node[0].op_type}" if value.node else "an empty graph"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + " ".join(map(_shown, value[:8])) + (" …]" if len(value) > 8 else "]")
    return str(value)[:40]
