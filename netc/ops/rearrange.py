"""Operators that repeat, cut, turn or look up elements, and the one that changes their type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.dims import Dim, Size, at_least, dim_text, shape_text
from netc.ops.base import Family, Ints, Op, Sight, Sizes, Word, attr, op
from netc.ops.common import as_args, axis_name, int64, need_axis, need_distinct_axes, need_dtype, node, positional
from netc.ops.records import OnnxNode, Problem, Require, Sample, TorchArg, TorchCall, TorchForm
from netc.ops.splitting import _AlongAxis
from netc.ops.target import onnx_sizes, shapes, sizes_as_text, sizes_without_source, unread
from netc.types import DTYPES, ONNX_TYPES, TABLE, TensorType

LAST = -(2**62)
"""Before the first element, however many there are."""


@op("repeat", family=Family.RESHAPE, torch="torch.Tensor.repeat", title="Repeat")
class Repeat(Op):
    """Copies of the whole tensor along each axis; more numbers than axes add axes in front. A number may be
    computed from a size of a tensor (`torch.Tensor.repeat`)."""

    sees = Sight.MOVED
    references: ClassVar[tuple[str, ...]] = ("like",)
    repeats: Sizes = attr("number of copies, per axis of the output", minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        for size in sizes_without_source(shapes(*x), self.repeats):
            yield unread("repeats", size)
        if not self.repeats:
            yield Problem("bad-argument", "`repeats` is empty", "repeats")
        elif len(self.repeats) < x[0].rank:
            message = f"repeat needs a number per axis: {len(self.repeats)} for {x[0]}"
            yield Problem("rank-mismatch", message, "repeats")

    def sizes_sought(self, *x: TensorType) -> tuple[Size, ...]:
        return sizes_without_source(shapes(*x), self.repeats)

    def _new(self, x: TensorType) -> int:
        return len(self.repeats) - x.rank

    def infer(self, *x: TensorType) -> TensorType:
        own = (1,) * self._new(x[0]) + x[0].shape
        return x[0].with_shape(*[n * times for n, times in zip(own, self.repeats, strict=True)])

    def torch(self, *x: TensorType) -> TorchForm:
        pieces = sizes_as_text(shapes(*x), self.repeats)
        args = [TorchArg(f"repeat{i}", n, depends=("repeats",)) for i, n in enumerate(pieces) if not isinstance(n, str)]
        text = ", ".join(n if isinstance(n, str) else f"{{repeat{i}}}" for i, n in enumerate(pieces))
        return TorchForm(call=TorchCall(f"{{0}}.repeat({text})", tuple(args)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        numbers = [n for n in self.repeats if isinstance(n, int)]
        fixed = len(numbers) == len(self.repeats)
        read = () if fixed else onnx_sizes(shapes(*x), self.repeats, "repeats")
        consts = (int64("repeats", *numbers),) if fixed else ()
        if not self._new(x[0]):
            return *read, node("Tile", "x0 repeats", "y0", *consts)
        axes = int64("axes", *range(self._new(x[0])))
        return *read, node("Unsqueeze", "x0 axes", "raised", axes), node("Tile", "raised repeats", "y0", *consts)

    def caption(self, *x: TensorType) -> str:
        return shape_text(self.repeats)


@op("slice", family=Family.RESHAPE, torch="torch.Tensor.__getitem__", title="Slice")
class Slice(_AlongAxis):
    """The elements from `start` up to but excluding `end` along an axis, every `step`-th of them; negative ones
    count from the end, and `end` may be computed from a size of a tensor. Python silently ignores what lies outside;
    netc refuses it (`x[..., start:end:step]`, `torch.Tensor.__getitem__`)."""

    view = True
    references: ClassVar[tuple[str, ...]] = ("like",)
    dim: int = attr("the axis to cut")
    start: int = attr("the first element kept", default=0)
    end: Size | None = attr("the first element not kept; all to the end if not given", default=None)
    step: int = attr("distance between elements kept", default=1, minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from super().check(*x)
        for size in sizes_without_source(shapes(*x), self._open_end()):
            yield unread("end", size)

    def _open_end(self) -> tuple[Size, ...]:
        return (self.end,) if isinstance(self.end, Dim) else ()

    def sizes_sought(self, *x: TensorType) -> tuple[Size, ...]:
        return sizes_without_source(shapes(*x), self._open_end())

    def _check_size(self, n: Size, axis: str) -> Iterator[Problem | Require]:
        end = "" if self.end is None else dim_text(self.end)
        text, whole = f"{self.start}:{end}", f"axis {axis}, which has size {dim_text(n)}"
        outside = Problem("bad-argument", f"{text} reaches beyond {whole}", "start" if self.end is None else "end")
        for bound in (self.start, self.end):
            if isinstance(bound, int):
                yield Require(n, abs(bound), outside)
            elif bound is not None:
                yield Require(n - bound, 0, outside)
        yield Require(self._reach(n), 1, Problem("bad-argument", f"{text} selects nothing of {whole}", outside.at))

    def _reach(self, n: Size) -> Size:
        """How many elements lie between start and end."""
        end = n if self.end is None else self.end
        end = end if isinstance(end, Dim) or end >= 0 else n + end
        return end - (self.start if self.start >= 0 else n + self.start)

    def infer(self, *x: TensorType) -> TensorType:
        reach = self._reach(x[0].shape[self.dim])
        return self._resized(x[0], (reach + (self.step - 1)) // self.step)[0]

    def torch(self, *x: TensorType) -> TorchForm:
        names = ["start"] * (self.start != 0) + ["end"] * (self.end is not None) + ["step"] * (self.step != 1)
        read = dict(zip(("end",), sizes_as_text(shapes(*x), self._open_end()), strict=False))
        args = as_args(self, *[name for name in names if name not in read])
        texts = {name: f"{{{name}}}" for name in names} | read
        start, end, step = (texts.get(name, "") for name in ("start", "end", "step"))
        text = f"{start}:{end}:{step}" if step else f"{start}:{end}"
        before = ":, " * (self.dim % x[0].rank)
        return TorchForm(call=TorchCall(f"{{0}}[{before}{text}]", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        end = 2**62 if self.end is None else self.end
        consts = [int64("start", self.start), int64("axes", self.dim % x[0].rank), int64("step", self.step)]
        read: tuple[OnnxNode, ...] = ()
        if isinstance(end, int):
            consts.append(int64("end", end))
        else:
            read = tuple(onnx_sizes(shapes(*x), (end,), "end"))
        return *read, node("Slice", "x0 start end axes step", "y0", *consts)

    def caption(self, *x: TensorType) -> str:
        end = "" if self.end is None else dim_text(self.end)
        return f"{self.start}:{end}" + (f":{self.step}" if self.step != 1 else "")


@op("gather", family=Family.RESHAPE, torch="torch.gather", title="Gather", arity=(2, 2))
class Gather(_AlongAxis):
    """Elements of the first input, at the positions along `dim` that the second gives: in three axes with dim 1
    y[i, j, k] = x[i, index[i, j, k], k] (`torch.gather`)."""

    sample = Sample((TensorType((2, 4)), TensorType((2, 4), "int64")), {"dim": 1})
    dim: int = attr("the axis that the indices refer to")

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        source, index = x
        yield from need_axis(self, "dim", self.dim, source.rank)
        yield from need_dtype(self, index, ("int64", "int32"), 1)
        if source.rank != index.rank or not source.rank:
            yield Problem("rank-mismatch", f"gather inputs have different ranks: {source} and {index}", 1)
            return
        for axis, (n, size) in enumerate(zip(source.shape, index.shape, strict=True)):
            if axis != self.dim % source.rank:
                where = axis_name(axis, source.rank)
                message = f"the indices have {dim_text(size)} on axis {where}, more than {dim_text(n)}"
                yield Require(n - size, 0, Problem("shape-mismatch", message, 1))

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*x[1].shape)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.gather({dim}, {1})", positional(self, "dim")))

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("GatherElements", "x0 x1", axis=self.dim % x[0].rank)


@op("flip", family=Family.RESHAPE, torch="torch.flip", title="Flip")
class Flip(Op):
    """The elements in reverse order along axes (`torch.flip`)."""

    sees = Sight.MOVED
    dims: Ints = attr("the axes to flip")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_distinct_axes(self, "dims", self.dims, x[0].rank)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        args = as_args(self, "dims")
        return TorchForm(call=TorchCall("{0}.flip({dims})", args))

    def onnx(self, *x: TensorType) -> OnnxNode:
        many, rank = len(self.dims), x[0].rank
        bounds = (int64("start", *[-1] * many), int64("end", *[LAST] * many))
        others = (int64("axes", *[axis % rank for axis in self.dims]), int64("step", *[-1] * many))
        return node("Slice", "x0 start end axes step", "y0", *bounds, *others)


@op("roll", family=Family.RESHAPE, torch="torch.roll", title="Roll")
class Roll(Op):
    """Elements shifted by `shifts` along axes; those that leave at the end come back at the beginning
    (`torch.roll`)."""

    sample = Sample((TensorType((2, 4, 8, 8)),), {"shifts": 1, "dims": 1})
    sees = Sight.MOVED
    shifts: Ints = attr("how far to move, per axis of `dims`")
    dims: Ints = attr("the axes to move along")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_distinct_axes(self, "dims", self.dims, x[0].rank)
        if len(self.shifts) != len(self.dims):
            yield Problem("bad-argument", f"{len(self.shifts)} shifts for {len(self.dims)} axes", "shifts")

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.roll({shifts}, {dims})", as_args(self, "shifts", "dims")))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """For each axis its end, then the rest."""
        moves = [(axis % x[0].rank, shift) for shift, axis in self._pairs() if _moves(shift, x[0].shape[axis])]
        nodes: list[OnnxNode] = []
        for i, (axis, shift) in enumerate(moves):
            source, result = (f"rolled{i - 1}" if i else "x0"), ("y0" if i == len(moves) - 1 else f"rolled{i}")
            nodes += _rolled(source, result, i, axis, shift, x[0].shape[axis])
        return tuple(nodes)

    def _pairs(self) -> Iterator[tuple[int, int]]:
        return zip(self.shifts, self.dims, strict=True)


def _moves(shift: int, n: Size) -> bool:
    return bool(shift % n if isinstance(n, int) else shift)


def _rolled(source: str, result: str, i: int, axis: int, shift: int, n: Size) -> Iterator[OnnxNode]:
    """The part that comes first begins at `cut`, from the end where negative; it is computed from the size where that
    may be smaller than the shift. ONNX follows no slice to a computed place: there the shape is said again."""
    consts = [int64(f"all{i}", 2**62), int64(f"none{i}", 0), int64(f"axis{i}", axis)]
    is_known = isinstance(n, int) or at_least(n, abs(shift) + 1).holds
    if is_known:
        consts.append(int64(f"cut{i}", -(shift % n) if isinstance(n, int) else -shift))
    else:
        yield node("Shape", source, f"size{i}", start=axis, end=axis + 1)
        yield node("Mod", f"back{i} size{i}", f"cut{i}", int64(f"back{i}", -shift))
    yield node("Slice", f"{source} cut{i} all{i} axis{i}", f"tail{i}", *consts)
    yield node("Slice", f"{source} none{i} cut{i} axis{i}", f"head{i}")
    yield node("Concat", f"tail{i} head{i}", result if is_known else f"joined{i}", axis=axis)
    if not is_known:
        yield node("Shape", source, f"sizes{i}")
        yield node("Reshape", f"joined{i} sizes{i}", result)


METHODS = {row.name: row.method for row in TABLE}
"""The method of a tensor that gives each dtype."""


@op("cast", family=Family.OTHER, torch="torch.Tensor.to", title="Cast")
class Cast(Op):
    """The elements converted to another type: numbers become integers by rounding towards zero, and booleans by
    comparison with 0 (`torch.Tensor.to`)."""

    dtype: Word = attr("element type of the output", words=DTYPES)

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(x[0].shape, self.dtype)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall(f"{{0}}.{METHODS[self.dtype]}()"))

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("Cast", "x0", to=ONNX_TYPES[self.dtype])

    def caption(self, *x: TensorType) -> str:
        return self.dtype
