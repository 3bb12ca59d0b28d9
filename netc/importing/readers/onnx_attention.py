"""ONNX's Attention, of opset 23 and later."""

from __future__ import annotations

from typing import Any

from netc.importing.graph import Value
from netc.importing.readers.constants import short
from netc.importing.readers.onnx import Call, handles


@handles("Attention")
def attention(call: Call) -> None:
    if any(call.has(at) for at in range(4, len(call.node.input))) or any(list(call.node.output)[1:]):
        raise call.gap("netc's attention keeps no keys and values of earlier calls and gives no scores")
    if call.get("softcap", 0.0):
        raise call.gap("netc's attention has no `softcap`")
    flat = call.value(0).type.rank == 3
    heads = [call.get(name, 0) for name in ("q_num_heads", "kv_num_heads", "kv_num_heads")]
    if flat and not all(heads):
        raise call.gap("inputs with three axes need `q_num_heads` and `kv_num_heads`")
    inputs = [_split(call, call.value(at), heads[at]) if flat else call.value(at) for at in range(3)]
    settings: dict[str, Any] = {"is_causal": bool(call.get("is_causal", 0))}
    settings["enable_gqa"] = inputs[0].type.shape[-3] != inputs[1].type.shape[-3]
    width, scale = inputs[0].type.shape[-1], call.get("scale")
    if scale is not None and not (isinstance(width, int) and abs(scale * width**0.5 - 1) < 1e-6):
        settings["scale"] = short(scale)
    references = {"attn_mask": call.value(3)} if call.has(3) else {}
    found = call.emit_all("scaled_dot_product_attention", *inputs, references=references, **settings)[0]
    if flat:
        found = call.emit("transpose", found, dim0=1, dim1=2)
        found = call.emit("flatten", found, start_dim=2)
    call.result(found)


def _split(call: Call, x: Value, heads: int) -> Value:
    """batch × steps × features as batch × heads × steps × features of a head"""
    width = x.type.shape[2]
    features = width // heads if isinstance(width, int) and width % heads == 0 else -1
    x = call.emit("unflatten", x, dim=2, unflattened_size=(heads, features))
    return call.emit("transpose", x, dim0=1, dim1=2)
