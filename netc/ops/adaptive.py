"""Pooling to a given size over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import ClassVar

from netc.dims import Size, dim_text, exact_div
from netc.geometry import adaptive_bins
from netc.ops.adaptive_places import values_and_places
from netc.ops.base import Family, Op, PerAxisOrKept, Sight, attr, op
from netc.ops.common import compact, each_of, elements, int64, keywords, need_float, need_rank, node, number
from netc.ops.records import OnnxConst, OnnxNode, Problem, TorchArg, TorchForm, TorchModule
from netc.types import AXES, ONNX_TYPES, TensorType


class _AdaptivePool(Op):
    """Pooling to a given size: bin i of an axis of n elements is ⌊i·n/out⌋ to ⌈(i+1)·n/out⌉; `none` keeps an axis."""

    family: ClassVar[Family] = Family.POOL
    global_op: ClassVar[str] = ""
    onnx_op: ClassVar[str] = ""
    reduction: ClassVar[str] = ""
    word: ClassVar[str] = ""
    output_size: PerAxisOrKept = attr("size of the output per axis", minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x[0], self.rank + 2)
        yield from need_float(self, x[0])
        if self.output_size == (None,):
            yield Problem("bad-argument", "a pool that keeps the size of its one axis does nothing", "output_size")

    def infer(self, *x: TensorType) -> TensorType | tuple[TensorType, ...]:
        return x[0].with_shape(*x[0].shape[:2], *self._sizes(x[0]))

    def _sizes(self, x: TensorType) -> list[Size]:
        return [n if out is None else out for n, out in zip(x.shape[2:], self.output_size, strict=True)]

    def sight(self, *x: TensorType) -> Sight:
        before, after = x[0].shape[2:], tuple(self._sizes(x[0]))
        return Sight.WHOLE if set(after) == {1} and after != before else Sight.PLACE

    def torch(self, *x: TensorType) -> TorchForm:
        name = self.torch_name.rpartition(".")[2]
        size = self.output_size if None in self.output_size else compact(self.output_size)
        arg = TorchArg("output_size", size, attribute="output_size")
        return TorchForm(TorchModule(f"nn.{name}", (arg,)), heavy=True)

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        sizes = zip(x[0].shape[2:], self.output_size, strict=True)
        return tuple([(axis, _bins_text(n, out)) for axis, (n, out) in enumerate(sizes, 2) if out is not None])

    def uniform(self, x: TensorType) -> tuple[int, ...] | None:
        """The window per axis where all bins are alike."""
        sizes = zip(x.shape[2:], self.output_size, strict=True)
        widths = [1 if out is None else exact_div(n, out) for n, out in sizes]
        return tuple([w for w in widths if isinstance(w, int)]) if all(isinstance(w, int) for w in widths) else None

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        """Nothing where all axes stay, global, or a plain pool where all bins are alike, else bin by bin along each
        axis. ONNX Runtime pools no float64."""
        if all(out is None for out in self.output_size):
            return ()
        pools = x[0].dtype != "float64"
        if all(out == 1 for out in self.output_size):
            axes = int64("axes", *range(2, x[0].rank))
            return node(self.global_op, "x0") if pools else node(self.reduction, "x0 axes", "y0", axes, keepdims=1)
        widths = self.uniform(x[0])
        if widths and pools:
            return node(self.onnx_op, "x0", kernel_shape=widths, strides=widths)
        return tuple(self._axis_by_axis(x[0]))

    def _axis_by_axis(self, x: TensorType) -> Iterator[OnnxNode]:
        source = "x0"
        pooled = [(axis, out) for axis, out in enumerate(self.output_size, 2) if out is not None]
        for axis, out in pooled:
            result = "y0" if axis == pooled[-1][0] else f"along{axis}"
            if out == 1:
                yield node(self.reduction, f"{source} axis{axis}", result, int64(f"axis{axis}", axis), keepdims=1)
            else:
                yield from self._along(x, source, result, axis, out)
            source = result

    def _along(self, x: TensorType, source: str, result: str, axis: int, out: Size) -> Iterator[OnnxNode]:
        raise NotImplementedError

    def heading(self, *x: TensorType) -> str:
        """`Global avg pool` where each channel gives one element."""
        return f"Global {self.word} pool" if self._is_global() else self.title

    def _is_global(self) -> bool:
        return set(self.output_size) == {1}

    def caption(self, *x: TensorType) -> str:
        if self._is_global():
            return ""
        letters = AXES[self.rank + 2][2:]
        return "×".join(str(out or letter) for out, letter in zip(self.output_size, letters, strict=True))


def _bins_text(n: Size, out: int) -> str:
    """How an axis of `n` elements is cut into `out` bins."""
    width = exact_div(n, out)
    if width is not None:
        return f"{out} of {dim_text(n)}/{out} = {dim_text(width)} elements each"
    factor = dim_text(n) if isinstance(n, int) else f"({dim_text(n)})"
    rule = f"{out}, the i-th from ⌊i·{factor}/{out}⌋ to ⌈(i+1)·{factor}/{out}⌉"
    if not isinstance(n, int):
        return rule
    bins = ", ".join(f"{start}–{end - 1}" for start, end in adaptive_bins(n, out, most=8))
    return f"{rule}: elements {bins}{', …' if out > 8 else ''}"


class AdaptiveAvgPool(_AdaptivePool):
    """The mean of each bin."""

    for_open_sizes = "`interpolate size=(…) mode=area` takes the same means, and sizes that depend on the input"

    global_op, onnx_op, reduction, word = "GlobalAveragePool", "AveragePool", "ReduceMean", "avg"

    def _along(self, x: TensorType, source: str, result: str, axis: int, out: Size) -> Iterator[OnnxNode]:
        """A product with a matrix of averages: from the left along the last axis but one, else from the right, for
        which the axis has to stand last."""
        left = axis == x.rank - 2
        fixed = isinstance(x.shape[axis], int) and isinstance(out, int)
        consts = (self._bins(x, axis, number(out), left),) if fixed else ()
        if not fixed:
            yield from self._bins_of_any_size(x, axis, out, left)
        if axis >= x.rank - 2:
            yield node("MatMul", f"bins{axis} {source}" if left else f"{source} bins{axis}", result, *consts)
            return
        order = [*range(axis), *range(axis + 1, x.rank), axis]
        back = [order.index(i) for i in range(x.rank)]
        yield node("Transpose", source, f"turned{axis}", perm=tuple(order))
        yield node("MatMul", f"turned{axis} bins{axis}", f"product{axis}", *consts)
        yield node("Transpose", f"product{axis}", result, perm=tuple(back))

    def _bins(self, x: TensorType, axis: int, out: int, left: bool) -> OnnxConst:
        n = number(x.shape[axis])
        elements(n * out)
        bins = adaptive_bins(n, out)
        rows = [tuple(1 / (end - start) if start <= i < end else 0.0 for i in range(n)) for start, end in bins]
        matrix = rows if left else [*zip(*rows, strict=True)]
        return OnnxConst(f"bins{axis}", x.dtype, (len(matrix), len(matrix[0])), tuple(chain.from_iterable(matrix)))

    def _bins_of_any_size(self, x: TensorType, axis: int, out: Size, left: bool) -> Iterator[OnnxNode]:
        """The same matrix, computed where the size is known."""
        yield from _inside(axis, out)
        yield node("Sub", f"end{axis} start{axis}", f"width{axis}")
        for name in ("inside", "width"):
            yield node("Cast", f"{name}{axis}", f"{name}_number{axis}", to=ONNX_TYPES[x.dtype])
        result = f"bins{axis}" if left else f"rows_of_bins{axis}"
        yield node("Div", f"inside_number{axis} width_number{axis}", result)
        if not left:
            yield node("Transpose", result, f"bins{axis}", perm=(1, 0))


def _inside(axis: int, out: Size) -> Iterator[OnnxNode]:
    """A matrix of bins × an axis' elements, computed where the size is known: is start ≤ element < end? An open number
    of bins is read from `new…`, and their `numbers…`."""
    zero, step = (OnnxConst(f"{name}{axis}", "int64", (), (i,)) for i, name in enumerate(("zero", "step")))
    yield node("Shape", "x0", f"size{axis}", start=axis, end=axis + 1)
    yield from _numbered(axis, out) if isinstance(out, int) else _numbered_bins(axis, zero, step)
    parts = f"parts{axis}" if isinstance(out, int) else f"new{axis}"
    yield node("Div", f"low{axis} {parts}", f"start{axis}")
    yield node("Add", f"high{axis} spare{axis}", f"raised{axis}")
    yield node("Div", f"raised{axis} {parts}", f"end{axis}")
    yield node("Squeeze", f"size{axis}", f"count{axis}")
    yield node("Range", f"zero{axis} count{axis} step{axis}", f"element{axis}", zero, step)
    yield node("GreaterOrEqual", f"element{axis} start{axis}", f"after{axis}")
    yield node("Less", f"element{axis} end{axis}", f"before{axis}")
    yield node("And", f"after{axis} before{axis}", f"inside{axis}")


def _numbered(axis: int, out: int) -> Iterator[OnnxNode]:
    """i·n and (i+1)·n of each bin i, as a column, with the number of bins and one less."""
    firsts, lasts = (
        OnnxConst(f"{name}{axis}", "int64", (out, 1), tuple([i + part for part in elements(out)]))
        for i, name in enumerate(("firsts", "lasts"))
    )
    parts, spare = int64(f"parts{axis}", out), int64(f"spare{axis}", out - 1)
    yield node("Mul", f"size{axis} firsts{axis}", f"low{axis}", firsts, parts)
    yield node("Mul", f"size{axis} lasts{axis}", f"high{axis}", lasts, spare)


def _numbered_bins(axis: int, zero: OnnxConst, step: OnnxConst) -> Iterator[OnnxNode]:
    """The same of a number of bins that is known when the network runs."""
    yield node("Sub", f"new{axis} step{axis}", f"spare{axis}", zero, step)
    yield node("Unsqueeze", f"numbers{axis} column{axis}", f"firsts{axis}", int64(f"column{axis}", 1))
    yield node("Mul", f"size{axis} firsts{axis}", f"low{axis}")
    yield node("Add", f"low{axis} size{axis}", f"high{axis}")


class AdaptiveMaxPool(_AdaptivePool):
    """The largest element of each bin."""

    global_op, onnx_op, reduction, word = "GlobalMaxPool", "MaxPool", "ReduceMax", "max"
    return_indices: bool = attr("also return `indices`; set automatically where a statement reads them", default=False)

    def complete(self) -> Op:
        return self.replace(return_indices=True)

    def with_outputs(self, used: int) -> Op:
        return self.replace(return_indices=used > 1)

    def ports(self) -> tuple[str, ...] | None:
        return ("", "indices") if self.return_indices else None

    def infer(self, *x: TensorType) -> TensorType | tuple[TensorType, ...]:
        shape = (*x[0].shape[:2], *self._sizes(x[0]))
        values = x[0].with_shape(*shape)
        return (values, TensorType(shape, "int64")) if self.return_indices else values

    def torch(self, *x: TensorType) -> TorchForm:
        form = super().torch(*x)
        if form.module is None or not self.return_indices:
            return form
        more = (*form.module.args, *keywords(self, "return_indices"))
        return TorchForm(TorchModule(form.module.cls, more), heavy=True)

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        return tuple(values_and_places(x[0], self.output_size)) if self.return_indices else super().onnx(*x)

    def _along(self, x: TensorType, source: str, result: str, axis: int, out: Size) -> Iterator[OnnxNode]:
        n, out = x.shape[axis], number(out)
        if not isinstance(n, int):
            yield from self._along_any_size(x, source, result, axis, out)
            return
        consts = [int64(f"axis{axis}", axis)]
        parts = []
        for i, (start, end) in zip(each_of(out), adaptive_bins(n, out), strict=True):
            part = f"bin{axis}_{i}"
            bounds = (int64(f"{part}_start", start), int64(f"{part}_end", end))
            yield node("Slice", f"{source} {part}_start {part}_end axis{axis}", f"{part}_slice", *bounds, *consts)
            yield node("ReduceMax", f"{part}_slice axis{axis}", part, keepdims=1)
            parts.append(part)
            consts = []
        yield node("Concat", " ".join(parts), result, axis=axis)

    def _along_any_size(self, x: TensorType, source: str, result: str, axis: int, out: int) -> Iterator[OnnxNode]:
        """Every element against every bin: the largest of those inside."""
        yield from _inside(axis, out)
        mask, lowest = f"inside{axis}", OnnxConst("lowest", x.dtype, (), (float("-inf"),))
        if axis < x.rank - 1:
            mask, later = f"mask{axis}", int64(f"later{axis}", *range(2, x.rank - axis + 1))
            yield node("Unsqueeze", f"inside{axis} later{axis}", mask, later)
        yield node("Unsqueeze", f"{source} bin_axis{axis}", f"facing{axis}", int64(f"bin_axis{axis}", axis))
        yield node("Where", f"{mask} facing{axis} lowest", f"taken{axis}", lowest)
        yield node("ReduceMax", f"taken{axis} axis{axis}", result, int64(f"axis{axis}", axis + 1), keepdims=0)


@op("adaptive_avg_pool1d", family=Family.POOL, torch="torch.nn.AdaptiveAvgPool1d", title="AdaptiveAvgPool", rank=1)
class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """The mean of each bin of N×C×L; bin i of n elements is ⌊i·n/out⌋ up to ⌈(i+1)·n/out⌉
    (`torch.nn.AdaptiveAvgPool1d`)."""


@op("adaptive_avg_pool2d", family=Family.POOL, torch="torch.nn.AdaptiveAvgPool2d", title="AdaptiveAvgPool", rank=2)
class AdaptiveAvgPool2d(AdaptiveAvgPool):
    """The mean of each bin of N×C×H×W; bin i of n elements is ⌊i·n/out⌋ up to ⌈(i+1)·n/out⌉
    (`torch.nn.AdaptiveAvgPool2d`)."""


@op("adaptive_avg_pool3d", family=Family.POOL, torch="torch.nn.AdaptiveAvgPool3d", title="AdaptiveAvgPool", rank=3)
class AdaptiveAvgPool3d(AdaptiveAvgPool):
    """The mean of each bin of N×C×D×H×W; bin i of n elements is ⌊i·n/out⌋ up to ⌈(i+1)·n/out⌉
    (`torch.nn.AdaptiveAvgPool3d`)."""


@op("adaptive_max_pool1d", family=Family.POOL, torch="torch.nn.AdaptiveMaxPool1d", title="AdaptiveMaxPool", rank=1)
class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """The largest element of each bin of N×C×L; bin i of n elements is ⌊i·n/out⌋ up to ⌈(i+1)·n/out⌉
    (`torch.nn.AdaptiveMaxPool1d`). `@pool.indices` are their positions within the plane, counted row by row."""


@op("adaptive_max_pool2d", family=Family.POOL, torch="torch.nn.AdaptiveMaxPool2d", title="AdaptiveMaxPool", rank=2)
class AdaptiveMaxPool2d(AdaptiveMaxPool):
    """The largest element of each bin of N×C×H×W; bin i of n elements is ⌊i·n/out⌋ up to ⌈(i+1)·n/out⌉
    (`torch.nn.AdaptiveMaxPool2d`). `@pool.indices` are their positions within the plane, counted row by row."""


@op("adaptive_max_pool3d", family=Family.POOL, torch="torch.nn.AdaptiveMaxPool3d", title="AdaptiveMaxPool", rank=3)
class AdaptiveMaxPool3d(AdaptiveMaxPool):
    """The largest element of each bin of N×C×D×H×W; bin i of n elements is ⌊i·n/out⌋ up to ⌈(i+1)·n/out⌉
    (`torch.nn.AdaptiveMaxPool3d`). `@pool.indices` are their positions within the plane, counted row by row."""
