"""Nodes that are what ONNX says they must be, so that what reads them finds their inputs and attributes."""

from __future__ import annotations

from math import prod
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker
from onnx.shape_inference import InferenceError, infer_shapes

from netc.diagnostics.model import NetcError, failure

SMALL = 1024
"""Elements; what a shape is made from has fewer, and what has more is not handed to inference."""


def check_nodes(model: Any, name: str) -> None:
    """Raises NetcError (`model-file`) for a node with inputs or attributes that its operator does not take, and for
    constants of negative size, on which onnx crashes, or of more elements than there are; operators of other domains,
    and what has a body, are not looked at."""
    tensors = (a.t for node in model.graph.node for a in node.attribute if a.HasField("t"))
    for tensor in (*model.graph.initializer, *tensors):
        if any(size < 0 for size in tensor.dims):
            raise failure("model-file", f"{name}: {tensor.name or 'a constant'} has a negative size")
        if tensor.data_location != TensorProto.EXTERNAL and prod(tensor.dims) > _most_elements(tensor):
            raise failure("model-file", f"{name}: {tensor.name or 'a constant'} has fewer elements than it says")
    context = checker.C.CheckerContext()
    context.ir_version = model.ir_version
    context.opset_imports = {entry.domain: entry.version for entry in model.opset_import}
    try:
        for node in filter(_is_known, model.graph.node):
            checker.check_node(node, context)
    except _REFUSALS as error:
        raise _refused(name, error) from error


def _most_elements(tensor: TensorProto) -> int:
    """As many elements as the data of a tensor may be, where the smallest take two bits."""
    typed = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    return 4 * (len(tensor.raw_data) + len(tensor.string_data) + 4 * sum(map(len, typed)))


def check_types(model: Any, name: str) -> None:
    """Raises NetcError (`model-file`) for inputs of types and shapes that an operator does not take; nothing is said of
    a model in which not all operators are known, or in which some read texts."""
    if all(_is_known(node) and node.op_type not in OF_TEXTS for node in model.graph.node):
        try:
            infer_shapes(_without_data(model), check_type=True, strict_mode=True)
        except _REFUSALS as error:
            raise _refused(name, error) from error


OF_TEXTS = ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer")
"""Operators on texts, for which onnx 1.23 looks at types that it has not checked, and crashes."""

_REFUSALS = (checker.ValidationError, InferenceError, ValueError)
"""What onnx raises; a ValueError is C++'s own, about a text that is not UTF-8 or a size."""


def _refused(name: str, error: Exception) -> NetcError:
    """onnx's words, of which the first say which node it is."""
    return failure("model-file", f"{name}: onnx refuses it: {' '.join(str(error).split())[:500]}")


def _is_known(node: NodeProto) -> bool:
    has_body = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
    return node.domain in ("", "ai.onnx") and not has_body


def _without_data(model: Any) -> ModelProto:
    """The nodes, and of larger constants the types alone, as inputs. Long lists of whole numbers have no length:
    read as a shape, they would be so many axes."""
    stripped = ModelProto(ir_version=max(model.ir_version, 4))
    stripped.opset_import.extend(model.opset_import)
    stripped.graph.node.extend(model.graph.node)
    stripped.graph.input.extend(map(_without_length, model.graph.input))
    inputs = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if prod(tensor.dims) <= SMALL and tensor.data_location != TensorProto.EXTERNAL:
            stripped.graph.initializer.append(tensor)
        elif tensor.name not in inputs:
            stub = stripped.graph.input.add(name=tensor.name).type.tensor_type
            stub.elem_type = tensor.data_type
            for size in tensor.dims:
                stub.shape.dim.add(dim_value=size)
            stripped.graph.input[-1].CopyFrom(_without_length(stripped.graph.input[-1]))
    return stripped


def _without_length(value: ValueInfoProto) -> ValueInfoProto:
    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.INT64 or len(tensor.shape.dim) != 1 or tensor.shape.dim[0].dim_value <= SMALL:
        return value
    info = ValueInfoProto()
    info.CopyFrom(value)
    info.type.tensor_type.shape.dim[0].Clear()
    return info
