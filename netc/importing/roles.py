"""What a block is called that has no name: by what it does."""

from __future__ import annotations

from collections.abc import Sequence

from netc.importing.graph import Node
from netc.importing.naming import snake
from netc.importing.units import is_activation, unit_of
from netc.ops.base import OPERATORS, Family

ATTENTION = frozenset({"softmax", "scaled_dot_product_attention", "multihead_attention"})


def role_of(nodes: Sequence[Node], usual: str = "unit") -> str:
    """`bottleneck`, `inverted_residual`, `squeeze_excite`, `inception`, `encoder_layer`, …; `usual` where none fits."""
    if unit := unit_of(list(nodes)):
        return snake(unit)
    end = next((node for node in reversed(nodes) if not is_activation(node.op)), None)
    if end is None:
        return usual
    names = {node.op.name for node in nodes}
    if names & ATTENTION:
        return (
            "encoder_layer"
            if sum(node.op.name == "linear" for node in nodes) > 3 or "layer_norm" in names
            else "attention"
        )
    convs = [node for node in nodes if OPERATORS[node.op.name].family is Family.CONV]
    if end.op.name == "mul":
        return "squeeze_excite" if any(n.startswith("adaptive_avg_pool") or n == "mean" for n in names) else "gate"
    if end.op.name == "concat":
        return "dense_layer" if len(end.inputs) == 2 and len(convs) <= 2 else "inception"
    if [_is_depthwise(node) for node in convs] == [True, False] and "add" not in names:
        return "separable_conv"
    if any(_is_depthwise(node) for node in convs):
        return "inverted_residual"
    if end.op.name == "add":
        kernels = [max(node.op.kernel_size) for node in convs]  # type: ignore[attr-defined]
        return "bottleneck" if len(kernels) >= 3 and kernels[0] == 1 and 1 in kernels[2:] else "residual"
    return usual


def _is_depthwise(node: Node) -> bool:
    groups = int(getattr(node.op, "groups", 1))
    return groups > 1 and groups == node.inputs[0].type.shape[1]
