"""Element-wise functions, and the softmax that looks along an axis."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi, sqrt
from typing import ClassVar

from msgspec import structs

from netc.ops.base import Family, Op, Word, attr, op
from netc.ops.common import (
    FLOATS,
    filled,
    int64,
    keywords,
    learned,
    need_axis,
    need_constant,
    need_dtype,
    need_float,
    need_rank,
    node,
    optional,
)
from netc.ops.merge import NUMBERS
from netc.ops.records import Fill, OnnxNode, Param, Problem, TorchArg, TorchCall, TorchForm, TorchModule
from netc.types import ONNX_TYPES, TensorType


class _Activation(Op):
    """A function of one tensor with the same shape. `function` is its name in torch.nn.functional, or `.method` of a
    tensor; `inplace`: PyTorch can write the result over the tensor; `onnx_op` its ONNX operator; `onnx_names` the ONNX
    names of its attributes."""

    family: ClassVar[Family] = Family.ACTIVATION
    function: ClassVar[str] = ""
    inplace: ClassVar[bool] = False
    onnx_op: ClassVar[str] = ""
    onnx_names: ClassVar[tuple[tuple[str, str], ...]] = ()

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        args = keywords(self, *self.attributes)
        cls = f"nn.{self.torch_name.rpartition('.')[2]}"
        call = self._call(args)
        if not self.inplace:
            return TorchForm(TorchModule(cls, args), call)
        over = TorchCall(call.template.removesuffix(")") + ", inplace=True)", call.args, call.imports)
        inplace = TorchArg("inplace", True, keyword=True)
        return TorchForm(TorchModule(cls, args), call, in_place=TorchForm(TorchModule(cls, (*args, inplace)), over))

    def _call(self, args: tuple[TorchArg, ...]) -> TorchCall:
        if self.function.startswith("."):
            return TorchCall(f"{{0}}{self.function}()")
        positional = tuple([structs.replace(arg, keyword=False) for arg in args])
        text = f"{self.function}({{0}}{optional(args)})"
        return TorchCall(text, positional, (f"torch.nn.functional:{self.function}",))

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        given = {theirs: getattr(self, ours) for ours, theirs in self.onnx_names}
        return node(self.onnx_op, "x0", **given)


@op("relu", family=Family.ACTIVATION, torch="torch.nn.ReLU", title="ReLU")
class Relu(_Activation):
    """max(0, x) (`torch.nn.ReLU`)."""

    function, inplace, onnx_op = "relu", True, "Relu"

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_dtype(self, x[0], NUMBERS)

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        """ONNX has no Relu of numbers without a sign, which are what they are."""
        return node("Identity", "x0") if x[0].dtype == "uint8" else super().onnx(*x)


@op("relu6", family=Family.ACTIVATION, torch="torch.nn.ReLU6", title="ReLU6")
class Relu6(_Activation):
    """min(max(0, x), 6) (`torch.nn.ReLU6`)."""

    function, inplace = "relu6", True

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_dtype(self, x[0], NUMBERS)

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("Clip", "x0 low high", "y0", filled("low", x[0], (), 0), filled("high", x[0], (), 6))


@op("leaky_relu", family=Family.ACTIVATION, torch="torch.nn.LeakyReLU", title="LeakyReLU")
class LeakyRelu(_Activation):
    """x where x > 0, else negative_slope · x (`torch.nn.LeakyReLU`)."""

    function, onnx_op, onnx_names = "leaky_relu", "LeakyRelu", (("negative_slope", "alpha"),)
    negative_slope: float = attr("slope below zero", default=0.01)


class _Promoting(_Activation):
    """Integers and booleans become float32."""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        return iter(())

    def infer(self, *x: TensorType) -> TensorType:
        return x[0] if x[0].dtype in FLOATS else TensorType(x[0].shape, "float32")

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        if x[0].dtype in FLOATS:
            return (node(self.onnx_op, "x0"),)
        return node("Cast", "x0", "cast", to=ONNX_TYPES["float32"]), node(self.onnx_op, "cast")


@op("sigmoid", family=Family.ACTIVATION, torch="torch.nn.Sigmoid", title="Sigmoid")
class Sigmoid(_Promoting):
    """1 / (1 + e⁻ˣ) (`torch.nn.Sigmoid`)."""

    function, onnx_op = ".sigmoid", "Sigmoid"


@op("tanh", family=Family.ACTIVATION, torch="torch.nn.Tanh", title="Tanh")
class Tanh(_Promoting):
    """(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ) (`torch.nn.Tanh`)."""

    function, onnx_op = ".tanh", "Tanh"


@op("silu", family=Family.ACTIVATION, torch="torch.nn.SiLU", title="SiLU")
class Silu(_Activation):
    """x · sigmoid(x), also called swish (Elfwing et al., arXiv 1702.03118; `torch.nn.SiLU`)."""

    function, inplace = "silu", True

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return node("Sigmoid", "x0", "gate"), node("Mul", "x0 gate")


@op("gelu", family=Family.ACTIVATION, torch="torch.nn.GELU", title="GELU")
class Gelu(_Activation):
    """x · Φ(x), Φ the normal distribution function (Hendrycks and Gimpel, arXiv 1606.08415; `torch.nn.GELU`)."""

    function, onnx_op, onnx_names = "gelu", "Gelu", (("approximate", "approximate"),)
    approximate: Word = attr("`tanh` computes Φ approximately", default="none", words=("none", "tanh"))

    def _call(self, args: tuple[TorchArg, ...]) -> TorchCall:
        return TorchCall("gelu({0}{?approximate})", args, ("torch.nn.functional:gelu",))

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        """ONNX Runtime takes √(2/π) with ten digits, too few for float64."""
        if self.approximate == "none" or x[0].dtype != "float64":
            return super().onnx(*x)
        cubic, scale, one, half = (
            filled(name, x[0], (), value)
            for name, value in (("cubic", 0.044715), ("scale", sqrt(2 / pi)), ("one", 1.0), ("half", 0.5))
        )
        return (
            node("Mul", "x0 x0", "square"),
            node("Mul", "square cubic", "share", cubic),
            node("Add", "share one", "growth", one),
            node("Mul", "x0 scale", "scaled", scale),
            node("Mul", "scaled growth", "inner"),
            node("Tanh", "inner", "curve"),
            node("Add", "curve one", "raised"),
            node("Mul", "x0 half", "halved", half),
            node("Mul", "halved raised"),
        )


@op("hardswish", family=Family.ACTIVATION, torch="torch.nn.Hardswish", title="Hardswish")
class Hardswish(_Activation):
    """x · min(max(0, x + 3), 6) / 6 (Howard et al., arXiv 1905.02244; `torch.nn.Hardswish`)."""

    function, inplace, onnx_op = "hardswish", True, "HardSwish"


@op("hardsigmoid", family=Family.ACTIVATION, torch="torch.nn.Hardsigmoid", title="Hardsigmoid")
class Hardsigmoid(_Activation):
    """min(max(0, x + 3), 6) / 6 (`torch.nn.Hardsigmoid`)."""

    function = "hardsigmoid"

    def onnx(self, *x: TensorType) -> OnnxNode:
        return node("HardSigmoid", "x0", alpha=1 / 6, beta=0.5)


@op("elu", family=Family.ACTIVATION, torch="torch.nn.ELU", title="ELU")
class Elu(_Activation):
    """x where x > 0, else alpha · (eˣ − 1) (Clevert et al., arXiv 1511.07289; `torch.nn.ELU`)."""

    function, onnx_op, onnx_names = "elu", "Elu", (("alpha", "alpha"),)
    alpha: float = attr("scale below zero", default=1.0)


@op("softplus", family=Family.ACTIVATION, torch="torch.nn.Softplus", title="Softplus")
class Softplus(_Activation):
    """log(1 + e^(beta·x)) / beta, and x itself where beta·x > threshold (`torch.nn.Softplus`)."""

    function = "softplus"
    beta: float = attr("steepness", default=1.0)
    threshold: float = attr("above this, the function is linear", default=20.0)

    def _call(self, args: tuple[TorchArg, ...]) -> TorchCall:
        return TorchCall("softplus({0}{?beta}{?threshold})", args, ("torch.nn.functional:softplus",))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        beta, threshold = (filled(name, x[0], (), getattr(self, name)) for name in ("beta", "threshold"))
        return (
            node("Mul", "x0 beta", "steep", beta),
            node("Softplus", "steep", "curve"),
            node("Div", "curve beta", "smooth"),
            node("Greater", "steep threshold", "linear", threshold),
            node("Where", "linear x0 smooth"),
        )


@op("mish", family=Family.ACTIVATION, torch="torch.nn.Mish", title="Mish")
class Mish(_Activation):
    """x · tanh(softplus(x)) (Misra, arXiv 1908.08681; `torch.nn.Mish`)."""

    function, onnx_op = "mish", "Mish"


@op("prelu", family=Family.ACTIVATION, torch="torch.nn.PReLU", title="PReLU")
class Prelu(_Activation):
    """x where x > 0, else weight · x with a learned slope, one for all or one per channel (He et al., arXiv 1502.01852;
    `torch.nn.PReLU`)."""

    num_parameters: int = attr("1, or the number of channels", default=1, minimum=1)
    init: float = attr("initial slope", default=0.25)

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        channels = x[0].shape[1] if x[0].rank > 1 else 1
        if self.num_parameters == 1:
            return
        yield from need_constant(channels, "channels")
        if isinstance(channels, int) and channels != self.num_parameters:
            message = f"prelu has {self.num_parameters} slopes, but the input has {channels} channels"
            remedies = ((("num_parameters", channels),), (("num_parameters", 1),))
            yield Problem("shape-mismatch", message, "num_parameters", candidates=remedies)

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        return (learned("weight", (self.num_parameters,), Fill("constant", self.init), x[0]),)

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(TorchModule("nn.PReLU", keywords(self, "num_parameters", "init")))

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        if not x[0].rank:
            return node("Squeeze", "weight", "slope"), node("PRelu", "x0 slope")
        if self.num_parameters == 1 or x[0].rank < 3:
            return node("PRelu", "x0 weight")
        axes = int64("axes", *range(1, x[0].rank - 1))
        return node("Unsqueeze", "weight axes", "slope", axes), node("PRelu", "x0 slope")


@op("identity", family=Family.OTHER, torch="torch.nn.Identity", title="Identity")
class Identity(Op):
    """The input itself (`torch.nn.Identity`)."""

    view = True

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(TorchModule("nn.Identity"))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return ()


@op("detach", family=Family.OTHER, torch="torch.Tensor.detach", title="Detach")
class Detach(Op):
    """The input itself, through which no gradient flows back (`torch.Tensor.detach`)."""

    view = True

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        return TorchForm(call=TorchCall("{0}.detach()"))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return ()


class _Softmax(Op):
    """A function along one axis."""

    family: ClassVar[Family] = Family.ACTIVATION
    is_softmax: ClassVar[bool] = True
    function: ClassVar[str] = ""
    onnx_op: ClassVar[str] = ""
    dim: int | None

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        if self.dim is not None:
            yield from need_axis(self, "dim", self.dim, x[0].rank)
        elif x[0].rank not in (2, 4, 5):
            message = f"{self.name} of {x[0]} needs `dim`: only N×C, N×C×H×W and N×C×D×H×W have a default axis, 1"
            yield Problem("bad-argument", message, candidates=((("dim", -1),), (("dim", 1),)))

    def _axis(self) -> int:
        return 1 if self.dim is None else self.dim

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        return (self._axis() % x[0].rank,)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        attribute = None if self.dim is None else "dim"
        module = TorchModule(
            f"nn.{self.torch_name.rpartition('.')[2]}", (TorchArg("dim", self._axis(), attribute, keyword=True),)
        )
        call = TorchCall(f"{{0}}.{self.function}({{dim}})", (TorchArg("dim", self._axis(), attribute),))
        return TorchForm(module, call)

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        return node(self.onnx_op, "x0", axis=self._axis())

    def caption(self, *x: TensorType) -> str:
        return "" if self._axis() == 1 else f"axis {self.dim}"


@op("softmax", family=Family.ACTIVATION, torch="torch.nn.Softmax", title="Softmax")
class Softmax(_Softmax):
    """e^xᵢ / Σⱼ e^xⱼ along `dim` (`torch.nn.Softmax`)."""

    function, onnx_op = "softmax", "Softmax"
    dim: int | None = attr("the axis that sums to one; by default 1 for rank 2, 4 or 5", default=None)


@op("log_softmax", family=Family.ACTIVATION, torch="torch.nn.LogSoftmax", title="LogSoftmax")
class LogSoftmax(_Softmax):
    """xᵢ − log Σⱼ e^xⱼ along `dim` (`torch.nn.LogSoftmax`)."""

    function, onnx_op = "log_softmax", "LogSoftmax"
    dim: int | None = attr("the axis that sums to one; by default 1 for rank 2, 4 or 5", default=None)


class _Dropout(Op):
    """Zeroes in training, scaled by 1 / (1 − p); the input itself in eval."""

    family: ClassVar[Family] = Family.DROPOUT
    p: float = attr("probability of zeroing an element", default=0.5, minimum=0, maximum=1)

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, *x: TensorType) -> TorchForm:
        p = TorchArg("p", self.p, attribute="p", omit=0.5)
        return TorchForm(TorchModule(f"nn.{self.torch_name.rpartition('.')[2]}", (p,)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        return ()

    def is_idle(self, *x: TensorType) -> bool:
        return self.p == 0

    def caption(self, *x: TensorType) -> str:
        return f"p {self.p:.3g}"


@op("dropout", family=Family.DROPOUT, torch="torch.nn.Dropout", title="Dropout")
class Dropout(_Dropout):
    """Zeroes each element with probability p in training and multiplies the others by 1 / (1 − p) (Srivastava et al.
    2014; `torch.nn.Dropout`)."""


class _ChannelDropout(_Dropout):
    """Whole channels of N×C×spatial."""

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x[0], self.rank + 2)


@op("dropout1d", family=Family.DROPOUT, torch="torch.nn.Dropout1d", title="Dropout", rank=1)
class Dropout1d(_ChannelDropout):
    """Zeroes whole channels of N×C×L with probability p in training and multiplies the others by 1 / (1 − p)
    (`torch.nn.Dropout1d`)."""


@op("dropout2d", family=Family.DROPOUT, torch="torch.nn.Dropout2d", title="Dropout", rank=2)
class Dropout2d(_ChannelDropout):
    """Zeroes whole channels of N×C×H×W with probability p in training and multiplies the others by 1 / (1 − p)
    (Tompson et al., arXiv 1411.4280; `torch.nn.Dropout2d`)."""


@op("dropout3d", family=Family.DROPOUT, torch="torch.nn.Dropout3d", title="Dropout", rank=3)
class Dropout3d(_ChannelDropout):
    """Zeroes whole channels of N×C×D×H×W with probability p in training and multiplies the others by 1 / (1 − p)
    (`torch.nn.Dropout3d`)."""
