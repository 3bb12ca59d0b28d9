"""Spec and module are compared in PyTorch, and in float64 where rounding grows: no rounding is told as a difference,
and none hides one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from changed import change_source
from torch import Tensor, nn
from torch.nn.functional import interpolate

import netc
from netc.diagnostics.model import NetcError


class Chaotic(nn.Module):
    """Attention, which netc says in one word and PyTorch then computes in another order, and what makes a last digit
    the first in a few steps."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(24, 72) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            q, k, v = part(x).unflatten(-1, (3, 2, 12)).permute(2, 0, 3, 1, 4).unbind()
            x = x + ((q @ k.transpose(2, 3) * 12**-0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)
        for _ in range(5):
            x = (x * 30).sin()
        return x


def test_rounding_that_grows_is_no_difference() -> None:
    torch.manual_seed(0)
    imported = netc.import_torch(Chaotic(), torch.randn(2, 40, 24))
    shown = imported.report.shown
    assert "scaled_dot_product_attention" in imported.text
    assert shown.worst is not None
    assert shown.worst.dtype == "float64"
    assert shown.worst.relative < 1e-7


class Resized(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return interpolate(x, size=(56, 56), mode="bicubic", align_corners=False).relu()


def test_what_other_libraries_round_otherwise_is_the_same_in_pytorch() -> None:
    shown = netc.import_torch(Resized(), torch.randn(2, 3, 60, 60), sizes="fixed").report.shown
    assert shown.by == "PyTorch"
    assert shown.worst is None or shown.worst.absolute == 0


def moved_scale(graph: Any) -> None:
    """A scale that is a thousandth larger, in the last attention."""
    node = [n for n in graph.nodes if n.target is torch.ops.aten.mul.Tensor][-1]
    node.args = (node.args[0], node.args[1] * 1.001)


def swapped(graph: Any) -> None:
    """Weights of two maps."""
    first, second = [n for n in graph.nodes if n.target is torch.ops.aten.linear.default][1:3]
    first.args, second.args = (first.args[0], *second.args[1:]), (second.args[0], *first.args[1:])


@pytest.mark.parametrize("change", [moved_scale, swapped])
def test_a_difference_shows_through_rounding(change: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    change_source(monkeypatch, change)
    with pytest.raises(NetcError, match="import-differs"):
        netc.import_torch(Chaotic(), torch.randn(2, 40, 24))
