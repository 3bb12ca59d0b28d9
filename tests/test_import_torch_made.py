"""Tensors that modules make as they go, and recurrent layers, come back as PyTorch has them."""

from __future__ import annotations

import pytest
import torch
from test_import_folding import imported, same
from torch import Tensor, nn

import netc


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True),
            "lstm 6 num_layers=2 batch_first=true bidirec",
        ),
        (nn.GRU(4, 6, batch_first=True, bias=False), "gru 6 bias=false batch_first=true"),
        (nn.RNN(4, 6, batch_first=True, nonlinearity="relu"), "rnn 6 nonlinearity=relu batch_first=true"),
    ],
)
def test_recurrent_layers(module: nn.Module, said: str) -> None:
    class Outputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = module

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.layer(x)[0]
            return found

    net, x = Outputs(), torch.randn(2, 5, 4)
    made = imported(net, x)
    assert said in made.text
    assert set(made.tensors) == set(net.state_dict())
    assert same(made, net, torch.randn(3, 5, 4))


class Positions(nn.Module):
    """As EdgeNeXt has them: of a mask that is as large as the batch."""

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        mask = ~torch.zeros(batch, height, width).to(torch.bool)
        rows = mask.cumsum(1, dtype=torch.float32)
        return x + (rows / (rows[:, -1:] + 1e-6)).unsqueeze(1)


class Repeated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(8.0).reshape(1, 1, 8)
        return torch.cat([places.repeat(x.shape[0], 1, 1), x], 1)


class Regions(nn.Module):
    """As Swin has them: numbers written into parts of a tensor that takes its type from the input."""

    def forward(self, x: Tensor) -> Tensor:
        regions = x.new_zeros((4, 8))
        regions[:2] = 1
        regions[2:, 4:] = 2
        return x + regions


@pytest.mark.parametrize("net", [Positions(), Repeated(), Regions()])
def test_tensors_that_are_made_for_a_batch(net: nn.Module) -> None:
    shape = (2, 3, 6, 8) if isinstance(net, Positions) else (2, 4, 8)
    x = torch.randn(shape)
    made = imported(net, x) if not isinstance(net, Positions) else fixed(net, x)
    assert same(made, net, torch.randn(3, *shape[1:]))


def fixed(net: nn.Module, x: Tensor) -> netc.Imported:
    return netc.import_torch(net, x, sizes="fixed")


def test_dropout_in_place() -> None:
    net, x = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.3, inplace=True)), torch.randn(2, 5, 4)
    made = imported(net, x)
    assert "dropout 0.3" in made.text or "dropout p=0.3" in made.text
    assert same(made, net, x)
