"""An ONNX model while it is rewritten: nodes in order, constants, and who reads what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, inliner, numpy_helper
from onnx.shape_inference import InferenceError, infer_shapes

from netc.backends.onnx.embed import MOST
from netc.diagnostics.model import failure

Dim = int | str | None
"""A number, a symbol's text, or unknown."""

INSIDE = 1024
"""Bytes; constants up to this size are looked at closely and stay inside the model."""


class ValueInfo(msgspec.Struct, frozen=True):
    """What is known about a value: ONNX's element type, and the sizes, None where not even the rank is known."""

    element: int
    shape: tuple[Dim, ...] | None

    @property
    def known(self) -> bool:
        """Is every size a number or a symbol?"""
        return self.shape is not None and None not in self.shape

    @property
    def fixed(self) -> tuple[int, ...] | None:
        """The shape where all of it is numbers."""
        sizes = tuple(dim for dim in self.shape or () if isinstance(dim, int))
        return sizes if self.shape is not None and len(sizes) == len(self.shape) else None


class Graph:
    """The main graph of a model; bodies of loops and conditions are read and renamed in, never rewritten."""

    def __init__(self, model: ModelProto, folder: Path) -> None:
        """folder: where tensors that lie in other files are. The model is copied; functions are written out."""
        self._rest = inliner.inline_local_functions(model) if model.functions else _copy(model)
        self.folder = folder
        graph = self._rest.graph
        inputs = {value.name for value in graph.input}
        self._given = [tensor for tensor in graph.initializer if tensor.name in inputs]
        self.constants = {tensor.name: tensor for tensor in graph.initializer if tensor.name not in inputs}
        self._nodes = {id(node): node for node in graph.node}
        self.inputs = inputs
        self.outputs = {value.name for value in graph.output}
        self._readers: dict[str, dict[int, NodeProto]] = {}
        self._makers: dict[str, NodeProto] = {}
        for node in self:
            self._enter(node)
        self._names = {*inputs, *self.constants, *self._makers, *_inner_names(self)}
        self._made: set[str] = set()
        self.types: dict[str, ValueInfo] = {}
        self.infer()

    def __iter__(self) -> Iterator[NodeProto]:
        """The nodes as they stand when asked; those that go meanwhile are passed over."""
        return (node for key, node in list(self._nodes.items()) if key in self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def all(self, *op_types: str) -> Iterator[NodeProto]:
        """The nodes of ONNX's own operators of these names."""
        return (node for node in self if node.op_type in op_types and node.domain in ("", "ai.onnx"))

    def maker(self, name: str) -> NodeProto | None:
        """The node that computes a value."""
        return self._makers.get(name)

    def readers(self, name: str) -> list[NodeProto]:
        """The nodes that read a value, here or in their bodies."""
        return list(self._readers.get(name, {}).values())

    def only_reader(self, name: str) -> NodeProto | None:
        """The one node that reads a value, and reads it once, where nothing else needs it."""
        readers = self.readers(name)
        if name in self.outputs or len(readers) != 1 or list(reads(readers[0])).count(name) != 1:
            return None
        return readers[0] if name in readers[0].input else None

    def is_constant(self, name: str) -> bool:
        maker = self.maker(name)
        return name in self.constants or (maker is not None and maker.op_type == "Constant")

    def array(self, name: str) -> Any:
        """The value of a constant as a NumPy array."""
        if name in self.constants:
            return numpy_helper.to_array(self.constants[name], base_dir=str(self.folder))
        return _constant_value(self._makers[name], self.folder)

    def small(self, name: str) -> Any:
        """The value of a constant of at most `INSIDE` bytes, else None."""
        if name in self.constants and size_of(self.constants[name]) > INSIDE:
            return None
        return self.array(name) if self.is_constant(name) else None

    def shape(self, name: str) -> tuple[Dim, ...] | None:
        kind = self.types.get(name)
        return kind.shape if kind is not None else None

    def add_constant(self, stem: str, array: Any) -> str:
        """A new constant, under the name `stem` or one like it that is free."""
        name = self.fresh(stem)
        self._made.add(name)
        return self._hold(name, array)

    def change_constant(self, old: str, new: str, array: Any) -> str:
        """A constant for the one node that reads `old`: in its place where `old` is new too, else as `add_constant`."""
        if old in self._made and len(self.readers(old)) == 1:
            return self._hold(old, array)
        return self.add_constant(new, array)

    def _hold(self, name: str, array: Any) -> str:
        self.constants[name] = numpy_helper.from_array(array, name)
        self.types[name] = ValueInfo(self.constants[name].data_type, tuple(array.shape))
        return name

    def fresh(self, stem: str) -> str:
        """A name that nothing had, in the file as it was or since."""
        name, number = stem, 1
        while name in self._names:
            number += 1
            name = f"{stem}_{number}"
        self._names.add(name)
        return name

    def set_inputs(self, node: NodeProto, names: Iterable[str]) -> None:
        self._leave(node)
        node.input[:] = list(names)
        self._enter(node)

    def remove(self, node: NodeProto) -> None:
        self._leave(node)
        del self._nodes[id(node)]
        for name in node.output:
            if self._makers.get(name) is node:
                del self._makers[name]

    def skip(self, node: NodeProto) -> bool:
        """Take out a node whose first output is its first input; False where a result's name forbids it."""
        old, new = node.output[0], node.input[0]
        if old in self.outputs:
            maker = self.maker(new)
            if maker is None or new in self.outputs:
                return False
            self.remove(node)
            self._rename_result(maker, new, old)
            return True
        self.remove(node)
        self._redirect(old, new)
        return True

    def join(self, maker: NodeProto, node: NodeProto) -> None:
        """`maker` now computes what `node`, its only reader, did, under the name that has."""
        self.remove(node)
        self._rename_result(maker, maker.output[0], node.output[0])

    def merge(self, node: NodeProto, same: NodeProto) -> None:
        """Readers of `node` read the outputs of `same`; `node` goes."""
        self.remove(node)
        for old, new in zip(node.output, same.output, strict=True):
            if old:
                self._redirect(old, new)

    def _rename_result(self, maker: NodeProto, old: str, new: str) -> None:
        maker.output[:] = [new if name == old else name for name in maker.output]
        self._makers.pop(old, None)
        self._makers[new] = maker
        self._redirect(old, new)

    def _redirect(self, old: str, new: str) -> None:
        for reader in self.readers(old):
            self._leave(reader)
            _rename_reads(reader, old, new)
            self._enter(reader)

    def _enter(self, node: NodeProto) -> None:
        for name in reads(node):
            self._readers.setdefault(name, {})[id(node)] = node
        for name in node.output:
            self._makers[name] = node

    def _leave(self, node: NodeProto) -> None:
        for name in reads(node):
            self._readers[name].pop(id(node), None)

    def prune(self) -> None:
        """Take out nodes and constants that nothing reads."""
        for node in reversed(list(self)):
            if not any(name in self.outputs or self._readers.get(name) for name in node.output):
                self.remove(node)
        needed = {name for name, readers in self._readers.items() if readers} | self.outputs
        self.constants = {name: tensor for name, tensor in self.constants.items() if name in needed}

    def infer(self) -> None:
        """Find types anew. Sizes that netc wrote into the file help: they are exact. Raises NetcError (`model-file`)
        where onnx gives up."""
        try:
            inferred = infer_shapes(self.model(stubs=True), data_prop=True).graph
        except (InferenceError, ValueError) as error:
            raise failure("model-file", f"onnx cannot infer the model's shapes: {error}") from error
        self.types = {v.name: _kind(v) for v in (*inferred.input, *inferred.value_info, *inferred.output)}
        for tensor in (*self.constants.values(), *self._given):
            self.types[tensor.name] = ValueInfo(tensor.data_type, tuple(tensor.dims))

    def make_room(self, name: str = "") -> None:
        """Raises NetcError (`not-optimised`) where what the model itself holds would not fit into one protobuf message,
        were the constant `name` changed: what is compared before it is a file is such a message."""
        held = sum(size_of(tensor) for tensor in self.constants.values() if not is_external(tensor))
        total = held + (size_of(self.constants[name]) if name in self.constants else 0)
        if total > MOST:
            message = f"{total / 1e9:.1f} GB of tensors would be new; only 2 GiB of them can be compared"
            raise failure("not-optimised", message)

    def shell(self) -> ModelProto:
        """The model without nodes, constants and inner types."""
        shell, old = ModelProto(), self._rest
        shell.ir_version, shell.model_version, shell.domain = old.ir_version, old.model_version, old.domain
        shell.producer_name, shell.producer_version = old.producer_name, old.producer_version
        shell.doc_string = old.doc_string
        shell.opset_import.extend(old.opset_import)
        shell.metadata_props.extend(old.metadata_props)
        shell.graph.name, shell.graph.doc_string = old.graph.name, old.graph.doc_string
        shell.graph.input.extend(old.graph.input)
        shell.graph.output.extend(old.graph.output)
        shell.graph.sparse_initializer.extend(old.graph.sparse_initializer)
        return shell

    def model(self, *, stubs: bool = False) -> ModelProto:
        """The model as it stands now; with `stubs`, large constants have types only."""
        model, produced = self.shell(), set(self._makers)
        model.graph.node.extend(self._nodes.values())
        tensors = (*self._given, *self.constants.values())
        model.graph.initializer.extend(_stub(t) if stubs else t for t in tensors)
        values = (v for v in self._rest.graph.value_info if v.name in produced and v.name not in self.outputs)
        model.graph.value_info.extend(values)
        return model


def reads(node: NodeProto) -> Iterator[str]:
    """The values a node reads, also inside its bodies, but not what these make themselves."""
    yield from (name for name in node.input if name)
    for body in bodies(node):
        own = {value.name for value in body.input} | {name for inner in body.node for name in inner.output}
        own |= {tensor.name for tensor in body.initializer}
        names = [*(name for inner in body.node for name in reads(inner)), *(value.name for value in body.output)]
        yield from (name for name in names if name not in own)


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    entry = next((a for a in node.attribute if a.name == name), None)
    return default if entry is None else helper.get_attribute_value(entry)


def set_attribute(node: NodeProto, name: str, value: Any) -> None:
    """Give an attribute another value; with None take it away."""
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    if value is not None:
        node.attribute.append(helper.make_attribute(name, value))


def size_of(tensor: TensorProto) -> int:
    """Bytes of a tensor's data; 0 for texts."""
    if tensor.data_type == TensorProto.STRING:
        return 0
    count = 1
    for dim in tensor.dims:
        count *= dim
    return count * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def is_external(tensor: TensorProto) -> bool:
    return bool(tensor.data_location == TensorProto.EXTERNAL)


def _copy(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def _stub(tensor: TensorProto) -> TensorProto:
    if size_of(tensor) <= INSIDE and not is_external(tensor):
        return tensor
    stub = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    stub.data_location = TensorProto.EXTERNAL
    return stub


def _kind(value: Any) -> ValueInfo:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return ValueInfo(tensor.elem_type, None)
    return ValueInfo(tensor.elem_type, tuple(_dim(dim) for dim in tensor.shape.dim))


def _dim(dim: Any) -> Dim:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return dim.dim_param or None


def _inner_names(nodes: Iterable[NodeProto]) -> Iterator[str]:
    """Names that bodies use."""
    for body in (body for node in nodes for body in bodies(node)):
        yield from (value.name for value in (*body.input, *body.output, *body.initializer))
        yield from (name for inner in body.node for name in (*inner.input, *inner.output))
        yield from _inner_names(body.node)


def _rename_reads(node: NodeProto, old: str, new: str) -> None:
    node.input[:] = [new if name == old else name for name in node.input]
    for body in bodies(node):
        for value in body.output:
            if value.name == old:
                value.name = new
        for inner in body.node:
            _rename_reads(inner, old, new)


def _constant_value(node: NodeProto, folder: Path) -> Any:
    """What a Constant node holds, in whichever of its attributes."""
    value = helper.get_attribute_value(node.attribute[0])
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value, base_dir=str(folder))
    kind = {"value_float": "float32", "value_floats": "float32", "value_int": "int64", "value_ints": "int64"}
    return np.array(value, kind[node.attribute[0].name])
