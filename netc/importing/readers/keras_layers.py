"""Keras's layers in netc's words."""

from __future__ import annotations

from typing import Any

import numpy as np

from netc.importing.graph import Value, Weight, held_array, whole
from netc.importing.readers.constants import once, state
from netc.importing.readers.keras import KerasLayer, reads
from netc.importing.readers.pads import padded
from netc.importing.reshaping import reshape_to

ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        name: (name, {}) for name in ("relu", "relu6", "sigmoid", "tanh", "softplus", "softsign", "selu", "elu", "silu")
    },
    **{name: (name, {}) for name in ("mish", "gelu", "log_softmax", "softmax", "hard_sigmoid")},
    "swish": ("silu", {}),
    "exponential": ("exp", {}),
    "leaky_relu": ("leaky_relu", {"negative_slope": 0.2}),
    "hard_silu": ("hardswish", {}),
    "hard_swish": ("hardswish", {}),
}
TURNED = {1: (2, 1, 0), 2: (3, 2, 0, 1), 3: (4, 3, 0, 1, 2)}
"""Kernels of Keras, space × inside × outside, with their channels first, as netc has them."""


def activated(layer: KerasLayer, x: Value, name: Any) -> Value:
    """Raises Gap where netc has no such function."""
    if isinstance(name, dict):
        name = name.get("config") if isinstance(name.get("config"), str) else name.get("class_name")
    if name in (None, "linear"):
        return x
    if name not in ACTIVATIONS:
        raise layer.gap(f"netc has no activation {name}")
    operator, settings = ACTIVATIONS[name]
    if operator in ("softmax", "log_softmax"):
        dim = -1 if x.type.rank < 3 or x in layer.net.last else 1
        return layer.like(x, layer.aside(operator, x, dim=dim))
    if operator == "hard_sigmoid":
        return layer.like(x, _hard_sigmoid(layer, x))
    return layer.like(x, layer.aside(operator, x, **settings))


def _hard_sigmoid(layer: KerasLayer, x: Value) -> Value:
    """Keras 2 rose by 0.2, Keras 3 by a sixth."""
    if layer.net.version >= 3:
        return layer.aside("hardsigmoid", x)
    line = layer.aside("add", layer.aside("mul", x, other=0.2), other=0.5)
    return layer.aside("clamp", line, min=0, max=1)


def _channels(layer: KerasLayer, x: Value) -> int:
    at = -1 if x.type.rank < 3 or x in layer.net.last else 1
    size = x.type.shape[at]
    if not isinstance(size, int):
        raise layer.gap("its number of channels is not fixed")
    return size


def _padding(layer: KerasLayer, x: Value, kernel: tuple[int, ...]) -> tuple[Value, Any]:
    """What is padded before, and the padding of the operator itself. Raises Gap."""
    word = layer.get("padding", "valid")
    if word == "causal" and x.type.rank == 3:
        (dilation,) = layer.tuple("dilation_rate", 1)
        wide = dilation * (kernel[0] - 1)
        return (layer.aside("pad", x, padding=(wide, 0), dim=2) if wide else x), 0
    if word not in ("valid", "same"):
        raise layer.gap(f"netc has no padding {word}")
    return x, 0 if word == "valid" or all(k == 1 for k in kernel) else "same"


@reads("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
def conv(layer: KerasLayer, inputs: list[Value]) -> Value:
    rank = int(layer.kind[-2])
    x = layer.first(inputs[0])
    inside, kernel = _channels(layer, x), layer.tuple("kernel_size", rank)
    x, padding = _padding(layer, x, kernel)
    settings: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": layer.tuple("strides", rank),
        "padding": padding,
        "dilation": layer.tuple("dilation_rate", rank),
    }
    bias, name = bool(layer.get("use_bias", True)), f"conv{rank}d"
    if layer.kind.startswith("Conv"):
        count, groups = layer.number("filters"), layer.get("groups", 1)
        weight = layer.weight("kernel", *kernel, inside // groups, count).permuted(*TURNED[rank])
        params = {"weight": weight, **({"bias": layer.weight("bias", count)} if bias else {})}
        x = layer.emit(name, x, params=params, out_channels=count, groups=groups, bias=bias, **settings)
        return activated(layer, x, layer.get("activation"))
    x = _each_channel(layer, x, inside, settings, bias=bias and layer.kind.startswith("Depthwise"))
    if layer.kind.startswith("Separable"):
        x = _pointwise(layer, x, rank, bias=bias)
    return activated(layer, x, layer.get("activation"))


def _each_channel(layer: KerasLayer, x: Value, inside: int, settings: dict[str, Any], *, bias: bool) -> Value:
    """A depthwise convolution. Each channel has as many results as `depth_multiplier` says."""
    times, kernel = layer.get("depth_multiplier", 1), settings["kernel_size"]
    rank, count = len(kernel), inside * times
    alone = layer.kind.startswith("Depthwise")
    weight = layer.weight("depthwise_kernel", *kernel, inside, times)
    weight = weight.permuted(rank, rank + 1, *range(rank)).reshaped(count, 1, *kernel)
    params = {"weight": weight, **({"bias": layer.weight("bias", count)} if bias else {})}
    path, layer.path = layer.path, layer.path if alone else f"{layer.path}.depthwise"
    x = layer.emit(f"conv{rank}d", x, params=params, out_channels=count, groups=inside, bias=bias, **settings)
    layer.path = path
    return x


def _pointwise(layer: KerasLayer, x: Value, rank: int, *, bias: bool) -> Value:
    inside, count = _channels(layer, x), layer.number("filters")
    weight = layer.weight("pointwise_kernel", *(1,) * rank, inside, count).permuted(*TURNED[rank])
    params = {"weight": weight, **({"bias": layer.weight("bias", count)} if bias else {})}
    path, layer.path = layer.path, f"{layer.path}.pointwise"
    x = layer.emit(f"conv{rank}d", x, params=params, out_channels=count, kernel_size=1, bias=bias)
    layer.path = path
    return x


@reads("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def conv_transpose(layer: KerasLayer, inputs: list[Value]) -> Value:
    """`valid` keeps all that the windows cover, `same` cuts it to the input times the stride, more of it at the end."""
    rank = int(layer.kind[4])
    x = layer.first(inputs[0])
    inside, count = _channels(layer, x), layer.number("filters")
    kernel, stride = layer.tuple("kernel_size", rank), layer.tuple("strides", rank)
    if layer.get("output_padding") is not None or any(n != 1 for n in layer.tuple("dilation_rate", rank)):
        raise layer.gap("netc has transposed convolutions without `output_padding` and dilation here")
    bias = bool(layer.get("use_bias", True))
    weight = layer.weight("kernel", *kernel, count, inside).permuted(*TURNED[rank])
    params = {"weight": weight, **({"bias": layer.weight("bias", count)} if bias else {})}
    over = [max(k - s, 0) if layer.get("padding") == "same" else 0 for k, s in zip(kernel, stride, strict=True)]
    begins = tuple(n // 2 for n in over)
    settings = {
        "kernel_size": kernel,
        "stride": stride,
        "padding": begins,
        "output_padding": tuple(max(s - k, 0) for k, s in zip(kernel, stride, strict=True)),
    }
    x = layer.emit(f"conv_transpose{rank}d", x, params=params, out_channels=count, bias=bias, **settings)
    ends = [2 * b - n for b, n in zip(begins, over, strict=True)]
    x = padded(x, [0] * (rank + 2), [0, 0, *ends], layer)
    return activated(layer, x, layer.get("activation"))


@reads("Dense")
def dense(layer: KerasLayer, inputs: list[Value]) -> Value:
    x = layer.last(inputs[0])
    inside, count, bias = _channels(layer, x), layer.number("units"), bool(layer.get("use_bias", True))
    params = {"weight": layer.weight("kernel", inside, count).permuted(1, 0)}
    params |= {"bias": layer.weight("bias", count)} if bias else {}
    y = layer.like(x, layer.emit("linear", x, params=params, out_features=count, bias=bias))
    return activated(layer, y, layer.get("activation"))


@reads("Embedding")
def embedding(layer: KerasLayer, inputs: list[Value]) -> Value:
    if layer.get("mask_zero", False):
        raise layer.gap("netc has no masks that follow from tokens: `mask_zero`")
    rows, width = layer.number("input_dim"), layer.number("output_dim")
    params = {"weight": layer.weight("embeddings", rows, width)}
    return layer.mark(layer.emit("embedding", inputs[0], params=params, num_embeddings=rows, embedding_dim=width))


@reads("BatchNormalization")
def batch_norm(layer: KerasLayer, inputs: list[Value]) -> Value:
    x = layer.first(inputs[0])
    axis, count = layer.get("axis", -1), _channels(layer, x)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, x.type.rank - 1):
        raise layer.gap(f"netc's batch norms are over the channels, not along axis {axis}")
    roles = {"weight": "gamma" if layer.get("scale", True) else "", "bias": "beta" if layer.get("center", True) else ""}
    params = {
        role: layer.weight(name, count) if name else full(1.0 if role == "weight" else 0.0, count)
        for role, name in roles.items()
    }
    params |= {f"running_{word}": layer.weight(f"moving_{kind}", count) for word, kind in MOVING.items()}
    settings = {"eps": float(layer.number("epsilon", 1e-3)), "momentum": _rest(layer.number("momentum", 0.99))}
    return layer.emit(f"batch_norm{max(1, x.type.rank - 2)}d", x, params=params, **settings)


MOVING = {"mean": "mean", "var": "variance"}


def _rest(momentum: float) -> float:
    """Keras says what is kept of a statistic, PyTorch what is new."""
    return float(np.format_float_positional(np.float32(1 - momentum), unique=True, precision=6))


def full(number: float, count: int) -> Weight:
    return whole(held_array("", np.full(count, number, np.float32)))


@reads("LayerNormalization")
def layer_norm(layer: KerasLayer, inputs: list[Value]) -> Value:
    x, axis = inputs[0], layer.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, x.type.rank - 1) or layer.get("rms_scaling", False):
        raise layer.gap("netc's layer norms go over the last axis here")
    count, eps = _channels(layer, x), float(layer.number("epsilon", 1e-3))
    scale, center = bool(layer.get("scale", True)), bool(layer.get("center", True))
    params = {"weight": layer.weight("gamma", count) if scale else full(1.0, count)} if scale or center else {}
    params |= {"bias": layer.weight("beta", count)} if center else {}
    settings = {"eps": eps, "elementwise_affine": scale or center, "bias": center}
    flat = x.type.rank == 4 and x not in layer.net.last
    x = x if flat else layer.last(x)
    return layer.like(x, layer.emit("layer_norm2d" if flat else "layer_norm", x, params=params, **settings))


@reads("GroupNormalization")
def group_norm(layer: KerasLayer, inputs: list[Value]) -> Value:
    x = layer.first(inputs[0])
    count, groups = _channels(layer, x), layer.number("groups", 32)
    if layer.get("axis", -1) not in (-1, x.type.rank - 1):
        raise layer.gap("netc's group norms are over channels")
    params = {
        "weight": layer.weight("gamma", count) if layer.get("scale", True) else full(1.0, count),
        "bias": layer.weight("beta", count) if layer.get("center", True) else full(0.0, count),
    }
    eps = float(layer.number("epsilon", 1e-3))
    return layer.emit("group_norm", x, params=params, num_groups=count if groups == -1 else groups, eps=eps)


@reads("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def pool(layer: KerasLayer, inputs: list[Value]) -> Value:
    rank, most = int(layer.kind[-2]), layer.kind.startswith("Max")
    x = layer.first(inputs[0])
    kernel = layer.tuple("pool_size", rank, 2)
    x, padding = _padding(layer, x, kernel)
    settings: dict[str, Any] = {"kernel_size": kernel, "stride": layer.tuple("strides", rank, kernel)}
    settings["padding"] = padding
    if not most and padding:
        settings["count_include_pad"] = False
    return layer.emit(f"{'max' if most else 'avg'}_pool{rank}d", x, **settings)


@reads("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D")
@reads("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D")
def global_pool(layer: KerasLayer, inputs: list[Value]) -> Value:
    rank, most, keep = int(layer.kind[-2]), layer.kind.startswith("GlobalMax"), bool(layer.get("keepdims", False))
    x = inputs[0]
    if x in layer.net.last:
        reduced = layer.emit("amax" if most else "mean", x, dim=tuple(range(1, x.type.rank - 1)), keepdim=keep)
        return layer.mark(reduced) if keep else reduced
    y = layer.emit(f"adaptive_{'max' if most else 'avg'}_pool{rank}d", x, output_size=1)
    return y if keep else layer.emit("flatten", y)


@reads("Flatten")
def flatten(layer: KerasLayer, inputs: list[Value]) -> Value:
    x = inputs[0]
    if x.type.rank == 2:
        return x
    if all(n == 1 for n in x.type.shape[2:]) or x.type.rank < 3:
        return layer.emit("flatten", x)
    return layer.emit("flatten", layer.last(x))


@reads("Reshape")
def reshape(layer: KerasLayer, inputs: list[Value]) -> Value:
    x, target = inputs[0], layer.get("target_shape", [])
    if not isinstance(target, list) or not all(isinstance(n, int) for n in target):
        raise layer.gap("`target_shape` should be whole numbers")
    spatial = target[:-1]
    if x.type.rank == 2 and len(target) > 2 and all(n == 1 for n in spatial):
        return layer.emit("unflatten", x, dim=1, unflattened_size=(target[-1], *spatial))
    y = reshape_to(layer.last(x), [x.type.shape[0], *target], layer)
    return layer.mark(y) if y.type.rank > 2 else y


@reads("Permute")
def permute(layer: KerasLayer, inputs: list[Value]) -> Value:
    dims = layer.get("dims", [])
    return layer.mark(layer.emit("permute", layer.last(inputs[0]), dims=(0, *dims)))


@reads("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Cropping1D", "Cropping2D", "Cropping3D")
def pad(layer: KerasLayer, inputs: list[Value]) -> Value:
    rank, cut = int(layer.kind[-2]), layer.kind.startswith("Crop")
    padding = layer.get("cropping" if cut else "padding", 1)
    padding = (
        [padding] * rank if isinstance(padding, int) else [padding] if rank == 1 and len(padding) == 2 else padding
    )
    sides = [(n, n) if isinstance(n, int) else tuple(n) for n in padding]
    if len(sides) != rank or any(len(side) != 2 for side in sides):
        raise layer.gap("its amounts cannot be read")
    sign = -1 if cut else 1
    x = layer.first(inputs[0])
    begins, ends = ([0, 0, *(sign * side[i] for side in sides)] for i in range(2))
    return padded(x, begins, ends, layer)


@reads("UpSampling1D", "UpSampling2D", "UpSampling3D")
def upsample(layer: KerasLayer, inputs: list[Value]) -> Value:
    rank, mode = int(layer.kind[-2]), layer.get("interpolation", "nearest")
    if mode not in ("nearest", "bilinear"):
        raise layer.gap(f"netc has no {mode} interpolation as Keras has it")
    factors = once(map(float, layer.tuple("size", rank, 2)))
    return layer.emit("interpolate", layer.first(inputs[0]), scale_factor=factors, mode=mode)


@reads("Activation")
def activation(layer: KerasLayer, inputs: list[Value]) -> Value:
    return activated(layer, inputs[0], layer.get("activation"))


@reads("ReLU")
def relu(layer: KerasLayer, inputs: list[Value]) -> Value:
    x, slope, most = inputs[0], layer.get("negative_slope", 0.0), layer.get("max_value")
    if layer.get("threshold", 0.0) or (slope and most is not None):
        raise layer.gap("netc has no relu with a threshold, or with both a slope and a maximum")
    if most is None:
        y = layer.emit("leaky_relu", x, negative_slope=float(slope)) if slope else layer.emit("relu", x)
    else:
        y = layer.emit("relu6", x) if most == 6 else layer.emit("clamp", x, min=0, max=most)
    return layer.like(x, y)


@reads("LeakyReLU")
def leaky_relu(layer: KerasLayer, inputs: list[Value]) -> Value:
    slope = float(layer.number("negative_slope", layer.number("alpha", 0.3)))
    return layer.like(inputs[0], layer.emit("leaky_relu", inputs[0], negative_slope=slope))


@reads("ELU")
def elu(layer: KerasLayer, inputs: list[Value]) -> Value:
    return layer.like(inputs[0], layer.emit("elu", inputs[0], alpha=float(layer.number("alpha", 1.0))))


@reads("Softmax")
def softmax(layer: KerasLayer, inputs: list[Value]) -> Value:
    x, axis = layer.last(inputs[0]), layer.get("axis", -1)
    return layer.like(x, layer.emit("softmax", x, dim=axis if isinstance(axis, int) else -1))


@reads("PReLU")
def prelu(layer: KerasLayer, inputs: list[Value]) -> Value:
    x = layer.first(inputs[0])
    shared, count = layer.get("shared_axes") or [], _channels(layer, x)
    if sorted(shared) != list(range(1, x.type.rank - 1)):
        raise layer.gap("netc's prelu has a slope for each channel: `shared_axes` should name the other axes")
    weight = layer.weight("alpha", *(1,) * len(shared), count).reshaped(count)
    return layer.emit("prelu", x, params={"weight": weight}, num_parameters=count)


@reads("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout")
@reads("GaussianNoise", "ActivityRegularization", "InputLayer")
def dropout(layer: KerasLayer, inputs: list[Value]) -> Value:
    """In evaluation they are their input; of those that netc has, the statement stays."""
    if layer.kind != "Dropout":
        return inputs[0]
    return layer.like(inputs[0], layer.emit("dropout", inputs[0], p=float(layer.number("rate", 0.5))))


MERGES = {"Add": "add", "Multiply": "mul", "Subtract": "sub", "Maximum": "maximum", "Minimum": "minimum"}


@reads(*MERGES, "Average")
def merge(layer: KerasLayer, inputs: list[Value]) -> Value:
    values = _alike(layer, inputs)
    y = layer.emit(MERGES.get(layer.kind, "add"), *values)
    if layer.kind == "Average":
        y = layer.emit("div", layer.like(values[0], y), other=len(values))
    return layer.like(values[0], y)


def _alike(layer: KerasLayer, inputs: list[Value]) -> list[Value]:
    """Inputs with their channels at the same place."""
    if len({value.type.rank for value in inputs}) != 1:
        raise layer.gap("combines tensors of different ranks")
    turn = layer.first if any(value not in layer.net.last for value in inputs) else layer.last
    return [turn(value) for value in inputs]


@reads("Concatenate")
def concatenate(layer: KerasLayer, inputs: list[Value]) -> Value:
    values, axis = _alike(layer, inputs), layer.get("axis", -1)
    rank = values[0].type.rank
    axis = axis % rank if isinstance(axis, int) else -1
    if axis < 1:
        raise layer.gap("netc concatenates along one axis of a sample")
    if rank > 2 and values[0] not in layer.net.last:
        axis = 1 if axis == rank - 1 else axis + 1
    return layer.like(values[0], values[0] if len(values) == 1 else layer.emit("concat", *values, dim=axis))


@reads("Rescaling")
def rescaling(layer: KerasLayer, inputs: list[Value]) -> Value:
    x, scale, offset = inputs[0], layer.number("scale"), layer.number("offset", 0.0)
    x = x if scale == 1 else layer.like(x, layer.emit("mul", x, other=scale))
    return x if not offset else layer.like(x, layer.emit("add", x, other=offset))


@reads("Normalization")
def normalization(layer: KerasLayer, inputs: list[Value]) -> Value:
    """Numbers that the layer was given, or that it learned from data."""
    x = layer.first(inputs[0])
    count = _channels(layer, x)
    if layer.get("axis", [-1]) not in (-1, [-1], [x.type.rank - 1]) or layer.get("invert", False):
        raise layer.gap("netc shifts and scales each channel here")
    moments = [layer.get("mean"), layer.get("variance")]
    if None in moments:
        moments = [layer.weight(role, count).array() for role in ("mean", "variance")]
    mean, variance = (np.broadcast_to(np.asarray(v, np.float32).reshape(-1), (count,)) for v in moments)
    shape = (count, *(1,) * (x.type.rank - 2))
    parts = {"sub": mean, "div": np.maximum(np.sqrt(variance), np.float32(1e-7))}
    for name, numbers in parts.items():
        constant = whole(held_array("", np.ascontiguousarray(numbers.reshape(shape))))
        x = layer.emit(name, x, state(layer.graph, constant, layer.origin, learned=False).out)
    return x
