"""Keras's recurrent layers: their gates in PyTorch's order, one bias as two."""

from __future__ import annotations

from typing import Any

from netc.importing.graph import Value, Weight
from netc.importing.readers.keras import KerasLayer, reads
from netc.importing.readers.keras_layers import full

GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
NAMES = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}
GRU_ORDER = (1, 0, 2)
"""Keras has the update gate first, PyTorch the reset gate."""


@reads(*GATES)
def recurrent(layer: KerasLayer, inputs: list[Value]) -> Value:
    _check_recurrent(layer, layer.kind, layer.config)
    x = _turned(layer, layer.last(inputs[0]))
    params = _recurrent_params(layer, layer.kind, x, "cell", "l0")
    output, end = _recurrent(layer, layer.kind, x, params, both=False)
    if layer.get("return_sequences", False):
        return layer.mark(_turned(layer, output))
    return layer.aside("select", end, dim=0, index=0)


@reads("Bidirectional")
def bidirectional(layer: KerasLayer, inputs: list[Value]) -> Value:
    inner: Any = layer.get("layer", {})
    kind, config = inner.get("class_name"), inner.get("config", {})
    if kind not in GATES or layer.get("merge_mode", "concat") != "concat":
        raise layer.gap("netc reads Bidirectional with an RNN, GRU or LSTM layer and merge_mode=concat only")
    _check_recurrent(layer, kind, config)
    layer.config = {**config, **layer.config}
    x = _turned(layer, layer.last(inputs[0]))
    params = _recurrent_params(layer, kind, x, "forward_layer/cell", "l0")
    params |= _recurrent_params(layer, kind, x, "backward_layer/cell", "l0_reverse")
    output, end = _recurrent(layer, kind, x, params, both=True)
    if layer.get("return_sequences", False):
        return layer.mark(_turned(layer, output))
    return layer.aside("flatten", _turned(layer, end))


def _turned(layer: KerasLayer, x: Value) -> Value:
    """Steps and batch swapped."""
    return layer.aside("transpose", x, dim0=0, dim1=1)


def _check_recurrent(layer: KerasLayer, kind: str, config: Any) -> None:
    usual = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    for key in ("activation",) if kind == "SimpleRNN" else tuple(usual):
        if config.get(key, usual[key]) != usual[key]:
            raise layer.gap(f"netc's {NAMES[kind]} has the functions tanh and sigmoid, not {config.get(key)}")
    for key in ("go_backwards", "stateful", "return_state"):
        if config.get(key, False):
            raise layer.gap(f"netc has no `{key}` here")
    if kind == "GRU" and not config.get("reset_after", True):
        raise layer.gap("netc's gru applies the reset gate after the product, as reset_after=True says")


def _recurrent_params(layer: KerasLayer, kind: str, x: Value, within: str, suffix: str) -> dict[str, Weight]:
    units, inside = layer.number("units"), x.type.shape[2]
    if not isinstance(inside, int):
        raise layer.gap("its number of features is not fixed")
    rows = GATES[kind] * units

    def ordered(weight: Weight) -> Weight:
        return weight.order(*GRU_ORDER) if kind == "GRU" else weight

    kernel = layer.weight("kernel", inside, rows, within=within)
    params = {"weight_ih": ordered(kernel.permuted(1, 0))}
    params["weight_hh"] = ordered(layer.weight("recurrent_kernel", units, rows, within=within).permuted(1, 0))
    if layer.get("use_bias", True):
        if kind == "GRU":
            both = layer.weight("bias", 2, rows, within=within)
            parts = [both.rows(i, i + 1).reshaped(rows) for i in range(2)]
        else:
            parts = [layer.weight("bias", rows, within=within), full(0.0, rows)]
        params |= {"bias_ih": ordered(parts[0]), "bias_hh": ordered(parts[1])}
    return {f"{role}_{suffix}": weight for role, weight in params.items()}


def _recurrent(layer: KerasLayer, kind: str, x: Value, params: dict[str, Weight], *, both: bool) -> tuple[Value, Value]:
    """What it gives at every step, and its last state."""
    settings = {"hidden_size": layer.number("units"), "bias": "bias_ih_l0" in params, "bidirectional": both}
    output, end, *_ = layer.emit_all(NAMES[kind], x, params=params, **settings)
    return output, end
