"""Convolution and transposed convolution over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod, sqrt
from typing import ClassVar

from netc.dims import Size, dim_text
from netc.geometry import PADDING_WORDS, Window, resolve_padding
from netc.ops.base import Family, Op, Padding, PerAxis, Word, attr, op
from netc.ops.common import (
    changed,
    compact,
    derived,
    int64,
    keywords,
    learned,
    need_constant,
    need_float,
    need_rank,
    node,
    number,
    positional,
    size_of,
)
from netc.ops.records import (
    Fill,
    OnnxConst,
    OnnxNode,
    Param,
    Problem,
    Require,
    TorchArg,
    TorchForm,
    TorchModule,
)
from netc.ops.windowed import joined, need_even, need_fit, window_caption
from netc.types import TensorType

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
ONNX_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class _ConvBase(Op):
    """What both directions share; `x` is N×C×spatial."""

    family: ClassVar[Family] = Family.CONV
    follows: ClassVar[tuple[str, int]] = ("in_channels", 1)
    fresh: ClassVar[bool] = True
    out_channels: int
    kernel_size: PerAxis
    stride: PerAxis
    padding: Padding
    dilation: PerAxis
    groups: int
    bias: bool
    padding_mode: str

    def pads(self) -> tuple[tuple[int, int], ...]:
        """Begin and end padding per spatial axis, in elements."""
        return resolve_padding(self.padding, self.kernel_size, self.stride, self.dilation)

    def windows(self, *x: TensorType) -> tuple[Window, ...]:
        settings = zip(self.kernel_size, self.stride, self.dilation, self.pads(), strict=True)
        return tuple([Window(k, s, d, begin, end) for k, s, d, (begin, end) in settings])

    def _check_input(self, x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x, self.rank + 2)
        yield from need_float(self, x)
        if x.rank == self.rank + 2:
            yield from need_constant(x.shape[1], "input channels")
            yield from self._check_groups(x.shape[1])

    def _check_groups(self, channels: Size) -> Iterator[Problem]:
        sides = {"input": channels, "output": self.out_channels}
        for side, count in sides.items():
            if isinstance(count, int) and count % self.groups:
                message = f"{count} {side} channels do not divide into {self.groups} groups"
                tries = [g for g in range(self.groups, 0, -1) if self.out_channels % g == 0 and channels % g == 0]
                yield Problem("bad-argument", message, "groups", candidates=tuple(changed(groups=g) for g in tries[:1]))

    def _fill(self, fan_in: Size) -> Fill:
        """PyTorch's `kaiming_uniform_(a=√5)` and bias rule: uniform in ±1/√fan_in."""
        bound = 1 / sqrt(number(fan_in))
        return Fill("uniform", -bound, bound)

    def _torch_padding(self) -> TorchArg:
        """Padding as the author gave it, or the number a word stands for; `same` is PyTorch's own word."""
        if self.padding == "same" or not isinstance(self.padding, str):
            return TorchArg("padding", compact(self.padding), attribute="padding", keyword=True, omit=0)
        amounts = tuple([begin for begin, _ in self.pads()])
        return derived("padding", amounts, "padding", "kernel_size", "dilation", omit=0)

    def caption(self, *x: TensorType) -> str:
        """Kernel, channels, stride, padding, groups: `3×3, 128, s2, p1`."""
        groups = [f"g{self.groups}"] if self.groups != 1 else []
        return ", ".join([*window_caption(self, str(self.out_channels)), *groups])


class Conv(_ConvBase):
    """Slide `out_channels` learned kernels over a tensor N×C×spatial (cross-correlation).

    Each spatial axis becomes ⌊(n + begin + end − dilation·(kernel − 1) − 1) / stride⌋ + 1
    (`torch.nn.Conv2d`; Dumoulin and Visin, arXiv 1603.07285). Parameters: weight
    out_channels × C/groups × kernel, bias out_channels.
    """

    out_channels: int = attr("number of output channels", minimum=1)
    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    stride: PerAxis = attr("step between windows", default=1, minimum=1)
    padding: Padding = attr("elements added around the input", default=0, minimum=0, words=PADDING_WORDS)
    dilation: PerAxis = attr("spacing between kernel taps", default=1, minimum=1)
    groups: int = attr("independent channel groups", default=1, minimum=1)
    bias: bool = attr("add a learned offset per output channel", default=True)
    padding_mode: Word = attr("what the padding is filled with", default="zeros", words=PADDING_MODES)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from self._check_input(x[0])
        if self.padding == "same" and any(s != 1 for s in self.stride):
            message = f"padding `same` needs stride 1, not {joined(self.stride)}"
            yield Problem("bad-argument", message, "padding", candidates=(changed(padding="half"),))
        elif x[0].rank == self.rank + 2:
            yield from self._check_windows(x[0])

    def _check_windows(self, x: TensorType) -> Iterator[Require]:
        for axis, window in enumerate(self.windows(x), 2):
            n = x.shape[axis]
            if window.begin or window.end:
                yield from self._check_mode(axis, n, window)
            yield from need_fit(axis, x, window)

    def _check_mode(self, axis: int, n: Size, window: Window) -> Iterator[Require]:
        """Reflection needs more elements than padding, wrapping around at least as many."""
        if self.padding_mode in ("reflect", "circular"):
            widest = max(window.begin, window.end)
            least = widest + (self.padding_mode == "reflect")
            message = f"{self.padding_mode} padding of {widest} needs {least} elements or more, not {dim_text(n)}"
            yield Require(n, least, Problem("too-small", message, "padding"))

    def infer(self, *x: TensorType) -> TensorType:
        n, _, *space = x[0].shape
        sizes = [w.output(size) for w, size in zip(self.windows(x[0]), space, strict=True)]
        return x[0].with_shape(n, self.out_channels, *sizes)

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        inside = x[0].shape[1] // self.groups
        fill = self._fill(inside * prod(self.kernel_size))
        weight = learned("weight", (self.out_channels, inside, *self.kernel_size), fill, x[0])
        return (weight, learned("bias", (self.out_channels,), fill, x[0])) if self.bias else (weight,)

    def macs(self, *x: TensorType) -> Size:
        taps = x[0].shape[1] // self.groups * prod(self.kernel_size) * self.out_channels
        return prod(self.infer(*x).shape[2:], start=taps)

    def torch(self, *x: TensorType) -> TorchForm:
        uneven = self._is_uneven()
        padding = () if uneven else (self._torch_padding(),)
        args = (
            size_of("in_channels", x[0], 1),
            *positional(self, "out_channels", "kernel_size"),
            *keywords(self, "stride"),
            *padding,
            *keywords(self, "dilation", "groups", "bias"),
            *(() if uneven else keywords(self, "padding_mode")),
        )
        name = f"nn.Conv{self.rank}d"
        if uneven:
            return TorchForm(TorchModule(name, args, self._padded_call(), ("torch.nn.functional:pad",)), heavy=True)
        return TorchForm(TorchModule(name, args), heavy=True)

    def _is_uneven(self) -> bool:
        return isinstance(self.padding, tuple) and any(begin != end for begin, end in self.pads())

    def _padded_call(self) -> str:
        """PyTorch's modules pad evenly, so uneven padding comes first; `pad` takes the last axis first."""
        amounts = ", ".join(f"{begin}, {end}" for begin, end in reversed(self.pads()))
        mode = "" if self.padding_mode == "zeros" else f', mode="{self.padding_mode}"'
        return f"{{self}}(pad({{0}}, ({amounts}){mode}))"

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        begins, ends = zip(*self.pads(), strict=True)
        padded = self.padding_mode != "zeros" and any(begins + ends)
        source = "padded" if padded else "x0"
        conv = node(
            "Conv",
            f"{source} weight{' bias' if self.bias else ''}",
            kernel_shape=self.kernel_size,
            strides=self.stride,
            pads=(0,) * 2 * self.rank if padded else begins + ends,
            dilations=self.dilation,
            group=self.groups,
        )
        return (self._onnx_pad(begins, ends), conv) if padded else (conv,)

    def _onnx_pad(self, begins: tuple[int, ...], ends: tuple[int, ...]) -> OnnxNode:
        amounts: OnnxConst = int64("pads", 0, 0, *begins, 0, 0, *ends)
        return node("Pad", "x0 pads", "padded", amounts, mode=ONNX_PAD_MODES[self.padding_mode])


class ConvTranspose(_ConvBase):
    """Scatter each input element through `out_channels` learned kernels: the gradient of a convolution.

    Each spatial axis becomes (n − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1
    (`torch.nn.ConvTranspose2d`). Parameters: weight C × out_channels/groups × kernel, bias out_channels.
    """

    transposed = True

    out_channels: int = attr("number of output channels", minimum=1)
    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    stride: PerAxis = attr("step between windows in the output", default=1, minimum=1)
    padding: Padding = attr(
        "elements cut off around the output, as many at each end", default=0, minimum=0, words=PADDING_WORDS[:3]
    )
    output_padding: PerAxis = attr("elements added at the end of the output", default=0, minimum=0)
    groups: int = attr("independent channel groups", default=1, minimum=1)
    bias: bool = attr("add a learned offset per output channel", default=True)
    dilation: PerAxis = attr("spacing between kernel taps", default=1, minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from self._check_input(x[0])
        yield from need_even(self, "put a `pad` statement with negative numbers after it")
        yield from self._check_output_padding()
        if x[0].rank == self.rank + 2:
            yield from self._check_size(x[0])

    def _check_output_padding(self) -> Iterator[Problem]:
        settings = zip(self.output_padding, self.stride, self.dilation, strict=True)
        for added, stride, dilation in settings:
            if added >= max(stride, dilation):
                message = f"output_padding {added} must be smaller than the stride {stride} or the dilation {dilation}"
                remedy = changed(output_padding=max(stride, dilation) - 1)
                yield Problem("bad-argument", message, "output_padding", candidates=(remedy,))
                return

    def _check_size(self, x: TensorType) -> Iterator[Require]:
        sizes = zip(self.windows(x), self.output_padding, x.shape[2:], strict=True)
        for window, added, n in sizes:
            size = window.transposed(n, added)
            message = f"the output has no elements: {dim_text(size)}"
            notes = (window.formula_transposed(n, added),)
            yield Require(size, 1, Problem("too-small", message, "padding", notes, (changed(padding=0),)))

    def infer(self, *x: TensorType) -> TensorType:
        n, _, *space = x[0].shape
        settings = zip(self.windows(x[0]), space, self.output_padding, strict=True)
        return x[0].with_shape(n, self.out_channels, *[w.transposed(size, added) for w, size, added in settings])

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        each = self.out_channels // self.groups
        fill = self._fill(each * prod(self.kernel_size))
        weight = learned("weight", (x[0].shape[1], each, *self.kernel_size), fill, x[0])
        return (weight, learned("bias", (self.out_channels,), fill, x[0])) if self.bias else (weight,)

    def macs(self, *x: TensorType) -> Size:
        return prod(x[0].shape[1:], start=self.out_channels // self.groups * prod(self.kernel_size))

    def torch(self, *x: TensorType) -> TorchForm:
        args = (
            size_of("in_channels", x[0], 1),
            *positional(self, "out_channels", "kernel_size"),
            *keywords(self, "stride"),
            self._torch_padding(),
            *keywords(self, "output_padding", "groups", "bias", "dilation"),
        )
        return TorchForm(TorchModule(f"nn.ConvTranspose{self.rank}d", args), heavy=True)

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        if any(added >= stride for added, stride in zip(self.output_padding, self.stride, strict=True)):
            return self._cut_to_size()
        begins = tuple([begin for begin, _ in self.pads()])
        return self._onnx("x0 weight bias" if self.bias else "x0 weight", "y0", begins * 2, self.output_padding)

    def _onnx(self, inputs: str, result: str, pads: tuple[int, ...], added: tuple[int, ...]) -> OnnxNode:
        return node(
            "ConvTranspose",
            inputs,
            result,
            kernel_shape=self.kernel_size,
            strides=self.stride,
            pads=pads,
            dilations=self.dilation,
            group=self.groups,
            output_padding=added,
        )

    def _cut_to_size(self) -> tuple[OnnxNode, ...]:
        """ONNX Runtime wants an output_padding below the stride: padding and output_padding of the whole output are a
        Pad (negative ones cut off), and the bias comes last, for it counts there too."""
        pads, none = self.pads(), (0,) * self.rank
        ends = [added - end for added, (_, end) in zip(self.output_padding, pads, strict=True)]
        amounts = int64("amounts", 0, 0, *[-begin for begin, _ in pads], 0, 0, *ends)
        whole = self._onnx("x0 weight", "whole", none * 2, none)
        cut = node("Pad", "whole amounts", "cut" if self.bias else "y0", amounts)
        if not self.bias:
            return whole, cut
        spread = int64("spread", 1, -1, *[1] * self.rank)
        return whole, cut, node("Reshape", "bias spread", "offset", spread), node("Add", "cut offset")


@op("conv1d", family=Family.CONV, torch="torch.nn.Conv1d", title="Conv", rank=1)
class Conv1d(Conv):
    """Convolution of N×C×L: L becomes ⌊(L + begin + end − dilation·(kernel − 1) − 1) / stride⌋ + 1
    (`torch.nn.Conv1d`)."""


@op("conv2d", family=Family.CONV, torch="torch.nn.Conv2d", title="Conv", rank=2)
class Conv2d(Conv):
    """Convolution of N×C×H×W: each side n becomes ⌊(n + begin + end − dilation·(kernel − 1) − 1) / stride⌋ + 1
    (`torch.nn.Conv2d`)."""


@op("conv3d", family=Family.CONV, torch="torch.nn.Conv3d", title="Conv", rank=3)
class Conv3d(Conv):
    """Convolution of N×C×D×H×W: each side n becomes ⌊(n + begin + end − dilation·(kernel − 1) − 1) / stride⌋ + 1
    (`torch.nn.Conv3d`)."""


@op("conv_transpose1d", family=Family.UPSAMPLE, torch="torch.nn.ConvTranspose1d", title="Up-conv", rank=1)
class ConvTranspose1d(ConvTranspose):
    """Transposed convolution of N×C×L: L becomes
    (L − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1 (`torch.nn.ConvTranspose1d`)."""


@op("conv_transpose2d", family=Family.UPSAMPLE, torch="torch.nn.ConvTranspose2d", title="Up-conv", rank=2)
class ConvTranspose2d(ConvTranspose):
    """Transposed convolution of N×C×H×W: each side n becomes
    (n − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1 (`torch.nn.ConvTranspose2d`)."""


@op("conv_transpose3d", family=Family.UPSAMPLE, torch="torch.nn.ConvTranspose3d", title="Up-conv", rank=3)
class ConvTranspose3d(ConvTranspose):
    """Transposed convolution of N×C×D×H×W: each side n becomes
    (n − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1 (`torch.nn.ConvTranspose3d`)."""
