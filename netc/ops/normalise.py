"""Normalisation by length, root mean square and L2 with or without a learned scale; layers over the channels; batch
normalisation that never trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netc.ops.base import Family, Ints, Op, attr, op
from netc.ops.common import (
    ONES,
    ZEROS,
    filled,
    int64,
    keywords,
    learned,
    need_axes,
    need_axis,
    need_constant,
    need_float,
    need_rank,
    node,
    numbers,
    optional,
    size_of,
)
from netc.ops.norm import OverLast
from netc.ops.records import Averages, Fill, OnnxNode, Param, Problem, TorchCall, TorchForm, TorchModule
from netc.types import ONNX_TYPES, TensorType

EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}
"""The step from 1 to the next number (`torch.finfo(dtype).eps`)."""


@op("rms_norm", family=Family.NORM, torch="torch.nn.RMSNorm", title="RMSNorm")
class RmsNorm(OverLast):
    """Over the last axes: x / √(mean of x² + eps) · weight (Zhang and Sennrich, arXiv 1910.07467; `torch.nn.RMSNorm`).
    Parameter: weight of the normalised shape."""

    normalized_shape: Ints = attr("sizes of the last axes to normalise over; the last axis if not given", default=())
    eps: float | None = attr(
        "added to the mean square; float32's precision, or float64's, if not given", default=None, minimum=0
    )
    elementwise_affine: bool = attr("learn a scale per element", default=True)

    def averages(self, *x: TensorType) -> Averages:
        return Averages(tuple(range(x[0].rank - len(self._shape(x[0])), x[0].rank)), "a mean of squares")

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        return (learned("weight", self._shape(x[0]), ONES, x[0]),) if self.elementwise_affine else ()

    def torch(self, *x: TensorType) -> TorchForm:
        shape = self._shape_argument(x[0])
        return TorchForm(TorchModule("nn.RMSNorm", (shape, *keywords(self, "eps", "elementwise_affine"))))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """In float32 where the input has fewer digits, as PyTorch computes it."""
        normal = "normal" if self.elementwise_affine else "y0"
        if x[0].dtype in EPSILON:
            nodes = self._normalised(x[0], "x0", normal)
        else:
            wide = TensorType(x[0].shape)
            nodes = (
                node("Cast", "x0", "wide", to=ONNX_TYPES["float32"]),
                *self._normalised(wide, "wide", "wide_normal"),
                node("Cast", "wide_normal", normal, to=ONNX_TYPES[x[0].dtype]),
            )
        return (*nodes, node("Mul", "normal weight")) if self.elementwise_affine else nodes

    def onnx_native(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """Computed in float32, so not for float64."""
        if x[0].dtype == "float64":
            return ()
        shape = numbers(self._shape(x[0]))
        eps = EPSILON["float32"] if self.eps is None else self.eps
        consts = () if self.elementwise_affine else (filled("ones", x[0], shape, 1.0),)
        text = "x0 ones" if consts else "x0 weight"
        return (node("RMSNormalization", text, "y0", *consts, axis=-len(shape), epsilon=eps),)

    def _normalised(self, x: TensorType, source: str, result: str) -> tuple[OnnxNode, ...]:
        """The spelling that ONNX Runtime fuses, but not for float64, as what it fuses to computes in float32."""
        axes = range(-len(self._shape(x)), 0)
        eps = EPSILON[x.dtype] if self.eps is None else self.eps
        squares = (
            node("Mul", f"{source} {source}", "squares")
            if x.dtype == "float64"
            else node("Pow", f"{source} two", "squares", filled("two", x, (), 2.0))
        )
        return (
            squares,
            node("ReduceMean", "squares axes", "mean", int64("axes", *axes), keepdims=1),
            node("Add", "mean eps", "raised", filled("eps", x, (), eps)),
            node("Sqrt", "raised", "root"),
            node("Div", f"{source} root", result),
        )


class _Unit(Op):
    """Vectors along an axis, divided by their length."""

    family: ClassVar[Family] = Family.NORM
    eps: float

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def _divided(self, x: TensorType, length: tuple[OnnxNode, ...], result: str) -> tuple[OnnxNode, ...]:
        """x over `length`, or over eps where that is more."""
        eps = filled("eps", x, (), self.eps)
        return *length, node("Max", "length eps", "divisor", eps), node("Div", "x0 divisor", result)


def _l2(axis: int) -> OnnxNode:
    return node("ReduceL2", "x0 axes", "length", int64("axes", axis), keepdims=1)


@op("normalize", family=Family.NORM, torch="torch.nn.functional.normalize", title="Normalize")
class Normalize(_Unit):
    """x / max(‖x‖ₚ, eps) along an axis, ‖x‖ₚ = (Σ |xᵢ|ᵖ)^(1/p) (`torch.nn.functional.normalize`)."""

    p: float = attr("exponent of the norm", default=2.0)
    dim: int = attr("the axis of the vectors", default=1)
    eps: float = attr("smallest divisor", default=1e-12, minimum=0)

    def averages(self, *x: TensorType) -> Averages:
        return Averages((self.dim % x[0].rank,), "a length")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        yield from need_axis(self, "dim", self.dim, x[0].rank)
        if not self.p > 0:
            yield Problem("bad-argument", f"`p` must be above 0, not {self.p:g}", "p")

    def torch(self, *x: TensorType) -> TorchForm:
        args = keywords(self, *self.attributes)
        return TorchForm(call=TorchCall(f"normalize({{0}}{optional(args)})", args, ("torch.nn.functional:normalize",)))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        axis = self.dim % x[0].rank
        return self._divided(x[0], (_l2(axis),) if self.p == 2 else self._length(x[0], axis), "y0")

    def _length(self, x: TensorType, axis: int) -> tuple[OnnxNode, ...]:
        powers = (filled("p", x, (), self.p), filled("inverse", x, (), 1 / self.p))
        return (
            node("Abs", "x0", "sizes"),
            node("Pow", "sizes p", "powers", powers[0]),
            node("ReduceSum", "powers axes", "total", int64("axes", axis), keepdims=1),
            node("Pow", "total inverse", "length", powers[1]),
        )


L2_NORM = '''class L2Norm(nn.Module):
    """Each place's vector of channels at length 1, times a scale per channel."""

    def __init__(self, channels: int, scale: float = 20.0, eps: float = 1e-12) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        length = x.norm(dim=1, keepdim=True).clamp_min(self.eps)
        return x / length * self.weight.view(-1, *[1] * (x.ndim - 2))'''


@op("l2_norm", family=Family.NORM, torch="torch.nn.functional.normalize", title="L2Norm")
class L2Norm(_Unit):
    """weight · x / max(‖x‖₂, eps), ‖x‖₂ over the channels at each position, with a learned scale per channel (Liu et
    al., ParseNet, arXiv 1506.04579, as SSD uses it, arXiv 1512.02325; `torch.nn.functional.normalize`)."""

    scale: float = attr("initial value of the learned scale", default=20.0)
    eps: float = attr("smallest divisor", default=1e-12, minimum=0)

    def averages(self, *x: TensorType) -> Averages:
        return Averages((1,), "a length")

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        yield from need_axes(self, x[0], 2)
        if x[0].rank > 1:
            yield from need_constant(x[0].shape[1], "channels")

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        return (learned("weight", (x[0].shape[1],), Fill("constant", self.scale), x[0]),)

    def torch(self, *x: TensorType) -> TorchForm:
        args = (size_of("channels", x[0], 1), *keywords(self, "scale", "eps"))
        return TorchForm(TorchModule("L2Norm", args, helper=L2_NORM))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        nodes = self._divided(x[0], (_l2(1),), "unit")
        spread = int64("spread", -1, *[1] * (x[0].rank - 2))
        return *nodes, node("Reshape", "weight spread", "factor", spread), node("Mul", "unit factor")


LAYER_NORM_2D = '''class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels at each position of N×C×H×W."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)'''


@op("layer_norm2d", family=Family.NORM, torch="torchvision.models.convnext.LayerNorm2d", title="LayerNorm2d")
class LayerNorm2d(Op):
    """Over the channels at each position of N×C×H×W: (x − mean) / √(variance + eps) · weight + bias (Liu et al.,
    ConvNeXt, arXiv 2201.03545; `torchvision.models.convnext.LayerNorm2d`). Parameters: weight and bias per channel."""

    eps: float = attr("added to the variance", default=1e-5, minimum=0)
    elementwise_affine: bool = attr("learn a scale and an offset per channel", default=True)
    bias: bool = attr("learn the offset too", default=True)

    def averages(self, *x: TensorType) -> Averages:
        return Averages((1,))

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_float(self, x[0])
        yield from need_rank(self, x[0], 4)
        if x[0].rank == 4:
            yield from need_constant(x[0].shape[1], "channels")

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        learnt = [learned(name, (x[0].shape[1],), fill, x[0]) for name, fill in (("weight", ONES), ("bias", ZEROS))]
        return tuple(learnt[: self.elementwise_affine * (1 + self.bias)])

    def torch(self, *x: TensorType) -> TorchForm:
        args = (size_of("normalized_shape", x[0], 1), *keywords(self, "eps", "elementwise_affine", "bias"))
        return TorchForm(TorchModule("LayerNorm2d", args, helper=LAYER_NORM_2D))

    def onnx(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        consts = () if self.elementwise_affine else (filled("ones", x[0], numbers(x[0].shape[1:2]), 1.0),)
        names = "ones" if consts else "weight bias" if self.bias else "weight"
        return (
            node("Transpose", "x0", "last", perm=(0, 2, 3, 1)),
            node("LayerNormalization", f"last {names}", "normal", *consts, axis=-1, epsilon=self.eps),
            node("Transpose", "normal", "y0", perm=(0, 3, 1, 2)),
        )


FROZEN = '''class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose scale, offset and statistics stay as they are."""

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:  # if eps
    def __init__(self, num_features: int) -> None:  # if no eps
        super().__init__()
        self.eps = eps  # if eps
        self.weight = nn.Buffer(torch.ones(num_features))
        self.bias = nn.Buffer(torch.zeros(num_features))
        self.running_mean = nn.Buffer(torch.zeros(num_features))
        self.running_var = nn.Buffer(torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + self.eps).rsqrt()  # if eps
        scale = self.weight * (self.running_var + 1e-5).rsqrt()  # if no eps
        offset = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + offset[:, None, None]'''


@op("frozen_batch_norm2d", family=Family.NORM, torch="torchvision.ops.FrozenBatchNorm2d", title="BatchNorm", rank=2)
class FrozenBatchNorm2d(Op):
    """Batch normalisation of N×C×H×W that never trains, (x − running_mean) / √(running_var + eps) · weight + bias, all
    four of them fixed and part of the state_dict (`torchvision.ops.FrozenBatchNorm2d`, used by detectors with a
    pretrained backbone)."""

    fresh = True
    eps: float = attr("added to the variance", default=1e-5, minimum=0)

    def averages(self, *x: TensorType) -> Averages:
        return Averages((0, 2, 3))

    def check(self, *x: TensorType) -> Iterator[Problem]:
        yield from need_rank(self, x[0], 4)
        yield from need_float(self, x[0])
        if x[0].rank == 4:
            yield from need_constant(x[0].shape[1], "channels")

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        fills = {"weight": ONES, "bias": ZEROS, "running_mean": ZEROS, "running_var": ONES}
        return tuple(learned(name, (x[0].shape[1],), fill, x[0], trainable=False) for name, fill in fills.items())

    def torch(self, *x: TensorType) -> TorchForm:
        args = (size_of("num_features", x[0], 1), *keywords(self, "eps"))
        return TorchForm(TorchModule("FrozenBatchNorm2d", args, helper=FROZEN))

    def onnx(self, *x: TensorType) -> OnnxNode:
        text = "x0 weight bias running_mean running_var"
        return node("BatchNormalization", text, "y0", epsilon=self.eps, training_mode=0)
