"""Places and values of the largest and smallest elements, along an axis or of all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.dims import Size, dim_text
from netc.ops.base import Family, Op, Sight, attr, op
from netc.ops.common import int64, keywords, need_axis, need_dtype, node, optional, positional
from netc.ops.merge import NUMBERS
from netc.ops.records import OnnxNode, Problem, Require, TorchCall, TorchForm
from netc.ops.splitting import _AlongAxis
from netc.types import TensorType


class _Extreme(Op):
    """What is largest or smallest along the axis `dim`, or of all elements."""

    family: ClassVar[Family] = Family.OTHER
    onnx_op: ClassVar[str] = ""
    dim: int | None = attr("the axis to search; all elements if not given", default=None)
    keepdim: bool = attr("keep searched axes with size 1", default=False)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_dtype(self, x[0], NUMBERS)
        if self.dim is not None:
            yield from need_axis(self, "dim", self.dim, x[0].rank)

    def _places(self, x: TensorType) -> TensorType:
        searched = range(x.rank) if self.dim is None else (self.dim % x.rank,)
        kept = [1 if axis in searched else n for axis, n in enumerate(x.shape) if self.keepdim or axis not in searched]
        return TensorType(tuple(kept), "int64")

    def torch(self, *x: TensorType) -> TorchForm:
        dim = () if self.dim is None else positional(self, "dim")
        args = (*dim, *keywords(self, "keepdim"))
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({'{dim}' if dim else ''}{{?keepdim}})", args))

    def _find(self, x: TensorType, result: str, axis: int) -> OnnxNode:
        return node(f"Arg{self.onnx_op}", "x0", result, axis=axis % x.rank, keepdims=int(self.keepdim))

    def caption(self, *x: TensorType) -> str:
        return "all elements" if self.dim is None else f"axis {self.dim}"


class _Place(_Extreme):
    """The index of the element; of all, counted in row-major order."""

    def infer(self, *x: TensorType) -> TensorType:
        return self._places(x[0])

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if self.dim is not None:
            return (self._find(x[0], "y0", self.dim),)
        shape = int64("ones", *[1] * (x[0].rank if self.keepdim else 0))
        return (
            node("Reshape", "x0 whole", "row", int64("whole", -1)),
            node(f"Arg{self.onnx_op}", "row", "place", axis=0, keepdims=1),
            node("Reshape", "place ones", "y0", shape),
        )


@op("argmax", family=Family.OTHER, torch="torch.argmax", title="argmax")
class Argmax(_Place):
    """The index of the largest element along an axis, or of all elements in row-major order, as int64; the first one
    if several are equal (`torch.argmax`)."""

    onnx_op = "Max"


@op("argmin", family=Family.OTHER, torch="torch.argmin", title="argmin")
class Argmin(_Place):
    """The index of the smallest element along an axis, or of all elements in row-major order, as int64; the first
    one if several are equal (`torch.argmin`)."""

    onnx_op = "Min"


class _ValueAndPlace(_Extreme):
    """The element and its index; of all elements, the element alone."""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        if self.dim is None and self.keepdim:
            keeps = f"a{self.name}"
            message = f"{self.name} of all elements has no axis to keep"
            yield Problem("bad-argument", message, "keepdim", helps=(f"`{keeps}` does",))

    def ports(self) -> tuple[str, ...] | None:
        return None if self.dim is None else ("values", "indices")

    def infer(self, *x: TensorType) -> TensorType | tuple[TensorType, ...]:
        places = self._places(x[0])
        values = x[0].with_shape(*places.shape)
        return values if self.dim is None else (values, places)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        axes = int64("axes", *(range(x[0].rank) if self.dim is None else (self.dim % x[0].rank,)))
        value = node(f"Reduce{self.onnx_op}", "x0 axes", "y0", axes, keepdims=int(self.keepdim))
        return (value,) if self.dim is None else (value, self._find(x[0], "y1", self.dim))


@op("max", family=Family.OTHER, torch="torch.max", title="max")
class Max(_ValueAndPlace):
    """The largest element along an axis (`values`) and its index (`indices`, int64; the first one if several are
    equal), or only the largest of all elements (`torch.max`)."""

    onnx_op = "Max"


@op("min", family=Family.OTHER, torch="torch.min", title="min")
class Min(_ValueAndPlace):
    """The smallest element along an axis (`values`) and its index (`indices`, int64; the first one if several are
    equal), or only the smallest of all elements (`torch.min`)."""

    onnx_op = "Min"


@op("topk", family=Family.OTHER, torch="torch.topk", title="TopK")
class Topk(_AlongAxis):
    """The `k` largest elements along an axis (`values`) and their indices (`indices`, int64); which of several equal
    elements are returned is not defined (`torch.topk`)."""

    sees = Sight.PLACE
    k: int = attr("number of elements to return", minimum=1)
    dim: int = attr("the axis to search", default=-1)
    largest: bool = attr("the largest elements instead of the smallest", default=True)
    sorted: bool = attr("return the elements in sorted order", default=True)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_dtype(self, x[0], NUMBERS)
        yield from super().check(*x)

    def _check_size(self, n: Size, axis: str) -> Iterator[Require]:
        message = f"axis {axis} of size {dim_text(n)} has fewer than {self.k} elements"
        yield Require(n, self.k, Problem("bad-argument", message, "k"))

    def ports(self) -> tuple[str, ...]:
        return ("values", "indices")

    def infer(self, *x: TensorType) -> tuple[TensorType, ...]:
        (values,) = self._resized(x[0], self.k)
        return values, TensorType(values.shape, "int64")

    def picks(self, *x: TensorType) -> tuple[int, int]:
        return 1, self.dim % x[0].rank

    def torch(self, *x: TensorType) -> TorchForm:
        more = keywords(self, "dim", "largest", "sorted")
        return TorchForm(call=TorchCall(f"{{0}}.topk({{k}}{optional(more)})", (*positional(self, "k"), *more)))

    def onnx(self, *x: TensorType) -> OnnxNode:
        settings = {"axis": self.dim % x[0].rank, "largest": int(self.largest), "sorted": int(self.sorted)}
        return node("TopK", "x0 k", "y0 y1", int64("k", self.k), **settings)

    def caption(self, *x: TensorType) -> str:
        return str(self.k)
