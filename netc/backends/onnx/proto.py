"""Plain values as ONNX messages."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto

from netc.dims import dim_source
from netc.ops.narrow import rounded
from netc.ops.records import OnnxConst
from netc.types import ONNX_TYPES, TensorType
from netc.weights import TensorEntry

_FIELDS = {"float32": "float_data", "float64": "double_data", "int64": "int64_data"}


def set_value_info(message: ValueInfoProto, name: str, kind: TensorType, *, symbolic: bool = True) -> None:
    """Name, element type and shape; a symbolic size becomes a `dim_param` with its expression as text, or is left
    open."""
    message.name = name
    tensor = message.type.tensor_type
    tensor.elem_type = ONNX_TYPES[kind.dtype]
    tensor.shape.SetInParent()
    for size in kind.shape:
        dim = tensor.shape.dim.add()
        if isinstance(size, int):
            dim.dim_value = size
        elif symbolic:
            dim.dim_param = dim_source(size)


def set_constant(message: TensorProto, name: str, const: OnnxConst) -> None:
    """A small constant, its values inside the message."""
    message.name = name
    message.data_type = ONNX_TYPES[const.dtype]
    message.dims.extend(const.shape)
    getattr(message, _FIELDS.get(const.dtype, "int32_data")).extend(_encoded(const))


def _encoded(const: OnnxConst) -> Sequence[Any]:
    if const.dtype == "float16":
        return [struct.unpack("<H", struct.pack("<e", v))[0] for v in const.values]
    if const.dtype == "bfloat16":
        return [struct.unpack("<I", struct.pack("<f", rounded(v, "bfloat16")))[0] >> 16 for v in const.values]
    return const.values if const.dtype in ("float32", "float64") else [int(v) for v in const.values]


def set_external(message: TensorProto, entry: TensorEntry, location: str) -> None:
    """A tensor whose bytes lie in the file `location`, beside the model."""
    message.name = entry.name
    message.data_type = ONNX_TYPES[entry.dtype]
    message.dims.extend(entry.shape)
    message.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", entry.start), ("length", entry.size)):
        item = message.external_data.add()
        item.key, item.value = key, str(value)


def add_attribute(node: NodeProto, name: str, value: Any) -> None:
    """An attribute; its kind follows the value's: int (and bool), float, str or a tuple of one of these."""
    message = node.attribute.add()
    message.name = name
    if isinstance(value, bool | int):
        message.type, message.i = AttributeProto.INT, int(value)
    elif isinstance(value, float):
        message.type, message.f = AttributeProto.FLOAT, value
    elif isinstance(value, str):
        message.type, message.s = AttributeProto.STRING, value.encode()
    else:
        _set_list(message, tuple(value))


def add_graph(node: NodeProto, name: str) -> GraphProto:
    """An attribute that is a graph, to be filled."""
    message = node.attribute.add(name=name, type=AttributeProto.GRAPH)
    return message.g


def _set_list(message: AttributeProto, values: tuple[Any, ...]) -> None:
    if any(isinstance(v, float) for v in values):
        message.type = AttributeProto.FLOATS
        message.floats.extend(values)
    elif any(isinstance(v, str) for v in values):
        message.type = AttributeProto.STRINGS
        message.strings.extend(v.encode() for v in values)
    else:
        message.type = AttributeProto.INTS
        message.ints.extend(values)
