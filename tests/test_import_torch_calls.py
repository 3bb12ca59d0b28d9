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
    "whether some are true": lambda x: (x > 0).any(1, keepdim=True),
    "whether any is": lambda x: x.any(),
    "whether all are true": lambda x: (x > -1).all(dim=(1, 2)),
    "signs of logic": lambda x: ((x > 0) & ~(x > 1)) | ((x > 0.5) ^ (x > 2)),
    "cross product": lambda x: torch.linalg.cross(x, x.flip(1), dim=1),
    "cross product of the first three": lambda x: torch.cross(x, x.roll(1, 2), dim=1),
    "rounded to a digit": lambda x: x.round(decimals=1),
    "close": lambda x: torch.isclose(x, x.flip(1), rtol=0.1, atol=0.2),
    "how alike": lambda x: torch.cosine_similarity(x, x.flip(1), dim=2),
    "how far apart": lambda x: nn.functional.pairwise_distance(x, x.flip(1), p=1.0, keepdim=True),
    "all distances": lambda x: torch.cdist(x, x.flip(2)),
    "on the way": lambda x: torch.lerp(x, x.flip(1), 0.3),
    "on the way, each of its own": lambda x: torch.lerp(x, x.flip(1), x.sigmoid()),
    "largest so far": lambda x: torch.cummax(x, 1)[0],
    "where the smallest so far is": lambda x: torch.cummin(x, 2)[1],
    "where the ordered were": lambda x: x.argsort(1, descending=True),
    "elements in order": lambda x: x.gather(1, x.argsort(1)),
    "taken along an axis": lambda x: torch.take_along_dim(x, x.argmax(1, keepdim=True), 1),
    "put into a tensor of one number": lambda x: torch.zeros_like(x).scatter(1, x.argsort(1), x),
    "a number that is put down": lambda x: x.scatter(1, x.argsort(1)[:, :1], 2.0),
    "put down and multiplied": lambda x: x.scatter(1, x.argsort(1), x.abs(), reduce="multiply"),
    "put down and added": lambda x: torch.full_like(x, 3).scatter_add(1, x.argsort(1), x),
    "put down, the largest stays": lambda x: x.scatter_reduce(1, x.argsort(1), x, "amax", include_self=False),
    "numbers of classes": lambda x: nn.functional.one_hot(x.argmax(1), 3),
    "product": lambda x: x.prod(1, keepdim=True),
    "length": lambda x: torch.linalg.norm(x, dim=1),
    "spread and mean": lambda x: sum(torch.std_mean(x, 1, correction=0)),
    "spread and mean of all axes": lambda x: torch.var_mean(x)[1],
    "extremes": lambda x: torch.stack(torch.aminmax(x, dim=1)),
    "how many": lambda x: torch.count_nonzero(x > 0, 1),
    "power of 2": lambda x: 2**x,
    "power of a number": lambda x: 1.5**x,
    "shifted as they lie": lambda x: x.roll(5),
    "each twice": lambda x: x.repeat_interleave(2),
    "scaled product and sum": lambda x: torch.baddbmm(x, x, x.transpose(1, 2) @ x, beta=0.5, alpha=2),
    "vectors multiplied": lambda x: torch.dot(x[0, 0], x[0, 1]),
    "each by each": lambda x: torch.outer(x[0, 0], x[0, 1]),
    "axes multiplied out": lambda x: torch.tensordot(x, x[0], dims=([2, 1], [1, 0])),
    "diagonal": lambda x: x[:, :, :3].diagonal(dim1=1, dim2=2),
    "axes moved": lambda x: x.movedim((0, 1), (2, 0)),
    "copies": lambda x: x.tile(2, 1),
    "a quarter turn": lambda x: x.rot90(1, (1, 2)),
    "a quarter turn back": lambda x: x.rot90(-1, (1, 2)),
    "upside down": lambda x: x.rot90(2, (1, 2)),
    "differences": lambda x: x.diff(n=2, dim=2),
    "one slice replaced": lambda x: x.select_scatter(x[:, 0] * 2, 1, 1),
    "last slices replaced": lambda x: x.slice_scatter(x[..., :2] * 2, 2, 2),
    "what is left of the error function": lambda x: torch.erfc(x),
    "leaky in training": lambda x: nn.functional.rrelu(x),
    "sign": lambda x: torch.sgn(x),
    "quotient rounded down": lambda x: torch.div(x, x.abs() + 0.1, rounding_mode="floor"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=[*CALLS])
def test_calls(call: Callable[[Tensor], Tensor]) -> None:
    """PyTorch's fused kernels round once where two operators round twice."""
    net, x = Called(call), torch.randn(2, 3, 4)
    made = netc.import_torch(net, x)
    ours = made.network.module({name: torch.from_numpy(made.tensor(name).copy()) for name in made.tensors}).eval()
    torch.testing.assert_close(ours(x), net(x), rtol=1e-6, atol=1e-6)


class Several(nn.Module):
    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        return first + torch.stack(others).sum(0)


@pytest.mark.parametrize("count", [2, 3])
def test_any_number_of_inputs(count: int) -> None:
    net, inputs = Several(), tuple(torch.randn(2, 3) for _ in range(count))
    made = netc.import_torch(net, inputs)
    assert [*made.network.inputs] == ["first", *(f"others_{at}" for at in range(count - 1))]
    torch.testing.assert_close(made.network.module().eval()(*inputs), net(*inputs))


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
