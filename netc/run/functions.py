"""ONNX files whose blocks are functions, with the functions opened and everything inside under its spec path.

onnxruntime opens functions when it loads a file, and onnx's inliner does the same here; each makes up names of its own
(`_inlfunc_unit_token_3_conv`, `conv__7`). A name inside a function is relative to the block and the name of a call is
its path, so that both together are the path in the spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from netc.diagnostics.model import failure
from netc.ir.flat import join
from netc.libraries import onnx_inliner

_OPENED = "_inlfunc_"
"""How onnxruntime's names begin for nodes out of functions."""


MOST_NODES = 1_000_000
"""Of a model with its functions opened; a few thousand bytes of functions that call one another can mean billions."""

MOST_DEPTH = 64
"""Of functions that call functions, and of graphs inside nodes."""


def check_size(model: Any, name: str) -> None:
    """Raises NetcError (`model-file`) for a model that has more nodes, or lies deeper, than anybody's network."""
    functions = {(function.domain, function.name): function for function in model.functions}
    try:
        count = _Count(functions).of(model.graph.node, 0)
    except RecursionError as problem:
        raise failure("model-file", f"{name}: {problem}") from None
    if count > MOST_NODES:
        raise failure("model-file", f"{name}: it has more than {MOST_NODES:,} nodes once its functions are opened")


class _Count:
    """Counts nodes, each function once however often it is called."""

    def __init__(self, functions: Mapping[tuple[str, str], Any]) -> None:
        self._functions = functions
        self._counted: dict[tuple[str, str], int] = {}
        self._open: set[tuple[str, str]] = set()

    def of(self, nodes: Iterable[Any], depth: int) -> int:
        """Nodes of a body that lies so deep. Raises RecursionError with what is wrong."""
        if depth > MOST_DEPTH:
            raise RecursionError(f"its functions and graphs are nested more than {MOST_DEPTH} deep")
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            total += self._function(key, depth) if key in self._functions else 1
            for attribute in node.attribute:
                for graph in (attribute.g, *attribute.graphs):
                    total += self.of(graph.node, depth + 1)
        return total

    def _function(self, key: tuple[str, str], depth: int) -> int:
        if key in self._open:
            raise RecursionError(f"the function {key[1]} calls itself")
        if key not in self._counted:
            self._open.add(key)
            self._counted[key] = self.of(self._functions[key].node, depth + 1)
            self._open.remove(key)
        return self._counted[key]


class _Inner(msgspec.Struct, frozen=True):
    """The name of a node and those of what it makes, by their paths."""

    name: str
    outputs: tuple[str, ...]


def is_made_up(name: str) -> bool:
    """Is this onnxruntime's name for a node that stands in a function?"""
    return name.startswith(_OPENED)


def open_functions(model: Any) -> Any:
    """The model with its functions opened, nodes and values named as if they had never been in functions; a model
    without functions as it is. Weights, inputs and outputs keep their names."""
    if not model.functions:
        return model
    functions = {(function.domain, function.name): function for function in model.functions}
    nodes = list(_walk(model.graph.node, "", {}, functions))
    flat = onnx_inliner().inline_local_functions(model)
    names: dict[str, str] = {}
    for node, inner in zip(flat.graph.node, nodes, strict=True):
        node.name = inner.name
        names |= {name: path for name, path in zip(node.output, inner.outputs, strict=True) if name}
    if len(set(names.values())) == len(names):
        _rename(flat.graph, names)
    return flat


def _walk(
    nodes: Iterable[Any], prefix: str, names: Mapping[str, str], functions: Mapping[Any, Any]
) -> Iterator[_Inner]:
    """What stands in a body under `prefix`, in the order in which opening puts it; `names`: what the caller calls the
    inputs and outputs of the function."""
    for node in nodes:
        path = join(prefix, node.name)
        outputs = tuple(names.get(name) or join(prefix, name) for name in node.output)
        function = functions.get((node.domain, node.op_type))
        if function is None:
            yield _Inner(path, outputs)
        else:
            yield from _walk(function.node, path, dict(zip(function.output, outputs, strict=False)), functions)


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, names)
    for value in graph.value_info:
        value.name = names.get(value.name, value.name)
