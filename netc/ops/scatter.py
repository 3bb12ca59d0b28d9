"""Elements put where indices say, counted, repeated."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import ClassVar

from netc.dims import dim_text, equal
from netc.ops.arithmetic import scalar
from netc.ops.base import Family, Op, Scalar, Sight, Word, attr, op
from netc.ops.common import axis_name, int64, need_axis, need_dtype, need_float, node, positional
from netc.ops.formula import renamed
from netc.ops.masks import need_holding
from netc.ops.merge import NUMBERS, need_same_dtype
from netc.ops.narrow import INFINITIES
from netc.ops.records import OnnxConst, OnnxNode, Problem, Require, Sample, TorchArg, TorchCall, TorchForm
from netc.types import ONNX_TYPES, TensorType


class _Scatter(Op):
    """Elements of a source put into the first input, at the positions along `dim` that the second gives: in three axes
    with dim 1 y[i, index[i, j, k], k] = source[i, j, k]."""

    sees = Sight.MOVED
    family: ClassVar[Family] = Family.RESHAPE
    arity: ClassVar[tuple[int, int | None]] = (3, 3)
    dim: int = attr("the axis that the indices refer to")

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_axis(self, "dim", self.dim, x[0].rank)
        yield from need_dtype(self, x[1], ("int64",), 1)
        for at, t in enumerate(x[1:], 1):
            if t.rank != x[0].rank or not t.rank:
                yield Problem("rank-mismatch", f"{self.name} inputs have different ranks: {x[0]} and {t}", at)
                return
        if len(x) > 2:
            yield from need_same_dtype(self, x[0], x[2])
        if len(x) > 2 and not all(map(equal, x[1].shape, x[2].shape)):
            message = f"{self.name} takes as many elements as there are indices, {x[1]}, not {x[2]}"
            yield Problem("shape-mismatch", message, 2, ("PyTorch takes more, but has no gradient for them",))
        for axis, (n, size) in enumerate(zip(x[0].shape, x[1].shape, strict=True)):
            if axis != self.dim % x[0].rank:
                where = axis_name(axis, x[0].rank)
                message = f"the indices have {dim_text(size)} on axis {where}, more than {dim_text(n)}"
                yield Require(n - size, 0, Problem("shape-mismatch", message, 1))

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{dim}}, {{1}}, {{2}})", positional(self, "dim")))

    def _onto(self, x: TensorType, target: str, source: str, result: str, reduction: str = "none") -> OnnxNode:
        text = f"{target} x1 {source}"
        return node("ScatterElements", text, result, axis=self.dim % x.rank, reduction=reduction)

    def caption(self, *x: TensorType) -> str:
        return f"axis {self.dim}"


class _Gathering(_Scatter):
    """Several elements in one place make something together, which ONNX Runtime does in float32 at least."""

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if x[0].dtype not in ("float16", "bfloat16"):
            return tuple(self._nodes(x[0]))
        wide, narrow = ONNX_TYPES["float32"], ONNX_TYPES[x[0].dtype]
        names = {"x0": "wide0", "x2": "wide2", "y0": "wide"}
        nodes = [renamed(each, names) for each in self._nodes(TensorType(x[0].shape))]
        casts = node("Cast", "x0", "wide0", to=wide), node("Cast", "x2", "wide2", to=wide)
        return *casts, *nodes, node("Cast", "wide", to=narrow)

    def _nodes(self, x: TensorType) -> Iterator[OnnxNode]:
        raise NotImplementedError


@op("scatter", family=Family.RESHAPE, torch="torch.scatter", title="Scatter", arity=(2, 3))
class Scatter(_Scatter):
    """The first input with elements of the third, or a number, at the positions along `dim` that the second gives: in
    three axes with dim 1 y[i, index[i, j, k], k] = x₂[i, j, k]. Which of several elements for the same place is kept is
    not defined (`torch.scatter`)."""

    sample = Sample((TensorType((2, 4)), TensorType((2, 4), "int64"), TensorType((2, 4))), {"dim": 1})
    value: Scalar | None = attr("a number in place of a third tensor", default=None, words=INFINITIES)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        if (self.value is None) == (len(x) == 2):
            message = "scatter takes its elements from a third tensor or from `value`"
            yield Problem("bad-arity", message, helps=("`scatter 1 @x @index @source`, or `scatter 1 0 @x @index`",))
            return
        yield from super().check(*x)
        if self.value is not None:
            yield from need_holding(self, "value", self.value, x[0].dtype)

    def torch(self, *x: TensorType) -> TorchForm:
        if self.value is None:
            return super().torch(*x)
        call = TorchCall("{0}.scatter({dim}, {1}, {value})", positional(self, "dim", "value"))
        return TorchForm(call=call)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if self.value is None:
            return (self._onto(x[0], "x0", "x2", "y0"),)
        value = bool(self.value) if x[0].dtype == "bool" else self.value
        filled = node("Expand", "value places", "filled", scalar("value", x[0].dtype, value))
        return node("Shape", "x1", "places"), filled, self._onto(x[0], "x0", "filled", "y0")


@op("scatter_add", family=Family.RESHAPE, torch="torch.scatter_add", title="ScatterAdd")
class ScatterAdd(_Gathering):
    """The first input with elements of the third added at the positions along `dim` that the second gives: in three
    axes with dim 1 y[i, index[i, j, k], k] += x₂[i, j, k] (`torch.scatter_add`)."""

    sample = Sample((TensorType((2, 4)), TensorType((2, 4), "int64"), TensorType((2, 4))), {"dim": 1})

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_dtype(self, x[0], NUMBERS)
        yield from super().check(*x)

    def _nodes(self, x: TensorType) -> Iterator[OnnxNode]:
        yield self._onto(x, "x0", "x2", "y0", "add")


REDUCTIONS = {"sum": ("add", 0.0), "prod": ("mul", 1.0), "amax": ("max", float("-inf")), "amin": ("min", float("inf"))}
"""What ONNX calls a reduction, and what changes nothing in it."""


@op("scatter_reduce", family=Family.RESHAPE, torch="torch.scatter_reduce", title="ScatterReduce")
class ScatterReduce(_Gathering):
    """The first input with elements of the third reduced (`sum`, `prod`, …) into the places along `dim` that the second
    names, together with what was there unless `include_self=false` (`torch.scatter_reduce`)."""

    sample = Sample((TensorType((2, 4)), TensorType((2, 4), "int64"), TensorType((2, 4))), {"dim": 1, "reduce": "mean"})
    reduce: Word = attr("how several elements are reduced", words=("sum", "prod", "mean", "amax", "amin"))
    include_self: bool = attr("include the element of the first input", default=True)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_float(self, x[0])
        yield from super().check(*x)

    def torch(self, *x: TensorType) -> TorchForm:
        args = (*positional(self, "dim"), TorchArg("reduce", self.reduce, attribute="reduce"))
        more = "" if self.include_self else ", include_self=False"
        return TorchForm(call=TorchCall(f"{{0}}.scatter_reduce({{dim}}, {{1}}, {{2}}, {{reduce}}{more})", args))

    def _nodes(self, x: TensorType) -> Iterator[OnnxNode]:
        mean = self.reduce == "mean"
        reduction, neutral = REDUCTIONS["sum" if mean else self.reduce]
        if not self.include_self:
            yield from self._cleared(x, neutral)
        start = "x0" if self.include_self else "start"
        yield self._onto(x, start, "x2", "total" if mean else "y0", reduction)
        if mean:
            yield from self._divided(x)

    def _cleared(self, x: TensorType, neutral: float) -> Iterator[OnnxNode]:
        """The first input with what changes nothing wherever an element comes."""
        yield node("Shape", "x1", "places")
        yield node("Expand", "neutral places", "nothing", OnnxConst("neutral", x.dtype, (), (neutral,)))
        yield self._onto(x, "x0", "nothing", "start")

    def _divided(self, x: TensorType) -> Iterator[OnnxNode]:
        """By how many elements were summed up, at least one."""
        one, first = (
            OnnxConst(name, x.dtype, (), (n,)) for name, n in (("one", 1.0), ("first", float(self.include_self)))
        )
        yield node("Shape", "x1", "count_places")
        yield node("Expand", "one count_places", "each", one)
        yield node("Shape", "x0", "all_places")
        yield node("Expand", "first all_places", "counted", first)
        yield self._onto(x, "counted", "each", "count", "add")
        yield node("Max", "count one", "many")
        yield node("Div", "total many")


@op("one_hot", family=Family.OTHER, torch="torch.nn.functional.one_hot", title="OneHot")
class OneHot(Op):
    """For each whole number n of the input a new last axis of `num_classes` elements, 1 at n and 0 elsewhere, as int64
    (`torch.nn.functional.one_hot`)."""

    num_classes: int = attr("size of the new axis, greater than every number of the input", minimum=1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_dtype(self, x[0], ("int64",))

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*x[0].shape, self.num_classes)

    def torch(self, *x: TensorType) -> TorchForm:
        imports = ("torch.nn.functional:one_hot",)
        return TorchForm(call=TorchCall("one_hot({0}, {num_classes})", positional(self, "num_classes"), imports))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """A number without axes gets one for the while: ONNX asks for it."""
        consts = (int64("depth", self.num_classes), int64("values", 0, 1))
        if x[0].rank:
            return (node("OneHot", "x0 depth values", "y0", *consts, axis=-1),)
        return (
            node("Unsqueeze", "x0 front", "raised", int64("front", 0)),
            node("OneHot", "raised depth values", "found", *consts, axis=-1),
            node("Squeeze", "found front"),
        )

    def caption(self, *x: TensorType) -> str:
        return str(self.num_classes)


@op("repeat_interleave", family=Family.RESHAPE, torch="torch.repeat_interleave", title="Repeat")
class RepeatInterleave(Op):
    """Each slice along an axis `repeats` times in a row; each element of the flattened input where no axis is given
    (`torch.repeat_interleave`)."""

    sees = Sight.MOVED
    repeats: int = attr("number of repetitions", minimum=1)
    dim: int | None = attr("the axis along which to repeat; all elements in one axis if not given", default=None)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        if self.dim is not None:
            yield from need_axis(self, "dim", self.dim, x[0].rank)

    def infer(self, *x: TensorType) -> TensorType:
        if self.dim is None:
            return x[0].with_shape(prod(x[0].shape) * self.repeats)
        axis = self.dim % x[0].rank
        return x[0].with_shape(*x[0].shape[:axis], x[0].shape[axis] * self.repeats, *x[0].shape[axis + 1 :])

    def torch(self, *x: TensorType) -> TorchForm:
        if self.dim is None:
            return TorchForm(call=TorchCall("{0}.repeat_interleave({repeats})", positional(self, "repeats")))
        args = positional(self, "repeats", "dim")
        return TorchForm(call=TorchCall("{0}.repeat_interleave({repeats}, {dim})", args))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Each slice stretched along a new axis, which then becomes one with the slice's."""
        if self.dim is None:
            line = TensorType((prod(x[0].shape),), x[0].dtype)
            flat = node("Reshape", "x0 whole", "line", int64("whole", -1))
            return flat, *self._repeated(line, "line", 0)
        return tuple(self._repeated(x[0], "x0", self.dim % x[0].rank))

    def _repeated(self, x: TensorType, source: str, axis: int) -> Iterator[OnnxNode]:
        stretched = [self.repeats if at == axis + 1 else 1 for at in range(x.rank + 1)]
        yield node("Unsqueeze", f"{source} new_axis", "raised", int64("new_axis", axis + 1))
        yield node("Expand", "raised wide_shape", "wide", int64("wide_shape", *stretched))
        sizes = [self.repeats * n if at == axis else n for at, n in enumerate(x.shape)]
        numbers = [n for n in sizes if isinstance(n, int)]
        if len(numbers) >= x.rank - 1:
            yield node("Reshape", "wide shape", "y0", int64("shape", *[n if isinstance(n, int) else -1 for n in sizes]))
            return
        times = int64("times", *[self.repeats if at == axis else 1 for at in range(x.rank)])
        yield node("Shape", source, "sizes")
        yield node("Mul", "sizes times", "shape", times)
        yield node("Reshape", "wide shape")

    def caption(self, *x: TensorType) -> str:
        return f"{self.repeats}×" if self.dim is None else f"{self.repeats}×, axis {self.dim}"
