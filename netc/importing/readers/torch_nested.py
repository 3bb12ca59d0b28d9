"""Parts of a module that run with another setting, as without autocast, are graphs of their own in an exported program;
their calls are read in the place of the call that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netc.importing.readers.torch import TorchCall, TorchReader

NESTED = frozenset({"wrap_with_set_grad_enabled", "wrap_with_autocast"})


def inline(reader: TorchReader, node: Any, call: TorchCall) -> bool:
    """Whether a call stands for a graph, which has been read then. Raises Gap where that changes what is computed."""
    if call.name not in NESTED:
        return False
    if call.name == "wrap_with_autocast" and node.args[2]:
        raise call.gap(f"computes in {node.args[1]}under autocast, which netc cannot express")
    at = next(i for i, arg in enumerate(node.args) if getattr(arg, "op", "") == "get_attr")
    graph = getattr(reader.program.graph_module, node.args[at].target).graph
    given = iter(node.args[at + 1 :])
    for inner in graph.nodes:
        if inner.op == "placeholder":
            reader.env[inner] = reader.env.get(argument := next(given), argument)
        elif inner.op == "call_function":
            reader.read_call(inner, named=False)
        elif inner.op == "output":
            reader.env[node] = [reader.env[result] for result in inner.args[0]]
    return True
