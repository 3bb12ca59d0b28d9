"""Is the spec the network that was read? Statement by statement, without running anything.

netc's own reading of the text is compared with the graph: every statement has the operator and the attributes of its
node and reads what that reads, every node has a statement, and the outputs are those of the source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from netc.importing.bodies import told
from netc.importing.graph import Graph, Node, Value
from netc.ir.flat import Flat, FlatNode, Wire


class Parting(msgspec.Struct, frozen=True, eq=False):
    """Where spec and source are not the same: the path of a statement, and how."""

    path: str
    why: str


def compare(flat: Flat, graph: Graph, places: Mapping[str, Node]) -> Parting | None:
    """The first thing that differs, None where nothing does."""
    found = matched(flat.inputs, flat.nodes, graph, places)
    if isinstance(found, Parting):
        return found
    for output, (name, value) in zip(flat.outputs, graph.outputs, strict=True):
        if found[output.wire] is not value:
            return Parting(output.name, f"the output {name} is another tensor")
    return None


def matched(
    inputs: Sequence[Wire], statements: Sequence[FlatNode], graph: Graph, places: Mapping[str, Node]
) -> dict[Wire, Value] | Parting:
    """What every tensor of the spec is in the source, or the first statement that has no counterpart."""
    known: dict[Wire, Value] = dict(zip(inputs, graph.inputs, strict=True))
    seen: set[Node] = set()
    for statement in statements:
        node = places.get(statement.path)
        passes = statement.node.op.name == "identity"
        if node is None or (passes and node.op.name != "identity"):
            if not passes:
                return Parting(statement.path, f"{statement.node.op} has no counterpart in the source")
            known[statement.outputs[0]] = known[statement.inputs[0]]
            continue
        why = _differs(statement, node, known)
        if why:
            return Parting(statement.path, why)
        seen.add(node)
        known.update(zip(statement.outputs, node.outputs, strict=False))
    lost = [node for node in graph.nodes if node not in seen]
    return Parting("", f"{lost[0]} has no statement") if lost else known


def _differs(statement: FlatNode, node: Node, known: Mapping[Wire, Value]) -> str:
    ours, theirs = _key(statement.node.op, statement), _key(node.op, node)
    if ours != theirs:
        return f"{statement.node.op}, but {node.op} in the source"
    wanted = node.operands
    found = [known[wire] for wire in statement.inputs[: len(wanted)]]
    if found != wanted or (node.references and len(statement.inputs) != len(wanted)):
        return f"{statement.node.op} reads other tensors than in the source"
    return ""


def _key(op: Any, of: FlatNode | Node) -> object:
    """Operators that compute the same on the same inputs have equal keys."""
    found = told(op)
    for name in ("dim", "start_dim", "end_dim", "dim0", "dim1"):
        rank = _rank(of)
        if isinstance(found.get(name), int) and rank:
            found[name] %= rank
    return op.name, tuple(sorted((k, repr(v)) for k, v in found.items()))


def _rank(of: FlatNode | Node) -> int:
    if isinstance(of, FlatNode):
        return max((wire.type.rank for wire in (*of.inputs[:1], *of.outputs[:1])), default=0)
    return max((value.type.rank for value in (*of.reads[:1], *of.outputs[:1])), default=0)
