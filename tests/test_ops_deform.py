"""Deformable convolution against sums written out, and ONNX Runtime."""

from __future__ import annotations

import inspect
from itertools import product
from math import floor
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from conformance import (
    CASES,
    TOLERANCE,
    agree,
    build,
    example,
    findings,
    make,
    onnx_model,
    quick,
    run_onnx,
    run_torch,
    same_values,
    tensor,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from vision import torchvision

from netc.dims import symbol
from netc.ops import OPERATORS, BadValue, Op
from netc.ops.base import Attr

few = settings(quick, max_examples=max(40, CASES // 2))


def between(plane: torch.Tensor, y: float, x: float) -> float:
    """Bilinear interpolation with zeros outside."""
    total = 0.0
    for row, column in product((floor(y), floor(y) + 1), (floor(x), floor(x) + 1)):
        if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
            total += (1 - abs(y - row)) * (1 - abs(x - column)) * float(plane[row, column])
    return total


def reference(op: Any, module: Any, x: torch.Tensor, moves: torch.Tensor, mask: Any = None) -> torch.Tensor:
    """The sum of the definition, one element after the other."""
    y = torch.zeros(len(x), op.out_channels, *moves.shape[2:])
    weight, (tall, wide) = module.weight.detach(), op.kernel_size
    inside, outside = weight.shape[1], op.out_channels // op.groups
    each = x.shape[1] // (moves.shape[1] // (2 * tall * wide))
    (top, _), (left, _) = op.pads()
    for n, out, row, column in product(*map(range, y.shape)):
        for channel, i, j in product(range(inside), range(tall), range(wide)):
            c = out // outside * inside + channel
            tap = (c // each * tall + i) * wide + j
            down, right = moves[n, 2 * tap : 2 * tap + 2, row, column].tolist()
            down += row * op.stride[0] - top + i * op.dilation[0]
            right += column * op.stride[1] - left + j * op.dilation[1]
            scale = 1.0 if mask is None else float(mask[n, tap, row, column])
            y[n, out, row, column] += float(weight[out, channel, i, j]) * scale * between(x[n, c], down, right)
    return y + module.bias.detach()[:, None, None] if op.bias else y


@st.composite
def layers(draw: Any, largest: int = 6) -> tuple[Op, list[Any]]:
    pair = lambda low, high: st.integers(low, high) | st.tuples(st.integers(low, high), st.integers(low, high))  # noqa: E731
    groups, offset_groups = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    op = make(
        "deform_conv2d",
        out_channels=2 * groups,
        kernel_size=draw(pair(1, 3)),
        stride=draw(pair(1, 2)),
        padding=draw(pair(0, 2) | st.sampled_from(["valid", "half", "full"])),
        dilation=draw(pair(1, 2)),
        groups=groups,
        bias=draw(st.booleans()),
    )
    x = tensor(2, 2 * draw(st.integers(1, 2)), draw(st.integers(1, largest)), draw(st.integers(1, largest)))
    space = [w.output(n) for w, n in zip(op.windows(x), x.shape[2:], strict=True)]
    if min(space) < 1:
        return op, [x, tensor(2, 2, 1, 1)]
    taps = op.kernel_size[0] * op.kernel_size[1] * offset_groups
    inputs = [x, tensor(2, 2 * taps, *space), tensor(2, taps, *space)]
    return op, inputs[: draw(st.integers(2, 3))]


@few
@given(layers(4))
def test_it_is_the_sum_of_the_definition(case: Any) -> None:
    op, types = case
    if findings(op, *types):
        return
    assert agree(op, *types)
    x = [example(t, i) for i, t in enumerate(types)]
    (y,), module = run_torch(op, types, x)
    torch.testing.assert_close(y, reference(op, module, *x), rtol=1e-4, atol=1e-4)


@few
@given(layers())
def test_onnx_runtime_agrees(case: Any) -> None:
    op, types = case
    if not findings(op, *types):
        same_values(op, *types)


def test_without_offsets_it_is_a_convolution() -> None:
    op = make("deform_conv2d", out_channels=4, kernel_size=3, stride=2, padding=1, dilation=2, groups=2)
    x, moves = example(tensor(2, 4, 9, 8)), torch.zeros(2, 18, 4, 3)
    module = build(op.torch(tensor(2, 4, 9, 8), tensor(2, 18, 4, 3)).module)
    with torch.no_grad():
        expected = F.conv2d(x, module.weight, module.bias, 2, 1, 2, 2)
        torch.testing.assert_close(module(x, moves), expected, **TOLERANCE)


def test_parameters_and_their_bounds_are_torchvisions() -> None:
    op, x = make("deform_conv2d", out_channels=8, kernel_size=3, groups=2), tensor(1, 4, 8, 8)
    theirs = torchvision.ops.DeformConv2d(4, 8, 3, groups=2)
    params = op.params(x, tensor(1, 18, 6, 6))
    assert [(p.name, p.shape) for p in params] == [(k, tuple(v.shape)) for k, v in theirs.named_parameters()]
    for p in params:
        drawn = torch.stack([torchvision.ops.DeformConv2d(4, 8, 3, groups=2).get_parameter(p.name) for _ in range(50)])
        assert 0.95 * p.fill.b < float(drawn.detach().abs().max()) <= p.fill.b


def test_attributes_are_torchvisions_in_order() -> None:
    known = inspect.signature(torchvision.ops.DeformConv2d).parameters
    attributes: dict[str, Attr] = OPERATORS["deform_conv2d"].attributes
    assert list(attributes) == [name for name in known if name != "in_channels"]


def test_gradients_reach_every_input() -> None:
    types = tensor(1, 2, 4, 4), tensor(1, 18, 4, 4), tensor(1, 9, 4, 4)
    module = build(make("deform_conv2d", out_channels=2, kernel_size=3, padding=1).torch(*types).module)
    x = [example(t, i).requires_grad_() for i, t in enumerate(types)]
    module(*x).sum().backward()
    assert all(t.grad is not None and t.grad.abs().sum() > 0 for t in (*x, *module.parameters()))


def test_symbolic_sizes_are_followed() -> None:
    n, h, w = symbol("N"), symbol("h"), symbol("w")
    op = make("deform_conv2d", out_channels=2, kernel_size=3, padding=1)
    types, x = [tensor(n, 4, h, w), tensor(n, 18, h, w)], [example(tensor(2, 4, 5, 6)), torch.zeros(2, 18, 5, 6)]
    assert findings(op, *types) == []
    weights = {"weight": torch.ones(2, 4, 3, 3), "bias": torch.zeros(2)}
    (found,) = run_onnx(onnx_model(op, types, weights), x)
    torch.testing.assert_close(found, F.conv2d(x[0], weights["weight"], padding=1), **TOLERANCE)


@pytest.mark.parametrize(
    ("shapes", "at", "text"),
    [
        ([(2, 4, 5, 5), (2, 17, 3, 3)], 1, "17 offset channels are not a multiple of 2 · 3 · 3 = 18"),
        ([(2, 4, 5, 5), (2, 54, 3, 3)], 1, "4 channels do not divide into the 3 groups"),
        ([(2, 4, 5, 5), (2, 18, 3, 5)], 1, "the offset is 2×C×3×3"),
        ([(2, 4, 5, 5), (1, 18, 3, 3)], 1, "the offset is 2×C×3×3"),
        ([(2, 4, 5, 5), (2, 36, 3, 3), (2, 9, 3, 3)], 2, "36 offset channels need half as many for the mask, not 9"),
        ([(2, 4, 5, 5), (2, 18, 3, 3), (2, 9, 3)], 2, "rank 3"),
    ],
)
def test_inputs_that_do_not_fit_say_why(shapes: Any, at: int, text: str) -> None:
    (problem,) = findings(make("deform_conv2d", out_channels=2, kernel_size=3), *[tensor(*shape) for shape in shapes])
    assert problem.at == at
    assert text in problem.message


@pytest.mark.parametrize(("attribute", "value"), [("kernel_size", 0), ("padding", "same"), ("groups", 0)])
def test_bad_values_name_the_attribute(attribute: str, value: Any) -> None:
    with pytest.raises(BadValue, match=f"`{attribute}`"):
        make("deform_conv2d", **({"out_channels": 1, "kernel_size": 1} | {attribute: value}))
