"""Elements and slices looked up by their indices."""

from __future__ import annotations

from collections.abc import Iterator

from netc.dims import Size, equal
from netc.ops.base import Family, Op, Sight, attr, op
from netc.ops.common import int64, need_axis, need_dtype, node, positional
from netc.ops.merge import broadcast, need_alike
from netc.ops.records import OnnxConst, OnnxNode, Problem, Sample, TorchCall, TorchForm
from netc.types import TensorType


@op("index_select", family=Family.RESHAPE, torch="torch.index_select", title="Select", arity=(2, 2))
class IndexSelect(Op):
    """The slices of the first input along `dim` that the second, a list of indices, selects (`torch.index_select`)."""

    sample = Sample((TensorType((2, 4)), TensorType((4,), "int64")), {"dim": 1})
    sees = Sight.MOVED
    dim: int = attr("the axis that the indices refer to")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        source, index = x
        yield from need_axis(self, "dim", self.dim, source.rank)
        yield from need_dtype(self, index, ("int64", "int32"), 1)
        if index.rank != 1:
            yield Problem("rank-mismatch", f"index_select takes a list of indices, not {index}", 1)

    def infer(self, *x: TensorType) -> TensorType:
        sizes = list(x[0].shape)
        sizes[self.dim] = x[1].shape[0]
        return x[0].with_shape(*sizes)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.index_select({dim}, {1})", positional(self, "dim")))

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("Gather", "x0 x1", axis=self.dim % x[0].rank)

    def caption(self, *x: TensorType) -> str:
        return f"axis {self.dim}"


@op("take_along_dim", family=Family.RESHAPE, torch="torch.take_along_dim", title="Take", arity=(2, 2))
class TakeAlongDim(Op):
    """Elements of the first input, at the positions along `dim` that the second gives; the other axes broadcast: of
    N×M×4 with indices N×K×1 along dim 1 the K rows of each sample (`torch.take_along_dim`)."""

    sample = Sample((TensorType((2, 4)), TensorType((2, 4), "int64")), {"dim": 1})
    sees = Sight.MOVED
    dim: int = attr("the axis that the indices refer to")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        source, index = x
        yield from need_dtype(self, index, ("int64",), 1)
        wrong = list(need_axis(self, "dim", self.dim, source.rank))
        yield from wrong
        if source.rank != index.rank:
            yield Problem("rank-mismatch", f"take_along_dim inputs have different ranks: {source} and {index}", 1)
        elif not wrong:
            yield from self._check_others(source, index)

    def _check_others(self, source: TensorType, index: TensorType) -> Iterator[Problem]:
        axes = [axis for axis, a, b in self._others(source, index) if 1 not in (a, b)]
        yield from need_alike(self, source, index, axes)

    def _others(self, source: TensorType, index: TensorType) -> Iterator[tuple[int, Size, Size]]:
        """Every axis but `dim`, with its two sizes."""
        for axis, (a, b) in enumerate(zip(source.shape, index.shape, strict=True)):
            if axis != self.dim % source.rank:
                yield axis, a, b

    def infer(self, *x: TensorType) -> TensorType:
        axis = self.dim % x[0].rank
        common = list(broadcast(*[t.shape for t in x]))
        common[axis] = x[1].shape[axis]
        return x[0].with_shape(*common)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.take_along_dim({1}, {dim})", positional(self, "dim")))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Whole rows where the indices have size 1 on all axes after `dim`, else single elements."""
        source, index = x
        axis = self.dim % source.rank
        before = [(a, b) for at, a, b in self._others(source, index) if at < axis]
        after = [b for at, _, b in self._others(source, index) if at > axis]
        if after and all(n == 1 for n in after):
            if all(b == 1 for _, b in before):
                flat = int64("flat", -1)
                return node("Reshape", "x1 flat", "places", flat), node("Gather", "x0 places", axis=axis)
            if all(equal(a, b) for a, b in before):
                return tuple(_rows(axis, source.rank))
        return tuple(self._elements(source, index, axis))

    def _elements(self, source: TensorType, index: TensorType, axis: int) -> Iterator[OnnxNode]:
        others = list(self._others(source, index))
        stretched = any(a == 1 != b for _, a, b in others), any(b == 1 != a for _, a, b in others)
        for i in (0, 1):
            if stretched[i]:
                yield from _stretch(i, axis, source.rank)
        names = [f"stretched{i}" if stretched[i] else f"x{i}" for i in (0, 1)]
        yield node("GatherElements", " ".join(names), axis=axis)

    def caption(self, *x: TensorType) -> str:
        return f"axis {self.dim}"


def _rows(axis: int, rank: int) -> Iterator[OnnxNode]:
    """The indices already stand in an axis of their own, as GatherND takes them."""
    places = "x1"
    if rank > axis + 2:
        places = "places"
        yield node("Squeeze", "x1 spare", places, int64("spare", *range(axis + 2, rank)))
    yield node("GatherND", f"x0 {places}", batch_dims=axis)


def _stretch(i: int, axis: int, rank: int) -> Iterator[OnnxNode]:
    """Input `i` stretched to the other one's shape on every axis but this."""
    others = OnnxConst("others", "bool", (rank,), tuple([at != axis for at in range(rank)]))
    yield node("Shape", f"x{1 - i}", f"shape{i}")
    yield node("Where", f"others shape{i} kept", f"target{i}", others, int64("kept", 1))
    yield node("Expand", f"x{i} target{i}", f"stretched{i}")
