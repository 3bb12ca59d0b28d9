"""Calls of PyTorch that are several operators of netc, and sizes that a module chooses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from test_import_folding import same
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, max_unpool2d

import netc


class Called(nn.Module):
    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x)


CALLS: dict[str, Callable[[Tensor], Tensor]] = {
    "addcmul": lambda x: torch.addcmul(x, x + 1, x - 1),
    "addcmul of a number": lambda x: torch.addcmul(x, x + 1, x - 1, value=0.5),
    "addcdiv": lambda x: torch.addcdiv(x, x + 1, x.abs() + 1, value=-2),
    "repeat_interleave": lambda x: x.repeat_interleave(3, dim=1),
    "repeat_interleave of the batch": lambda x: x.repeat_interleave(2, dim=0),
    "repeat_interleave of the last axis": lambda x: x.repeat_interleave(2, dim=-1),
    "parts by their ends": lambda x: torch.cat(x.tensor_split([1, -1], dim=2)[::-1], 2),
    "parts by their number": lambda x: torch.cat(x.tensor_split(3, dim=2)[::-1], 2),
    "parts by their size": lambda x: torch.cat(x.split(3, dim=2)[::-1], 2),
    "quotient without its fraction": lambda x: torch.div(x, x.abs() + 0.1, rounding_mode="trunc"),
    **{
        name: getattr(torch, name)
        for name in ("asinh", "deg2rad", "rad2deg", "sinc", "signbit", "isinf", "isfinite", "isposinf", "isneginf")
    },
    "acosh": lambda x: torch.acosh(x.abs() + 1),
    "atanh": lambda x: torch.atanh(x.tanh() / 2),
    "logit": lambda x: torch.logit(x.sigmoid(), eps=1e-3),
    "numbers for what is none": lambda x: torch.nan_to_num(x / (x > 0).float(), nan=0.5, posinf=2.0),
    "below the diagonal": lambda x: x.tril(-1),
    "above the diagonal": lambda x: x.triu(1),
    "sums so far": lambda x: x.cumsum(1),
    "products so far": lambda x: x.cumprod(-1),
    "sums of powers so far": lambda x: x.logcumsumexp(1),
    **{
        name: lambda x, name=name: getattr(torch, name)(x, x.flip(1)) for name in ("atan2", "hypot", "copysign", "fmax")
    },
    **{name: lambda x, name=name: getattr(torch, name)(x, x.flip(1)) for name in ("fmin", "logaddexp", "logaddexp2")},
    "x log y": lambda x: torch.xlogy(x, x.abs() + 1),
    "either, not both": lambda x: torch.logical_xor(x > 0, x > 0.5),
    "bits": lambda x: torch.bitwise_or(torch.bitwise_and(x > 0, x < 1), torch.bitwise_not(x > -1)),
    "return the elements in sorted order": lambda x: torch.sort(x, dim=1, descending=True)[0],
    "where the ordered come from": lambda x: torch.sort(x, dim=-1, stable=True)[1],
    "quotient rounded down": lambda x: torch.div(x, x.abs() + 0.1, rounding_mode="floor"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=[*CALLS])
def test_calls(call: Callable[[Tensor], Tensor]) -> None:
    """PyTorch's fused kernels round once where two operators round twice."""
    net, x = Called(call), torch.randn(2, 3, 4)
    ours = netc.import_torch(net, x).network.module().eval()
    torch.testing.assert_close(ours(x), net(x), rtol=1e-6, atol=1e-6)


class Halved(nn.Module):
    """Of a short film nothing is left behind its first image, so the export settles on films that are as short."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 4, 3, stride=(8, 2, 2), padding=1)
        self.conv2 = nn.Conv3d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        return torch.relu(self.conv2(y)) + y


def test_sizes_that_the_export_settles_on() -> None:
    net, x = Halved(), torch.randn(2, 3, 8, 16, 16)
    made = netc.import_torch(net, x)
    assert "inputs: {volume: [N, 3, 8, 2*h, 2*w]}" in made.text
    assert same(made, net, x)


class Positions(nn.Module):
    """As torchvision's MViT has it: a tensor that is made of parameters is written over in place."""

    def __init__(self) -> None:
        super().__init__()
        self.space, self.time = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(2, 4))

    def forward(self, x: Tensor) -> Tensor:
        places = self.time.repeat_interleave(3, dim=0)
        places.add_(self.space.repeat(2, 1)).mul_(0.5)
        return x + places


def test_what_is_written_over_is_counted_once() -> None:
    net, x = Positions(), torch.randn(2, 6, 4)
    assert same(netc.import_torch(net, x), net, x)


def _at_least(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    return interpolate(x, size=(max(height // 2, 7), max(width // 2, 7)))


def _one_more(x: Tensor) -> Tensor:
    return interpolate(x, size=(max(x.shape[-2] + 1, 2), max(x.shape[-1] + 1, 2)))


@pytest.mark.parametrize("call", [_at_least, _one_more])
def test_sizes_of_which_the_larger_is_taken(call: Callable[[Tensor], Tensor]) -> None:
    """Where it depends on the input which one that is, the spec has the sizes of the example."""
    net, x = Called(call), torch.randn(2, 3, 32, 32)
    assert same(netc.import_torch(net, x), net, x)


class Unpooled(nn.Module):
    """SegNet's way down and up; the places of each pool go to the one that undoes it."""

    def __init__(self, odd: bool) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()) for _ in range(3))
        self.up = nn.ModuleList(nn.Sequential(nn.ConvTranspose2d(3, 3, 3, padding=1), nn.ReLU()) for _ in range(3))
        self.pool = nn.MaxPool2d(3 if odd else 2, 2, padding=1 if odd else 0, return_indices=True)
        self.unpool = nn.MaxUnpool2d(3 if odd else 2, 2, padding=1 if odd else 0)

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for module in self.down:
            size = x.shape
            x, indices = self.pool(module(x))
            found.append((indices, size))
        for module, (indices, size) in zip(self.up, found[::-1], strict=True):
            x = module(self.unpool(x, indices, output_size=size))
        return x


@pytest.mark.parametrize("odd", [False, True])
def test_pools_are_undone(odd: bool) -> None:
    net, x = Unpooled(odd), torch.randn(2, 3, 16, 16)
    made = netc.import_torch(net, x)
    assert made.text.count("max_unpool2d of=@") == 3
    assert same(made, net, x)


def test_places_that_are_no_pools_are_refused() -> None:
    def call(x: Tensor) -> Tensor:
        y, indices = max_pool2d(x, 2, return_indices=True)
        return max_unpool2d(y, indices.flip(0), 2)

    with pytest.raises(netc.NetcError, match="would have to be those of a max pooling"):
        netc.import_torch(Called(call), torch.randn(1, 1, 4, 4))
