"""Weights that a PyTorch module computes from its parameters become weights; what it computes them from is told."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

import netc


def imported(module: nn.Module, *example: Tensor) -> netc.Imported:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return netc.import_torch(module, example)


def same(made: netc.Imported, module: nn.Module, example: Tensor) -> bool:
    ours = made.network.module({name: torch.from_numpy(made.tensor(name).copy()) for name in made.tensors}).eval()
    with torch.no_grad():
        return torch.equal(ours(example), module.eval()(example))


class PartsOfABias(nn.Module):
    """As BEiT has it: queries and values have a bias, keys have none."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(12, 4))
        self.q, self.v = nn.Parameter(torch.empty(4)), nn.Parameter(torch.empty(4))
        self.register_buffer("k", torch.zeros(4), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, torch.cat([self.q, self.k, self.v]))


def test_a_bias_put_together_of_parts() -> None:
    module, x = PartsOfABias(), torch.randn(2, 5, 4)
    made = imported(module, x)
    assert "linear 12" in made.text
    assert same(made, module, x)
    assert made.report.unused == {"q": "folded", "v": "folded"}


class ZeroedBias(nn.Module):
    """As torchvision's Swin v2 has it: a copy is written over in part."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.qkv.bias.clone()
        bias[4:8].zero_()
        return linear(x, self.qkv.weight, bias)


def test_a_bias_that_is_written_over_in_part_and_stays_in_the_module() -> None:
    module, x = ZeroedBias(), torch.randn(2, 5, 4)
    made = imported(module, x)
    assert same(made, module, x)
    assert bool(module.qkv.bias[4:8].any())


class TableOfBiases(nn.Module):
    """Several tensors of a call, which netc has no operator for in the sizes of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(2, 4))

    def forward(self, x: Tensor) -> Tensor:
        mean, rest = torch.std_mean(self.table, 0)
        return linear(x, torch.outer(mean, rest))


def test_a_weight_of_functions_that_netc_has_no_operator_for() -> None:
    module, x = TableOfBiases(), torch.randn(2, 5, 4)
    assert same(imported(module, x), module, x)


class DependsOnInput(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, x[:1, :, :3, :3])


def test_a_weight_of_the_input_is_refused() -> None:
    with pytest.raises(netc.NetcError, match="depends on the input"):
        netc.import_torch(DependsOnInput(), torch.randn(2, 3, 8, 8))
