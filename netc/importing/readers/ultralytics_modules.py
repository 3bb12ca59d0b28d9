"""The modules of Ultralytics's YAML files as lines of a spec.

What a module computes stands in `ultralytics.yaml`, as a block; here is which arguments of a row are which of the
block's. Facts: the documentation of Ultralytics's modules, https://docs.ultralytics.com/reference/nn/modules/block/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import gcd
from typing import Any

import msgspec

from netc.importing.readers.ultralytics_rows import LARGEST, Described, ModuleRow

ACTIVATIONS = {
    "SiLU": "silu",
    "ReLU": "relu",
    "ReLU6": "relu6",
    "LeakyReLU": "leaky_relu",
    "Mish": "mish",
    "GELU": "gelu",
    "Hardswish": "hardswish",
    "ELU": "elu",
    "SELU": "selu",
    "Identity": "none",
}
_CALL = re.compile(r"(torch\.)?nn\.(?P<name>\w+)\((negative_slope=|alpha=)?(?P<number>\d*\.?\d*)[^()]*\)")

LARGE, LARGEST_TWO = frozenset("mlx"), frozenset("lx")
"""Scales that have deeper modules inside C3k2, and scaled residuals around A2C2f."""


class SpecLine(msgspec.Struct, frozen=True):
    """A row in the words of netc. `channels`: what comes out, at each scale, 0 where that is not told; `repeated`:
    whether repeats are the module's own; `reads`: what it reads, where that is not just what its rows give."""

    text: str
    channels: tuple[int, ...]
    repeated: bool = False
    reads: tuple[str, ...] | None = None


class Rows:
    """Rows while they are written. `known`: channels of each row at each scale; `lets`: names for numbers that depend
    on the scale."""

    def __init__(self, described: Described) -> None:
        self.described = described
        self.scales = described.scales
        self.known: dict[int, tuple[int, ...]] = {-1: (described.channels,) * len(self.scales)}
        self.lets: dict[str, str] = {}
        self.flags: dict[str, frozenset[str]] = {}
        """Arguments of the network that are true at some scales."""
        self.parts: dict[int, int] = {}
        """How many tensors a row gives, where it gives several."""

    @property
    def scaled(self) -> bool:
        return len(self.scales) > 1

    def inside(self, row: ModuleRow) -> tuple[int, ...]:
        return self.known[row.sources[0]]

    def name(self, at: int) -> str:
        return f"model.{at}" if at >= 0 else "image"

    def width(self, row: ModuleRow, count: Any) -> tuple[str, tuple[int, ...]]:
        """Channels as an expression, and at each scale. Raises Gap."""
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= LARGEST:
            raise row.gap("its channels are not a whole number")
        found = tuple(scale.channels(count) for scale in self.scales)
        if not self.scaled:
            return str(found[0]), found
        limited = any(scale.most < count for scale in self.scales)
        inner = f"min({count} max_channels)" if limited else str(count)
        self.lets.setdefault(f"c{count}", f"8*ceil({inner}*width_multiple/8)")
        return f"c{count}", found

    def depth(self, count: int) -> tuple[str, tuple[int, ...]]:
        """Repeats as an expression, and at each scale."""
        found = tuple(scale.repeats(count) for scale in self.scales)
        if len(set(found)) == 1:
            return str(found[0]), found
        self.lets.setdefault(f"d{count}", f"max(round({count}*depth_multiple) 1)")
        return f"d{count}", found

    def flag(self, name: str, scales: frozenset[str]) -> str:
        """An argument of the network that is true at these scales."""
        known = {scale.name for scale in self.scales} & scales
        if known in (set(), {scale.name for scale in self.scales}):
            return str(bool(known)).lower()
        self.flags[name] = frozenset(known)
        return name


Module = Callable[[Rows, ModuleRow], SpecLine]


def activation(text: str) -> str | None:
    """The operator that a word such as `nn.ReLU()` means; None where netc has none for it."""
    match = _CALL.fullmatch(text.strip())
    operator = ACTIVATIONS.get(match["name"]) if match else None
    if match is None or operator is None or not match["number"] or operator not in ("leaky_relu", "elu"):
        return operator
    return f'"{operator} {match["number"]}"'


def line_of(rows: Rows, row: ModuleRow) -> SpecLine:
    """Raises Gap."""
    module = MODULES.get(row.module.removeprefix("torch."))
    if module is None:
        raise row.gap("netc does not know this module")
    try:
        return module(rows, row)
    except (IndexError, TypeError, ValueError) as error:
        raise row.gap("its arguments are not those of the module") from error


def _filled(row: ModuleRow, *defaults: Any) -> tuple[Any, ...]:
    """The arguments behind the channels, those that the row leaves out as the module has them. Raises Gap."""
    given = row.arguments[1:]
    if len(given) > len(defaults):
        raise row.gap(f"has arguments that netc does not know: {len(given) - len(defaults)} too many")
    return (*given, *defaults[len(given) :])


def _word(row: ModuleRow, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple) and value:
        return f"({' '.join(_word(row, item) for item in value)})"
    if isinstance(value, int | float) and abs(value) <= LARGEST:
        return repr(value)
    found = activation(value) if isinstance(value, str) else None
    if found is None:
        raise row.gap(f"its argument {str(value)[:40]} is not supported")
    return found


def _given(row: ModuleRow, names: Sequence[str], values: Sequence[Any]) -> str:
    """`size=3 stride=2`: what a row gives, None for what it leaves to the module."""
    if len(values) > len(names):
        raise row.gap(f"has arguments that netc does not know: {len(values) - len(names)} too many")
    pairs = [(name, value) for name, value in zip(names, values, strict=False) if value is not None]
    return "".join(f" {name}={_word(row, value)}" for name, value in pairs)


def _block(name: str, *parameters: str, repeats: bool = False) -> Module:
    """A module whose first argument are its channels; the others go by the block's names."""

    def read(rows: Rows, row: ModuleRow) -> SpecLine:
        width, channels = rows.width(row, row.arguments[0])
        depth = f" {rows.depth(row.repeats)[0]}" if repeats else ""
        return SpecLine(f"{name} {width}{depth}{_given(row, parameters, row.arguments[1:])}", channels, repeats)

    return read


def _conv(rows: Rows, row: ModuleRow) -> SpecLine:
    width, channels = rows.width(row, row.arguments[0])
    size, stride, padding, groups, dilation, act = _filled(row, 1, 1, None, 1, 1, True)
    if act not in (True, False) and not isinstance(act, str):
        raise row.gap("its activation is not supported")
    words = {"stride": stride, "groups": groups} | ({"act": act} if isinstance(act, str) else {})
    told = "".join(f" {name}={_word(row, value)}" for name, value in words.items() if value not in (1, None))
    told += " act=none" if act is False else ""
    if padding is None and dilation in (1, None):
        return SpecLine(f"conv {width} {_word(row, size)}{told}", channels)
    if padding is None:
        extents = [dilation * (n - 1) + 1 for n in (size if isinstance(size, tuple) else (size,))]
        padding = tuple(n // 2 for n in extents) if len(extents) > 1 else extents[0] // 2
    told += f" padding={_word(row, padding)}" + (f" dilation={_word(row, dilation)}" if dilation != 1 else "")
    return SpecLine(f"padded_conv {width} {_word(row, size)}{told}", channels)


def _depthwise(rows: Rows, row: ModuleRow) -> SpecLine:
    width, channels = rows.width(row, row.arguments[0])
    groups = tuple(map(gcd, rows.inside(row), channels))
    if groups == rows.inside(row):
        word = "x.C"
    elif groups == channels:
        word = width
    elif len(set(groups)) == 1:
        word = str(groups[0])
    else:
        raise row.gap("its groups are not those of its input or output at every scale")
    size, stride, dilation, act = _filled(row, 1, 1, 1, True)
    plain = ModuleRow(
        row.at,
        row.place,
        row.sources,
        row.repeats,
        row.module,
        (row.arguments[0], size, stride, None, 1, dilation, act),
    )
    found = _conv(rows, plain)
    return SpecLine(f"{found.text} groups={word}", channels)


def _c3k2(rows: Rows, row: ModuleRow) -> SpecLine:
    width, channels = rows.width(row, row.arguments[0])
    depth, _ = rows.depth(row.repeats)
    deep, share, attends, groups, shortcut = _filled(row, False, 0.5, False, None, None)
    more = _given(row, ("groups", "shortcut"), (groups, shortcut))
    told = f"{f' share={_word(row, share)}' if share != 0.5 else ''}{more}"
    if attends is True:
        return SpecLine(f"c3k2_attending {width} {depth}{told}", channels, True)
    flag = "true" if deep is True else rows.flag("deep", LARGE)
    return SpecLine(f"c3k2 {width} {depth}{'' if flag == 'false' else f' deep={flag}'}{told}", channels, True)


def _a2c2f(rows: Rows, row: ModuleRow) -> SpecLine:
    width, channels = rows.width(row, row.arguments[0])
    depth, _ = rows.depth(row.repeats)
    attends, area = _filled(row, True, 1)
    if attends is False:
        return SpecLine(f"c3kf {width} {depth}", channels, True)
    if any(n // 2 % 32 for n in channels):
        raise row.gap("half of its channels are not a multiple of 32")
    flag = rows.flag("residual", LARGEST_TWO)
    more = "" if flag == "false" else f" residual={flag}"
    return SpecLine(f"a2c2f {width} {depth} areas={_word(row, area)}{more}", channels, True)


def _c3_ghost(rows: Rows, row: ModuleRow) -> SpecLine:
    """Its shortcut and groups are given, and not used."""
    plain = ModuleRow(row.at, row.place, row.sources, row.repeats, row.module, (*row.arguments[:1], *row.arguments[3:]))
    return _block("c3_ghost", "share", repeats=True)(rows, plain)


def _sppf(rows: Rows, row: ModuleRow) -> SpecLine:
    width, channels = rows.width(row, row.arguments[0])
    told = _given(row, ("size", "pools", "shortcut"), row.arguments[1:])
    return SpecLine(f"sppf {width}{told}{' act=none' if len(row.arguments) > 2 else ''}", channels)


def _elan(name: str, *, repeats: bool) -> Module:
    def read(rows: Rows, row: ModuleRow) -> SpecLine:
        width, channels = rows.width(row, row.arguments[0])
        words = [_word(row, value) for value in row.arguments[1 : 4 if repeats else 3]]
        return SpecLine(f"{name} {' '.join((width, *words))}", channels)

    return read


def _resnet_layer(rows: Rows, row: ModuleRow) -> SpecLine:
    _, inner, stride, first, *others = row.arguments
    depth = others[0] if others else 1
    words = f"resnet_layer {_word(row, inner)} stride={_word(row, stride)}"
    words += " first=true" if first is True else f" depth={_word(row, depth)}"
    return SpecLine(words, (inner if first is True else inner * 4,) * len(rows.scales))


def _concat(rows: Rows, row: ModuleRow) -> SpecLine:
    if row.arguments not in ((), (1,)):
        raise row.gap("joins along another axis than the channels")
    return SpecLine("concat", tuple(map(sum, zip(*(rows.known[at] for at in row.sources), strict=True))))


def _upsample(rows: Rows, row: ModuleRow) -> SpecLine:
    size, factor, mode = (*row.arguments, "nearest")[:3]
    if size is not None or len(row.arguments) > 3 or mode not in ("nearest", "bilinear"):
        raise row.gap("netc reads upsampling by a factor, nearest or bilinear, here")
    return SpecLine(f"interpolate scale_factor={_word(row, factor)} mode={mode}", rows.inside(row))


def _pool(operator: str) -> Module:
    def read(rows: Rows, row: ModuleRow) -> SpecLine:
        return SpecLine(operator + _given(row, ("kernel_size", "stride", "padding"), row.arguments), rows.inside(row))

    return read


def _zero_pad(rows: Rows, row: ModuleRow) -> SpecLine:
    (amounts,) = row.arguments
    left, right, top, bottom = amounts if isinstance(amounts, tuple) else (amounts,) * 4
    return SpecLine(f"pad {_word(row, (top, left, bottom, right))}", rows.inside(row))


def _transposed(rows: Rows, row: ModuleRow) -> SpecLine:
    width, channels = rows.width(row, row.arguments[0])
    told = _given(row, ("kernel_size", "stride", "padding"), row.arguments[1:])
    return SpecLine(f"conv_transpose2d {width}{told}", channels)


def _same(operator: str) -> Module:
    return lambda rows, row: SpecLine(operator, rows.inside(row))


def _cb_linear(rows: Rows, row: ModuleRow) -> SpecLine:
    (widths,) = row.arguments[:1]
    rows.parts[row.at] = len(widths)
    return SpecLine(f"cb_linear {sum(widths)} {_word(row, widths)}", (0,) * len(rows.scales))


def _cb_fuse(rows: Rows, row: ModuleRow) -> SpecLine:
    (places,) = row.arguments
    *others, target = row.sources
    for at, place in zip(others, places, strict=True):
        if not 0 <= place < rows.parts.get(at, 0):
            raise row.gap("takes a part that its source does not give")
    reads = tuple(f"{rows.name(at)}.parts.{place}" for at, place in zip(others, places, strict=True))
    return SpecLine("cb_fuse", rows.known[target], reads=(rows.name(target), *reads))


def _classify(rows: Rows, row: ModuleRow) -> SpecLine:
    told = _given(row, ("size", "stride"), row.arguments[1:])
    return SpecLine(f"classify classes{told}", (rows.described.classes,) * len(rows.scales))


HEADS = frozenset({"Detect", "v10Detect", "Segment", "Pose", "OBB"})
LIGHT = frozenset({"C3k2", "A2C2f", "C2fCIB"})
"""Modules of newer networks, whose heads score classes with depthwise convolutions."""


def _head(block: str, *names: str) -> Module:
    def read(rows: Rows, row: ModuleRow) -> SpecLine:
        described = rows.described
        values = list(row.arguments[1:])
        told = ""
        if block == "segment":
            width, _ = rows.width(row, values[1])
            told = f" masks={_word(row, values[0])} hidden={width}"
        elif block == "pose":
            told = f" points={_word(row, values[0] if isinstance(values[0], tuple) else described.points)}"
        else:
            told = _given(row, names, values)
        once = described.once or row.module == "v10Detect"
        if once and block != "detect":
            raise row.gap("netc has no end-to-end form, one box for each object, of this head")
        light = row.module == "v10Detect" or any(other.module in LIGHT for other in described.rows)
        bins = 16 if row.module == "v10Detect" else described.bins
        told += f" bins={bins}" if bins != 16 else ""
        told += " scorer=depthwise_branch" if light else ""
        return SpecLine(f"{'detect_once' if once else block} classes{told} strides=STRIDES", (0,) * len(rows.scales))

    return read


MODULES: Mapping[str, Module] = {
    "Conv": _conv,
    "DWConv": _depthwise,
    "ConvTranspose": _block("conv_transpose", "size", "stride", "padding"),
    "Focus": _block("focus", "size", "stride"),
    "GhostConv": _block("ghost_conv", "size", "stride", "groups"),
    "RepConv": _block("rep_conv", "size", "stride"),
    "Bottleneck": _block("bottleneck", "shortcut", "groups"),
    "GhostBottleneck": _block("ghost_bottleneck", "size", "stride"),
    "BottleneckCSP": _block("bottleneck_csp", "shortcut", "groups", "share", repeats=True),
    "C1": _block("c1", repeats=True),
    "C2": _block("c2", "shortcut", "groups", "share", repeats=True),
    "C2f": _block("c2f", "shortcut", "groups", "share", repeats=True),
    "C3": _block("c3", "shortcut", "groups", "share", repeats=True),
    "C3x": _block("c3x", "shortcut", "groups", "share", repeats=True),
    "C3Ghost": _c3_ghost,
    "C3k2": _c3k2,
    "RepC3": _block("rep_c3", "share", repeats=True),
    "SPP": _block("spp", "sizes"),
    "SPPF": _sppf,
    "PSA": _block("psa", "share"),
    "C2PSA": _block("c2psa", "share", repeats=True),
    "C2fPSA": _block("c2f_psa", "share", repeats=True),
    "SCDown": _block("sc_down", "size", "stride"),
    "C2fCIB": _block("c2f_cib", "shortcut", "large", repeats=True),
    "A2C2f": _a2c2f,
    "AConv": _block("aconv"),
    "ADown": _block("adown"),
    "ELAN1": _elan("elan1", repeats=False),
    "RepNCSPELAN4": _elan("rep_ncspelan4", repeats=True),
    "SPPELAN": _block("sppelan", "hidden", "size"),
    "CBLinear": _cb_linear,
    "CBFuse": _cb_fuse,
    "ResNetLayer": _resnet_layer,
    "Concat": _concat,
    "nn.Upsample": _upsample,
    "nn.MaxPool2d": _pool("max_pool2d"),
    "nn.AvgPool2d": _pool("avg_pool2d"),
    "nn.ZeroPad2d": _zero_pad,
    "nn.ConvTranspose2d": _transposed,
    "nn.BatchNorm2d": _same("batch_norm2d"),
    "nn.Identity": _same("identity"),
    "Classify": _classify,
    "Detect": _head("detect"),
    "v10Detect": _head("detect"),
    "Segment": _head("segment"),
    "Pose": _head("pose"),
    "OBB": _head("obb", "angles"),
}
