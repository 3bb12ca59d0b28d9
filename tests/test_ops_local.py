"""Locally connected layers against convolutions position by position, and ONNX Runtime."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from conformance import CASES, agree, build, example, findings, make, quick, run_torch, same_values, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from netc.dims import symbol
from netc.ops import BadValue, Op

heavy = settings(quick, max_examples=max(20, CASES // 2))


def reference(op: Any, module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The convolution with the weights of one position, at that position, for every position."""
    weight = module.get_parameter("weight")
    bias = module.get_parameter("bias") if op.bias else None
    convolve = (F.conv1d, F.conv2d)[op.rank - 1]
    padded = F.pad(x, [n for pair in reversed(op.pads()) for n in pair])
    space = weight.shape[: op.rank]
    y = padded.new_empty(len(x), op.out_channels, *space)
    for at in torch.cartesian_prod(*map(torch.arange, space)).reshape(-1, op.rank).tolist():
        everywhere = convolve(padded, weight[tuple(at)], None, op.stride, 0, op.dilation)
        here = (slice(None), slice(None), *at)
        y[here] = everywhere[here] + (bias[(slice(None), *at)] if bias is not None else 0)
    return y


@st.composite
def layers(draw: Any) -> tuple[Op, Any]:
    rank = draw(st.integers(1, 2))
    number = lambda low, high: st.integers(low, high) | st.tuples(*[st.integers(low, high)] * rank)  # noqa: E731
    padding = number(0, 2) | st.sampled_from(["valid", "half", "full", "same"])
    padding |= st.tuples(*[st.integers(0, 2)] * 2 * rank)
    op = make(
        f"locally_connected{rank}d",
        out_channels=draw(st.integers(1, 3)),
        kernel_size=draw(number(1, 3)),
        stride=draw(number(1, 2)),
        padding=draw(padding),
        dilation=draw(number(1, 2)),
        bias=draw(st.booleans()),
    )
    return op, tensor(2, draw(st.integers(1, 3)), *[draw(st.integers(1, 6)) for _ in range(rank)])


@heavy
@given(layers())
def test_the_layer_is_a_convolution_with_weights_per_position(case: Any) -> None:
    op, x = case
    if findings(op, x):
        return
    assert agree(op, x)
    data = example(x)
    (y,), module = run_torch(op, [x], [data])
    with torch.no_grad():
        torch.testing.assert_close(y, reference(op, module, data), rtol=1e-4, atol=1e-5)


@heavy
@given(layers())
def test_onnx_runtime_agrees(case: Any) -> None:
    op, x = case
    if not findings(op, x):
        same_values(op, x)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_symbolic_batch_needs_no_more(rank: int) -> None:
    op, x = make(f"locally_connected{rank}d", out_channels=2, kernel_size=3), tensor(symbol("N"), 3, *[7] * rank)
    assert findings(op, x) == []
    assert op.infer(x).shape == (symbol("N"), 2, *[5] * rank)
    assert op.macs(x) == symbol("N") * prod(op.params(x)[0].shape)


def test_gradients_reach_weights_and_input() -> None:
    op, x = make("locally_connected2d", out_channels=2, kernel_size=2, padding="same"), tensor(1, 2, 3, 3)
    module = build(op.torch(x).module)
    data = example(x).requires_grad_()
    module(data).sum().backward()
    assert data.grad is not None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_fresh_weights_lie_within_the_bound() -> None:
    op, x = make("locally_connected2d", out_channels=4, kernel_size=3), tensor(1, 3, 8, 8)
    fill = op.params(x)[0].fill
    weight = build(op.torch(x).module).get_parameter("weight")
    assert fill.b == pytest.approx(27**-0.5)
    assert 0.9 * fill.b < float(weight.detach().max()) <= fill.b


def test_positions_that_depend_on_the_input_are_refused() -> None:
    op = make("locally_connected2d", out_channels=4, kernel_size=3)
    found = list(op.check(tensor(1, 3, symbol("h"), 8)))
    assert [p.code for p in found if hasattr(p, "code")] == ["not-constant"]


def test_a_kernel_that_does_not_fit_says_the_formula() -> None:
    (problem,) = findings(make("locally_connected1d", out_channels=4, kernel_size=5), tensor(1, 3, 4))
    assert (problem.code, problem.at) == ("too-small", "kernel_size")


def test_same_padding_needs_stride_one() -> None:
    op = make("locally_connected1d", out_channels=4, kernel_size=3, stride=2, padding="same")
    assert [(p.code, p.at) for p in findings(op, tensor(1, 3, 4))] == [("bad-argument", "padding")]


@pytest.mark.parametrize(("attribute", "value"), [("out_channels", 0), ("kernel_size", (1, 2, 3)), ("padding", "most")])
def test_bad_values_name_the_attribute(attribute: str, value: Any) -> None:
    with pytest.raises(BadValue, match=f"`{attribute}`"):
        make("locally_connected2d", **({"out_channels": 1, "kernel_size": 1} | {attribute: value}))
