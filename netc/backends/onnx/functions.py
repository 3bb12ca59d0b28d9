"""Blocks as ONNX functions: what a block makes becomes the body of a function, and its use a node that calls it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

from netc.backends.onnx.names import Names
from netc.ir.flat import homes
from netc.ir.model import Call

DOMAIN = "netc"
"""The domain of the functions; their version is 1."""

Trail = tuple[tuple[str, Call], ...]


class NodeInCalls(msgspec.Struct, frozen=True):
    """A node of the graph and the calls around it, outermost first, with their full paths."""

    node: NodeProto
    trail: Trail


def outline(model: ModelProto, trails: Sequence[Trail]) -> None:
    """Move the nodes of each block into a function, blocks inside blocks too; `trails` has one entry per node.

    Uses of a block with the same nodes share one function, which is given its weights as inputs. Constants go along.
    """
    graph = model.graph
    placed = [NodeInCalls(node, trail) for node, trail in zip(graph.node, trails, strict=True)]
    held = {tensor.name: tensor for tensor in graph.initializer if tensor.data_location != TensorProto.EXTERNAL}
    outliner = _Outliner(model)
    nodes = outliner.outlined(placed, 0, {value.name for value in graph.output}, held)
    del graph.node[:]
    graph.node.extend(nodes)
    _remove_what_moved(graph, held)
    if model.functions:
        model.opset_import.add(domain=DOMAIN, version=1)


def _remove_what_moved(graph: GraphProto, held: dict[str, TensorProto]) -> None:
    """Constants left in `held` still belong to the graph; so do the types of what its nodes make."""
    produced = {name for node in graph.node for name in node.output}
    tensors = [t for t in graph.initializer if t.data_location == TensorProto.EXTERNAL or t.name in held]
    types = [value for value in graph.value_info if value.name in produced]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(tensors)
    graph.value_info.extend(types)


class _Outliner:
    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._names = Names()
        self._known: dict[tuple[str, bytes], str] = {}

    def outlined(
        self, placed: Sequence[NodeInCalls], depth: int, needed: set[str], held: dict[str, TensorProto]
    ) -> list[NodeProto]:
        """The nodes, those inside calls at this depth replaced by one node per call.

        needed: names that are read beyond these nodes. held: constants that only these nodes read; what moves into a
        function is taken out.
        """
        reads = Counter(name for one in placed for name in _reads(one.node))
        nodes: list[NodeProto] = []
        for path, group in groupby(placed, key=lambda one: one.trail[depth][0] if len(one.trail) > depth else None):
            members = list(group)
            if path is None:
                nodes.extend(one.node for one in members)
            else:
                nodes.append(self._call(members, depth, reads, needed, held))
        return nodes

    def _call(
        self,
        members: Sequence[NodeInCalls],
        depth: int,
        reads: Counter[str],
        needed: set[str],
        held: dict[str, TensorProto],
    ) -> NodeProto:
        own = Counter(name for one in members for name in _reads(one.node))
        produced = [name for one in members for name in one.node.output if name]
        results = [name for name in produced if name in needed or reads[name] > own[name]]
        constants = {name: held.pop(name) for name in list(own) if name in held and reads[name] == own[name]}
        arguments = [name for name in own if name not in constants and name not in set(produced)]
        body = self.outlined(members, depth + 1, set(results), constants)
        path, call = members[0].trail[depth]
        *_, (_, home) = homes(members[0].trail[: depth + 1])
        local = _local_names(arguments, results, _every_name(body), path, home.module)
        function = FunctionProto(domain=DOMAIN)
        function.input.extend(local[name] for name in arguments)
        function.output.extend(local[name] for name in results)
        function.node.extend(_constant(tensor, local[name]) for name, tensor in constants.items())
        function.node.extend(_renamed(node, local, path) for node in body)
        name = self._function(call.block.name, function)
        return NodeProto(op_type=name, domain=DOMAIN, name=path, input=arguments, output=results)

    def _function(self, stem: str, function: FunctionProto) -> str:
        """The name of the function with this body, added to the model where it is new."""
        key = (stem, function.SerializeToString(deterministic=True))
        if key not in self._known:
            self._known[key] = function.name = self._names.fresh(stem)
            function.opset_import.extend(self._model.opset_import)
            if any(node.domain for node in function.node):
                function.opset_import.add(domain=DOMAIN, version=1)
            self._model.functions.append(function)
        return self._known[key]


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    return (a.g for a in node.attribute if a.type == AttributeProto.GRAPH)


def _reads(node: NodeProto) -> Iterator[str]:
    """What a node reads, also inside its bodies, but not what these make themselves."""
    yield from (name for name in node.input if name)
    for body in _bodies(node):
        own = {value.name for value in body.input} | {name for inner in body.node for name in inner.output}
        yield from (name for inner in body.node for name in _reads(inner) if name not in own)


def _every_name(nodes: Iterable[NodeProto]) -> Iterator[str]:
    """All names of values, those in bodies too."""
    for node in nodes:
        yield from (*node.input, *node.output)
        for body in _bodies(node):
            yield from (value.name for value in (*body.input, *body.output))
            yield from _every_name(body.node)


def _local_names(
    arguments: Sequence[str], results: Sequence[str], names: Iterable[str], path: str, module: str
) -> dict[str, str]:
    """Names inside a function: paths begin at the block; tensors from outside are `in`, what it returns is `out`."""
    fresh = Names()
    local = {"": ""}
    for name in results:
        local[name] = fresh.fresh("out")
    for name in (*arguments, *names):
        if name not in local:
            inner = _below(name, module) or (None if name in arguments else _below(name, path))
            local[name] = fresh.fresh(inner or "in")
    return local


def _below(name: str, prefix: str) -> str:
    """The rest of a name under a prefix; empty where it is not under it."""
    head, rest = name[: len(prefix)], name[len(prefix) :]
    return rest[1:] if head == prefix and rest[:1] in (".", "/") else ""


def _constant(tensor: TensorProto, name: str) -> NodeProto:
    value = AttributeProto(name="value", type=AttributeProto.TENSOR, t=tensor)
    value.t.ClearField("name")
    return NodeProto(op_type="Constant", name=name, output=[name], attribute=[value])


def _renamed(node: NodeProto, local: dict[str, str], path: str) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    _rename(copy, local, path)
    return copy


def _rename(node: NodeProto, local: dict[str, str], path: str) -> None:
    node.name = _below(node.name, path) or node.name
    node.input[:] = [local[name] for name in node.input]
    node.output[:] = [local[name] for name in node.output]
    for body in _bodies(node):
        body.name = _below(body.name, path) or body.name
        for value in (*body.input, *body.output):
            value.name = local[value.name]
        for inner in body.node:
            _rename(inner, local, path)
