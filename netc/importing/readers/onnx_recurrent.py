"""ONNX's recurrent layers: their gates in PyTorch's order, directions and offsets apart."""

from __future__ import annotations

from typing import Any

from netc.importing.graph import Value, Weight
from netc.importing.readers.onnx import Call, handles
from netc.ops.base import OPERATORS

USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
"""The functions of one direction that netc's layers have."""


@handles("LSTM", "GRU", "RNN")
def recurrent(call: Call) -> None:
    name, direction = call.op_type.lower(), call.get("direction", "forward")
    settings = _settings(call)
    both = direction == "bidirectional"
    params: dict[str, Weight] = {}
    for at, suffix in enumerate(("l0", "l0_reverse")[: 1 + both]):
        params |= _params(call, at, suffix)
    x = call.value(0)
    x = call.emit("flip", x, dims=(0,)) if direction == "reverse" else x
    inputs, references = [x, *_starts(call)], {}
    if call.has(4):
        references = {"lengths": _lengths(call)}
        if direction == "reverse":
            raise call.gap("netc reads sequences of different lengths in the forward direction only")
    settings |= {"hidden_size": call.weight(2).shape[2], "bias": call.has(3), "bidirectional": both}
    results = call.emit_all(name, *inputs, params=params, references=references, **settings)
    output = call.emit("flip", results[0], dims=(0,)) if direction == "reverse" else results[0]
    if both:
        output = call.emit("unflatten", output, dim=2, unflattened_size=(2, settings["hidden_size"]))
        output = call.emit("permute", output, dims=(0, 2, 1, 3))
    else:
        output = call.emit("unsqueeze", output, dim=1)
    call.result(output, *results[1:])


def _settings(call: Call) -> dict[str, Any]:
    """Raises Gap for what netc's layers do not do."""
    for name, told in (
        ("clip", "netc does not clip inside a recurrent layer"),
        ("layout", "netc reads recurrent layers with steps as the first axis"),
    ):
        if call.get(name, 0):
            raise call.gap(told)
    if call.has(7) or call.get("input_forget", 0):
        raise call.gap("netc's lstm has no peepholes and no coupled forget gate")
    if call.op_type == "GRU" and not call.get("linear_before_reset", 0):
        raise call.gap("netc's gru applies the reset gate after the product, as linear_before_reset=1 says")
    usual = USUAL[call.op_type]
    activations = [f.decode() if isinstance(f, bytes) else f for f in call.attributes.get("activations", usual)]
    kinds = {tuple(activations[at : at + len(usual)]) for at in range(0, len(activations), len(usual))}
    if call.op_type == "RNN" and kinds == {("Relu",)}:
        return {"nonlinearity": "relu"}
    if kinds != {usual}:
        raise call.gap(f"netc's {call.op_type.lower()} has the functions {', '.join(usual)}")
    return {}


def _params(call: Call, at: int, suffix: str) -> dict[str, Weight]:
    """The parameters of one direction."""
    cls: Any = OPERATORS[call.op_type.lower()]
    order = tuple(cls.gate_order.index(gate) for gate in range(cls.gates))
    rows = cls.gates * call.weight(2).shape[2]

    def sorted_(weight: Weight) -> Weight:
        return weight if order == tuple(range(len(order))) else weight.order(*order)

    params = {}
    for place, role in ((1, "weight_ih"), (2, "weight_hh")):
        whole = call.weight(place)
        params[f"{role}_{suffix}"] = sorted_(whole.rows(at, at + 1).reshaped(rows, whole.shape[2]))
    if call.has(3):
        both = call.weight(3).rows(at, at + 1).reshaped(2 * rows)
        for i, role in enumerate(("bias_ih", "bias_hh")):
            params[f"{role}_{suffix}"] = sorted_(both.rows(i * rows, (i + 1) * rows))
    return params


def _starts(call: Call) -> list[Value]:
    """What the states start from; nothing where that is zero."""
    places = [at for at in (5, 6) if call.has(at)]
    if not places or all(_is_zero(call, at) for at in places):
        return []
    if call.op_type == "LSTM" and len(places) == 1:
        raise call.gap("netc's lstm needs both initial states, or neither")
    return [call.value(at) for at in places]


def _is_zero(call: Call, at: int) -> bool:
    entry = call.entry(at)
    if isinstance(entry, Value):
        return _is_full_of_zeros(entry)
    array = call.known(at)
    return array is not None and array.dtype != object and not array.any()


PARTS = frozenset(
    {"expand", "slice", "narrow", "chunk", "split", "select", "unsqueeze", "squeeze", "permute", "transpose"}
)
"""Operators whose elements are those of their input."""


def _is_full_of_zeros(value: Value) -> bool:
    node = value.maker
    while node is not None and node.op.name in PARTS:
        node = node.inputs[0].maker
    return node is not None and node.op.name == "constant" and not any(node.op.value)  # type: ignore[attr-defined]


def _lengths(call: Call) -> Value:
    x = call.value(4)
    return x if x.type.dtype == "int64" else call.emit("cast", x, dtype="int64")
