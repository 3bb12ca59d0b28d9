"""Concatenations that grow, and the order in which statements stand."""

from __future__ import annotations

from netc.importing.graph import Graph, Node, Value


def gather_concats(graph: Graph) -> None:
    """concat(a, b, c) where concat(a, b) exists is concat(that, c): DenseNet's features grow by one tensor at a
    time."""
    known: dict[tuple[int, tuple[Value, ...]], Node] = {}
    concats = [node for node in graph.nodes if node.op.name == "concat"]
    for node in concats:
        known.setdefault((_dim(node), tuple(node.inputs)), node)
    grown: set[Node] = set()
    for node in concats:
        shorter = known.get((_dim(node), tuple(node.inputs[:-1]))) if len(node.inputs) > 2 else None
        if shorter is not None and shorter is not node:
            node.inputs = [shorter.out, node.inputs[-1]]
            grown |= {node, shorter}
    if grown:
        _place(graph, grown)


def _dim(node: Node) -> int:
    return int(node.op.dim) % node.out.type.rank  # type: ignore[attr-defined]


def _place(graph: Graph, grown: set[Node]) -> None:
    """A concatenation that grows stands behind, and in the module, of the tensor that was added."""
    for node in [node for node in graph.nodes if node in grown]:
        last = node.inputs[-1].maker
        if last is None:
            continue
        frames = last.scope
        if last.path:
            frames = tuple(frame for frame in frames if last.path.startswith(f"{frame.path}."))
        node.scope = frames
        graph.nodes.remove(node)
        graph.nodes.insert(graph.nodes.index(last) + 1, node)
    graph.sort()


def state_order(graph: Graph) -> None:
    """What reads nothing stands directly before its first reader, in its module."""
    sources = {node for node in graph.nodes if not node.reads}
    order: list[Node] = []
    placed: set[Node] = set()
    for node in graph.nodes:
        if node in sources:
            continue
        for value in node.reads:
            maker = value.maker
            if maker in sources and maker not in placed and maker is not None:
                placed.add(maker)
                if not maker.path:
                    maker.scope = node.scope
                order.append(maker)
        order.append(node)
    graph.nodes = [*order, *(node for node in graph.nodes if node in sources and node not in placed)]
