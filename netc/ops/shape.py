"""Operators that rearrange elements without computing."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from netc.ops.base import Family, Op, attr, op
from netc.ops.common import keywords, need_axis, positional, reshape_node
from netc.ops.records import OnnxNode, Problem, TorchCall, TorchForm, TorchModule
from netc.types import TensorType


@op("flatten", family=Family.RESHAPE, torch="torch.nn.Flatten", title="Flatten")
class Flatten(Op):
    """The axes from `start_dim` to `end_dim` as one (`torch.nn.Flatten`)."""

    start_dim: int = attr("first axis to join", default=1)
    end_dim: int = attr("last axis to join", default=-1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        rank = x[0].rank
        wrong = [*need_axis(self, "start_dim", self.start_dim, rank), *need_axis(self, "end_dim", self.end_dim, rank)]
        yield from wrong
        if not wrong and self.start_dim % rank > self.end_dim % rank:
            message = f"start_dim {self.start_dim} comes after end_dim {self.end_dim} in a tensor of rank {rank}"
            yield Problem("bad-argument", message, "start_dim")

    def infer(self, *x: TensorType) -> TensorType:
        shape = x[0].shape
        first, last = self.start_dim % x[0].rank, self.end_dim % x[0].rank
        return x[0].with_shape(
            *shape[:first], prod(shape[first + 1 : last + 1], start=shape[first]), *shape[last + 1 :]
        )

    def torch(self, *x: TensorType) -> TorchForm:
        names = ("start_dim",) if self.end_dim == -1 else ("start_dim", "end_dim")
        inside = ", ".join(f"{{{name}}}" for name in names)
        module = TorchModule("nn.Flatten", keywords(self, "start_dim", "end_dim"))
        return TorchForm(module, TorchCall(f"{{0}}.flatten({inside})", positional(self, *names)))

    def onnx(self, *x: TensorType) -> OnnxNode:
        return reshape_node("x0", x[0].shape, self.infer(*x).shape)
