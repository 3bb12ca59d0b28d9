"""What does not depend on the inputs, computed once; and operations by constants, as few as will do."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import NodeProto, TensorProto, helper, numpy_helper

from netc.optimise.absorb import Array
from netc.optimise.chains import fuse_chains
from netc.optimise.drop import RANDOM
from netc.optimise.graph import Graph, bodies, size_of
from netc.run.model import open_bytes

LIMIT = 1 << 20
"""Bytes; a larger result becomes a constant only where its inputs are as large."""

KEPT = (*RANDOM, "DequantizeLinear")
"""Not computed: numbers that are never the same, and weights that are in 8 bits so that products are too."""

AT_ONCE = 1 << 30
"""Bytes of constants that one evaluation takes."""


def fuse_constants(graph: Graph) -> None:
    """Evaluate what has constant inputs only, then fuse what stands one after another."""
    _say_shapes(graph)
    evaluate_constants(graph)
    fuse_chains(graph)
    graph.prune()


def _say_shapes(graph: Graph) -> None:
    """The shape of a value is constant where it is numbers, though the value is not."""
    for node in graph.all("Shape"):
        kind, result = graph.types.get(node.input[0]), node.output[0]
        if kind is None or kind.fixed is None or node.attribute or result in graph.outputs:
            continue
        graph.remove(node)
        graph.constants[result] = helper.make_tensor(result, TensorProto.INT64, [len(kind.fixed)], kind.fixed)


def evaluate_constants(graph: Graph) -> None:
    """Compute with ONNX Runtime what has constant inputs only, but for what the graph itself gives."""
    chosen = list(_constant_nodes(graph))
    results = [name for node in chosen for name in node.output if name and any(_others(graph, name, chosen))]
    if not results:
        return
    for name, array in zip(results, _evaluated(graph, chosen, results), strict=True):
        maker = graph.maker(name)
        if maker is not None and all(other in results or not graph.readers(other) for other in maker.output if other):
            graph.remove(maker)
        graph.constants[name] = numpy_helper.from_array(array, name)
    graph.prune()


def _others(graph: Graph, name: str, chosen: list[NodeProto]) -> Iterator[bool]:
    """True for each reader that is not evaluated itself."""
    ids = {id(node) for node in chosen}
    return (id(reader) not in ids for reader in graph.readers(name))


def _constant_nodes(graph: Graph) -> Iterator[NodeProto]:
    """Nodes in order whose inputs are constants or results of such nodes, none of them too large."""
    names: set[str] = set()
    taken = 0
    for node in graph:
        inputs = [name for name in node.input if name]
        if not all(name in graph.constants or name in names for name in inputs):
            continue
        if node.op_type in KEPT or any(True for _ in bodies(node)) or graph.outputs & set(node.output):
            continue
        size = sum(size_of(graph.constants[name]) for name in inputs if name in graph.constants)
        if taken + size > AT_ONCE or not all(_bearable(graph, name, size) for name in node.output if name):
            continue
        taken += size
        names.update(name for name in node.output if name)
        yield node


def _bearable(graph: Graph, name: str, before: int) -> bool:
    kind = graph.types.get(name)
    if kind is None or kind.fixed is None or kind.element in (TensorProto.UNDEFINED, TensorProto.STRING):
        return False
    return size_of(TensorProto(data_type=kind.element, dims=kind.fixed)) <= max(LIMIT, before)


def _evaluated(graph: Graph, nodes: list[NodeProto], results: list[str]) -> list[Array]:
    model = graph.shell()
    del model.graph.input[:], model.graph.output[:]
    model.graph.node.extend(nodes)
    inputs = dict.fromkeys(name for node in nodes for name in node.input if name in graph.constants)
    model.graph.initializer.extend(numpy_helper.from_array(graph.array(name), name) for name in inputs)
    for name in results:
        model.graph.output.add().name = name
    return list(open_bytes(model.SerializeToString(), graph.folder, "what is constant").run(results, {}))
