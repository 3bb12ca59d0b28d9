"""Rows of a learned table, summed up."""

from __future__ import annotations

from collections.abc import Iterator

from netc.ops.base import Family, Sight, Word, attr, op
from netc.ops.common import filled, int64, keywords, node, positional
from netc.ops.linear import _NO_TOKEN, _Table
from netc.ops.records import OnnxConst, OnnxNode, Problem, TorchForm, TorchModule
from netc.types import ONNX_TYPES, TensorType


@op("embedding_bag", family=Family.LINEAR, torch="torch.nn.EmbeddingBag", title="EmbeddingBag")
class EmbeddingBag(_Table):
    """The mean, sum or maximum of the rows of a learned table that each row of integers names, N×L to N×E
    (`torch.nn.EmbeddingBag`). The row `padding_idx` starts as zeros, is not trained and does not count; where nothing
    counts, the result is 0. Parameter: weight rows × width."""

    sees = Sight.OPEN
    mode: Word = attr("how the rows are reduced", default="mean", words=("mean", "sum", "max"))
    padding_idx: int | None = _NO_TOKEN

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        if x[0].rank != 2:
            message = f"embedding_bag takes bags × tokens, not {x[0]} (rank {x[0].rank})"
            yield Problem("rank-mismatch", message, 0)

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType((x[0].shape[0], self.embedding_dim))

    def torch(self, *x: TensorType) -> TorchForm:
        args = (*positional(self, "num_embeddings", "embedding_dim"), *keywords(self, "mode", "padding_idx"))
        return TorchForm(TorchModule("nn.EmbeddingBag", args), heavy=True)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        rows, axis = node("Gather", "weight x0", "rows", axis=0), int64("axis", 1)
        kind = {"mean": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax"}[self.mode]
        if self.padding_idx is None:
            return rows, node(kind, "rows axis", "y0", axis, keepdims=0)
        return rows, *self._counted(x[0], axis)

    def _counted(self, x: TensorType, axis: OnnxConst) -> Iterator[OnnxNode]:
        """Without the row that stands for no token."""
        float32 = TensorType(())
        absent = OnnxConst("absent", x.dtype, (), (int(self.padding_idx or 0) % self.num_embeddings,))
        yield node("Equal", "x0 absent", "padding", absent)
        yield node("Unsqueeze", "padding last", "mask", int64("last", 2))
        neutral = filled("neutral", float32, (), float("-inf") if self.mode == "max" else 0.0)
        yield node("Where", "mask neutral rows", "counting", neutral)
        if self.mode == "sum":
            yield node("ReduceSum", "counting axis", "y0", axis, keepdims=0)
            return
        if self.mode == "max":
            yield node("ReduceMax", "counting axis", "most", axis, keepdims=0)
            yield node("IsInf", "most", "empty")
            yield node("Where", "empty nothing most", "y0", filled("nothing", float32, (), 0.0))
            return
        yield node("ReduceSum", "counting axis", "total", axis, keepdims=0)
        yield node("Not", "padding", "tokens")
        yield node("Cast", "tokens", "ones", to=ONNX_TYPES["float32"])
        yield node("ReduceSum", "ones axis", "count", keepdims=1)
        yield node("Max", "count one", "divisor", filled("one", float32, (), 1.0))
        yield node("Div", "total divisor")
