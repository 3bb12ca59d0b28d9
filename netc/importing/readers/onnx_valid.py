"""Nodes that are what ONNX says they must be, so that what reads them finds their inputs and attributes."""

from __future__ import annotations

from math import prod
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, checker
from onnx.shape_inference import InferenceError, infer_shapes

from netc.diagnostics.model import failure

SMALL = 1024
"""Elements; what a shape is made from has fewer, and what has more is not handed to inference."""


def refuse_invalid(model: Any, name: str) -> None:
    """Raises NetcError (`model-file`) for a node with inputs or attributes that its operator does not take, or with
    inputs of types and shapes that it does not take. Operators of other domains, and bodies, are not looked at."""
    context = checker.C.CheckerContext()
    context.ir_version = model.ir_version
    context.opset_imports = {entry.domain: entry.version for entry in model.opset_import}
    known = [node for node in model.graph.node if node.domain in ("", "ai.onnx") and not _has_body(node)]
    try:
        for node in known:
            checker.check_node(node, context)
        if len(known) == len(model.graph.node):
            infer_shapes(_without_data(model), check_type=True, strict_mode=True)
    except (checker.ValidationError, InferenceError, UnicodeDecodeError) as error:
        raise failure("model-file", f"{name}: onnx refuses it: {_told(error)}") from error


def _has_body(node: NodeProto) -> bool:
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)


def _without_data(model: Any) -> ModelProto:
    """The nodes, and of larger constants the types alone, as inputs."""
    found = ModelProto(ir_version=max(model.ir_version, 4))
    found.opset_import.extend(model.opset_import)
    found.graph.node.extend(model.graph.node)
    found.graph.input.extend(model.graph.input)
    given = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if prod(tensor.dims) <= SMALL and tensor.data_location != TensorProto.EXTERNAL:
            found.graph.initializer.append(tensor)
        elif tensor.name not in given:
            stub = found.graph.input.add(name=tensor.name).type.tensor_type
            stub.elem_type = tensor.data_type
            for size in tensor.dims:
                stub.shape.dim.add(dim_value=size)
    return found


def _told(error: Exception) -> str:
    """onnx's words, of which the first lines say which node it is."""
    return " ".join(str(error).split())[:500]
