"""Position-sensitive crops against sums written out and ONNX Runtime."""

from __future__ import annotations

import inspect
from math import ceil
from typing import Any

import torch
from conformance import (
    CASES,
    TOLERANCE,
    build,
    computed,
    example,
    findings,
    in_onnx,
    make,
    onnx_model,
    quick,
    run_onnx,
    tensor,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from vision import torchvision

from netc.dims import symbol
from netc.ops import OPERATORS, Op

heavy = settings(quick, max_examples=max(30, CASES // 2))
PAIR = st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))


def bilinear(plane: torch.Tensor, y: float, x: float) -> float:
    """The value between four elements; nothing from one element outside on."""
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, over = y - top, x - left
    upper = plane[top, left] * (1 - over) + plane[top, right] * over
    lower = plane[bottom, left] * (1 - over) + plane[bottom, right] * over
    return float(upper * (1 - down) + lower * down)


def written_out(op: Any, x: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Each cell of each box: the mean of its samples in its own channel; zero without samples."""
    h, w = op.output_size
    y = torch.zeros(len(boxes), x.shape[1] // (h * w), h, w)
    for k, (sample, *corners) in enumerate(boxes.tolist()):
        left, top, right, bottom = (corner * op.spatial_scale - 0.5 for corner in corners)
        tall, wide = (bottom - top) / h, (right - left) / w
        down, across = (op.sampling_ratio if op.sampling_ratio > 0 else ceil(extent) for extent in (tall, wide))
        for c, i, j in ((c, i, j) for c in range(y.shape[1]) for i in range(h) for j in range(w)):
            plane = x[int(sample), (c * h + i) * w + j]
            values = [
                bilinear(plane, top + i * tall + (a + 0.5) * tall / down, left + j * wide + (b + 0.5) * wide / across)
                for a in range(down)
                for b in range(across)
            ]
            y[k, c, i, j] = sum(values) / len(values) if values else 0.0
    return y


@st.composite
def crops(draw: Any) -> tuple[Op, torch.Tensor, torch.Tensor]:
    """Boxes inside, outside and across, some empty."""
    options = {"spatial_scale": draw(st.sampled_from([1.0, 0.5, 2.0])), "sampling_ratio": draw(st.integers(-1, 3))}
    op = make("ps_roi_align", output_size=draw(PAIR), **options)
    h, w = op.output_size
    x = example(tensor(2, draw(st.integers(1, 2)) * h * w, draw(st.integers(1, 7)), draw(st.integers(1, 7))))
    places = st.integers(-8, 32)
    rows = []
    for _ in range(draw(st.integers(1, 3))):
        (left, right), (top, bottom) = (sorted((draw(places) / 4, draw(places) / 4)) for _ in range(2))
        rows.append([draw(st.integers(0, 1)), *(side / op.spatial_scale for side in (left, top, right, bottom))])
    return op, x, torch.tensor(rows, dtype=torch.float32)


@heavy
@given(crops())
def test_it_is_its_definition(case: Any) -> None:
    op, x, boxes = case
    torch.testing.assert_close(computed(op, x, boxes), written_out(op, x, boxes), **TOLERANCE)


@heavy
@given(crops())
def test_it_is_onnx_runtimes(case: Any) -> None:
    op, x, boxes = case
    torch.testing.assert_close(in_onnx(op, x, boxes), computed(op, x, boxes), **TOLERANCE)


def test_boxes_of_each_sample_with_symbolic_sizes() -> None:
    op, n, k = make("ps_roi_align", output_size=(3, 2)), symbol("N"), symbol("K")
    types = tensor(n, 12, symbol("h"), symbol("w")), tensor(n, k, 4)
    assert findings(op, *types) == []
    assert op.outputs(*types)[0].shape == (n * k, 2, 3, 2)
    x = example(tensor(2, 12, 6, 7))
    boxes = torch.tensor([[[0.0, 0, 4, 4], [1, 2, 5, 6]], [[2.0, 2, 3, 6], [0, 1, 6, 5]]])
    expected = written_out(op, x, torchvision.ops._utils.convert_boxes_to_roi_format(list(boxes)))
    torch.testing.assert_close(computed(op, x, boxes), expected, **TOLERANCE)
    (y,) = run_onnx(onnx_model(op, types, {}), [x, boxes])
    torch.testing.assert_close(y, expected, **TOLERANCE)


def test_attributes_are_torchvisions_in_order() -> None:
    known = inspect.signature(torchvision.ops.PSRoIAlign).parameters
    assert list(OPERATORS["ps_roi_align"].attributes) == list(known)


def test_gradients_reach_the_channels_of_the_cell() -> None:
    op, types = make("ps_roi_align", output_size=2), (tensor(1, 4, 6, 6), tensor(1, 5))
    x = example(types[0]).requires_grad_()
    record = op.torch(*types).module
    assert record is not None
    build(record)(x, torch.tensor([[0.0, 1, 1, 5, 5]]))[0, 0, 0, 1].backward()
    assert x.grad is not None
    assert (x.grad.abs().sum((0, 2, 3)) > 0).tolist() == [False, True, False, False]


def test_what_does_not_fit_is_refused() -> None:
    op = make("ps_roi_align", output_size=(2, 3))
    (problem,) = findings(op, tensor(2, 8, 6, 6), tensor(4, 5))
    assert (problem.at, problem.message) == ("output_size", "8 channels do not divide among 2×3 cells")
    assert [p.at for p in findings(op, tensor(2, 6, 6, 6), tensor(4, 4))] == [1]
