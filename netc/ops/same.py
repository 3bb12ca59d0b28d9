"""Padding as TensorFlow's `same` has it: ⌈n / stride⌉ windows per axis, with what they need around the input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netc.geometry import Window
from netc.ops.common import filled, int64, node
from netc.ops.records import OnnxNode
from netc.types import TensorType

Sides = tuple[tuple[int, int], ...]
"""What stands before and after each spatial axis."""


def is_strided_same(padding: object, stride: Sequence[int]) -> bool:
    """At stride 1 `same` is PyTorch's own, which depends on no size."""
    return padding == "same" and any(step != 1 for step in stride)


def known_sides(windows: Sequence[Window], x: TensorType) -> Sides | None:
    """The padding of windows over the spatial axes; None where it depends on the input."""
    pairs = []
    for window, n in zip(windows, x.shape[2:], strict=True):
        side = window.same_padding(n) if window.same else (window.begin, window.end)
        if side is None:
            return None
        pairs.append(side)
    return tuple(pairs)


def padded(sides: Sides, more: str = "") -> str:
    """A call's input padded by PyTorch's function, which takes the last axis first."""
    amounts = ", ".join(f"{begin}, {end}" for begin, end in reversed(sides))
    return f"pad({{0}}, ({amounts}){more})"


def onnx_padded(windows: Sequence[Window], x: TensorType, value: float = 0.0) -> Iterator[OnnxNode]:
    """The input as `padded`, with what windows need around it where only the size at run time says how much; the sizes
    themselves are `space`."""
    steps = int64("steps", *[w.stride for w in windows])
    yield node("Shape", "x0", "space", start=2)
    yield node("Add", "space rest", "raised", int64("rest", *[w.stride - 1 for w in windows]))
    yield node("Div", "raised steps", "count", steps)
    yield node("Mul", "count steps", "starts")
    yield node("Add", "starts beyond", "reach", int64("beyond", *[w.extent - w.stride for w in windows]))
    yield node("Sub", "reach space", "lacking")
    yield node("Max", "lacking nothing", "missing", int64("nothing", 0))
    yield node("Div", "missing two", "begins", int64("two", 2))
    yield node("Sub", "missing begins", "ends")
    yield node("Concat", "outer begins outer ends", "pads", int64("outer", 0, 0), axis=0)
    yield node("Pad", "x0 pads filler", "padded", filled("filler", x, (), value), mode="constant")


PADS = """        space = zip(x.shape[2:], self.kernel_size, self.stride{more})
        amounts = []
        for n, k, s{name} in space:
            missing = max((-(-n // s) - 1) * s + {extent} - n, 0)
            amounts = [missing // 2, missing - missing // 2, *amounts]"""
DILATED = PADS.format(more=", self.dilation", name=", d", extent="d * (k - 1) + 1")
PLAIN = PADS.format(more="", name="", extent="k")


def same_conv(base: str) -> str:
    """A convolution that pads so, made of one that is given."""
    return f'''class Same{base.removeprefix("nn.")}({base}):
    """A convolution with ⌈n / stride⌉ outputs per axis, padded as in TensorFlow."""

    def forward(self, x: Tensor) -> Tensor:
{DILATED}
        return super().forward(nn.functional.pad(x, amounts))'''


def same_max_pool(rank: int) -> str:
    """A max pool that pads so."""
    ones = "1," if rank == 1 else ", ".join("1" * rank)
    return f'''class SameMaxPool{rank}d(nn.MaxPool{rank}d):
    """A max pool with ⌈n / stride⌉ outputs per axis, padded as in TensorFlow."""

    def __init__(
        self,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...] | None = None,
        dilation: tuple[int, ...] = ({ones}),
    ) -> None:
        super().__init__(kernel_size, stride, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
{DILATED}
        return super().forward(nn.functional.pad(x, amounts, value=float("-inf")))'''


def same_avg_pool(rank: int) -> str:
    """A mean pool that pads so, and counts what it adds if it is told to."""
    divided = " or self.divisor_override" if rank > 1 else ""
    return f'''class SameAvgPool{rank}d(nn.AvgPool{rank}d):
    """An average pool with ⌈n / stride⌉ outputs per axis, padded as in TensorFlow."""

    def forward(self, x: Tensor) -> Tensor:
{PLAIN}
        mean = super().forward(nn.functional.pad(x, amounts))
        if self.count_include_pad{divided}:
            return mean
        ones = torch.ones_like(x[:1, :1])
        return mean / super().forward(nn.functional.pad(ones, amounts))'''
