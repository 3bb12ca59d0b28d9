"""Weights that are made from what is learned: a direction and a length, a matrix of norm 1, or standardised numbers."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Protocol

from netc.ops.common import filled, int64, learned, node
from netc.ops.records import Fill, OnnxNode, Param, Problem, Singular
from netc.types import TensorType

WEIGHT_NORM = "learn the weight as a direction and a length (`torch.nn.utils.parametrizations.weight_norm`)"
SPECTRAL_NORM = (
    "divide the weight by its largest singular value (`torch.nn.utils.parametrizations.spectral_norm`), estimated "
    "in training by one step of power iteration per call"
)
LENGTH, DIRECTION = "parametrizations.weight.original0", "parametrizations.weight.original1"
"""The keys of `torch.nn.utils.parametrizations.weight_norm`."""
ORIGINAL, LEFT, RIGHT = (f"parametrizations.weight.{name}" for name in ("original", "0._u", "0._v"))
"""The keys of `torch.nn.utils.parametrizations.spectral_norm`."""
PARAMETRIZED = (DIRECTION, ORIGINAL)
"""Those that have the shape of the weight, which rules about it mean."""


class Weighted(Protocol):
    """An operator whose weight may be parametrised."""

    @property
    def weight_norm(self) -> bool: ...
    @property
    def spectral_norm(self) -> bool: ...


def need_one_norm(op: Weighted) -> tuple[Problem, ...]:
    """A problem where both are asked for."""
    if not (op.weight_norm and op.spectral_norm):
        return ()
    return (Problem("bad-argument", "weight_norm and spectral_norm cannot be used together", "spectral_norm"),)


def parametrized(op: Weighted, weight: Param, bias: tuple[Param, ...], x: TensorType, axis: int) -> tuple[Param, ...]:
    """Weight and bias in the order of PyTorch's state_dict; `axis` is that of the weight's output channels."""
    if op.weight_norm:
        return (*bias, *_weight_normed(weight, x))
    return (*bias, *_spectral_normed(weight, x, axis)) if op.spectral_norm else (weight, *bias)


def _weight_normed(weight: Param, x: TensorType) -> tuple[Param, Param]:
    """What is learned in place of a weight, along its first axis as PyTorch has it. PyTorch starts with the length of
    the direction it draws; here it is what such a length is on average, 1/√3 for numbers within ±1/√n."""
    length = (weight.shape[0], *(1,) * (len(weight.shape) - 1))
    return (
        learned(LENGTH, length, Fill("constant", 3**-0.5), x),
        learned(DIRECTION, weight.shape, weight.fill, x),
    )


def _spectral_normed(weight: Param, x: TensorType, axis: int) -> Iterator[Param]:
    """The weight as it is learned, and the singular vectors that power iteration has come to."""
    yield learned(ORIGINAL, weight.shape, weight.fill, x)
    rows = weight.shape[axis]
    for name, count in ((LEFT, rows), (RIGHT, prod(weight.shape) // rows)):
        fill = Fill("singular", of=Singular(ORIGINAL, weight.shape, axis, name == LEFT))
        yield learned(name, (count,), fill, x, trainable=False)


def onnx_parametrized(op: Weighted, rank: int, axis: int) -> tuple[OnnxNode, ...]:
    """`weight` out of what is learned, as in evaluation; () where that is the weight itself."""
    if op.weight_norm:
        return tuple(_onnx_weight_norm(rank))
    return tuple(_onnx_spectral_norm(rank, axis)) if op.spectral_norm else ()


def _onnx_weight_norm(rank: int) -> Iterator[OnnxNode]:
    """`weight` out of its direction and its length."""
    yield node("ReduceL2", f"{DIRECTION} weight_axes", "norm", int64("weight_axes", *range(1, rank)), keepdims=1)
    yield node("Div", f"{LENGTH} norm", "factor")
    yield node("Mul", f"{DIRECTION} factor", "weight")


def _onnx_spectral_norm(rank: int, axis: int) -> Iterator[OnnxNode]:
    """W / uᵀWv."""
    matrix = ORIGINAL
    if axis:
        yield node("Transpose", matrix, "turned_weight", perm=(axis, *[a for a in range(rank) if a != axis]))
        matrix = "turned_weight"
    if rank > 2:
        yield node("Flatten", matrix, "weight_matrix", axis=1)
        matrix = "weight_matrix"
    yield node("MatMul", f"{matrix} {RIGHT}", "image_of_right")
    yield node("MatMul", f"{LEFT} image_of_right", "largest")
    yield node("Div", f"{ORIGINAL} largest", "weight")


def onnx_standardized(x: TensorType, rank: int, eps: float) -> Iterator[OnnxNode]:
    """`standard` out of the weight: mean 0 and variance 1 for each output channel."""
    yield node("ReduceMean", "weight weight_axes", "mean", int64("weight_axes", *range(1, rank)), keepdims=1)
    yield node("Sub", "weight mean", "centred")
    yield node("Mul", "centred centred", "squares")
    yield node("ReduceMean", "squares weight_axes", "variance", keepdims=1)
    yield node("Add", "variance weight_eps", "shifted", filled("weight_eps", x, (), eps))
    yield node("Sqrt", "shifted", "deviation")
    yield node("Div", "centred deviation", "standard")


def parametrized_class(op: Weighted, base: str) -> tuple[str, str]:
    """The name and source of a class of torch.nn whose weight is parametrised; its own name and no source without."""
    if op.weight_norm:
        return f"WeightNorm{base}", _class("WeightNorm", base, "weight_norm", "as a direction and a length")
    if op.spectral_norm:
        return f"SpectralNorm{base}", _class("SpectralNorm", base, "spectral_norm", "divided by its spectral norm")
    return f"nn.{base}", ""


def _class(prefix: str, base: str, function: str, what: str) -> str:
    return f'''class {prefix}{base}(nn.{base}):
    """`nn.{base}` with its weight {what}."""

    def __init__(self, *args: int | tuple[int, ...], **options: bool) -> None:
        super().__init__(*args, **options)
        nn.utils.parametrizations.{function}(self)'''


def standardized_class(rank: int) -> str:
    """A convolution that standardises its weight."""
    axes = ", ".join(map(str, range(1, rank + 2)))
    return f'''class StandardizedConv{rank}d(nn.Conv{rank}d):
    """`nn.Conv{rank}d` with the weight of each output channel at mean 0 and variance 1."""

    def __init__(self, *args: int, eps: float, **options: int | str) -> None:
        super().__init__(*args, **options)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        var, mean = torch.var_mean(self.weight, ({axes}), correction=0, keepdim=True)
        weight = (self.weight - mean) / torch.sqrt(var + self.eps)
        return self._conv_forward(x, weight, self.bias)'''
