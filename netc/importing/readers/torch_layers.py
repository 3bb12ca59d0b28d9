"""ATen's layers in netc's words: convolutions, norms, pools, linear maps, activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netc.importing.graph import whole
from netc.importing.readers.torch import TorchCall, handles, held_tensor


@handles("conv1d", "conv2d", "conv3d")
def conv(call: TorchCall) -> None:
    weight = call.weight("weight")
    assert weight is not None, "a convolution has a weight"
    rank = len(weight.shape) - 2
    padding = call.get("padding", 0)
    settings = {
        "out_channels": weight.shape[0],
        "kernel_size": weight.shape[2:],
        "stride": _axes(call.get("stride"), rank),
        "padding": padding if isinstance(padding, str) else _axes(padding, rank),
        "dilation": _axes(call.get("dilation"), rank),
        "groups": call.get("groups", 1),
        "bias": call.given.get("bias") is not None,
    }
    call.result(call.emit(f"conv{rank}d", call.value("input"), params=call.params("weight", "bias"), **settings))


@handles("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(call: TorchCall) -> None:
    weight = call.weight("weight")
    assert weight is not None, "a convolution has a weight"
    rank, groups = len(weight.shape) - 2, call.get("groups", 1)
    settings = {
        "out_channels": weight.shape[1] * groups,
        "kernel_size": weight.shape[2:],
        "groups": groups,
        "bias": call.given.get("bias") is not None,
        **{name: _axes(call.get(name), rank) for name in ("stride", "padding", "output_padding", "dilation")},
    }
    params = call.params("weight", "bias")
    call.result(call.emit(f"conv_transpose{rank}d", call.value("input"), params=params, **settings))


def _axes(given: Any, rank: int) -> tuple[int, ...]:
    """One number per axis."""
    numbers = tuple(given) if isinstance(given, Sequence) else (given,)
    return numbers * rank if len(numbers) == 1 else numbers


@handles("batch_norm")
def batch_norm(call: TorchCall) -> None:
    if call.get("training"):
        raise call.gap("a batch norm that uses the statistics of its input cannot be imported")
    x = call.value("input")
    params = call.params("weight", "bias", "running_mean", "running_var")
    path = params["running_mean"].held.name.rpartition(".")[0] if "running_mean" in params else ""
    counter = call.reader.program.state_dict.get(f"{path}.num_batches_tracked")
    if counter is not None:
        params["num_batches_tracked"] = whole(held_tensor(f"{path}.num_batches_tracked", counter))
    settings = {"eps": call.get("eps"), "momentum": call.get("momentum"), "affine": "weight" in params}
    rank = max(1, x.type.rank - 2)
    call.result(call.emit(f"batch_norm{rank}d", x, params=params, **settings))


@handles("instance_norm")
def instance_norm(call: TorchCall) -> None:
    x = call.value("input")
    params = call.params("weight", "bias")
    call.result(
        call.emit(f"instance_norm{x.type.rank - 2}d", x, params=params, eps=call.get("eps"), affine=bool(params))
    )


@handles("layer_norm")
def layer_norm(call: TorchCall) -> None:
    x, shape = call.value("input"), tuple(call.get("normalized_shape"))
    params = call.params("weight", "bias")
    settings = {"eps": call.get("eps"), "elementwise_affine": "weight" in params}
    settings["bias"] = "bias" in params or not params
    normalized = () if len(shape) == 1 else shape
    call.result(call.emit("layer_norm", x, params=params, normalized_shape=normalized, **settings))


@handles("rms_norm")
def rms_norm(call: TorchCall) -> None:
    shape, params = tuple(call.get("normalized_shape")), call.params("weight")
    settings = {"eps": call.get("eps"), "elementwise_affine": bool(params)}
    normalized = () if len(shape) == 1 else shape
    call.result(call.emit("rms_norm", call.value("input"), params=params, normalized_shape=normalized, **settings))


@handles("group_norm")
def group_norm(call: TorchCall) -> None:
    params = call.params("weight", "bias")
    settings = {"num_groups": call.get("num_groups"), "eps": call.get("eps"), "affine": bool(params)}
    call.result(call.emit("group_norm", call.value("input"), params=params, **settings))


WITH_INDICES = ("max_pool2d_with_indices", "max_pool3d_with_indices")


@handles("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", *WITH_INDICES)
def pool(call: TorchCall) -> None:
    rank = int(call.name.removesuffix("_with_indices")[-2])
    kernel = _axes(call.get("kernel_size"), rank)
    stride = call.get("stride")
    settings: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": _axes(stride, rank) if stride else kernel,
        "padding": _axes(call.get("padding"), rank),
        "ceil_mode": bool(call.get("ceil_mode")),
    }
    if call.name.startswith("max"):
        settings["dilation"] = _axes(call.get("dilation"), rank)
    else:
        settings["count_include_pad"] = bool(call.get("count_include_pad"))
        if call.get("divisor_override") is not None:
            settings["divisor_override"] = call.get("divisor_override")
    if call.name.endswith("indices"):
        settings["return_indices"] = True
    found = call.emit_all(f"{call.name[:3]}_pool{rank}d", call.value("self"), **settings)
    call.result(found if call.name.endswith("indices") else found[0])


@handles("max_unpool2d", "max_unpool3d")
def unpool(call: TorchCall) -> None:
    """Of what a pool found, whose window the export does not tell."""
    x, indices = call.value("self"), call.value("indices")
    pool = indices.maker
    if pool is None or not pool.op.name.startswith("max_pool") or indices is not pool.outputs[1]:
        raise call.gap("its `indices` would have to be those of a max pooling")
    size, whole_size = tuple(call.get("output_size")), pool.inputs[0].type.shape[2:]
    settings: dict[str, Any] = {key: getattr(pool.op, key) for key in ("kernel_size", "stride", "padding", "dilation")}
    settings["output_size"] = None if size == whole_size else size
    call.result(call.emit_all(call.name, x, references={"of": pool.out}, **settings)[0])


@handles("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def adaptive_pool(call: TorchCall) -> None:
    call.result(call.emit(call.name, call.value("self"), output_size=tuple(call.get("output_size"))))


@handles("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(call: TorchCall) -> None:
    call.result(call.emit_all(call.name, call.value("self"), output_size=tuple(call.get("output_size"))))


@handles("linear")
def linear(call: TorchCall) -> None:
    weight = call.weight("weight")
    assert weight is not None, "a linear map has a weight"
    params = call.params("weight", "bias")
    settings = {"out_features": weight.shape[0], "bias": "bias" in params}
    call.result(call.emit("linear", call.value("input"), params=params, **settings))


@handles("embedding")
def embedding(call: TorchCall) -> None:
    weight = call.weight("weight")
    assert weight is not None, "an embedding has a weight"
    rows, width = weight.shape
    params = call.params("weight")
    settings = {"num_embeddings": rows, "embedding_dim": width}
    call.result(call.emit("embedding", call.value("indices"), params=params, **settings))


@handles("matmul", "bmm", "mm")
def matmul(call: TorchCall) -> None:
    call.result(call.emit("matmul", call.value("self"), call.value("mat2" if call.name != "matmul" else "other")))


@handles("scaled_dot_product_attention")
def attention(call: TorchCall) -> None:
    q = call.value("query")
    settings: dict[str, Any] = {"is_causal": bool(call.get("is_causal", False))}
    scale, width = call.get("scale"), q.type.shape[-1]
    if scale is not None and not (isinstance(width, int) and abs(scale - width**-0.5) < 1e-9):
        settings["scale"] = scale
    mask = {"attn_mask": call.value("attn_mask")} if call.given.get("attn_mask") is not None else {}
    inputs = (q, call.value("key"), call.value("value"))
    call.result(call.emit_all("scaled_dot_product_attention", *inputs, references=mask, **settings)[0])


PLAIN = (
    *("relu", "relu6", "sigmoid", "tanh", "silu", "hardswish", "hardsigmoid", "mish", "selu", "tanhshrink", "softsign"),
    *("exp", "log", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "tan", "erf", "neg", "abs", "sign"),
    *("square", "floor", "ceil", "expm1", "log1p", "log2", "log10", "exp2", "asin", "acos", "atan", "sinh"),
    *("cosh", "asinh", "acosh", "atanh", "deg2rad", "rad2deg", "sinc", "trunc", "frac", "signbit", "bitwise_not"),
    *("logical_not", "isnan", "isinf", "isfinite", "isposinf", "isneginf"),
)
"""Functions of one tensor that have netc's name and no arguments."""


SPELLED = {"log_sigmoid": "logsigmoid", "sgn": "sign"}
"""And those that have another one."""


@handles(*PLAIN, *SPELLED)
def unary(call: TorchCall) -> None:
    name = call.name.removesuffix("_")
    first = next(iter(call.given))
    call.result(call.emit(SPELLED.get(name, name), call.value(first)))


WITH_ARGUMENTS = {
    "leaky_relu": ("negative_slope",),
    "elu": ("alpha",),
    "celu": ("alpha",),
    "softplus": ("beta", "threshold"),
    "hardshrink": ("lambd",),
    "softshrink": ("lambd",),
    "threshold": ("threshold", "value"),
    "glu": ("dim",),
    "gelu": ("approximate",),
    "logit": ("eps",),
    "nan_to_num": ("nan", "posinf", "neginf"),
    "tril": ("diagonal",),
    "triu": ("diagonal",),
    "cumsum": ("dim",),
    "cumprod": ("dim",),
    "logcumsumexp": ("dim",),
}


@handles(*WITH_ARGUMENTS)
def with_arguments(call: TorchCall) -> None:
    name = call.name.removesuffix("_")
    settings = {key: call.get(key) for key in WITH_ARGUMENTS[name] if call.get(key) is not None}
    call.result(call.emit(name, call.value("self"), **settings))


@handles("hardtanh")
def hardtanh(call: TorchCall) -> None:
    low, high = call.get("min_val"), call.get("max_val")
    x = call.value("self")
    call.result(call.emit("relu6", x) if (low, high) == (0, 6) else call.emit("hardtanh", x, min_val=low, max_val=high))


@handles("clamp", "clamp_min", "clamp_max", "clip")
def clamp(call: TorchCall) -> None:
    call.result(call.emit("clamp", call.value("self"), min=call.get("min"), max=call.get("max")))


@handles("prelu")
def prelu(call: TorchCall) -> None:
    params = call.params("weight")
    call.result(call.emit("prelu", call.value("self"), params=params, num_parameters=params["weight"].shape[0]))


@handles("softmax", "log_softmax", "_softmax", "_log_softmax")
def softmax(call: TorchCall) -> None:
    x = call.value("self")
    dim = call.get("dim")
    call.result(call.emit(call.name.lstrip("_"), x, dim=-1 if dim == x.type.rank - 1 else dim))


@handles("dropout", "feature_dropout", "alpha_dropout")
def dropout(call: TorchCall) -> None:
    """One that drops nothing stays where it has a place in a list: those behind it are named by theirs."""
    x, p = call.value(next(iter(call.given))), call.get("p", 0.5)  # `input`, and `self` where it writes in place
    name = "dropout2d" if call.name == "feature_dropout" and x.type.rank == 4 else "dropout"
    listed = bool(call.scope) and call.scope[-1].path.rpartition(".")[2].isdigit()
    call.result(call.emit(name, x, p=p) if (p or listed) and call.name != "alpha_dropout" else x)


@handles("detach", "contiguous", "clone", "alias", "lift_fresh_copy", "detach_", "_assert_tensor_metadata")
def same(call: TorchCall) -> None:
    first = next(iter(call.given))
    call.result(call.reader.env[call.given[first]])
