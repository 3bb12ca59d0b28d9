"""Convolution over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, prod, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import structs

from netc.dims import Size, dim_text
from netc.geometry import PADDING_WORDS, Window, resolve_padding
from netc.lazy import LazyModule
from netc.ops.base import Family, Op, Padding, PerAxis, Word, attr, op
from netc.ops.common import (
    changed,
    compact,
    derived,
    divisors,
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
    Fact,
    Fill,
    MatrixProduct,
    OnnxConst,
    OnnxNode,
    Param,
    Problem,
    Require,
    TorchArg,
    TorchForm,
    TorchModule,
    Work,
)
from netc.ops.same import Sides, is_strided_same, known_sides, onnx_padded, padded, same_conv
from netc.ops.weighting import (
    SPECTRAL_NORM,
    WEIGHT_NORM,
    need_one_norm,
    onnx_parametrized,
    onnx_standardized,
    parametrized,
    parametrized_class,
    standardized_class,
)
from netc.ops.windowed import need_fit, window_caption, windows_of
from netc.types import TensorType

if TYPE_CHECKING:
    from netc.ops import lowering
else:
    lowering = LazyModule("netc.ops.lowering")

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
    weight_norm: bool = False
    spectral_norm: bool = False

    def pads(self) -> tuple[tuple[int, int], ...]:
        """Begin and end padding per spatial axis, in elements."""
        return resolve_padding(self.padding, self.kernel_size, self.stride, self.dilation)

    def windows(self, *x: TensorType) -> tuple[Window, ...]:
        return windows_of(self.kernel_size, self.stride, self.dilation, self.padding)

    def _check_input(self, x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x, self.rank + 2)
        yield from need_float(self, x)
        yield from need_one_norm(self)
        if x.rank == self.rank + 2:
            yield from need_constant(x.shape[1], "input channels")
            yield from self._check_groups(x.shape[1])

    def _check_groups(self, channels: Size) -> Iterator[Problem]:
        sides = {"input": channels, "output": self.out_channels}
        for side, count in sides.items():
            if isinstance(count, int) and count % self.groups:
                message = f"{count} {side} channels do not divide into {self.groups} groups"
                shared = gcd(self.out_channels, channels if isinstance(channels, int) else 1)
                tries = divisors(shared, self.groups, "groups")
                yield Problem("bad-argument", message, "groups", candidates=tries[:1])

    def _learned(self, weight: Param, x: TensorType) -> tuple[Param, ...]:
        """Weight and bias, in the order of PyTorch's state_dict."""
        bias = (learned("bias", (self.out_channels,), weight.fill, x),) if self.bias else ()
        return parametrized(self, weight, bias, x, int(self.transposed))

    def _module(self, name: str, args: tuple[TorchArg, ...], call: str = "{self}({*})") -> TorchModule:
        cls, source = parametrized_class(self, name)
        return TorchModule(cls, args, call, helper=source or None)

    def _fill(self, fan_in: Size) -> Fill:
        """PyTorch's `kaiming_uniform_(a=√5)` and bias rule: uniform in ±1/√fan_in."""
        bound = 1 / sqrt(number(fan_in))
        return Fill("uniform", -bound, bound)

    def _torch_padding(self, sides: Sides | None = None) -> TorchArg:
        """Padding as the author gave it, or the number a word stands for; `same` at stride 1 is PyTorch's own word."""
        strided = is_strided_same(self.padding, self.stride)
        if not strided and (self.padding == "same" or not isinstance(self.padding, str)):
            return TorchArg("padding", compact(self.padding), attribute="padding", keyword=True, omit=0)
        amounts = tuple([begin for begin, _ in sides or self.pads()])
        return derived("padding", amounts, "padding", "kernel_size", "dilation", omit=0)

    def caption(self, *x: TensorType) -> str:
        """Kernel, channels, stride, padding, groups: `3×3, 128, s2, p1`; `3×3 depthwise` where each channel has a
        kernel of its own."""
        if self.groups > 1 and self.groups == self.out_channels and x and x[0].shape[1] == self.groups:
            kernel, *rest = window_caption(self)
            return ", ".join([f"{kernel} depthwise", *rest])
        groups = [f"g{self.groups}"] if self.groups != 1 else []
        return ", ".join([*window_caption(self, str(self.out_channels)), *groups])


class Conv(_ConvBase):
    """Slide `out_channels` learned kernels over a tensor N×C×spatial (cross-correlation).

    Each spatial axis becomes ⌊(n + begin + end − dilation·(kernel − 1) − 1) / stride⌋ + 1
    (`torch.nn.Conv2d`; Dumoulin and Visin, arXiv 1603.07285), with padding `same` ⌈n / stride⌉ (PyTorch's at stride 1,
    else TensorFlow's). Parameters: weight out_channels × C/groups × kernel, bias out_channels.
    """

    out_channels: int = attr("number of output channels", minimum=1)
    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    stride: PerAxis = attr("step between windows", default=1, minimum=1)
    padding: Padding = attr("elements added around the input", default=0, minimum=0, words=PADDING_WORDS)
    dilation: PerAxis = attr("spacing between kernel taps", default=1, minimum=1)
    groups: int = attr("independent channel groups", default=1, minimum=1)
    bias: bool = attr("add a learned offset per output channel", default=True)
    padding_mode: Word = attr("how the padding is filled", default="zeros", words=PADDING_MODES)
    weight_norm: bool = attr(WEIGHT_NORM, default=False)
    spectral_norm: bool = attr(SPECTRAL_NORM, default=False)
    standardize: float | None = attr(
        "give the weight of each output channel mean 0 and variance 1, with this added to its variance",
        default=None,
        minimum=0,
    )

    def is_toeplitz(self) -> bool:
        return self.padding_mode == "zeros"

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from self._check_input(x[0])
        if (self.weight_norm or self.spectral_norm) and self.standardize is not None:
            yield Problem("bad-argument", "weight_norm and standardize cannot be used together", "standardize")
        if x[0].rank == self.rank + 2:
            yield from self._check_windows(x[0])

    def _check_windows(self, x: TensorType) -> Iterator[Problem | Require]:
        windows = self.windows(x)
        if self.padding_mode != "zeros":
            yield from self._check_mode(x, known_sides(windows, x))
        yield from need_fit(x, windows)

    def _check_mode(self, x: TensorType, sides: Sides | None) -> Iterator[Problem | Require]:
        """Padding that copies elements needs known amounts; reflection more elements than padding, wrapping around at
        least as many."""
        if sides is None:
            message = f"padding `same` depends on the input here, which padding_mode={self.padding_mode} does not allow"
            helps, tries = ("use --bind, or padding_mode=zeros",), (changed(padding="half"),)
            yield Problem("not-constant", message, "padding_mode", helps=helps, candidates=tries)
        elif self.padding_mode in ("reflect", "circular"):
            for n, widest in zip(x.shape[2:], map(max, sides), strict=True):
                if widest:
                    least = widest + (self.padding_mode == "reflect")
                    needs = f"{self.padding_mode} padding of {widest} needs {least} elements or more"
                    yield Require(n, least, Problem("too-small", f"{needs}, not {dim_text(n)}", "padding"))

    def infer(self, *x: TensorType) -> TensorType:
        n, _, *space = x[0].shape
        sizes = [w.output(size) for w, size in zip(self.windows(x[0]), space, strict=True)]
        return x[0].with_shape(n, self.out_channels, *sizes)

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        inside = x[0].shape[1] // self.groups
        fill = self._fill(inside * prod(self.kernel_size))
        weight = learned("weight", (self.out_channels, inside, *self.kernel_size), fill, x[0])
        return self._learned(weight, x[0])

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        n, _, *space = self.infer(*x).shape
        return (Work((n, *space, self.out_channels), (x[0].shape[1] // self.groups, *self.kernel_size)),)

    def matrix_products(self, *x: TensorType) -> tuple[MatrixProduct, ...]:
        inside, columns = x[0].shape[1] // self.groups, prod(self.infer(*x).shape[2:])
        return lowering.conv_products(self.windows(x[0]), columns, self.out_channels, inside, self.groups)

    def facts(self, *x: TensorType) -> tuple[Fact, ...]:
        (inside, *before), after = x[0].shape[1:], self.infer(*x).shape[2:]
        each = (inside // self.groups, *self.kernel_size)
        zeros = known_sides(self.windows(x[0]), x[0]) is not None and self.padding_mode == "zeros"
        backward = lowering.gradients(self._padded(x[0]), before, after, self.groups) if zeros else ()
        return *backward, *lowering.unshared(inside, before, after, self.out_channels, each, bias=self.bias)

    def _padded(self, x: TensorType) -> list[Window]:
        """Its windows, with padding in numbers where it depends on the input."""
        sides = known_sides(self.windows(x), x) or ()
        settings = zip(self.windows(x), sides, strict=True)
        return [structs.replace(w, begin=begin, end=end, same=False) for w, (begin, end) in settings]

    def torch(self, *x: TensorType) -> TorchForm:
        sides = known_sides(self.windows(x[0]), x[0])
        uneven = sides is None or self._is_uneven(sides)
        padding = () if uneven else (self._torch_padding(sides),)
        args = (
            size_of("in_channels", x[0], 1),
            *positional(self, "out_channels", "kernel_size"),
            *keywords(self, "stride"),
            *padding,
            *keywords(self, "dilation", "groups", "bias"),
            *(() if uneven else keywords(self, "padding_mode")),
        )
        module = self._module(f"Conv{self.rank}d", args)
        if sides is None:
            own = f"{module.helper}\n\n\n" if module.helper else ""
            name, helper = f"Same{module.cls.removeprefix('nn.')}", own + same_conv(module.cls)
            return TorchForm(structs.replace(module, cls=name, helper=helper), heavy=True)
        if uneven:
            module = structs.replace(module, call=self._padded_call(sides), imports=("torch.nn.functional:pad",))
        return TorchForm(module, heavy=True)

    def _module(self, name: str, args: tuple[TorchArg, ...], call: str = "{self}({*})") -> TorchModule:
        if self.standardize is None:
            return super()._module(name, args, call)
        eps = TorchArg("eps", self.standardize, attribute="standardize", keyword=True)
        return TorchModule(f"Standardized{name}", (*args, eps), call, helper=standardized_class(self.rank))

    def _is_uneven(self, sides: Sides) -> bool:
        """PyTorch has its own word for `same` at stride 1."""
        own = self.padding == "same" and not is_strided_same(self.padding, self.stride)
        return not own and any(begin != end for begin, end in sides)

    def _padded_call(self, sides: Sides) -> str:
        """PyTorch's modules pad evenly, so uneven padding comes first."""
        mode = "" if self.padding_mode == "zeros" else f', mode="{self.padding_mode}"'
        return f"{{self}}({padded(sides, mode)})"

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        sides = known_sides(self.windows(x[0]), x[0])
        weight, nodes = self._onnx_weight(x[0])
        if sides is None:
            return *nodes, *self._onnx_same(x[0], weight)
        begins, ends = zip(*sides, strict=True)
        first = self.padding_mode != "zeros" and any(begins + ends)
        source = "padded" if first else "x0"
        conv = node(
            "Conv",
            f"{source} {weight}{' bias' if self.bias else ''}",
            kernel_shape=self.kernel_size,
            strides=self.stride,
            pads=(0,) * 2 * self.rank if first else begins + ends,
            dilations=self.dilation,
            group=self.groups,
        )
        return *nodes, *((self._onnx_pad(begins, ends),) if first else ()), conv

    def _onnx_weight(self, x: TensorType) -> tuple[str, tuple[OnnxNode, ...]]:
        """The weight's name, and what makes it out of what is learned."""
        if self.standardize is None:
            return "weight", onnx_parametrized(self, self.rank + 2, 0)
        return "standard", tuple(onnx_standardized(x, self.rank + 2, self.standardize))

    def _onnx_same(self, x: TensorType, weight: str) -> tuple[OnnxNode, ...]:
        """ONNX has TensorFlow's rule; ONNX Runtime not for dilated windows, for which the graph counts."""
        rest = f"{weight}{' bias' if self.bias else ''}"
        settings: dict[str, Any] = {"kernel_shape": self.kernel_size, "strides": self.stride, "group": self.groups}
        if all(d == 1 for d in self.dilation):
            return (node("Conv", f"x0 {rest}", auto_pad="SAME_UPPER", **settings),)
        pads = onnx_padded(self.windows(x), x)
        return *pads, node("Conv", f"padded {rest}", dilations=self.dilation, **settings)

    def _onnx_pad(self, begins: tuple[int, ...], ends: tuple[int, ...]) -> OnnxNode:
        amounts: OnnxConst = int64("pads", 0, 0, *begins, 0, 0, *ends)
        return node("Pad", "x0 pads", "padded", amounts, mode=ONNX_PAD_MODES[self.padding_mode])


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
