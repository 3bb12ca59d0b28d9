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
        regions = (x * 2).new_zeros((4, 8))
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


class Words(nn.Module):
    """Whole numbers, in sequences of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)

    def forward(self, words: Tensor) -> Tensor:
        found: Tensor = self.table(words).mean(1)
        return found


def test_inputs_of_whole_numbers() -> None:
    net, words = Words(), torch.randint(7, (2, 5))
    assert same(imported(net, words), net, words)


class WithoutAutocast(nn.Module):
    """As EfficientViT has it: a part that keeps float32 where the rest is cast."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            doubled = self.inner(x) * 2
            y = self.inner(doubled)
        return y + doubled


class Columns(nn.Module):
    """As Outlook attention has them: windows taken apart, weighed, and added up again."""

    def forward(self, x: Tensor) -> Tensor:
        columns = nn.functional.unfold(x, 3, padding=1, stride=2)
        found: Tensor = nn.functional.fold(columns.softmax(1), x.shape[-2:], 3, padding=1, stride=2)
        return found


class Extremes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        best, places = x.max(-1, keepdim=True)
        most = x.topk(3, -1)[0]
        return torch.cat([best, x.gather(-1, places), torch.max(x, x.flip(-1)), most], -1)


@pytest.mark.parametrize(("net", "shape"), [(WithoutAutocast(), (4, 8)), (Columns(), (3, 8, 6)), (Extremes(), (4, 8))])
def test_parts_windows_and_extremes(net: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(2, *shape)
    made = fixed(net, x)
    assert same(made, net, torch.randn(3, *shape))


def test_parts_that_are_computed_in_another_type_are_refused() -> None:
    class Cast(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return x @ x.transpose(-1, -2)

    with pytest.raises(netc.NetcError, match="under autocast"):
        netc.import_torch(Cast(), torch.randn(2, 4, 8))
