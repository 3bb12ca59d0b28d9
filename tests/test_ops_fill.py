"""Default distributions and initialisers against what PyTorch draws."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
from conformance import build, make, tensor
from torch import nn

from netc.ops import BadValue
from netc.ops.fill import INITIALISERS, gain, initialise
from netc.ops.records import Fill

SHAPES = [(64, 48), (32, 16, 5), (32, 16, 3, 3), (8, 8, 4, 4, 4)]
MANY = 8
"""Draws that a measured distribution rests on."""


def measure(draws: list[torch.Tensor]) -> tuple[float, float, float, float]:
    values = torch.cat([d.detach().double().flatten() for d in draws])
    return values.mean().item(), values.std().item(), values.min().item(), values.max().item()


def expect(fill: Fill, draws: list[torch.Tensor]) -> None:
    """The measured distribution is the one the fill describes: within 5 standard errors, and inside its bounds."""
    mean, std, low, high = measure(draws)
    count = sum(d.numel() for d in draws)
    if fill.kind == "constant":
        assert (low, high) == (pytest.approx(fill.a), pytest.approx(fill.a))
        return
    middle, spread = (
        (fill.a, fill.b) if fill.kind != "uniform" else ((fill.a + fill.b) / 2, (fill.b - fill.a) / sqrt(12))
    )
    assert abs(mean - middle) < 5 * spread / sqrt(count)
    assert abs(std / spread - 1) < 5 / sqrt(count)
    if fill.kind == "uniform":
        assert fill.a * (1 + 1e-6) <= low < fill.a * 0.9
        assert fill.b * 0.9 < high <= fill.b * (1 + 1e-6)


KAIMING = [
    (mode, f, a) for mode in ("fan_in", "fan_out") for f, a in [("relu", 0.0), ("leaky_relu", 0.2), ("tanh", 0.0)]
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize(("mode", "nonlinearity", "a"), KAIMING)
def test_kaiming(kind: str, mode: str, nonlinearity: str, a: float, shape: tuple[int, ...]) -> None:
    draw = getattr(nn.init, f"kaiming_{kind}_")
    torch.manual_seed(1)
    draws = [draw(torch.empty(shape), a=a, mode=mode, nonlinearity=nonlinearity) for _ in range(MANY)]
    expect(initialise(f"kaiming_{kind}", shape, a, mode=mode, nonlinearity=nonlinearity), draws)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["xavier_normal", "xavier_uniform"])
def test_xavier(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(2)
    expect(
        initialise(name, shape, gain=2.0), [getattr(nn.init, f"{name}_")(torch.empty(shape), 2.0) for _ in range(MANY)]
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [("zeros", ()), ("ones", ()), ("constant", (0.5,)), ("normal", (1.0, 0.02)), ("uniform", (-2.0, 2.0))],
)
def test_plain_initialisers(name: str, values: tuple[float, ...]) -> None:
    torch.manual_seed(3)
    expect(initialise(name, (64, 64), *values), [getattr(nn.init, f"{name}_")(torch.empty(64, 64), *values)])


@pytest.mark.parametrize("nonlinearity", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gains(nonlinearity: str) -> None:
    ours = gain(nonlinearity, 0.3)
    assert ours == pytest.approx(nn.init.calculate_gain(nonlinearity, 0.3))


DEFAULTS = [
    ("conv2d", {"out_channels": 48, "kernel_size": 3, "groups": 2}, (1, 32, 8, 8)),
    ("conv_transpose2d", {"out_channels": 48, "kernel_size": 3, "groups": 2}, (1, 32, 8, 8)),
    ("linear", {"out_features": 96}, (1, 64)),
    ("batch_norm2d", {}, (1, 64, 8, 8)),
    ("layer_norm", {}, (1, 64)),
    ("group_norm", {"num_groups": 4}, (1, 64, 8, 8)),
    ("prelu", {"num_parameters": 64, "init": 0.1}, (1, 64, 8, 8)),
]


@pytest.mark.parametrize(("name", "attributes", "shape"), DEFAULTS)
def test_default_distributions(name: str, attributes: dict[str, Any], shape: tuple[int, ...]) -> None:
    op, x = make(name, **attributes), tensor(*shape)
    torch.manual_seed(4)
    states = [build(op.torch(x).module).state_dict() for _ in range(MANY)]
    for param in op.params(x):
        expect(param.fill, [state[param.name] for state in states])


def test_embedding_default() -> None:
    op, x = make("embedding", num_embeddings=100, embedding_dim=64), tensor(1, 4, dtype="int64")
    expect(op.params(x)[0].fill, [build(op.torch(x).module).weight])


@pytest.mark.parametrize(
    ("name", "values", "named", "text"),
    [
        ("he", (), {}, "no initialiser"),
        ("zeros", (1,), {}, "takes 0"),
        ("constant", (), {}, "`value` must be given"),
        ("normal", (), {"sigma": 1}, "no argument `sigma`"),
        ("normal", (0,), {"mean": 1}, "`mean` is given twice"),
        ("normal", (), {"std": -1}, "`std`"),
        ("uniform", (2, 1), {}, "greater"),
        ("kaiming_normal", (), {"mode": "fan"}, "`mode`"),
        ("kaiming_normal", (), {"nonlinearity": "swish"}, "`nonlinearity`"),
        ("normal", ("wide",), {}, "`mean` takes a number"),
    ],
)
def test_bad_arguments_are_named(name: str, values: Any, named: Any, text: str) -> None:
    with pytest.raises(BadValue, match=text):
        initialise(name, (4, 4), *values, **named)


def test_bilinear_needs_a_window() -> None:
    with pytest.raises(BadValue, match="three axes"):
        initialise("bilinear", (4, 4))


def test_fans_need_two_axes() -> None:
    with pytest.raises(BadValue, match="two axes"):
        initialise("kaiming_normal", (4,))
    assert "trunc_normal" in INITIALISERS
