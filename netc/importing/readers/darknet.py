"""Darknet: `.cfg` files, and the streams of numbers that their `.weights` are.

A stream has no names: layers take their numbers in order, a convolution its biases, then scales, means and variances
of its batch norm if it has one, then its weights.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from netc.files import open_input
from netc.importing.graph import Gap, Graph, Value, Weight, whole
from netc.importing.readers.listed import Layer, first_that_fits, numbers_at, read_text, unread
from netc.types import TensorType

EPS = 1e-5
"""What is added to variances: of today's darknet; older ones added 1e-6 to the deviation."""

MOST_SECTIONS = 10_000
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "leaky": ("leaky_relu", {"negative_slope": 0.1}),
    "relu": ("relu", {}),
    "relu6": ("relu6", {}),
    "logistic": ("sigmoid", {}),
    "tanh": ("tanh", {}),
    "mish": ("mish", {}),
    "swish": ("silu", {}),
    "elu": ("elu", {}),
    "selu": ("selu", {}),
    "gelu": ("gelu", {"approximate": "tanh"}),
}
ENDS = frozenset({"yolo", "gaussian_yolo", "region", "detection"})
"""Layers that decode what is an output here."""

Options = dict[str, str]


def read(path: Path, name: str, sizes: str) -> Graph:
    """The network of a `.cfg`, with the `.weights` beside it if there are any. Raises Gap."""
    sections = parsed(read_text(path))
    if not sections or sections[0][0] not in ("net", "network"):
        raise Gap("a darknet configuration begins with [net]")
    net = sections[0][1]
    shape = (1, *(number(net, key, default) for key, default in (("channels", 3), ("height", 0), ("width", 0))))
    weights = path.with_suffix(".weights")
    path_ = weights if weights.is_file() else None
    return first_that_fits(partial(_read, sections[1:], name, path_), shape, sizes)


def parsed(text: str) -> list[tuple[str, Options]]:
    """Sections with their options. Raises Gap."""
    sections: list[tuple[str, Options]] = []
    for at, line in enumerate(text.split("\n"), 1):
        line = line.partition("#")[0].partition(";")[0].strip()
        if not line:
            continue
        if line.startswith("["):
            sections.append((line.strip("[]").strip().lower(), {}))
        elif "=" in line and sections:
            key, _, value = line.partition("=")
            sections[-1][1][key.strip()] = value.strip()
        else:
            raise Gap("is neither a section nor an option", f"line {at}")
    if len(sections) > MOST_SECTIONS:
        raise Gap(f"has more than {MOST_SECTIONS:,} sections")
    return sections


def number(options: Options, key: str, default: int) -> int:
    """A whole number. Raises Gap."""
    text = options.get(key, str(default))
    try:
        value = int(float(text))
    except (ValueError, OverflowError) as error:
        raise Gap(f"{key}={text[:40]} is not a number") from error
    if not -(2**31) < value < 2**31:
        raise Gap(f"{key}={text[:40]} is too large")
    return value


class _Stream:
    """The numbers of a `.weights` file, taken one tensor after another."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.at = path, 0
        if path is not None:
            with open_input(path) as file:
                major, minor, _ = struct.unpack("<3i", file.read(12).ljust(12, b"\0"))
                self.at = 20 if major * 10 + minor >= 2 and 0 <= major < 1000 and 0 <= minor < 1000 else 16
            self.size = path.stat().st_size

    def take(self, name: str, *shape: int) -> Weight:
        if self.path is None:
            return whole(unread(name, shape))
        start, self.at = self.at, self.at + 4 * prod(shape)
        if self.at > self.size:
            raise Gap(f"{self.path.name} ends before {name}")
        return whole(numbers_at(self.path, name, start, shape))

    def end(self) -> None:
        if self.path is not None and self.at != self.size:
            raise Gap(f"{self.path.name} has numbers that no layer takes: {(self.size - self.at) // 4:,}")


class _Network:
    def __init__(self, graph: Graph, stream: _Stream, image: Value) -> None:
        self.graph, self.stream, self.now = graph, stream, image
        self.layers: list[Value] = []
        self.ends: list[Value] = []
        self.kind = ""

    def add(self, kind: str, options: Options) -> None:
        at = len(self.layers)
        layer = Layer(self.graph, f"layer {at} [{kind}]")
        if kind in ENDS:
            self.ends.append(self.now)
        elif kind in READERS:
            try:
                self.now = READERS[kind](self, layer, options)
            except Gap as gap:
                raise Gap(gap.why, gap.place or layer.origin) from gap
        elif kind != "cost":
            raise layer.gap(f"netc has no layer [{kind}]")
        self.layers.append(self.now)

    def earlier(self, layer: Layer, at: int) -> Value:
        at = at if at >= 0 else len(self.layers) + at
        if not 0 <= at < len(self.layers):
            raise layer.gap("refers to a layer that does not come before it")
        return self.layers[at]

    def activated(self, layer: Layer, x: Value, options: Options, default: str) -> Value:
        name = options.get("activation", default)
        if name == "linear":
            return x
        if name not in ACTIVATIONS:
            raise layer.gap(f"netc has no activation {name}")
        operator, settings = ACTIVATIONS[name]
        return layer.emit(operator, x, **settings)

    def normed(self, layer: Layer, x: Value, params: dict[str, Weight]) -> Value:
        return layer.emit("batch_norm2d" if x.type.rank == 4 else "batch_norm1d", x, params=params, eps=EPS)


def _convolutional(net: _Network, layer: Layer, options: Options) -> Value:
    x, stream, prefix = net.now, net.stream, f"{len(net.layers)}"
    size, filters, groups = number(options, "size", 1), number(options, "filters", 1), number(options, "groups", 1)
    stride = number(options, "stride", 1)
    dilation = number(options, "dilation", 1)
    padding = size // 2 if number(options, "pad", 0) else number(options, "padding", 0)
    normed = bool(number(options, "batch_normalize", 0))
    channels = x.type.shape[1] if x.type.rank == 4 else 0
    if not isinstance(channels, int) or groups < 1 or not channels or channels % groups or size < 1 or filters < 1:
        raise layer.gap("its numbers of channels do not match")
    bias = stream.take(f"{prefix}.bias", filters)
    norm = {"bias": bias}
    if normed:
        norm |= {role: stream.take(f"{prefix}.{role}", filters) for role in ("weight", "running_mean", "running_var")}
    weight = stream.take(f"{prefix}.kernel", filters, channels // groups, size, size)
    params = {"weight": weight} if normed else {"weight": weight, "bias": bias}
    strides = (number(options, "stride_y", stride), number(options, "stride_x", stride))
    settings = {"stride": strides, "padding": padding * dilation, "dilation": dilation, "groups": groups}
    x = layer.emit("conv2d", x, params=params, out_channels=filters, kernel_size=size, bias=not normed, **settings)
    x = net.normed(layer, x, norm) if normed else x
    return net.activated(layer, x, options, "logistic")


def _connected(net: _Network, layer: Layer, options: Options) -> Value:
    x, prefix, count = net.now, f"{len(net.layers)}", number(options, "output", 1)
    x = x if x.type.rank == 2 else layer.emit("flatten", x)
    inside = x.type.shape[1]
    if not isinstance(inside, int) or count < 1:
        raise layer.gap("the number of its inputs depends on the size of the picture")
    bias = net.stream.take(f"{prefix}.bias", count)
    weight = net.stream.take(f"{prefix}.kernel", count, inside)
    normed = bool(number(options, "batch_normalize", 0))
    norm = {"bias": bias}
    if normed:
        norm |= {r: net.stream.take(f"{prefix}.{r}", count) for r in ("weight", "running_mean", "running_var")}
    params = {"weight": weight} if normed else {"weight": weight, "bias": bias}
    x = layer.emit("linear", x, params=params, out_features=count, bias=not normed)
    x = net.normed(layer, x, norm) if normed else x
    return net.activated(layer, x, options, "logistic")


def _maxpool(net: _Network, layer: Layer, options: Options) -> Value:
    stride = number(options, "stride", 1)
    size = number(options, "size", stride)
    padding = number(options, "padding", size - 1)
    begin, end = padding // 2, padding - padding // 2
    both = begin if begin == end else (begin, begin, end, end)
    if _needless(net.now, size, stride, begin, end):
        both = 0
    return layer.emit("max_pool2d", net.now, kernel_size=size, stride=stride, padding=both)


def _needless(x: Value, size: int, stride: int, begin: int, end: int) -> bool:
    """Whether the padding is never reached: 2×2 with stride 2 on even sizes."""
    if begin or x.type.rank != 4 or stride < 1:
        return False
    padded = [(n + end - size) // stride for n in x.type.shape[2:]]
    return padded == [(n - size) // stride for n in x.type.shape[2:]]


def _route(net: _Network, layer: Layer, options: Options) -> Value:
    places = [number({"layers": text}, "layers", 0) for text in options.get("layers", "").split(",") if text.strip()]
    inputs = [net.earlier(layer, at) for at in places]
    if not inputs:
        raise layer.gap("lists no layers")
    groups = number(options, "groups", 1)
    if groups > 1:
        at = number(options, "group_id", 0)
        if not 0 <= at < groups:
            raise layer.gap("refers to a group that does not exist")
        inputs = [layer.emit_all("chunk", x, chunks=groups, dim=1)[at] for x in inputs]
    return inputs[0] if len(inputs) == 1 else layer.emit("concat", *inputs, dim=1)


def _shortcut(net: _Network, layer: Layer, options: Options) -> Value:
    other = net.earlier(layer, number(options, "from", -1))
    if other.type.shape != net.now.type.shape:
        raise layer.gap(f"adds {other.type} to {net.now.type}, and netc adds equal shapes only")
    return net.activated(layer, layer.emit("add", net.now, other), options, "linear")


def _scale_channels(net: _Network, layer: Layer, options: Options) -> Value:
    other = net.earlier(layer, number(options, "from", -1))
    return net.activated(layer, layer.emit("mul", other, net.now), options, "linear")


def _upsample(net: _Network, layer: Layer, options: Options) -> Value:
    return layer.emit("interpolate", net.now, scale_factor=float(number(options, "stride", 2)))


def _avgpool(net: _Network, layer: Layer, options: Options) -> Value:
    return layer.emit("adaptive_avg_pool2d", net.now, output_size=1)


def _dropout(net: _Network, layer: Layer, options: Options) -> Value:
    try:
        return layer.emit("dropout", net.now, p=float(options.get("probability", "0.5")))
    except ValueError as error:
        raise layer.gap("its probability is not a number") from error


def _softmax(net: _Network, layer: Layer, options: Options) -> Value:
    if number(options, "groups", 1) != 1:
        raise layer.gap("netc has no softmax over groups")
    x = net.now if net.now.type.rank == 2 else layer.emit("flatten", net.now)
    return layer.emit("softmax", x, dim=-1)


def _activation(net: _Network, layer: Layer, options: Options) -> Value:
    return net.activated(layer, net.now, options, "linear")


READERS: dict[str, Callable[[_Network, Layer, Options], Value]] = {
    "convolutional": _convolutional,
    "conv": _convolutional,
    "connected": _connected,
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "route": _route,
    "shortcut": _shortcut,
    "scale_channels": _scale_channels,
    "upsample": _upsample,
    "dropout": _dropout,
    "softmax": _softmax,
    "activation": _activation,
}


def _read(sections: list[tuple[str, Options]], name: str, weights: Path | None, kind: TensorType) -> Graph:
    graph = Graph(name)
    stream = _Stream(weights)
    net = _Network(graph, stream, graph.add_input("image", kind))
    for section, options in sections:
        net.add(section, options)
    stream.end()
    ends = net.ends or [net.now]
    graph.outputs = [("output" if len(ends) == 1 else f"output{i + 1}", value) for i, value in enumerate(ends)]
    if any(node.op.name.startswith("batch_norm") for node in graph.nodes):
        graph.notes.append(
            f"batch norms add {EPS} to the variance, as darknet does today; older versions added 1e-6 to the deviation"
        )
    graph.has_weights = weights is not None
    return graph
