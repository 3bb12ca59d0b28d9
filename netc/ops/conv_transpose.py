"""Transposed convolution over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, ClassVar

from netc.dims import Size, dim_text
from netc.geometry import PADDING_WORDS
from netc.lazy import LazyModule
from netc.ops.base import Family, Padding, PerAxis, attr, op
from netc.ops.common import (
    axis_name,
    changed,
    int64,
    keywords,
    learned,
    node,
    positional,
    size_of,
)
from netc.ops.conv import _ConvBase
from netc.ops.records import (
    Fact,
    MatrixProduct,
    OnnxNode,
    Param,
    Problem,
    Require,
    TorchForm,
    Work,
)
from netc.ops.weighting import (
    SPECTRAL_NORM,
    WEIGHT_NORM,
    onnx_parametrized,
)
from netc.ops.windowed import need_even
from netc.types import TensorType

if TYPE_CHECKING:
    from netc.ops import lowering
else:
    lowering = LazyModule("netc.ops.lowering")


class ConvTranspose(_ConvBase):
    """Scatter each input element through `out_channels` learned kernels: the gradient of a convolution.

    Each spatial axis becomes (n − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1
    (`torch.nn.ConvTranspose2d`), or as long as that of the tensor `like=@x`, from which output_padding then follows
    (PyTorch's `output_size`). Parameters: weight C × out_channels/groups × kernel, bias out_channels.
    """

    transposed = True
    references: ClassVar[tuple[str, ...]] = ("like",)
    like_replaces: ClassVar[tuple[str, ...]] = ("output_padding",)

    out_channels: int = attr("number of output channels", minimum=1)
    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    stride: PerAxis = attr("step between windows in the output", default=1, minimum=1)
    padding: Padding = attr(
        "elements cut off around the output, equally at both ends", default=0, minimum=0, words=PADDING_WORDS[:3]
    )
    output_padding: PerAxis = attr("elements added at the end of the output", default=0, minimum=0)
    groups: int = attr("independent channel groups", default=1, minimum=1)
    bias: bool = attr("add a learned offset per output channel", default=True)
    dilation: PerAxis = attr("spacing between kernel taps", default=1, minimum=1)
    weight_norm: bool = attr(WEIGHT_NORM, default=False)
    spectral_norm: bool = attr(SPECTRAL_NORM, default=False)

    def is_toeplitz(self) -> bool:
        return True

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from self._check_input(x[0])
        yield from need_even(self, "put a `pad` statement with negative numbers after it")
        yield from self._check_output_padding()
        if x[0].rank != self.rank + 2:
            return
        yield from self._check_like(*x) if len(x) > 1 else self._check_size(x[0])

    def _check_output_padding(self) -> Iterator[Problem]:
        settings = zip(self.output_padding, self.stride, self.dilation, strict=True)
        for added, stride, dilation in settings:
            if added >= max(stride, dilation):
                message = f"output_padding {added} must be smaller than the stride {stride} or the dilation {dilation}"
                remedy = changed(output_padding=max(stride, dilation) - 1)
                yield Problem("bad-argument", message, "output_padding", candidates=(remedy,))
                return

    def _check_like(self, *x: TensorType) -> Iterator[Problem | Require]:
        """PyTorch makes an output at most stride − 1 elements longer than without output_padding."""
        if any(self.output_padding):
            yield Problem("bad-argument", "output_padding follows from `like`: leave one of them out", "output_padding")
        if x[1].rank != x[0].rank:
            yield Problem("rank-mismatch", f"`like` has {x[1]}, the input {x[0]}: the ranks differ", 1)
            return
        for axis, (added, stride) in enumerate(zip(self._added(*x), self.stride, strict=True), 2):
            n, target = x[1].shape[axis] - added, x[1].shape[axis]
            where, longest = axis_name(axis, x[0].rank), n + (stride - 1)
            reach = f"{dim_text(n)}" if stride == 1 else f"{dim_text(n)} to {dim_text(longest)}"
            message = f"axis {where} can be {reach} long, but `like` has {dim_text(target)}"
            problem = Problem("shape-mismatch", message, 1)
            yield Require(added, 0, problem)
            yield Require(stride - 1 - added, 0, problem)

    def _added(self, *x: TensorType) -> tuple[Size, ...]:
        """The output_padding per axis, from `like` where that is given."""
        if len(x) == 1:
            return self.output_padding
        settings = zip(self.windows(x[0]), x[0].shape[2:], x[1].shape[2:], strict=True)
        return tuple([target - w.transposed(n) for w, n, target in settings])

    def _check_size(self, x: TensorType) -> Iterator[Require]:
        sizes = zip(self.windows(x), self.output_padding, x.shape[2:], strict=True)
        for window, added, n in sizes:
            size = window.transposed(n, added)
            message = f"the output has no elements: {dim_text(size)}"
            notes = (window.formula_transposed(n, added),)
            yield Require(size, 1, Problem("too-small", message, "padding", notes, (changed(padding=0),)))

    def infer(self, *x: TensorType) -> TensorType:
        n, _, *space = x[0].shape
        if len(x) > 1:
            return x[0].with_shape(n, self.out_channels, *x[1].shape[2:])
        settings = zip(self.windows(x[0]), space, self.output_padding, strict=True)
        return x[0].with_shape(n, self.out_channels, *[w.transposed(size, added) for w, size, added in settings])

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        each = self.out_channels // self.groups
        fill = self._fill(each * prod(self.kernel_size))
        weight = learned("weight", (x[0].shape[1], each, *self.kernel_size), fill, x[0])
        return self._learned(weight, x[0])

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        settings = zip(self.windows(x[0]), x[0].shape[2:], self._added(*x), strict=True)
        return tuple([(axis, w.formula_transposed(n, added)) for axis, (w, n, added) in enumerate(settings, 2)])

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        n, channels, *space = x[0].shape
        return (Work((n, *space, channels), (self.out_channels // self.groups, *self.kernel_size), "inputs"),)

    def matrix_products(self, *x: TensorType) -> tuple[MatrixProduct, ...]:
        columns = prod(x[0].shape[2:])
        return lowering.spread_products(self.windows(x[0]), columns, self.out_channels, x[0].shape[1], self.groups)

    def facts(self, *x: TensorType) -> tuple[Fact, ...]:
        return lowering.spread_gradients(self.windows(x[0]), x[0].shape[2:], self._added(*x), self.groups)

    def torch(self, *x: TensorType) -> TorchForm:
        args = (
            size_of("in_channels", x[0], 1),
            *positional(self, "out_channels", "kernel_size"),
            *keywords(self, "stride"),
            self._torch_padding(),
            *keywords(self, "output_padding", "groups", "bias", "dilation"),
        )
        call = "{self}({0}, output_size={1}.shape[2:])" if len(x) > 1 else "{self}({*})"
        return TorchForm(self._module(f"ConvTranspose{self.rank}d", args, call), heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return *onnx_parametrized(self, self.rank + 2, 1), *self._onnx_convolved(*x)

    def _onnx_convolved(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if len(x) > 1:
            return self._onnx_like(*x)
        if any(added >= stride for added, stride in zip(self.output_padding, self.stride, strict=True)):
            return self._cut_to_size()
        begins = tuple([begin for begin, _ in self.pads()])
        return (self._onnx("x0 weight bias" if self.bias else "x0 weight", "y0", begins * 2, self.output_padding),)

    def _onnx_like(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Where output_padding depends on the input: the longest output there can be, cut to the size."""
        added = [n for n in self._added(*x) if isinstance(n, int)]
        if len(added) == self.rank:
            return type(self)(**{**self.__dict__, "output_padding": tuple(added)})._onnx_convolved(x[0])
        begins, longest = tuple([begin for begin, _ in self.pads()]), tuple([s - 1 for s in self.stride])
        whole = self._onnx("x0 weight bias" if self.bias else "x0 weight", "whole", begins * 2, longest)
        consts = (int64("from", *[0] * self.rank), int64("axes", *range(2, self.rank + 2)))
        return whole, node("Shape", "x1", "to", start=2), node("Slice", "whole from to axes", "y0", *consts)

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
