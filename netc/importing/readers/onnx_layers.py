"""ONNX's layers in netc's words: convolutions, norms, pools, linear maps, activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netc.importing.graph import Weight
from netc.importing.readers.constants import short
from netc.importing.readers.onnx import Call, handles


def pads_of(call: Call, rank: int) -> Any:
    """`padding` as netc has it. Raises Gap for words netc has no padding for."""
    auto = call.get("auto_pad", "NOTSET")
    if auto == "SAME_UPPER":
        return "same"
    if auto == "SAME_LOWER" and any(n != 1 for n in call.get("strides", [1])):
        raise call.gap("netc has no padding with the odd element first")
    if auto == "SAME_LOWER":
        kernel, dilations = call.get("kernel_shape"), call.get("dilations", [1] * rank)
        wide = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        return compact([*(n - n // 2 for n in wide), *(n // 2 for n in wide)])
    return compact(call.get("pads", [0] * 2 * rank))


def compact(pads: Sequence[int]) -> Any:
    """Begins, then ends; one per axis where both are equal."""
    half = len(pads) // 2
    return tuple(pads[:half]) if list(pads[:half]) == list(pads[half:]) else tuple(pads)


def _kernel(call: Call) -> Weight:
    """The weight of a convolution: two axes of channels, then one to three of a window."""
    weight = call.weight(1)
    if not 3 <= len(weight.shape) <= 5:
        raise call.gap(f"netc has no convolution with a weight of {len(weight.shape)} axes")
    return weight


def convolution(call: Call, weight: Weight, bias: int) -> dict[str, Any]:
    """Parameters and attributes of a convolution, deformable ones too; `bias` is the input that is its bias."""
    rank, window = len(weight.shape) - 2, weight.shape[2:]
    call.attributes.setdefault("kernel_shape", list(window))
    return {
        "params": {"weight": weight, **({"bias": call.weight(bias)} if call.has(bias) else {})},
        "out_channels": weight.shape[0],
        "kernel_size": tuple(window),
        "stride": tuple(call.get("strides", [1] * rank)),
        "padding": pads_of(call, rank),
        "dilation": tuple(call.get("dilations", [1] * rank)),
        "groups": call.get("group", 1),
        "bias": call.has(bias),
    }


@handles("Conv")
def conv(call: Call) -> None:
    x, weight = call.value(0), _kernel(call)
    call.result(call.emit(f"conv{len(weight.shape) - 2}d", x, **convolution(call, weight, 2)))


@handles("ConvTranspose")
def conv_transpose(call: Call) -> None:
    x, weight = call.value(0), _kernel(call)
    rank, groups = len(weight.shape) - 2, call.get("group", 1)
    if "output_shape" in call.attributes or call.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise call.gap("netc needs the padding of a transposed convolution as numbers")
    params = {"weight": weight, **({"bias": call.weight(2)} if call.has(2) else {})}
    settings = {
        "out_channels": weight.shape[1] * groups,
        "kernel_size": tuple(weight.shape[2:]),
        "stride": tuple(call.get("strides", [1] * rank)),
        "padding": compact(call.get("pads", [0] * 2 * rank)),
        "output_padding": tuple(call.get("output_padding", [0] * rank)),
        "dilation": tuple(call.get("dilations", [1] * rank)),
        "groups": groups,
        "bias": call.has(2),
    }
    call.result(call.emit(f"conv_transpose{rank}d", x, params=params, **settings))


@handles("BatchNormalization")
def batch_norm(call: Call) -> None:
    x = call.value(0)
    learns = call.get("training_mode", 0) or (call.reader.opset < 14 and any(list(call.node.output)[1:]))
    if learns:
        raise call.gap("a batch norm in training mode cannot be imported: export the model in eval mode")
    params = dict(zip(("weight", "bias", "running_mean", "running_var"), map(call.weight, range(1, 5)), strict=True))
    rank = max(1, x.type.rank - 2)
    call.result(call.emit(f"batch_norm{rank}d", x, params=params, eps=short(call.get("epsilon", 1e-5))))


@handles("InstanceNormalization")
def instance_norm(call: Call) -> None:
    x = call.value(0)
    params = {"weight": call.weight(1), "bias": call.weight(2)}
    name = f"instance_norm{x.type.rank - 2}d"
    call.result(call.emit(name, x, params=params, eps=short(call.get("epsilon", 1e-5)), affine=True))


@handles("GroupNormalization")
def group_norm(call: Call) -> None:
    x, groups = call.value(0), call.get("num_groups")
    if call.reader.opset < 21:
        raise call.gap("before opset 21 GroupNormalization has weights for groups, not channels")
    params = {"weight": call.weight(1), "bias": call.weight(2)}
    call.result(call.emit("group_norm", x, params=params, num_groups=groups, eps=short(call.get("epsilon", 1e-5))))


@handles("LayerNormalization", "RMSNormalization")
def layer_norm(call: Call) -> None:
    x = call.value(0)
    axis = call.get("axis", -1) % x.type.rank
    shape = () if axis == x.type.rank - 1 else tuple(x.type.shape[axis:])
    eps, name = short(call.get("epsilon", 1e-5)), "rms_norm" if call.op_type[0] == "R" else "layer_norm"
    params = {"weight": call.weight(1), **({"bias": call.weight(2)} if call.has(2) else {})}
    more = {"bias": call.has(2)} if name == "layer_norm" else {}
    call.result(call.emit(name, x, params=params, normalized_shape=shape, eps=eps, **more))


@handles("LRN")
def local_response_norm(call: Call) -> None:
    settings: dict[str, Any] = {"alpha": short(call.get("alpha", 1e-4)), "beta": short(call.get("beta", 0.75))}
    k = short(call.get("bias", 1.0))
    call.result(call.emit("local_response_norm", call.value(0), size=call.get("size"), k=k, **settings))


@handles("MaxPool", "AveragePool")
def pool(call: Call) -> None:
    settings = pool_settings(call)
    kind, rank = "max" if call.op_type == "MaxPool" else "avg", len(settings["kernel_size"])
    call.result(*call.emit_all(f"{kind}_pool{rank}d", call.value(0), **settings))


def pool_settings(call: Call) -> dict[str, Any]:
    """The attributes of a pool. Raises Gap."""
    kernel = tuple(call.get("kernel_shape"))
    rank = len(kernel)
    settings: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": tuple(call.get("strides", [1] * rank)),
        "padding": pads_of(call, rank),
        "ceil_mode": bool(call.get("ceil_mode", 0)),
    }
    if call.op_type == "MaxPool":
        settings["dilation"] = tuple(call.get("dilations", [1] * rank))
        settings["return_indices"] = len(call.node.output) > 1 and bool(call.node.output[1])
        if call.get("storage_order", 0):
            raise call.gap("netc's indices count in row-major order")
    elif any(n != 1 for n in call.get("dilations", [])):
        raise call.gap("netc has no dilated average pool")
    elif settings["padding"] == "same" or any(np.atleast_1d(settings["padding"])) or settings["ceil_mode"]:
        settings["count_include_pad"] = bool(call.get("count_include_pad", 0))
    return settings


@handles("GlobalAveragePool", "GlobalMaxPool")
def global_pool(call: Call) -> None:
    x = call.value(0)
    kind = "avg" if call.op_type == "GlobalAveragePool" else "max"
    call.result(call.emit(f"adaptive_{kind}_pool{x.type.rank - 2}d", x, output_size=1))


@handles("LpPool")
def lp_pool(call: Call) -> None:
    x, kernel = call.value(0), tuple(call.get("kernel_shape"))
    if any(call.get("pads", [0])) or call.get("auto_pad", "NOTSET") != "NOTSET":
        raise call.gap("lp_pool has no padding")
    settings: dict[str, Any] = {
        "stride": tuple(call.get("strides", kernel)),
        "ceil_mode": bool(call.get("ceil_mode", 0)),
    }
    call.result(call.emit(f"lp_pool{len(kernel)}d", x, norm_type=call.get("p", 2), kernel_size=kernel, **settings))


@handles("Gemm")
def gemm(call: Call) -> None:
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    scales = beta != 1 and call.has(2) and not call.is_constant(2)
    if call.get("transA", 0) or scales or not call.is_constant(1):
        _gemm_in_steps(call, alpha, beta)
        return
    weight = (call.weight(1) if call.get("transB", 0) else call.weight(1).permuted(1, 0)).times(alpha)
    bias = call.weight(2).times(beta) if call.is_constant(2) else None
    fits = bias is not None and bias.shape in ((weight.shape[0],), (1, weight.shape[0]))
    params = {"weight": weight, **({"bias": bias.reshaped(weight.shape[0])} if bias is not None and fits else {})}
    y = call.emit("linear", call.value(0), params=params, out_features=weight.shape[0], bias=fits)
    call.result(call.emit("add", y, call.value(2)) if call.has(2) and not fits else y)


def _gemm_in_steps(call: Call, alpha: float, beta: float) -> None:
    a, b = call.value(0), call.value(1)
    a = call.emit("transpose", a, dim0=0, dim1=1) if call.get("transA", 0) else a
    b = call.emit("transpose", b, dim0=0, dim1=1) if call.get("transB", 0) else b
    y = call.emit("matmul", a, b)
    y = y if alpha == 1 else call.emit("mul", y, other=short(alpha))
    if call.has(2):
        c = call.value(2) if beta == 1 else call.emit("mul", call.value(2), other=short(beta))
        y = call.emit("add", y, c)
    call.result(y)


@handles("MatMul")
def matmul(call: Call) -> None:
    if isinstance(call.entry(1), Weight) and len(call.weight(1).shape) == 2:
        weight = call.weight(1).permuted(1, 0)
        x = call.value(0)
        call.result(call.emit("linear", x, params={"weight": weight}, out_features=weight.shape[0], bias=False))
        return
    call.result(call.emit("matmul", call.value(0), call.value(1)))


@handles("Einsum")
def einsum(call: Call) -> None:
    call.result(call.emit("einsum", *call.values(), equation=call.get("equation").replace(" ", "")))


SAME_NAME = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "HardSwish": "hardswish",
    "Mish": "mish",
    "Erf": "erf",
    "Softsign": "softsign",
    "Softplus": "softplus",
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Abs": "abs",
    "Neg": "neg",
    "Reciprocal": "reciprocal",
    "Floor": "floor",
    "Ceil": "ceil",
    "Round": "round",
    "Sin": "sin",
    "Cos": "cos",
    "Tan": "tan",
    "Asin": "asin",
    "Acos": "acos",
    "Atan": "atan",
    "Sinh": "sinh",
    "Cosh": "cosh",
    "Asinh": "asinh",
    "Acosh": "acosh",
    "Atanh": "atanh",
    "Sign": "sign",
    "Not": "logical_not",
    "IsNaN": "isnan",
    "BitwiseNot": "bitwise_not",
    "Identity": "",
    "Dropout": "",
}
"""ONNX's operator of one input → netc's without attributes; empty where in evaluation it is its input."""


@handles(*SAME_NAME)
def unary(call: Call) -> None:
    name = SAME_NAME[call.op_type]
    x = call.value(0)
    call.result(call.emit(name, x) if name else x)


@handles("Swish")
def swish(call: Call) -> None:
    x, alpha = call.value(0), short(call.get("alpha", 1.0))
    if alpha == 1:
        call.result(call.emit("silu", x))
        return
    call.result(call.emit("mul", x, call.emit("sigmoid", call.emit("mul", x, other=alpha))))


@handles("LeakyRelu")
def leaky_relu(call: Call) -> None:
    call.result(call.emit("leaky_relu", call.value(0), negative_slope=short(call.get("alpha", 0.01))))


@handles("Elu", "Celu")
def elu(call: Call) -> None:
    call.result(call.emit(call.op_type.lower(), call.value(0), alpha=short(call.get("alpha", 1.0))))


@handles("Selu")
def selu(call: Call) -> None:
    usual = (1.6732632423543772, 1.0507009873554805)
    factors = call.get("alpha", usual[0]), call.get("gamma", usual[1])
    if not np.allclose(factors, usual, rtol=1e-6):
        raise call.gap("netc's selu has the published constants only")
    call.result(call.emit("selu", call.value(0)))


@handles("ThresholdedRelu")
def thresholded(call: Call) -> None:
    call.result(call.emit("threshold", call.value(0), threshold=short(call.get("alpha", 1.0)), value=0.0))


@handles("Gelu")
def gelu(call: Call) -> None:
    call.result(call.emit("gelu", call.value(0), approximate=call.get("approximate", "none")))


@handles("HardSigmoid")
def hardsigmoid(call: Call) -> None:
    x, alpha, beta = call.value(0), call.get("alpha", 0.2), call.get("beta", 0.5)
    if np.allclose((alpha, beta), (1 / 6, 0.5), rtol=1e-6):
        call.result(call.emit("hardsigmoid", x))
        return
    line = call.emit("add", call.emit("mul", x, other=short(alpha)), other=short(beta))
    call.result(call.emit("clamp", line, min=0, max=1))


@handles("PRelu")
def prelu(call: Call) -> None:
    x, slope = call.value(0), call.weight(1)
    count = int(np.prod(slope.shape))
    channels = x.channels if x.type.rank != 3 else x.type.shape[1]
    at = slope.shape.index(count) if count > 1 else 0
    if count > 1 and (count != channels or len(slope.shape) - at != x.type.rank - 1):
        raise call.gap("netc's prelu has one slope for all channels or one per channel")
    params = {"weight": slope.reshaped(count)}
    call.result(call.emit("prelu", x, params=params, num_parameters=count))


@handles("Clip")
def clip(call: Call) -> None:
    x = call.value(0)
    low, high = (_bound(call, at, name) for at, name in ((1, "min"), (2, "max")))
    if (low, high) == (0, 6):
        call.result(call.emit("relu6", x))
    elif (low, high) == (None, None):
        call.result(x)
    else:
        call.result(call.emit("clamp", x, min=low, max=high))


def _bound(call: Call, at: int, name: str) -> float | int | None:
    """A bound of Clip; one that is the largest number of its type bounds nothing."""
    if name in call.attributes:
        bound: float | int | None = short(call.attributes[name])
    elif not call.has(at):
        return None
    else:
        bound = call.number(at)
        if bound is None:
            raise call.gap(f"`{name}` depends on the data")
    return None if bound is None or abs(bound) > 3.4e38 else int(bound) if float(bound).is_integer() else bound


@handles("Softmax", "LogSoftmax")
def softmax(call: Call) -> None:
    x = call.value(0)
    rank, old = x.type.rank, call.reader.opset < 13
    axis = call.get("axis", 1 if old else -1) % rank
    if old and any(n != 1 for n in x.type.shape[axis + 1 :]):
        raise call.gap("before opset 13 this is a softmax over all axes from `axis` on, which no operator of netc does")
    dim = axis if axis != rank - 1 else -1
    call.result(call.emit("softmax" if call.op_type == "Softmax" else "log_softmax", x, dim=dim))
