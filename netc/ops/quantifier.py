"""Whether some or all elements along axes are true."""

from __future__ import annotations

from netc.ops.base import Family, op
from netc.ops.common import int64, keywords, node
from netc.ops.records import OnnxNode, TorchCall, TorchForm
from netc.ops.reduce import _Reduce
from netc.types import ONNX_TYPES, TensorType


class _Quantifier(_Reduce):
    """A reduction of elements as truths, in which every element but 0 is true."""

    def result_dtype(self, x: TensorType) -> str:
        return "uint8" if x.dtype == "uint8" else "bool"

    def torch(self, *x: TensorType) -> TorchForm:
        """An empty tuple of axes has PyTorch reduce none; None stands for all."""
        if self.dim or not self.keepdim:
            return super().torch(*x)
        return TorchForm(call=TorchCall(f"{{0}}.{self.name}(None{{?keepdim}})", keywords(self, "keepdim")))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """The extreme of zeros and ones: ONNX Runtime reduces no booleans."""
        axes = int64("axes", *sorted(self._axes(x[0])))
        truths = "x0" if x[0].dtype == "bool" else "truths"
        cast = () if truths == "x0" else (node("Cast", "x0", truths, to=ONNX_TYPES["bool"]),)
        return (
            *cast,
            node("Cast", truths, "numbers", to=ONNX_TYPES["int32"]),
            node(self.onnx_op, "numbers axes", "extreme", axes, keepdims=int(self.keepdim)),
            node("Cast", "extreme", to=ONNX_TYPES[self.result_dtype(x[0])]),
        )


@op("any", family=Family.OTHER, torch="torch.any", title="any")
class Any(_Quantifier):
    """True where at least one element along axes is true; every element but 0 counts as true, and uint8 stays uint8
    (`torch.any`)."""

    onnx_op = "ReduceMax"


@op("all", family=Family.OTHER, torch="torch.all", title="all")
class All(_Quantifier):
    """True where all elements along axes are true; every element but 0 counts as true, and uint8 stays uint8
    (`torch.all`)."""

    onnx_op = "ReduceMin"
