"""Places and values of the largest and smallest elements along an axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.dims import Size, dim_text
from netc.ops.base import Family, attr, op
from netc.ops.common import int64, need_dtype, node, positional
from netc.ops.merge import NUMBERS
from netc.ops.parts import _AlongAxis
from netc.ops.records import OnnxNode, Problem, Require, TorchArg, TorchCall, TorchForm
from netc.types import TensorType


class _Extreme(_AlongAxis):
    """What is largest or smallest along the axis `dim`."""

    family: ClassVar[Family] = Family.OTHER
    onnx_op: ClassVar[str] = ""
    keepdim: bool

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_dtype(self, x[0], NUMBERS)
        yield from super().check(*x)

    def _check_size(self, n: Size, axis: str) -> Iterator[Problem | Require]:
        return iter(())

    def _places(self, x: TensorType) -> TensorType:
        axis = self.dim % x.rank
        kept = (1,) if self.keepdim else ()
        return TensorType((*x.shape[:axis], *kept, *x.shape[axis + 1 :]), "int64")

    def torch(self, *x: TensorType) -> TorchForm:
        args = (*positional(self, "dim"), TorchArg("keepdim", self.keepdim, attribute="keepdim"))
        more = ", keepdim={keepdim}" if self.keepdim else ""
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({{dim}}{more})", args[: 1 + self.keepdim]))

    def _find(self, x: TensorType, result: str) -> OnnxNode:
        return node(f"Arg{self.onnx_op}", "x0", result, axis=self.dim % x.rank, keepdims=int(self.keepdim))

    def caption(self, *x: TensorType) -> str:
        return f"axis {self.dim}"


class _Place(_Extreme):
    """The index of the element."""

    dim: int = attr("the axis to search")
    keepdim: bool = attr("keep it with size 1", default=False)

    def infer(self, *x: TensorType) -> TensorType:
        return self._places(x[0])

    def onnx(self, *x: TensorType) -> OnnxNode:
        return self._find(x[0], "y0")


@op("argmax", family=Family.OTHER, torch="torch.argmax", title="argmax")
class Argmax(_Place):
    """Where the largest element is along an axis, the first one of equals, as int64 (`torch.argmax`)."""

    onnx_op = "Max"


@op("argmin", family=Family.OTHER, torch="torch.argmin", title="argmin")
class Argmin(_Place):
    """Where the smallest element is along an axis, the first one of equals, as int64 (`torch.argmin`)."""

    onnx_op = "Min"


class _ValueAndPlace(_Extreme):
    """The element and its index."""

    dim: int = attr("the axis to search")
    keepdim: bool = attr("keep it with size 1", default=False)

    def ports(self) -> tuple[str, ...]:
        return ("values", "indices")

    def infer(self, *x: TensorType) -> tuple[TensorType, ...]:
        places = self._places(x[0])
        return x[0].with_shape(*places.shape), places

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        axes = int64("axes", self.dim % x[0].rank)
        value = node(f"Reduce{self.onnx_op}", "x0 axes", "y0", axes, keepdims=int(self.keepdim))
        return value, self._find(x[0], "y1")


@op("max", family=Family.OTHER, torch="torch.max", title="max")
class Max(_ValueAndPlace):
    """The largest element along an axis (`values`) and where it is (`indices`, int64, the first one of equals)
    (`torch.max`)."""

    onnx_op = "Max"


@op("min", family=Family.OTHER, torch="torch.min", title="min")
class Min(_ValueAndPlace):
    """The smallest element along an axis (`values`) and where it is (`indices`, int64, the first one of equals)
    (`torch.min`)."""

    onnx_op = "Min"


@op("topk", family=Family.OTHER, torch="torch.topk", title="TopK")
class Topk(_AlongAxis):
    """The `k` largest elements along an axis (`values`) and where they are (`indices`, int64); which of equals come is
    open (`torch.topk`)."""

    k: int = attr("how many", minimum=1)
    dim: int = attr("the axis to search", default=-1)
    largest: bool = attr("the largest, not the smallest", default=True)
    sorted: bool = attr("in order", default=True)

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        yield from need_dtype(self, x[0], NUMBERS)
        yield from super().check(*x)

    def _check_size(self, n: Size, axis: str) -> Iterator[Require]:
        message = f"there are no {self.k} elements along axis {axis} of size {dim_text(n)}"
        yield Require(n, self.k, Problem("bad-argument", message, "k"))

    def ports(self) -> tuple[str, ...]:
        return ("values", "indices")

    def infer(self, *x: TensorType) -> tuple[TensorType, ...]:
        (values,) = self._resized(x[0], self.k)
        return values, TensorType(values.shape, "int64")

    def torch(self, *x: TensorType) -> TorchForm:
        names = [name for name in ("dim", "largest", "sorted") if getattr(self, name) != self.attributes[name].default]
        args = (*positional(self, "k"), *[TorchArg(name, getattr(self, name), attribute=name) for name in names])
        more = "".join(f", {name}={{{name}}}" for name in names)
        return TorchForm(call=TorchCall(f"{{0}}.topk({{k}}{more})", args))

    def onnx(self, *x: TensorType) -> OnnxNode:
        settings = {"axis": self.dim % x[0].rank, "largest": int(self.largest), "sorted": int(self.sorted)}
        return node("TopK", "x0 k", "y0 y1", int64("k", self.k), **settings)

    def caption(self, *x: TensorType) -> str:
        return str(self.k)
