"""Pooling with windows and adaptive pooling, over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, ClassVar

from netc.dims import exact_div
from netc.geometry import Window, adaptive_bins, resolve_padding
from netc.ops.base import Family, Op, Padding, PerAxis, attr, op
from netc.ops.common import (
    changed,
    compact,
    derived,
    filled,
    int64,
    keywords,
    need_float,
    need_rank,
    node,
    number,
    positional,
)
from netc.ops.merge import ONNX_TYPES
from netc.ops.records import OnnxConst, OnnxNode, Problem, Require, TorchArg, TorchForm, TorchModule, Unsupported
from netc.ops.windowed import ceil_bonus, need_even, need_fit, window_caption
from netc.types import TensorType


class _Pool(Op):
    """A window over each spatial axis of N×C×spatial, one result per window and channel."""

    family: ClassVar[Family] = Family.POOL
    kernel_size: PerAxis
    stride: PerAxis | None
    padding: Padding
    ceil_mode: bool

    def steps(self) -> tuple[int, ...]:
        """The stride per axis, the kernel's size unless given."""
        return self.stride or self.kernel_size

    def spacing(self) -> tuple[int, ...]:
        return (1,) * self.rank

    def pads(self) -> tuple[tuple[int, int], ...]:
        return resolve_padding(self.padding, self.kernel_size, self.steps(), self.spacing())

    def windows(self, *x: TensorType) -> tuple[Window, ...]:
        settings = zip(self.kernel_size, self.steps(), self.spacing(), self.pads(), strict=True)
        return tuple([Window(k, s, d, begin, end, self.ceil_mode) for k, s, d, (begin, end) in settings])

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_rank(self, x[0], self.rank + 2)
        yield from need_float(self, x[0])
        uneven = list(need_even(self))
        yield from uneven
        yield from self._check_padding()
        if x[0].rank == self.rank + 2 and not uneven:
            for axis, window in enumerate(self.windows(*x), 2):
                yield from need_fit(axis, x[0], window)

    def _check_padding(self) -> Iterator[Problem]:
        """PyTorch wants at most half a window of padding, so that every window sees an element."""
        for window, (begin, _) in zip(self.windows(), self.pads(), strict=True):
            if 2 * begin > window.extent:
                message = f"padding {begin} is more than half of the window of {window.extent}"
                remedy = changed(padding=window.extent // 2)
                yield Problem("bad-argument", message, "padding", candidates=(remedy,))
                return

    def infer(self, *x: TensorType) -> TensorType:
        n, channels, *space = x[0].shape
        sizes = [w.output(size) for w, size in zip(self.windows(*x), space, strict=True)]
        return x[0].with_shape(n, channels, *sizes)

    def _torch_padding(self) -> TorchArg:
        if not isinstance(self.padding, str):
            return TorchArg("padding", compact(self.padding), attribute="padding", keyword=True, omit=0)
        return derived("padding", tuple([begin for begin, _ in self.pads()]), "padding", "kernel_size", omit=0)

    def _torch_stride(self) -> tuple[TorchArg, ...]:
        """Left out where it is the kernel's size, PyTorch's default."""
        if self.stride is None:
            return ()
        stride, kernel = compact(self.stride), compact(self.kernel_size)
        return (TorchArg("stride", stride, attribute="stride", keyword=True, omit=kernel),)

    def torch(self, *x: TensorType) -> TorchForm:
        others = [name for name in self.attributes if name not in ("kernel_size", "stride", "padding")]
        args = (
            *positional(self, "kernel_size"),
            *self._torch_stride(),
            self._torch_padding(),
            *keywords(self, *others),
        )
        return TorchForm(TorchModule(f"nn.{self.torch_name.rpartition('.')[2]}", args), heavy=True)

    def _rounding_pads(self) -> tuple[int, ...]:
        """End padding with which rounding down gives the sizes of ceil mode: ONNX infers one window too many there."""
        return tuple([window.end + ceil_bonus(window) for window in self.windows()])

    def _begins(self) -> tuple[int, ...]:
        return tuple([window.begin for window in self.windows()])

    def caption(self, *x: TensorType) -> str:
        return ", ".join(window_caption(self))


class MaxPool(_Pool):
    """The largest element of each window. Each spatial axis becomes
    ⌊(n + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1, rounded up with `ceil_mode` unless the last window
    would start in the padding (`torch.nn.MaxPool2d`)."""

    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    stride: PerAxis | None = attr("step between windows; the window's size if not given", default=None, minimum=1)
    padding: Padding = attr("elements added around the input", default=0, minimum=0, words=("valid", "half"))
    dilation: PerAxis = attr("spacing between window elements", default=1, minimum=1)
    ceil_mode: bool = attr("keep a last, partial window", default=False)

    def spacing(self) -> tuple[int, ...]:
        return self.dilation

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """MaxPool; ONNX Runtime wants padding below the kernel's size, so wider padding comes first."""
        begins, ends = self._begins(), self._rounding_pads()
        wide = any(p >= k for p, k in zip(begins + ends, self.kernel_size * 2, strict=True))
        pool = node(
            "MaxPool",
            "padded" if wide else "x0",
            kernel_shape=self.kernel_size,
            strides=self.steps(),
            pads=(0,) * 2 * self.rank if wide else begins + ends,
            dilations=self.dilation,
        )
        return (_padded(x[0], begins, ends, float("-inf")), pool) if wide else (pool,)


def _padded(x: TensorType, begins: tuple[int, ...], ends: tuple[int, ...], value: float) -> OnnxNode:
    consts = (int64("pads", 0, 0, *begins, 0, 0, *ends), filled("filler", x, (), value))
    return node("Pad", "x0 pads filler", "padded", *consts, mode="constant")


class AvgPool(_Pool):
    """The mean of each window. Each spatial axis becomes ⌊(n + 2·padding − kernel) / stride⌋ + 1, rounded up with
    `ceil_mode` unless the last window would start in the padding; the padding counts unless `count_include_pad` is
    false (`torch.nn.AvgPool2d`)."""

    count_include_pad: bool

    def _divisor(self) -> int | None:
        return None

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """What rounds up never counts; counted padding is put in first, so that exactly it counts."""
        begins, evens = self._begins(), tuple([window.end for window in self.windows()])
        extra = tuple([ceil_bonus(window) for window in self.windows()])
        divisor = self._divisor()
        if divisor:
            return self._divided(x[0], begins, self._rounding_pads(), divisor)
        inside = self.count_include_pad and any(begins) and any(extra)
        pads = (0,) * self.rank + extra if inside else begins + tuple(map(sum, zip(evens, extra, strict=True)))
        counted = self.count_include_pad and not any(extra)
        pool = node("AveragePool", "padded" if inside else "x0", **self._settings(pads, counted))
        return (_padded(x[0], begins, evens, 0.0), pool) if inside else (pool,)

    def _settings(self, pads: tuple[int, ...], counted: bool) -> dict[str, Any]:
        steps = self.steps()
        return {"kernel_shape": self.kernel_size, "strides": steps, "pads": pads, "count_include_pad": int(counted)}

    def _divided(
        self, x: TensorType, begins: tuple[int, ...], ends: tuple[int, ...], divisor: int
    ) -> tuple[OnnxNode, ...]:
        """The sum of each window over a fixed number."""
        factor = filled("factor", x, (), prod(self.kernel_size) / divisor)
        mean = node("AveragePool", "x0", "mean", **self._settings(begins + ends, True))
        return mean, node("Mul", "mean factor", "y0", factor)


class _AveragePool1d(AvgPool):
    kernel_size: PerAxis = attr("size of the window per axis", minimum=1)
    stride: PerAxis | None = attr("step between windows; the window's size if not given", default=None, minimum=1)
    padding: Padding = attr("zeros added around the input", default=0, minimum=0, words=("valid", "half"))
    ceil_mode: bool = attr("keep a last, partial window", default=False)
    count_include_pad: bool = attr("count the padding in the mean", default=True)


class _AveragePool(_AveragePool1d):
    divisor_override: int | None = attr("divide by this instead of the window's size", default=None, minimum=1)

    def _divisor(self) -> int | None:
        return self.divisor_override


@op("max_pool1d", family=Family.POOL, torch="torch.nn.MaxPool1d", title="MaxPool", rank=1)
class MaxPool1d(MaxPool):
    """The largest element of each window of N×C×L (`torch.nn.MaxPool1d`)."""


@op("max_pool2d", family=Family.POOL, torch="torch.nn.MaxPool2d", title="MaxPool", rank=2)
class MaxPool2d(MaxPool):
    """The largest element of each window of N×C×H×W (`torch.nn.MaxPool2d`)."""


@op("max_pool3d", family=Family.POOL, torch="torch.nn.MaxPool3d", title="MaxPool", rank=3)
class MaxPool3d(MaxPool):
    """The largest element of each window of N×C×D×H×W (`torch.nn.MaxPool3d`)."""


@op("avg_pool1d", family=Family.POOL, torch="torch.nn.AvgPool1d", title="AvgPool", rank=1)
class AvgPool1d(_AveragePool1d):
    """The mean of each window of N×C×L (`torch.nn.AvgPool1d`)."""


@op("avg_pool2d", family=Family.POOL, torch="torch.nn.AvgPool2d", title="AvgPool", rank=2)
class AvgPool2d(_AveragePool):
    """The mean of each window of N×C×H×W (`torch.nn.AvgPool2d`)."""


@op("avg_pool3d", family=Family.POOL, torch="torch.nn.AvgPool3d", title="AvgPool", rank=3)
class AvgPool3d(_AveragePool):
    """The mean of each window of N×C×D×H×W (`torch.nn.AvgPool3d`)."""


class _AdaptivePool(Op):
    """Pooling to a given size: bin i of an axis of n elements is ⌊i·n/out⌋ to ⌈(i+1)·n/out⌉."""

    family: ClassVar[Family] = Family.POOL
    global_op: ClassVar[str] = ""
    onnx_op: ClassVar[str] = ""
    output_size: PerAxis = attr("size of the output per axis", minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x[0], self.rank + 2)
        yield from need_float(self, x[0])

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*x[0].shape[:2], *self.output_size)

    def torch(self, *x: TensorType) -> TorchForm:
        name = self.torch_name.rpartition(".")[2]
        return TorchForm(TorchModule(f"nn.{name}", positional(self, "output_size")), heavy=True)

    def _uniform(self, x: TensorType) -> tuple[int, ...] | None:
        """The window per axis where all bins are alike."""
        widths = [exact_div(n, out) for n, out in zip(x.shape[2:], self.output_size, strict=True)]
        return tuple([w for w in widths if isinstance(w, int)]) if all(isinstance(w, int) for w in widths) else None

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        """Global, or a plain pool where all bins are alike, else bin by bin along each axis."""
        if all(out == 1 for out in self.output_size):
            return node(self.global_op, "x0")
        widths = self._uniform(x[0])
        if widths:
            return node(self.onnx_op, "x0", kernel_shape=widths, strides=widths)
        return tuple(self._axis_by_axis(x[0]))

    def _axis_by_axis(self, x: TensorType) -> Iterator[OnnxNode]:
        source = "x0"
        for i, out in enumerate(self.output_size):
            result = "y0" if i == self.rank - 1 else f"along{i}"
            yield from self._along(x, source, result, i + 2, out)
            source = result

    def _along(self, x: TensorType, source: str, result: str, axis: int, out: int) -> Iterator[OnnxNode]:
        raise NotImplementedError

    def caption(self, *x: TensorType) -> str:
        return "×".join(map(str, self.output_size))


class AdaptiveAvgPool(_AdaptivePool):
    """The mean of each of the bins ⌊i·n/out⌋ to ⌈(i+1)·n/out⌉ (`torch.nn.AdaptiveAvgPool2d`)."""

    global_op, onnx_op = "GlobalAveragePool", "AveragePool"

    def _along(self, x: TensorType, source: str, result: str, axis: int, out: int) -> Iterator[OnnxNode]:
        """A product with a matrix of averages, for which the axis has to stand last."""
        fixed = isinstance(x.shape[axis], int)
        consts = (self._bins(x, axis, out),) if fixed else ()
        if not fixed:
            yield from self._bins_of_any_size(x, axis, out)
        if axis == x.rank - 1:
            yield node("MatMul", f"{source} bins{axis}", result, *consts)
            return
        order = [*range(axis), *range(axis + 1, x.rank), axis]
        back = [order.index(i) for i in range(x.rank)]
        yield node("Transpose", source, f"turned{axis}", perm=tuple(order))
        yield node("MatMul", f"turned{axis} bins{axis}", f"product{axis}", *consts)
        yield node("Transpose", f"product{axis}", result, perm=tuple(back))

    def _bins(self, x: TensorType, axis: int, out: int) -> OnnxConst:
        bins = adaptive_bins(number(x.shape[axis]), out)
        rows = [1 / (end - start) if start <= row < end else 0.0 for row in range(bins[-1][1]) for start, end in bins]
        return OnnxConst(f"bins{axis}", x.dtype, (bins[-1][1], out), tuple(rows))

    def _bins_of_any_size(self, x: TensorType, axis: int, out: int) -> Iterator[OnnxNode]:
        """The same matrix, computed where the size is known: row r weighs 1 / (end - start) where start ≤ r < end."""
        firsts, lasts = int64(f"firsts{axis}", *range(out)), int64(f"lasts{axis}", *range(1, out + 1))
        parts, spare, one = int64(f"parts{axis}", out), int64(f"spare{axis}", out - 1), int64(f"one{axis}", 1)
        zero, step = (OnnxConst(f"{name}{axis}", "int64", (), (i,)) for i, name in enumerate(("zero", "step")))
        yield node("Shape", "x0", f"size{axis}", start=axis, end=axis + 1)
        yield node("Mul", f"size{axis} firsts{axis}", f"low{axis}", firsts)
        yield node("Div", f"low{axis} parts{axis}", f"start{axis}", parts)
        yield node("Mul", f"size{axis} lasts{axis}", f"high{axis}", lasts)
        yield node("Add", f"high{axis} spare{axis}", f"raised{axis}", spare)
        yield node("Div", f"raised{axis} parts{axis}", f"end{axis}")
        yield node("Squeeze", f"size{axis}", f"rows{axis}")
        yield node("Range", f"zero{axis} rows{axis} step{axis}", f"row{axis}", zero, step)
        yield node("Unsqueeze", f"row{axis} one{axis}", f"column{axis}", one)
        yield node("GreaterOrEqual", f"column{axis} start{axis}", f"after{axis}")
        yield node("Less", f"column{axis} end{axis}", f"before{axis}")
        yield node("And", f"after{axis} before{axis}", f"inside{axis}")
        yield node("Sub", f"end{axis} start{axis}", f"width{axis}")
        for name in ("inside", "width"):
            yield node("Cast", f"{name}{axis}", f"{name}_number{axis}", to=ONNX_TYPES[x.dtype])
        yield node("Div", f"inside_number{axis} width_number{axis}", f"bins{axis}")


class AdaptiveMaxPool(_AdaptivePool):
    """The largest element of each of the bins ⌊i·n/out⌋ to ⌈(i+1)·n/out⌉ (`torch.nn.AdaptiveMaxPool2d`)."""

    global_op, onnx_op = "GlobalMaxPool", "MaxPool"

    def _along(self, x: TensorType, source: str, result: str, axis: int, out: int) -> Iterator[OnnxNode]:
        n = x.shape[axis]
        if not isinstance(n, int):
            raise Unsupported(f"{self.name} to {out} of a symbolic size has bins of changing width: use --bind")
        consts = [int64(f"axis{axis}", axis)]
        parts = []
        for i, (start, end) in enumerate(adaptive_bins(n, out)):
            part = f"bin{axis}_{i}"
            bounds = (int64(f"{part}_start", start), int64(f"{part}_end", end))
            yield node("Slice", f"{source} {part}_start {part}_end axis{axis}", f"{part}_slice", *bounds, *consts)
            yield node("ReduceMax", f"{part}_slice axis{axis}", part, keepdims=1)
            parts.append(part)
            consts = []
        yield node("Concat", " ".join(parts), result, axis=axis)


@op("adaptive_avg_pool1d", family=Family.POOL, torch="torch.nn.AdaptiveAvgPool1d", title="AdaptiveAvgPool", rank=1)
class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """The mean of each bin of N×C×L (`torch.nn.AdaptiveAvgPool1d`)."""


@op("adaptive_avg_pool2d", family=Family.POOL, torch="torch.nn.AdaptiveAvgPool2d", title="AdaptiveAvgPool", rank=2)
class AdaptiveAvgPool2d(AdaptiveAvgPool):
    """The mean of each bin of N×C×H×W (`torch.nn.AdaptiveAvgPool2d`)."""


@op("adaptive_avg_pool3d", family=Family.POOL, torch="torch.nn.AdaptiveAvgPool3d", title="AdaptiveAvgPool", rank=3)
class AdaptiveAvgPool3d(AdaptiveAvgPool):
    """The mean of each bin of N×C×D×H×W (`torch.nn.AdaptiveAvgPool3d`)."""


@op("adaptive_max_pool1d", family=Family.POOL, torch="torch.nn.AdaptiveMaxPool1d", title="AdaptiveMaxPool", rank=1)
class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """The largest element of each bin of N×C×L (`torch.nn.AdaptiveMaxPool1d`)."""


@op("adaptive_max_pool2d", family=Family.POOL, torch="torch.nn.AdaptiveMaxPool2d", title="AdaptiveMaxPool", rank=2)
class AdaptiveMaxPool2d(AdaptiveMaxPool):
    """The largest element of each bin of N×C×H×W (`torch.nn.AdaptiveMaxPool2d`)."""


@op("adaptive_max_pool3d", family=Family.POOL, torch="torch.nn.AdaptiveMaxPool3d", title="AdaptiveMaxPool", rank=3)
class AdaptiveMaxPool3d(AdaptiveMaxPool):
    """The largest element of each bin of N×C×D×H×W (`torch.nn.AdaptiveMaxPool3d`)."""
