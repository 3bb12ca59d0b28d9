"""Operators that the source has once and uses several times: the same weights, the same attributes.

Exporters keep equal tensors once, so that the batch norms of a fresh network share all they have: what is the same
number everywhere is no sign of sharing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from netc.importing.graph import Graph, Node
from netc.importing.naming import unique
from netc.ops.base import OPERATORS


def share(graph: Graph) -> None:
    """Find them, and give them names."""
    taken = set(OPERATORS)
    for nodes in _alike(graph):
        first = nodes[0]
        word = first.path or next(iter(first.params.values())).held.name.rpartition(".")[0] or first.op.name
        name = unique("_".join(word.replace("-", "_").split(".")) or "shared", "shared module", taken)
        taken.add(name)
        graph.shared.update(dict.fromkeys(nodes, name))


def _alike(graph: Graph) -> Iterator[list[Node]]:
    groups: dict[object, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        if node.params and node.inputs and all(weight.held.name for weight in node.params.values()):
            weights = sorted((role, weight.held.name, weight.steps) for role, weight in node.params.items())
            groups[node.op, tuple(weights)].append(node)
    return (nodes for nodes in groups.values() if len(nodes) > 1 and _is_told(nodes[0]))


def _is_told(node: Node) -> bool:
    """Whether the tensors of a node cannot be equal to others by chance."""
    return any(weight.varies() for weight in node.params.values())
