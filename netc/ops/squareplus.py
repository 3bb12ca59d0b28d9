"""Squareplus: a smooth ReLU of arithmetic alone."""

from __future__ import annotations

from collections.abc import Iterator

from netc.ops.base import Family, Op, attr, op
from netc.ops.common import need_float
from netc.ops.formula import formula
from netc.ops.records import OnnxNode, Problem, TorchArg, TorchCall, TorchForm
from netc.types import TensorType


@op("squareplus", family=Family.ACTIVATION)
class Squareplus(Op):
    """(x + √(x² + b)) / 2, a smooth ReLU; NaN where x² + b is below zero (Barron, arXiv 2112.11687)."""

    b: float = attr("width of the bend; 0 gives ReLU", default=4.0)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        b = TorchArg("b", self.b, attribute="b")
        return TorchForm(call=TorchCall("({0} + torch.sqrt({0} * {0} + {b})) / 2", (b,), binding="product"))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        steps = """
            square = Mul x x
            raised = Add square b
            root = Sqrt raised
            sum = Add x root
            y = Mul sum 0.5
        """
        return formula(x[0].dtype, steps, {"b": self.b}, x="x0")
