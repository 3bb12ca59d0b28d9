"""Texts of an ONNX file. protobuf hands out bytes for what is not UTF-8, and onnxruntime fails while it answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def not_utf8(model: Any) -> bytes | None:
    """A name or another text of a model that is not UTF-8."""
    return next((text for text in _texts(model) if isinstance(text, bytes)), None)


def _texts(model: Any) -> Iterator[str | bytes]:
    yield from (model.producer_name, model.producer_version, model.domain, model.doc_string)
    yield from (text for entry in model.metadata_props for text in (entry.key, entry.value))
    yield from (entry.domain for entry in model.opset_import)
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from (function.name, function.domain, *function.input, *function.output, *function.attribute)
        yield from _of_nodes(function.node)


def _of_graph(graph: Any) -> Iterator[str | bytes]:
    yield from (graph.name, graph.doc_string)
    yield from (text for tensor in graph.initializer for text in _of_tensor(tensor))
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator[str | bytes]:
    for node in nodes:
        yield from (node.name, node.op_type, node.domain, node.doc_string, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            yield from _of_tensor(attribute.t) if attribute.HasField("t") else ()
            for graph in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _of_graph(graph)


def _of_tensor(tensor: Any) -> Iterator[str | bytes]:
    yield tensor.name
    yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))
