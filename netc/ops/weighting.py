"""Weights that are made from what is learned: a direction and a length, or standardised numbers."""

from __future__ import annotations

from collections.abc import Iterator

from netc.ops.common import filled, int64, learned, node
from netc.ops.records import Fill, OnnxNode, Param
from netc.types import TensorType

LENGTH, DIRECTION = "parametrizations.weight.original0", "parametrizations.weight.original1"
"""The keys of `torch.nn.utils.parametrizations.weight_norm`."""


def weight_normed(weight: Param, x: TensorType) -> tuple[Param, Param]:
    """What is learned in place of a weight, along its first axis as PyTorch has it. PyTorch starts with the length of
    the direction it draws; here it is what such a length is on average, 1/√3 for numbers within ±1/√n."""
    length = (weight.shape[0], *(1,) * (len(weight.shape) - 1))
    return (
        learned(LENGTH, length, Fill("constant", 3**-0.5), x),
        learned(DIRECTION, weight.shape, weight.fill, x),
    )


def onnx_weight_norm(rank: int) -> Iterator[OnnxNode]:
    """`weight` out of its direction and its length."""
    yield node("ReduceL2", f"{DIRECTION} weight_axes", "norm", int64("weight_axes", *range(1, rank)), keepdims=1)
    yield node("Div", f"{LENGTH} norm", "factor")
    yield node("Mul", f"{DIRECTION} factor", "weight")


def onnx_standardized(x: TensorType, rank: int, eps: float) -> Iterator[OnnxNode]:
    """`standard` out of the weight: mean 0 and variance 1 for each output channel."""
    yield node("ReduceMean", "weight weight_axes", "mean", int64("weight_axes", *range(1, rank)), keepdims=1)
    yield node("Sub", "weight mean", "centred")
    yield node("Mul", "centred centred", "squares")
    yield node("ReduceMean", "squares weight_axes", "variance", keepdims=1)
    yield node("Add", "variance weight_eps", "shifted", filled("weight_eps", x, (), eps))
    yield node("Sqrt", "shifted", "deviation")
    yield node("Div", "centred deviation", "standard")


def weight_norm_class(base: str) -> str:
    """A module of torch.nn whose weight is parametrised."""
    return f'''class WeightNorm{base}(nn.{base}):
    """`nn.{base}` with its weight as a direction and a length."""

    def __init__(self, *args: int | tuple[int, ...], **options: bool) -> None:
        super().__init__(*args, **options)
        nn.utils.parametrizations.weight_norm(self)'''


def standardized_class(rank: int) -> str:
    """A convolution that standardises its weight."""
    axes = ", ".join(map(str, range(1, rank + 2)))
    return f'''class StandardizedConv{rank}d(nn.Conv{rank}d):
    """`nn.Conv{rank}d` whose weight has mean 0 and variance 1 for each output channel."""

    def __init__(self, *args: int, eps: float, **options: int | str) -> None:
        super().__init__(*args, **options)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        var, mean = torch.var_mean(self.weight, ({axes}), correction=0, keepdim=True)
        weight = (self.weight - mean) / torch.sqrt(var + self.eps)
        return self._conv_forward(x, weight, self.bias)'''
