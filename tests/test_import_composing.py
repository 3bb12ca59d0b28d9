"""Slices of a whole axis, and vectors divided by their length, are one operator each."""

from __future__ import annotations

import pytest
import torch
from test_import_folding import imported, same
from torch import Tensor, nn
from torch.nn.functional import normalize


class Parts(nn.Module):
    """Queries, keys and values, whichever is taken first."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).unflatten(2, (3, 8)).permute(2, 0, 1, 3)
        taken = {index: parts[index] for index in self.order}
        q, k = taken[0], taken.get(1, taken.get(-2))
        out: Tensor = normalize(q, dim=-1, eps=1e-6) @ k.softmax(-1).transpose(1, 2) @ taken[2]
        return out


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, -2, 2)])
def test_slices_of_a_whole_axis(order: tuple[int, ...]) -> None:
    net, x = Parts(*order), torch.randn(2, 5, 8)
    made = imported(net, x)
    assert "unbind" in made.text
    assert "select" not in made.text
    assert "normalize dim=2 eps=1e-06" in made.text or "normalize dim=2 eps=1e-6" in made.text
    assert same(made, net, x)


class Some(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0] * 2 - x[:, 2] / (x.norm(dim=-1)[:, 1:2] + 1)


def test_slices_of_a_part_of_an_axis_stay() -> None:
    net, x = Some(), torch.randn(2, 3, 8)
    made = imported(net, x)
    assert "unbind" not in made.text
    assert "normalize" not in made.text
    assert same(made, net, x)
