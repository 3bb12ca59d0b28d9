"""The rest of torch.nn's element-wise activations, and the gate and softmin that look along an axis."""

from __future__ import annotations

from collections.abc import Iterator

from netc.dims import Size, dim_text, exact_div
from netc.ops.activation import _Activation, _Softmax
from netc.ops.base import Family, Op, attr, op
from netc.ops.common import as_args, axis_name, filled, int64, keywords, need_axis, need_float, need_rank, node
from netc.ops.narrow import INFINITIES
from netc.ops.records import OnnxNode, Problem, TorchArg, TorchCall, TorchForm, TorchModule
from netc.types import TensorType


@op("celu", family=Family.ACTIVATION, torch="torch.nn.CELU", title="CELU")
class Celu(_Activation):
    """max(0, x) + min(0, alpha · (e^(x/alpha) − 1)) (Barron, arXiv 1704.07483; `torch.nn.CELU`)."""

    function = "celu"
    alpha: float = attr("scale below zero", default=1.0)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        if self.alpha == 0:
            yield Problem("bad-argument", "`alpha` is a divisor and must not be 0", "alpha")

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """alpha · Elu(x / alpha), and x itself above zero; ONNX Runtime has Celu for the CPU only."""
        return (
            node("Div", "x0 alpha", "steep", filled("alpha", x[0], (), self.alpha)),
            *self._curve(x[0]),
            node("Mul", "curve alpha", "bent"),
            node("Greater", "x0 zero", "positive", filled("zero", x[0], (), 0.0)),
            node("Where", "positive x0 bent"),
        )

    def _curve(self, x: TensorType) -> tuple[OnnxNode, ...]:
        """e^steep − 1; Elu, the more precise, has it below zero only."""
        if self.alpha > 0:
            return (node("Elu", "steep", "curve", alpha=1.0),)
        return node("Exp", "steep", "grown"), node("Sub", "grown one", "curve", filled("one", x, (), 1.0))


@op("selu", family=Family.ACTIVATION, torch="torch.nn.SELU", title="SELU")
class Selu(_Activation):
    """1.0507 · x where x > 0, else 1.0507 · 1.6733 · (eˣ − 1): fixed constants keep mean 0 and variance 1 (Klambauer et
    al., arXiv 1706.02515; `torch.nn.SELU`)."""

    function, onnx_op = "selu", "Selu"


@op("hardtanh", family=Family.ACTIVATION, torch="torch.nn.Hardtanh", title="Hardtanh")
class Hardtanh(_Activation):
    """min(max(min_val, x), max_val) (`torch.nn.Hardtanh`)."""

    function = "hardtanh"
    min_val: float = attr("lower bound", default=-1.0, words=INFINITIES)
    max_val: float = attr("upper bound", default=1.0, words=INFINITIES)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        if not self.max_val > self.min_val:
            message = f"max_val {self.max_val:g} must be greater than min_val {self.min_val:g}"
            yield Problem("bad-argument", message, "max_val")

    def _call(self, args: tuple[TorchArg, ...]) -> TorchCall:
        text = ", {min_val}, {max_val}" if (self.min_val, self.max_val) != (-1.0, 1.0) else ""
        return TorchCall(f"hardtanh({{0}}{text})", args, ("torch.nn.functional:hardtanh",))

    def onnx(self, *x: TensorType) -> OnnxNode:
        bounds = (filled("low", x[0], (), self.min_val), filled("high", x[0], (), self.max_val))
        return node("Clip", "x0 low high", "y0", *bounds)


@op("hardshrink", family=Family.ACTIVATION, torch="torch.nn.Hardshrink", title="Hardshrink")
class Hardshrink(_Activation):
    """x where |x| > lambd, else 0 (`torch.nn.Hardshrink`)."""

    function = "hardshrink"
    lambd: float = attr("half the width of the range that becomes zero", default=0.5)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """0 from −lambd to lambd, both included: nowhere where lambd is negative."""
        bounds = (filled("low", x[0], (), -self.lambd), filled("high", x[0], (), self.lambd))
        return (
            node("LessOrEqual", "x0 high", "below", bounds[1]),
            node("GreaterOrEqual", "x0 low", "above", bounds[0]),
            node("And", "below above", "inside"),
            node("Where", "inside zero x0", "y0", filled("zero", x[0], (), 0.0)),
        )


@op("softshrink", family=Family.ACTIVATION, torch="torch.nn.Softshrink", title="Softshrink")
class Softshrink(_Activation):
    """x − lambd where x > lambd, x + lambd where x < −lambd, else 0 (`torch.nn.Softshrink`)."""

    function = "softshrink"
    lambd: float = attr("half the width of the range that becomes zero", default=0.5, minimum=0)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """x less what lies between −lambd and lambd."""
        bounds = (filled("low", x[0], (), -self.lambd), filled("high", x[0], (), self.lambd))
        return node("Clip", "x0 low high", "inner", *bounds), node("Sub", "x0 inner")


@op("tanhshrink", family=Family.ACTIVATION, torch="torch.nn.Tanhshrink", title="Tanhshrink")
class Tanhshrink(_Activation):
    """x − tanh(x) (`torch.nn.Tanhshrink`)."""

    function = "tanhshrink"

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return node("Tanh", "x0", "bent"), node("Sub", "x0 bent")


@op("softsign", family=Family.ACTIVATION, torch="torch.nn.Softsign", title="Softsign")
class Softsign(_Activation):
    """x / (1 + |x|) (`torch.nn.Softsign`)."""

    function, onnx_op = "softsign", "Softsign"


@op("logsigmoid", family=Family.ACTIVATION, torch="torch.nn.LogSigmoid", title="LogSigmoid")
class LogSigmoid(_Activation):
    """−log(1 + e⁻ˣ) (`torch.nn.LogSigmoid`)."""

    function = "logsigmoid"

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return node("Neg", "x0", "turned"), node("Softplus", "turned", "soft"), node("Neg", "soft")


@op("threshold", family=Family.ACTIVATION, torch="torch.nn.Threshold", title="Threshold")
class Threshold(_Activation):
    """x where x > threshold, else `value` (`torch.nn.Threshold`)."""

    threshold: float = attr("elements above this are kept")
    value: float = attr("the value for all other elements", words=INFINITIES)

    def torch(self, *x: TensorType) -> TorchForm:
        args = as_args(self, "threshold", "value")
        call = TorchCall("threshold({0}, {threshold}, {value})", args, ("torch.nn.functional:threshold",))
        return TorchForm(TorchModule("nn.Threshold", args), call)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Not x ≤ threshold rather than x > threshold, so that NaN stays NaN."""
        bound, value = (filled(name, x[0], (), getattr(self, name)) for name in ("threshold", "value"))
        return node("LessOrEqual", "x0 threshold", "low", bound), node("Where", "low value x0", "y0", value)


@op("rrelu", family=Family.ACTIVATION, torch="torch.nn.RReLU", title="RReLU")
class Rrelu(_Activation):
    """x where x > 0, else slope · x: in training a slope drawn for each element from `lower` to `upper`, in eval their
    middle (Xu et al., arXiv 1505.00853; `torch.nn.RReLU`)."""

    lower: float = attr("smallest slope", default=1 / 8)
    upper: float = attr("largest slope", default=1 / 3)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        if self.lower > self.upper:
            yield Problem("bad-argument", f"lower {self.lower:g} is greater than upper {self.upper:g}", "lower")

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(TorchModule("nn.RReLU", keywords(self, "lower", "upper")))

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("LeakyRelu", "x0", alpha=(self.lower + self.upper) / 2)


@op("glu", family=Family.ACTIVATION, torch="torch.nn.GLU", title="GLU")
class Glu(_Activation):
    """a · sigmoid(b), a and b the halves of x along `dim` (Dauphin et al., arXiv 1612.08083; `torch.nn.GLU`)."""

    function = "glu"
    dim: int = attr("the axis cut in half", default=-1)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from super().check(*x)
        wrong = list(need_axis(self, "dim", self.dim, x[0].rank))
        yield from wrong
        if not wrong and exact_div(x[0].shape[self.dim], 2) is None:
            axis = axis_name(self.dim % x[0].rank, x[0].rank)
            yield Problem("bad-argument", f"{dim_text(x[0].shape[self.dim])} along axis {axis} has no halves", "dim")

    def infer(self, *x: TensorType) -> TensorType:
        axis = self.dim % x[0].rank
        return x[0].with_shape(*x[0].shape[:axis], x[0].shape[axis] // 2, *x[0].shape[axis + 1 :])

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        axis = self.dim % x[0].rank
        halves = self._halves(self.infer(*x).shape[axis], axis)
        return halves, node("Sigmoid", "gate", "opening"), node("Mul", "value opening")

    def _halves(self, half: Size, axis: int) -> OnnxNode:
        if isinstance(half, int):
            return node("Split", "x0 sizes", "value gate", int64("sizes", half, half), axis=axis)
        return node("Split", "x0", "value gate", axis=axis, num_outputs=2)


@op("softmin", family=Family.ACTIVATION, torch="torch.nn.Softmin", title="Softmin")
class Softmin(_Softmax):
    """e^−xᵢ / Σⱼ e^−xⱼ along `dim` (`torch.nn.Softmin`)."""

    dim: int | None = attr("the axis that sums to one; by default 1 for rank 2, 4 or 5", default=None)

    def torch(self, *x: TensorType) -> TorchForm:
        dim = TorchArg("dim", self._axis(), None if self.dim is None else "dim")
        call = TorchCall("softmin({0}, {dim})", (dim,), ("torch.nn.functional:softmin",))
        return TorchForm(TorchModule("nn.Softmin", (dim,)), call)

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return node("Neg", "x0", "turned"), node("Softmax", "turned", axis=self._axis())


@op("softmax2d", family=Family.ACTIVATION, torch="torch.nn.Softmax2d", title="Softmax")
class Softmax2d(Op):
    """Softmax over the channels of N×C×H×W at every position (`torch.nn.Softmax2d`)."""

    is_softmax = True

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        return (1,)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x[0], 4)
        yield from need_float(self, x[0])

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(TorchModule("nn.Softmax2d"), TorchCall("{0}.softmax(1)"))

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("Softmax", "x0", axis=1)
