"""Names of parameters stay where lists have names of their own, and where what drops nothing stands in a list."""

from __future__ import annotations

from collections import OrderedDict

import torch
from test_import_folding import imported, same
from torch import Tensor, nn


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Dropout(0.0), nn.Linear(32, 16), nn.Dropout(0.0))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        out: Tensor = x + self.mlp(x)
        return out


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(OrderedDict((f"layer_{i}", Encoder()) for i in range(3)))
        self.head = nn.Sequential(OrderedDict(project=nn.Linear(16, 8), norm=nn.LayerNorm(8), act=nn.ReLU()))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.layers(x))
        return out


def test_lists_with_names() -> None:
    net, x = Named(), torch.randn(2, 5, 16)
    made = imported(net, x)
    assert set(made.tensors) == set(net.state_dict())
    assert "layers.layer_$i: {for: {i: 0..2}, do: encoder}" in made.text
    assert "mlp: [linear 32 @sum, gelu, dropout 0, linear 16, dropout 0]" in made.text
    assert "head.project: linear 8" in made.text
    assert same(made, net, x)


class Stage(nn.Sequential):
    """As torchvision's RegNet has it."""

    def __init__(self, number: int, depth: int) -> None:
        super().__init__(OrderedDict((f"block{number}-{i}", Encoder()) for i in range(depth)))


def test_names_with_hyphens() -> None:
    net, x = nn.Sequential(OrderedDict(block1=Stage(1, 2), block2=Stage(2, 3))), torch.randn(2, 5, 16)
    made = imported(net, x)
    assert set(made.tensors) == set(net.state_dict())
    assert "block2.block2-$i: {for: {i: 0..2}, do: encoder}" in made.text
    assert same(made, net, x)


def test_sizes_that_several_attentions_share() -> None:
    """They are computed in the first; it is one operator all the same."""
    assert imported(Named(), torch.randn(2, 5, 16)).text.count("multihead_attention 4") == 1
