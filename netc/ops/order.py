"""Running sums along an axis, and elements in order."""

from __future__ import annotations

from collections.abc import Iterator

from netc.ops.base import Family, Op, attr, op
from netc.ops.common import int64, keywords, need_axis, need_dtype, node, optional, positional
from netc.ops.merge import NUMBERS
from netc.ops.records import OnnxConst, OnnxNode, Problem, TorchCall, TorchForm
from netc.types import FLOATS, ONNX_TYPES, TensorType


@op("cumsum", family=Family.OTHER, torch="torch.cumsum", title="CumSum")
class CumSum(Op):
    """The sum of the elements up to each one along an axis; integers and booleans give int64 (`torch.cumsum`)."""

    fresh = True
    dim: int = attr("the axis to add up along")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_axis(self, "dim", self.dim, x[0].rank)

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        return (self.dim % x[0].rank,)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0] if x[0].dtype in FLOATS else TensorType(x[0].shape, "int64")

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.cumsum({dim})", positional(self, "dim")))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        dtype, axis = self.infer(*x).dtype, OnnxConst("axis", "int64", (), (self.dim % x[0].rank,))
        if dtype == x[0].dtype:
            return (node("CumSum", "x0 axis", "y0", axis),)
        return node("Cast", "x0", "cast", to=ONNX_TYPES[dtype]), node("CumSum", "cast axis", "y0", axis)

    def caption(self, *x: TensorType) -> str:
        return f"axis {self.dim}"


class _Ordered(Op):
    """All elements along an axis from the least to the greatest, or the other way round."""

    dim: int = attr("the axis to sort along", default=-1)
    descending: bool = attr("largest first", default=False)
    stable: bool = attr("keep the order of equal elements", default=False)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_dtype(self, x[0], NUMBERS)
        yield from need_axis(self, "dim", self.dim, x[0].rank)

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        return (self.dim % x[0].rank,)

    def torch(self, *x: TensorType) -> TorchForm:
        args = keywords(self, "dim", "descending", "stable")
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}({optional(args)})", args))

    def _sorted(self, x: TensorType, *results: tuple[str, str]) -> tuple[OnnxNode, ...]:
        """As many of the greatest as there are; of equals the first comes first. `wanted` are results of TopK
        (`values`, `places`) by the names they get; where their number is open, ONNX is told their shape."""
        axis = self.dim % x.rank
        size = x.shape[axis]
        settings = {"axis": axis, "largest": int(self.descending), "sorted": 1}
        if isinstance(size, int):
            names = dict(results)
            text = " ".join(names.get(result, result) for result in ("values", "places"))
            return (node("TopK", "x0 k", text, int64("k", size), **settings),)
        return (
            node("Shape", "x0", "k", start=axis, end=axis + 1),
            node("TopK", "x0 k", "values places", **settings),
            node("Shape", "x0", "shape"),
            *[node("Reshape", f"{result} shape", name) for result, name in results],
        )

    def caption(self, *x: TensorType) -> str:
        return f"axis {self.dim}{', descending' if self.descending else ''}"


@op("sort", family=Family.OTHER, torch="torch.sort", title="Sort")
class Sort(_Ordered):
    """The elements along an axis in order (`values`) and the index that each had (`indices`, int64); the order of equal
    elements is not defined unless `stable` (`torch.sort`)."""

    def ports(self) -> tuple[str, ...]:
        return ("values", "indices")

    def infer(self, *x: TensorType) -> tuple[TensorType, ...]:
        return x[0], TensorType(x[0].shape, "int64")

    def picks(self, *x: TensorType) -> tuple[int, int] | None:
        return None if self.stable else (1, self.dim % x[0].rank)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return self._sorted(x[0], ("values", "y0"), ("places", "y1"))


@op("argsort", family=Family.OTHER, torch="torch.argsort", title="argsort")
class Argsort(_Ordered):
    """The indices that put the elements along an axis in the order of `sort`, as int64 (`torch.argsort`)."""

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(x[0].shape, "int64")

    def picks(self, *x: TensorType) -> tuple[int, int] | None:
        return None if self.stable else (0, self.dim % x[0].rank)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return self._sorted(x[0], ("places", "y0"))
