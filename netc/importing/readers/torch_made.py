"""Tensors that calls of ATen make of one number, and layers that go step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from netc.dims import Dim
from netc.importing.graph import Weight, held_array, whole
from netc.importing.readers.torch import TorchCall, handles
from netc.importing.readers.torch_folding import FILLS


@handles(*FILLS)
def filled(call: TorchCall) -> None:
    """A tensor of one number is alike along axes whose size is open: it has size 1 there, and is expanded where that
    matters."""
    given = call.get("size")
    sizes = call.value("self").type.shape if given is None else given
    fill = FILLS[call.name]
    number = call.get(fill) if isinstance(fill, str) else fill
    shape = tuple(1 if isinstance(size, Dim) else size for size in sizes)
    dtype = str(call.node.meta["val"].dtype).removeprefix("torch.")
    call.result(whole(held_array("", np.full(shape, number, dtype))))


RECURRENT: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("lstm", {}),
    "gru": ("gru", {}),
    "rnn_tanh": ("rnn", {}),
    "rnn_relu": ("rnn", {"nonlinearity": "relu"}),
}
ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@handles(*RECURRENT)
def recurrent(call: TorchCall) -> None:
    """PyTorch hands over the parameters layer by layer, each direction after the other."""
    name, more = RECURRENT[call.name]
    if "batch_sizes" in call.given:
        raise call.gap("packed sequences cannot be imported")
    layers, both, biased = call.get("num_layers"), call.get("bidirectional"), call.get("has_biases")
    suffixes = [f"l{layer}{way}" for layer in range(layers) for way in (("", "_reverse") if both else ("",))]
    roles = [f"{role}_{suffix}" for suffix in suffixes for role in ROLES[: 4 if biased else 2]]
    if len(roles) != len(call.given["params"]):
        raise call.gap("LSTM layers with `proj_size` cannot be imported")
    params = {role: call.weight_of(node, role) for role, node in zip(roles, call.given["params"], strict=True)}
    settings = {
        "hidden_size": params["weight_hh_l0"].shape[1],
        "num_layers": layers,
        "bias": bool(biased),
        "batch_first": bool(call.get("batch_first")),
        "bidirectional": bool(both),
        "dropout": call.get("dropout"),
        **more,
    }
    states = call.given["hx"] if name == "lstm" else [call.given["hx"]]
    zero = all(_is_zero(call.reader.env.get(node)) for node in states)
    starts = [] if zero else [call.reader.as_value(node, call) for node in states]
    call.reader.env[call.node] = call.emit_all(name, call.value("input"), *starts, params=params, **settings)


def _is_zero(entry: Any) -> bool:
    """Whether the states start from 0, as they do by themselves."""
    return isinstance(entry, Weight) and not entry.held.name and not entry.array().any()
