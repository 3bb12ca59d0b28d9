"""Caffe: `.prototxt` files, with the `.caffemodel` beside them if there is one.

Sizes are Caffe's: windows of pools that reach over the end count where they begin inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from netc.importing.graph import Gap, Graph, Value, Weight, whole
from netc.importing.readers.caffe_text import Message, parsed
from netc.importing.readers.caffe_weights import Blobs, read_blobs
from netc.importing.readers.listed import Layer, first_that_fits, read_text, unread
from netc.types import TensorType

SKIPPED = frozenset({"Data", "ImageData", "HDF5Data", "MemoryData", "Accuracy", "SoftmaxWithLoss", "Silence", "Input"})
SKIPPED |= {"SigmoidCrossEntropyLoss", "EuclideanLoss", "DummyData"}
OLD = {
    "CONVOLUTION": "Convolution",
    "RELU": "ReLU",
    "POOLING": "Pooling",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "SOFTMAX": "Softmax",
    "DROPOUT": "Dropout",
    "CONCAT": "Concat",
    "ELTWISE": "Eltwise",
    "FLATTEN": "Flatten",
    "SIGMOID": "Sigmoid",
    "TANH": "TanH",
    "SPLIT": "Split",
    "SLICE": "Slice",
    "DATA": "Data",
    "ACCURACY": "Accuracy",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "DECONVOLUTION": "Deconvolution",
}
"""Kinds of layers of the first format."""


def read(path: Path, name: str, sizes: str) -> Graph:
    """The network of a `.prototxt`. Raises Gap."""
    message = parsed(read_text(path))
    layers = message.all("layer") or message.all("layers")
    if not layers:
        raise Gap("has no layers")
    weights = path.with_suffix(".caffemodel")
    blobs = read_blobs(weights) if weights.is_file() else None
    graph = first_that_fits(partial(_read, message, layers, name, blobs), _shape(message, layers), sizes)
    graph.has_weights = blobs is not None
    return graph


def _shape(message: Message, layers: list[Message]) -> tuple[int, ...]:
    dims = message.numbers("input_dim") or message.sub("input_shape").numbers("dim")
    for layer in layers:
        if layer.word("type") == "Input":
            dims = layer.sub("input_param").sub("shape").numbers("dim")
    if len(dims) < 2 or any(n < 1 for n in dims):
        raise Gap("does not say the size of its input: `input_shape`, `input_dim` or an Input layer")
    return tuple(dims[:5])


def _read(message: Message, layers: list[Message], name: str, blobs: Blobs | None, kind: TensorType) -> Graph:
    graph = Graph(name)
    net = _Network(graph, blobs)
    title = message.word("input") or next((m.word("top") for m in layers if m.word("type") == "Input"), "data")
    net.tops[title] = graph.add_input(title, kind)
    for layer in layers:
        if "TRAIN" not in [rule.word("phase") for rule in layer.all("include")]:
            net.add(layer)
    read_ = {value for node in graph.nodes for value in node.reads}
    ends = [(top, value) for top, value in net.tops.items() if value.maker is not None and value not in read_]
    graph.outputs = list({id(value): (top, value) for top, value in ends}.values())
    if not graph.outputs:
        raise Gap("computes nothing")
    return graph


class _Network:
    def __init__(self, graph: Graph, blobs: Blobs | None) -> None:
        self.graph, self.blobs = graph, blobs
        self.tops: dict[str, Value] = {}
        self.norms: dict[Value, Any] = {}
        """Batch norms that a Scale may belong to."""

    def add(self, message: Message) -> None:
        kind, name = message.word("type"), message.word("name")
        kind = OLD.get(kind, kind)
        if kind in SKIPPED:
            return
        layer = Layer(self.graph, f"layer {name} ({kind})", name.replace("/", ".").replace(" ", "_"))
        if kind == "Split":
            self.tops.update(dict.fromkeys(message.words("top"), self.bottom(message, layer)))
            return
        if kind not in READERS:
            raise layer.gap(f"netc has no layer {kind}")
        results = READERS[kind](self, layer, message)
        tops = message.words("top")
        if len(results) < len(tops):
            raise layer.gap("names more tops than it computes")
        self.tops.update(zip(tops, results, strict=False))

    def bottom(self, message: Message, layer: Layer, at: int = 0) -> Value:
        names = message.words("bottom")
        if at >= len(names) or names[at] not in self.tops:
            raise layer.gap("reads a blob that nothing computes")
        return self.tops[names[at]]

    def bottoms(self, message: Message, layer: Layer) -> list[Value]:
        return [self.bottom(message, layer, at) for at in range(len(message.words("bottom")))]

    def blob(self, layer: Layer, message: Message, at: int, *shape: int) -> Weight:
        name = message.word("name")
        if self.blobs is None:
            return whole(unread(f"{name}.{at}", shape))
        held = self.blobs.get(name, at)
        if held is None or prod(held.shape) != prod(shape):
            raise layer.gap(f"the weights have no tensor of {'x'.join(map(str, shape))} for it")
        return whole(held).reshaped(*shape)


def _window(options: Message, layer: Layer, key: str, default: int) -> tuple[int, int]:
    stem = "kernel" if key == "kernel_size" else key
    if options.numbers(f"{stem}_h"):
        return options.numbers(f"{stem}_h")[0], options.numbers(f"{stem}_w")[0]
    sizes = options.numbers(key) or [default]
    return (sizes[0], sizes[-1]) if len(sizes) < 3 else _refuse(layer)


def _refuse(layer: Layer) -> tuple[int, int]:
    raise layer.gap("netc has this layer for two spatial axes only")


def _convolution(net: _Network, layer: Layer, message: Message) -> list[Value]:
    options, x = message.sub("convolution_param"), net.bottom(message, layer)
    kernel = _window(options, layer, "kernel_size", 1)
    count, groups, bias = options.number("num_output", 1), options.number("group", 1), options.flag("bias_term", True)
    channels = x.type.shape[1]
    if not isinstance(channels, int) or groups < 1 or channels % groups or count % groups:
        raise layer.gap("its numbers of channels do not match")
    spread = "Deconvolution" in layer.origin
    shape = (channels, count // groups) if spread else (count, channels // groups)
    params = {"weight": net.blob(layer, message, 0, *shape, *kernel)}
    params |= {"bias": net.blob(layer, message, 1, count)} if bias else {}
    settings = {key: _window(options, layer, key, default) for key, default in (("stride", 1), ("dilation", 1))}
    padding = _window(options, layer, "pad", 0)
    operator = "conv_transpose2d" if spread else "conv2d"
    more = {"out_channels": count, "kernel_size": kernel, "padding": padding, "groups": groups, "bias": bias}
    return [layer.emit(operator, x, params=params, **more, **settings)]


def _batch_norm(net: _Network, layer: Layer, message: Message) -> list[Value]:
    x, options = net.bottom(message, layer), message.sub("batch_norm_param")
    count = x.type.shape[1]
    if not isinstance(count, int):
        raise layer.gap("its number of channels is not fixed")
    params = {role: net.blob(layer, message, at, count) for at, role in enumerate(("running_mean", "running_var"))}
    if net.blobs is not None:
        factor = float(net.blob(layer, message, 2, 1).array()[0])
        params = {role: weight.times(1 / factor if factor else 0.0) for role, weight in params.items()}
    settings = {"eps": options.real("eps", 1e-5), "affine": False}
    y = layer.emit("batch_norm2d" if x.type.rank == 4 else "batch_norm1d", x, params=params, **settings)
    net.norms[y] = y.maker
    return [y]


def _scale(net: _Network, layer: Layer, message: Message) -> list[Value]:
    x, options = net.bottom(message, layer), message.sub("scale_param")
    count, node = x.type.shape[1], net.norms.get(x)
    if node is None or not isinstance(count, int) or len(message.words("bottom")) != 1:
        raise layer.gap("netc reads a Scale layer only right after a BatchNorm")
    bias = options.flag("bias_term", False)
    node.op = node.op.replace(affine=True, bias=bias)
    node.params["weight"] = net.blob(layer, message, 0, count)
    if bias:
        node.params["bias"] = net.blob(layer, message, 1, count)
    del net.norms[x]
    return [x]


def _relu(net: _Network, layer: Layer, message: Message) -> list[Value]:
    slope, x = message.sub("relu_param").real("negative_slope", 0.0), net.bottom(message, layer)
    return [layer.emit("leaky_relu", x, negative_slope=slope) if slope else layer.emit("relu", x)]


def _plain(operator: str, net: _Network, layer: Layer, message: Message) -> list[Value]:
    return [layer.emit(operator, net.bottom(message, layer))]


def _prelu(net: _Network, layer: Layer, message: Message) -> list[Value]:
    x = net.bottom(message, layer)
    shared = message.sub("prelu_param").flag("channel_shared", False)
    count = 1 if shared else x.type.shape[1]
    if not isinstance(count, int):
        raise layer.gap("its number of channels is not fixed")
    params = {"weight": net.blob(layer, message, 0, count)}
    return [layer.emit("prelu", x, params=params, num_parameters=count)]


def _pooling(net: _Network, layer: Layer, message: Message) -> list[Value]:
    options, x = message.sub("pooling_param"), net.bottom(message, layer)
    kind = {"MAX": "max", "0": "max", "AVE": "avg", "1": "avg"}.get(options.word("pool") or "MAX")
    if kind is None:
        raise layer.gap("netc has no stochastic pooling")
    if options.flag("global_pooling", False):
        return [layer.emit(f"adaptive_{kind}_pool2d", x, output_size=1)]
    kernel, stride = _window(options, layer, "kernel_size", 1), _window(options, layer, "stride", 1)
    padding = _window(options, layer, "pad", 0)
    exact = [
        isinstance(n, int) and (n + 2 * p - k) % s == 0
        for n, p, k, s in zip(x.type.shape[2:], padding, kernel, stride, strict=False)
        if s > 0
    ]
    ceil = any(s != 1 for s in stride) and not (exact and all(exact))
    settings: dict[str, Any] = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil}
    return [layer.emit(f"{kind}_pool2d", x, **settings)]


def _inner_product(net: _Network, layer: Layer, message: Message) -> list[Value]:
    options, x = message.sub("inner_product_param"), net.bottom(message, layer)
    count, bias = options.number("num_output", 1), options.flag("bias_term", True)
    if x.type.rank > 2:
        x = Layer(layer.graph, layer.origin).emit("flatten", x)
    inside = x.type.shape[1]
    if not isinstance(inside, int):
        raise layer.gap("the number of its inputs depends on the size of the picture")
    weight = net.blob(layer, message, 0, count, inside)
    params = {"weight": weight, **({"bias": net.blob(layer, message, 1, count)} if bias else {})}
    return [layer.emit("linear", x, params=params, out_features=count, bias=bias)]


def _concat(net: _Network, layer: Layer, message: Message) -> list[Value]:
    options = message.sub("concat_param")
    inputs = net.bottoms(message, layer)
    dim = options.number("axis", options.number("concat_dim", 1))
    return [inputs[0] if len(inputs) == 1 else layer.emit("concat", *inputs, dim=dim)]


def _eltwise(net: _Network, layer: Layer, message: Message) -> list[Value]:
    options, inputs = message.sub("eltwise_param"), net.bottoms(message, layer)
    if any(c != 1 for c in options.reals("coeff")):
        raise layer.gap("netc has no counterpart of `coeff`")
    kinds = {"PROD": "mul", "0": "mul", "SUM": "add", "1": "add", "MAX": "maximum", "2": "maximum"}
    return [layer.emit(kinds.get(options.word("operation") or "SUM", "add"), *inputs)]


def _lrn(net: _Network, layer: Layer, message: Message) -> list[Value]:
    options = message.sub("lrn_param")
    if (options.word("norm_region") or "ACROSS_CHANNELS") not in ("ACROSS_CHANNELS", "0"):
        raise layer.gap("netc normalises across channels only")
    settings: dict[str, Any] = {
        "alpha": options.real("alpha", 1.0),
        "beta": options.real("beta", 0.75),
        "k": options.real("k", 1.0),
    }
    x = net.bottom(message, layer)
    return [layer.emit("local_response_norm", x, size=options.number("local_size", 5), **settings)]


def _dropout(net: _Network, layer: Layer, message: Message) -> list[Value]:
    ratio = message.sub("dropout_param").real("dropout_ratio", 0.5)
    return [layer.emit("dropout", net.bottom(message, layer), p=ratio)]


def _softmax(net: _Network, layer: Layer, message: Message) -> list[Value]:
    x, axis = net.bottom(message, layer), message.sub("softmax_param").number("axis", 1)
    return [layer.emit("softmax", x, dim=-1 if axis == x.type.rank - 1 else axis)]


def _flatten(net: _Network, layer: Layer, message: Message) -> list[Value]:
    return [layer.emit("flatten", net.bottom(message, layer))]


Read = Callable[[_Network, Layer, Message], list[Value]]
READERS: Mapping[str, Read] = {
    "Convolution": _convolution,
    "Deconvolution": _convolution,
    "BatchNorm": _batch_norm,
    "Scale": _scale,
    "ReLU": _relu,
    "PReLU": _prelu,
    "Sigmoid": partial(_plain, "sigmoid"),
    "TanH": partial(_plain, "tanh"),
    "AbsVal": partial(_plain, "abs"),
    "Pooling": _pooling,
    "InnerProduct": _inner_product,
    "Concat": _concat,
    "Eltwise": _eltwise,
    "LRN": _lrn,
    "Dropout": _dropout,
    "Softmax": _softmax,
    "Flatten": _flatten,
}
