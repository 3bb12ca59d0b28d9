"""Windows of an image as columns, and columns summed back into an image."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import ClassVar

from netc.dims import Size, dim_text, equal, product_text
from netc.geometry import Window
from netc.ops.base import Family, Op, PerAxis, Sight, attr, op
from netc.ops.common import elements, int64, keywords, need_constant, need_float, need_rank, node, number, positional
from netc.ops.records import OnnxConst, OnnxNode, Problem, Require, Sample, TorchForm, TorchModule
from netc.ops.windowed import need_fit, window_caption
from netc.types import TensorType


def one_hot_kernels(kernel: tuple[int, ...], channels: int, dtype: str) -> OnnxNode:
    """`kernels`, channels·taps × 1 × kernel: for every channel one kernel per tap that takes this tap alone."""
    taps = prod(kernel)
    values = tuple([float(i == j) for i in range(taps) for j in range(taps)]) if elements(taps * taps) else ()
    eye = OnnxConst("eye", dtype, (taps, 1, *kernel), values)
    return node("Tile", "eye repeats", "kernels", eye, int64("repeats", channels, *[1] * (len(kernel) + 1)))


class _Columns(Op):
    """What both directions share: windows over two axes, one column of channels·taps elements for each."""

    sees = Sight.MOVED
    family: ClassVar[Family] = Family.RESHAPE
    kernel_size: PerAxis
    dilation: PerAxis
    padding: PerAxis
    stride: PerAxis

    def _windows(self) -> tuple[Window, ...]:
        settings = zip(self.kernel_size, self.stride, self.dilation, self.padding, strict=True)
        return tuple([Window(k, s, d, p, p) for k, s, d, p in settings])

    def _blocks(self, *space: Size) -> tuple[Size, ...]:
        """How many windows fit along each axis."""
        return tuple([window.output(n) for window, n in zip(self._windows(), space, strict=True)])

    def _check_fit(self, image: TensorType) -> Iterator[Require]:
        yield from need_fit(image, self._windows())

    def caption(self, *x: TensorType) -> str:
        return ", ".join(window_caption(self))


@op("unfold", family=Family.RESHAPE, torch="torch.nn.Unfold", title="Unfold", rank=2)
class Unfold(_Columns):
    """Every window of N×C×H×W as a column: N × C·kernel × L, channel by channel and row by row. L counts the windows,
    the product of ⌊(n + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1 over both sides (`torch.nn.Unfold`)."""

    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    dilation: PerAxis = attr("spacing between window elements", default=1, minimum=1)
    padding: PerAxis = attr("zeros added around the input", default=0, minimum=0)
    stride: PerAxis = attr("step between windows", default=1, minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_rank(self, x[0], 4)
        yield from need_float(self, x[0])
        if x[0].rank == 4:
            yield from need_constant(x[0].shape[1], "channels")
            yield from self._check_fit(x[0])

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        channels, *space = x[0].shape[1:]
        blocks = self._blocks(*space)
        along = " and ".join(w.formula(n) for w, n in zip(self._windows(), space, strict=True))
        return (
            (1, f"{product_text((channels, *self.kernel_size))} = {dim_text(self.infer(*x).shape[1])}"),
            (2, f"{product_text(blocks)} = {dim_text(prod(blocks))} windows: {along}"),
        )

    def infer(self, *x: TensorType) -> TensorType:
        n, channels, *space = x[0].shape
        rows, columns = self._blocks(*space)
        return x[0].with_shape(n, channels * prod(self.kernel_size), rows * columns)

    def torch(self, *x: TensorType) -> TorchForm:
        args = (*positional(self, "kernel_size"), *keywords(self, "dilation", "padding", "stride"))
        return TorchForm(TorchModule("nn.Unfold", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """A grouped convolution with one kernel per tap: exact for finite numbers, and it stays on the GPU."""
        channels = number(x[0].shape[1])
        taken = node(
            "Conv",
            "x0 kernels",
            "taken",
            kernel_shape=self.kernel_size,
            strides=self.stride,
            pads=self.padding * 2,
            dilations=self.dilation,
            group=channels,
        )
        shape = int64("shape", 0, channels * prod(self.kernel_size), -1)
        kernels = one_hot_kernels(self.kernel_size, channels, x[0].dtype)
        return kernels, taken, node("Reshape", "taken shape", "y0", shape)


@op("fold", family=Family.RESHAPE, torch="torch.nn.Fold", title="Fold", rank=2)
class Fold(_Columns):
    """Columns N × C·kernel × L added up into an image N×C×output_size, each where `unfold` would take it from; L is
    the number of windows on output_size (`torch.nn.Fold`)."""

    sample = Sample((TensorType((2, 12, 20)),), {"output_size": (5, 6), "kernel_size": 2})
    output_size: PerAxis = attr("height and width of the image", minimum=1)
    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    dilation: PerAxis = attr("spacing between window elements", default=1, minimum=1)
    padding: PerAxis = attr("padding around the image that is cut off again", default=0, minimum=0)
    stride: PerAxis = attr("step between windows", default=1, minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_rank(self, x[0], 3)
        yield from need_float(self, x[0])
        fits = list(self._check_fit(TensorType((1, 1, *self.output_size))))
        yield from fits
        if x[0].rank == 3:
            yield from need_constant(x[0].shape[1], "channels")
            yield from self._check_channels(x[0].shape[1])
        if x[0].rank == 3 and all(number(need.size) >= need.at_least for need in fits):
            yield from self._check_blocks(x[0].shape[2])

    def _check_channels(self, channels: Size) -> Iterator[Problem]:
        taps = prod(self.kernel_size)
        if isinstance(channels, int) and channels % taps:
            message = f"{channels} channels do not divide into windows of {taps} elements"
            yield Problem("bad-argument", message, "kernel_size")

    def _check_blocks(self, columns: Size) -> Iterator[Problem]:
        blocks = self._blocks(*self.output_size)
        if not equal(columns, prod(blocks)):
            sides = " · ".join(map(str, blocks))
            message = f"output_size {self.output_size[0]}×{self.output_size[1]} has {sides} = {prod(blocks)} windows"
            notes = tuple([w.formula(n) for w, n in zip(self._windows(), self.output_size, strict=True)])
            yield Problem("shape-mismatch", f"{message}, the input {dim_text(columns)} columns", "output_size", notes)

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        taps = product_text(self.kernel_size)
        return ((1, f"{dim_text(x[0].shape[1])}/({taps}) = {dim_text(self.infer(*x).shape[1])}"),)

    def infer(self, *x: TensorType) -> TensorType:
        n, channels, _ = x[0].shape
        return x[0].with_shape(n, channels // prod(self.kernel_size), *self.output_size)

    def torch(self, *x: TensorType) -> TorchForm:
        args = (*positional(self, "output_size", "kernel_size"), *keywords(self, "dilation", "padding", "stride"))
        return TorchForm(TorchModule("nn.Fold", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """A grouped transposed convolution with one kernel per tap: it stays on the GPU, where Col2Im does not."""
        inside = number(x[0].shape[1])
        channels = inside // prod(self.kernel_size)
        blocks = self._blocks(*self.output_size)
        spread = node(
            "ConvTranspose",
            "blocks kernels",
            kernel_shape=self.kernel_size,
            strides=self.stride,
            pads=self.padding * 2,
            dilations=self.dilation,
            group=channels,
            output_padding=tuple([w.remainder(n) for w, n in zip(self._windows(), self.output_size, strict=True)]),
        )
        shape = int64("shape", 0, inside, *[number(size) for size in blocks])
        kernels = one_hot_kernels(self.kernel_size, channels, x[0].dtype)
        return kernels, node("Reshape", "x0 shape", "blocks", shape), spread
