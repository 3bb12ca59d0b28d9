"""Weights made from what is learned: weight norm and spectral norm with PyTorch's keys, standardised convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from alike import alike
from safetensors.torch import load_file
from spectext import made, refused, spec
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

import netc


class Normed(nn.Module):
    """A module of torch.nn, parametrised by PyTorch's own function."""

    def __init__(self, layer: nn.Module, norm: Any) -> None:
        super().__init__()
        self.layer = norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)  # type: ignore[no-any-return]


LAYERS: list[tuple[str, Any, tuple[int, ...]]] = [
    ("conv1d 4 3", lambda: nn.Conv1d(3, 4, 3), (2, 3, 9)),
    ("conv2d 6 (3 2) stride=2 padding=1 groups=3", lambda: nn.Conv2d(3, 6, (3, 2), 2, 1, groups=3), (2, 3, 7, 8)),
    ("conv2d 6 3 padding=(0 0 1 1) bias=false", None, (2, 3, 7, 8)),
    ("conv3d 2 2", lambda: nn.Conv3d(3, 2, 2), (1, 3, 4, 5, 3)),
    ("conv_transpose1d 4 4 stride=2 padding=1", lambda: nn.ConvTranspose1d(3, 4, 4, 2, 1), (2, 3, 5)),
    ("conv_transpose2d 4 3 stride=2 bias=false", lambda: nn.ConvTranspose2d(3, 4, 3, 2, bias=False), (2, 3, 5, 4)),
    ("conv_transpose2d 4 2 stride=1 output_padding=1 dilation=2",
     lambda: nn.ConvTranspose2d(3, 4, 2, 1, 0, 1, dilation=2), (2, 3, 5, 4)),
    ("linear 5", lambda: nn.Linear(3, 5), (2, 3)),
    ("linear 5 bias=false", lambda: nn.Linear(3, 5, bias=False), (2, 4, 3)),
]  # fmt: skip


class Padded(nn.Module):
    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.layer = norm(nn.Conv2d(3, 6, 3, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(nn.functional.pad(x, (0, 1, 0, 1)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("norm", [weight_norm, spectral_norm])
@pytest.mark.parametrize(("line", "layer", "shape"), LAYERS, ids=[line for line, _, _ in LAYERS])
def test_norms_are_pytorchs(norm: Any, line: str, layer: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    text = spec(f"layer: {line} {norm.__name__}=true", image=f"[N, {', '.join(map(str, shape[1:]))}]")
    alike(netc.load(text), Padded(norm) if layer is None else Normed(layer(), norm), tmp_path, torch.randn(shape))


@pytest.mark.parametrize(
    ("line", "layer"),
    [
        ("conv2d 6 3 stride=2", lambda: nn.Conv2d(3, 6, 3, 2)),
        ("conv_transpose2d 4 3", lambda: nn.ConvTranspose2d(3, 4, 3)),
        ("linear 5", lambda: nn.Linear(8, 5)),
    ],
)
def test_fresh_singular_vectors_are_those_of_fresh_weights(line: str, layer: Any, tmp_path: Path) -> None:
    """So a fresh network computes as one that PyTorch makes: the largest singular value of its weights is 1."""
    text = spec(f"layer: {line} spectral_norm=true", "init: {'layer.*original': normal std=3}", "[N, 3, 8, 8]")
    network = netc.load(text)
    network.write_weights(tmp_path / "w.safetensors")
    module, theirs = network.module(tmp_path / "w.safetensors"), Normed(layer(), spectral_norm)
    weights = load_file(tmp_path / "w.safetensors")
    assert list(module.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(weights, strict=True)
    weight = theirs.eval().layer.weight.detach().transpose(0, int("transpose" in line)).flatten(1)  # type: ignore[union-attr, operator]
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, rel=0.02)
    x = torch.randn(2, 3, 8, 8)
    for _ in range(2):
        torch.testing.assert_close(module.train()(x), theirs.train()(x))
    torch.testing.assert_close(module.state_dict(), dict(theirs.state_dict()))


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_rules_about_weights_are_about_what_is_learned_of_them(norm: str) -> None:
    """`init: {conv2d: …}` draws the direction, or the weight before it is divided, in weights and in the module."""
    network = netc.load(spec(f"layer: conv2d 64 3 {norm}=true", "init: {conv2d: constant 0.25}"))
    name = "original1" if norm == "weight_norm" else "original"
    for state in (network.module().state_dict(), type(network.module())().state_dict()):
        assert (state[f"layer.parametrizations.weight.{name}"] == 0.25).all()
        assert not any((value == 0.25).all() for key, value in state.items() if not key.endswith(f".{name}"))


def test_fresh_lengths_are_those_of_fresh_directions(tmp_path: Path) -> None:
    network = netc.load(spec("layer: conv2d 64 3 weight_norm=true", image="[N, 32, 8, 8]"))
    network.write_weights(tmp_path / "w.safetensors")
    weights = load_file(tmp_path / "w.safetensors")
    lengths = weights["layer.parametrizations.weight.original1"].flatten(1).norm(dim=1)
    given = weights["layer.parametrizations.weight.original0"].flatten()
    assert torch.allclose(lengths, given, rtol=0.2)
    assert list(made(spec("layer: linear 3 weight_norm=true", image="[N, 4]")).weights) == [
        "layer.bias",
        "layer.parametrizations.weight.original0",
        "layer.parametrizations.weight.original1",
    ]


class Standardized(nn.Conv2d):
    """As weight standardisation is written (Qiao et al., arXiv 1903.10520)."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / torch.sqrt(weight.square().mean((1, 2, 3), keepdim=True) + 1e-5)
        return nn.functional.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


@pytest.mark.parametrize("more", ["", "bias=false groups=3 stride=2"])
def test_a_standardised_convolution(more: str, tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            options: Any = {"bias": False, "groups": 3, "stride": 2} if more else {}
            self.layer = Standardized(3, 6, 3, padding=1, **options)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)  # type: ignore[no-any-return]

    line = f"layer: conv2d 6 3 padding=1 standardize=1e-5 {more}"
    alike(netc.load(spec(line, image="[N, 3, H, W]")), Net(), tmp_path, torch.randn(2, 3, 7, 8))


@pytest.mark.parametrize("more", ["weight_norm=true", "standardize=1e-5"])
def test_padding_of_open_sizes_goes_with_both(more: str, tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.Conv2d if more.startswith("weight") else Standardized
            self.layer = layer(3, 6, 3, 2)
            if more.startswith("weight"):
                self.layer = weight_norm(self.layer)

        def forward(self, x: Tensor) -> Tensor:
            rows, columns = (1 + n % 2 for n in x.shape[2:])
            return self.layer(nn.functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)))  # type: ignore[no-any-return]

    network = netc.load(spec(f"layer: conv2d 6 3 stride=2 padding=same {more}", image="[N, 3, H, W]"))
    for number, shape in enumerate([(2, 3, 7, 8), (1, 3, 6, 9)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        alike(network, Net(), folder, torch.randn(shape))


def test_one_and_three_axes_are_standardised(tmp_path: Path) -> None:
    for rank, shape in ((1, (2, 3, 9)), (3, (1, 3, 4, 5, 3))):
        folder = tmp_path / str(rank)
        folder.mkdir()

        class Net(nn.Module):
            def __init__(self, rank: int = rank) -> None:
                super().__init__()
                self.layer = getattr(nn, f"Conv{rank}d")(3, 4, 2)

            def forward(self, x: Tensor) -> Tensor:
                axes = tuple(range(1, x.dim()))
                weight = self.layer.weight
                weight = (weight - weight.mean(axes, True)) / weight.var(axes, correction=0, keepdim=True).sqrt()
                return getattr(nn.functional, f"conv{x.dim() - 2}d")(x, weight, self.layer.bias)  # type: ignore[no-any-return]

        line = f"layer: conv{rank}d 4 2 standardize=0"
        alike(netc.load(spec(line, image=f"[N, {', '.join(map(str, shape[1:]))}]")), Net(), folder, torch.randn(shape))


def test_what_cannot_be_together_is_refused() -> None:
    assert refused("a: conv2d 4 3 weight_norm=true standardize=1e-5")[0] == ("bad-argument", "standardize=1e-5")
    assert refused("a: conv2d 4 3 spectral_norm=true standardize=1e-5")[0] == ("bad-argument", "standardize=1e-5")
    for line in ("conv2d 4 3", "conv_transpose2d 4 3", "linear 3"):
        found = refused(f"a: {line} weight_norm=true spectral_norm=true")[0]
        assert found == ("bad-argument", "spectral_norm=true")
    assert refused("a: conv2d 4 3 standardize=-1")[0] == ("bad-argument", "-1")
