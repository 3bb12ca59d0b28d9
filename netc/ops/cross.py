"""The cross product of vectors in space."""

from __future__ import annotations

from collections.abc import Iterator

from netc.dims import compare
from netc.ops.base import Family, Op, attr, op
from netc.ops.common import int64, need_axis, need_dtype, node, non_default
from netc.ops.merge import NUMBERS, broadcast, need_broadcast, need_same_dtype
from netc.ops.records import OnnxNode, Problem, Sample, TorchCall, TorchForm
from netc.types import TensorType


@op("cross", family=Family.MERGE, torch="torch.linalg.cross", title="Cross", arity=(2, 2))
class Cross(Op):
    """a × b, the vector at right angles to both, of vectors of 3 numbers along `dim`; the other axes broadcast
    (`torch.linalg.cross`)."""

    sample = Sample((TensorType((2, 4, 3)), TensorType((2, 1, 3))))
    dim: int = attr("the axis of the vectors, of size 3", default=-1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        a, b = x
        yield from need_dtype(self, a, NUMBERS)
        yield from need_same_dtype(self, a, b)
        if a.rank != b.rank:
            yield Problem("rank-mismatch", f"cross inputs have different ranks: {a} and {b}", 1)
            return
        wrong = list(need_axis(self, "dim", self.dim, a.rank))
        yield from wrong or need_broadcast(self, a, b)
        for at, t in enumerate(() if wrong else x):
            if not compare(t.shape[self.dim], 3).holds:
                yield Problem("shape-mismatch", f"cross takes vectors of 3 along axis {self.dim}, not {t}", at)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0].with_shape(*broadcast(*[t.shape for t in x]))

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        return (self.dim % x[0].rank,)

    def torch(self, *x: TensorType) -> TorchForm:
        dim = non_default(self, "dim")
        call = f"cross({{0}}, {{1}}{', dim={dim}' if dim else ''})"
        return TorchForm(call=TorchCall(call, dim, ("torch.linalg:cross",)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Each component from the other two."""
        axis = self.dim % x[0].rank
        return (
            node("Gather", "x0 next", "next_a", int64("next", 1, 2, 0), axis=axis),
            node("Gather", "x1 last", "last_b", int64("last", 2, 0, 1), axis=axis),
            node("Gather", "x0 last", "last_a", axis=axis),
            node("Gather", "x1 next", "next_b", axis=axis),
            node("Mul", "next_a last_b", "plus"),
            node("Mul", "last_a next_b", "minus"),
            node("Sub", "plus minus"),
        )

    def caption(self, *x: TensorType) -> str:
        return f"axis {self.dim}"
