"""One file: weights inside the ONNX model, written one after another so that memory does not grow with them.

A protobuf message is a sequence of fields (tag, length, bytes), and a list's items may come last: everything small is
serialised as usual, and the large tensors follow as further items of the graph's list of initialisers.
Format: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from onnx import ModelProto, TensorProto

from netc.artifacts import output_error
from netc.weights import TensorEntry
from netc.weights.write import Send

MOST = 2**31 - 1
"""Bytes in a protobuf message."""

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
"""Numbers of fields: of ModelProto, GraphProto and TensorProto."""


def write_embedded(model: ModelProto, tensors: Mapping[str, TensorEntry], file: BinaryIO, send: Send) -> None:
    """Write a model whose external tensors move into it; empties the model's graph."""
    large = [_stripped(tensor) for tensor in model.graph.initializer if _is_external(tensor)]
    small = [tensor for tensor in model.graph.initializer if not _is_external(tensor)]
    del model.graph.initializer[:]
    model.graph.initializer.extend(small)
    graph = model.graph.SerializeToString(deterministic=True)
    model.ClearField("graph")
    heads = [_heads(tensor, tensors[tensor.name].size) for tensor in large]
    data = sum(len(head) + tensors[tensor.name].size for head, tensor in zip(heads, large, strict=True))
    file.write(model.SerializeToString(deterministic=True) + _head(_GRAPH, len(graph) + data) + graph)
    for head, tensor in zip(heads, large, strict=True):
        file.write(head)
        for _ in send(tensors[tensor.name], file):
            pass


def check_fits(path: Path, model: ModelProto, tensors: Mapping[str, TensorEntry]) -> None:
    """Raises NetcError (`output-file`) for a model that is too large for one file."""
    held = [t.name for t in model.graph.initializer if _is_external(t)]
    size = model.ByteSize() + sum(tensors[name].size for name in held)
    if size > MOST:
        problem = f"{size / 1e9:.1f} GB is too large for a single file: protobuf allows 2 GiB"
        raise output_error(path, f"{problem}; leave out --single-file")


def _is_external(tensor: TensorProto) -> bool:
    return bool(tensor.data_location == TensorProto.EXTERNAL)


def _stripped(tensor: TensorProto) -> TensorProto:
    """The tensor without data."""
    return TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)


def _heads(tensor: TensorProto, size: int) -> bytes:
    """All that stands before the data of a tensor."""
    inner = bytes(tensor.SerializeToString(deterministic=True)) + _head(_RAW_DATA, size)
    return _head(_INITIALIZER, len(inner) + size) + inner


def _head(field: int, length: int) -> bytes:
    """Tag and length of a field that holds bytes."""
    return bytes((field << 3 | 2, *_varint(length)))


def _varint(number: int) -> Iterable[int]:
    while number > 0x7F:
        yield number & 0x7F | 0x80
        number >>= 7
    yield number
