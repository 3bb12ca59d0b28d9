"""`nn.MultiheadAttention` is one operator of netc: the calls inside it are taken together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from netc.importing.graph import Value, Weight

if TYPE_CHECKING:
    from netc.importing.readers.torch import TorchCall, TorchReader

CLASS = "torch.nn.modules.activation.MultiheadAttention"


def collapse(reader: TorchReader, node: Any, call: TorchCall, collapsed: set[Any]) -> bool:
    """Read all calls of an attention module at the first of them; False where the node is in none."""
    key = _call_of(node)
    if key is None or _is_number(node):
        return False
    path = key[1]
    module = reader.modules.get(path)
    if module is None or not module._qkv_same_embed_dim or module.bias_k is not None or module.add_zero_attn:
        return False
    inside = _inside(reader.program.graph.nodes, key)
    outside = list(dict.fromkeys(i for n in inside for i in n.all_input_nodes if i not in inside))
    tensors = [i for i in outside if isinstance(reader.env.get(i), Value)]
    given = [n for n in inside if any(user not in inside for user in n.users)]
    if len(given) != 1 or len(tensors) != 1:
        return False
    settings = {"num_heads": module.num_heads, "batch_first": module.batch_first, "dropout": module.dropout}
    names = [name for name, _ in module.named_parameters()]
    held = [reader.env[i] for i in outside if isinstance(reader.env.get(i), Weight)]
    weights = {weight.held.name: weight for weight in held}
    params = {name: weights[f"{path}.{name}"] for name in names if f"{path}.{name}" in weights}
    if len(params) != len(names):
        return False
    made = reader.graph.add(
        "multihead_attention",
        [reader.env[tensors[0]]],
        params,
        origin=call.origin,
        bias=module.in_proj_bias is not None,
        **settings,
    )
    frames = reader.scope(node)
    at = [frame.path for frame in frames].index(path)
    made.scope, made.path = tuple(frames[: at + 1]), path
    reader.enter(given[0], made.out)
    collapsed.update(inside)
    return True


def _inside(nodes: Iterable[Any], key: tuple[str, str]) -> list[Any]:
    """The calls of a module, without numbers that are no matter of its own: sizes are computed once in a program, by
    whoever needs them first."""
    found: dict[Any, None] = {}
    for node in nodes:
        own = node.op == "call_function" and _call_of(node) == key
        if own and (not _is_number(node) or any(i in found for i in node.all_input_nodes)):
            found[node] = None
    return list(found)


def _is_number(node: Any) -> bool:
    """Whether a call gives a size or another number instead of tensors."""
    given = node.meta.get("val")
    return not (hasattr(given, "dim") or isinstance(given, list | tuple))


def _call_of(node: Any) -> tuple[str, str] | None:
    """Which call of an attention module a node is in: the key of the call, and the module's path."""
    for key, (path, cls) in (node.meta.get("nn_module_stack") or {}).items():
        name = cls if isinstance(cls, str) else f"{cls.__module__}.{cls.__qualname__}"
        if name == CLASS:
            return str(key), str(path).split("@")[0]
    return None
