"""Where netc means to differ from PyTorch, each with the reason that is printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from netc.ops import Op
from netc.types import TensorType

Theirs = list[torch.Tensor] | str
Applies = Callable[[Op, Sequence[TensorType], str, Theirs], bool]


def difference(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> str:
    """The reason of the first difference that applies, or ""."""
    return next((reason for applies, reason in DIFFERENCES if applies(op, types, ours, theirs)), "")


def empty(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
    return not isinstance(theirs, str) and any(t.numel() == 0 for t in theirs)


def says(*words: str, of: str | tuple[str, ...] = "") -> Applies:
    """netc refuses in these words, for these operators or for all."""

    def applies(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
        return any(word in ours for word in words) and (not of or op.name in of)

    return applies


DIFFERENCES: list[tuple[Applies, str]] = [
    (empty, "PyTorch makes an empty tensor, of which ONNX Runtime has none"),
    (says("takes N×C×"), "PyTorch also takes inputs without a batch axis, or with more axes in front; netc's have N and C"),
    (says("floating-point elements"), "PyTorch computes with whole numbers or converts them; netc asks for a `cast`"),
    (says("or one and a number", "or a number, not both"), "how operands are written is netc's own: two tensors or a number"),
    (says("needs `dim`"), "PyTorch's guess of `dim`, which it deprecates itself"),
    (says("an equation is written"), "netc's einsum has letters alone, no ellipsis and no spaces"),
    (says("pads both ends alike"), "PyTorch's form has no asymmetric padding"),
]
