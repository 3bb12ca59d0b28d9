"""Crops of boxes against torchvision, sums written out, and ONNX Runtime."""

from __future__ import annotations

import inspect
from math import ceil, floor
from typing import Any

import pytest
import torch
from conformance import CASES, TOLERANCE, build, example, findings, make, onnx_model, quick, run_onnx, tensor
from hypothesis import given, settings
from hypothesis import strategies as st
from vision import torchvision

from netc.dims import symbol
from netc.ops import OPERATORS, Op
from netc.types import TensorType

heavy = settings(quick, max_examples=max(40, CASES // 2))
PAIR = st.integers(1, 4) | st.tuples(st.integers(1, 4), st.integers(1, 4))
SCALE = st.sampled_from([1.0, 0.5, 0.25, 2.0])


def crop(op: Op, *types: TensorType) -> torch.nn.Module:
    record = op.torch(*types).module
    assert record is not None
    return build(record)


@st.composite
def crops(draw: Any, name: str, *, inside: bool = False) -> tuple[Op, torch.Tensor, torch.Tensor]:
    """Boxes inside of the features, or also outside and across, some empty or turned around."""
    options = {"output_size": draw(PAIR), "spatial_scale": draw(SCALE)}
    if name == "roi_align":
        options |= {"sampling_ratio": draw(st.sampled_from([-1, 0, 1, 2, 3])), "aligned": draw(st.booleans())}
    op = make(name, **options)
    sizes = [draw(st.integers(1, 9)) for _ in range(2)]
    x = example(tensor(2, 3, *sizes), draw(st.integers(0, 99)))
    anywhere = st.floats(-4, 14, width=16) | st.integers(-2, 10) | st.sampled_from([0.5, 1.5, 2.5])
    reach = st.floats(0, min(sizes) - 1, width=16) if inside else anywhere
    count = draw(st.integers(1, 4))
    rows = [[draw(st.integers(0, 1)), *(draw(reach) / op.spatial_scale for _ in range(4))] for _ in range(count)]
    return op, x, torch.tensor(rows, dtype=torch.float32)


def in_onnx(op: Op, *x: torch.Tensor) -> torch.Tensor:
    (y,) = run_onnx(onnx_model(op, [tensor(*t.shape) for t in x], {}), x)
    return y


def accepted(op: Op, *x: torch.Tensor) -> torch.Tensor:
    types = [tensor(*t.shape) for t in x]
    assert findings(op, *types) == []
    y = crop(op, *types)(*x)
    assert y.shape == op.infer(*types).shape
    return y


@heavy
@given(crops("roi_align", inside=True))
def test_roi_align_is_torchvisions(case: Any) -> None:
    """Inside, since torchvision's Python code, unlike its kernels, also counts samples that lie outside."""
    op, x, boxes = case
    reference = torchvision.ops.roi_align.__globals__["_roi_align"].__wrapped__
    expected = reference(x, boxes, op.spatial_scale, *op.output_size, op.sampling_ratio, op.aligned)
    torch.testing.assert_close(accepted(op, x, boxes), expected, **TOLERANCE)


@heavy
@given(crops("roi_align"))
def test_roi_align_is_onnx_runtimes(case: Any) -> None:
    op, x, boxes = case
    torch.testing.assert_close(accepted(op, x, boxes), in_onnx(op, x, boxes), **TOLERANCE)


def away(value: float) -> int:
    """Rounded, halves away from zero."""
    return floor(value + 0.5) if value >= 0 else ceil(value - 0.5)


def largest(op: Any, x: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """The definition of roi_pool, one cell after the other."""
    y = torch.zeros(len(boxes), x.shape[1], *op.output_size)
    for k, (sample, *corners) in enumerate(boxes.tolist()):
        left, top, right, bottom = (away(corner * op.spatial_scale) for corner in corners)
        tall, wide = (
            max(last - first + 1, 1) / n
            for first, last, n in zip((top, left), (bottom, right), op.output_size, strict=True)
        )
        for i in range(op.output_size[0]):
            for j in range(op.output_size[1]):
                rows = [r for r in range(top + floor(i * tall), top + ceil((i + 1) * tall)) if 0 <= r < x.shape[2]]
                columns = [c for c in range(left + floor(j * wide), left + ceil((j + 1) * wide)) if 0 <= c < x.shape[3]]
                if rows and columns:
                    y[k, :, i, j] = x[int(sample)][:, rows][:, :, columns].amax((1, 2))
    return y


@heavy
@given(crops("roi_pool"))
def test_roi_pool_is_its_definition(case: Any) -> None:
    op, x, boxes = case
    torch.testing.assert_close(accepted(op, x, boxes), largest(op, x, boxes), rtol=0, atol=0)


@heavy
@given(crops("roi_pool"))
def test_roi_pool_is_onnx_runtimes(case: Any) -> None:
    op, x, boxes = case
    torch.testing.assert_close(accepted(op, x, boxes), in_onnx(op, x, boxes), rtol=0, atol=0)


def listed(boxes: torch.Tensor) -> torch.Tensor:
    """Boxes of each sample as torchvision numbers them."""
    return torchvision.ops._utils.convert_boxes_to_roi_format(list(boxes))


@heavy
@given(crops("roi_align", inside=True))
def test_roi_align_takes_the_boxes_of_each_sample(case: Any) -> None:
    op, x, boxes = case
    boxes = torch.stack([boxes[:, 1:], boxes[:, 1:].flip(0)])
    reference = torchvision.ops.roi_align.__globals__["_roi_align"].__wrapped__
    expected = reference(x, listed(boxes), op.spatial_scale, *op.output_size, op.sampling_ratio, op.aligned)
    torch.testing.assert_close(accepted(op, x, boxes), expected, **TOLERANCE)
    torch.testing.assert_close(in_onnx(op, x, boxes), accepted(op, x, boxes), **TOLERANCE)


@heavy
@given(crops("roi_pool"))
def test_roi_pool_takes_the_boxes_of_each_sample(case: Any) -> None:
    op, x, boxes = case
    boxes = torch.stack([boxes[:, 1:], boxes[:, 1:].flip(0)])
    expected = largest(op, x, listed(boxes))
    torch.testing.assert_close(accepted(op, x, boxes), expected, rtol=0, atol=0)
    torch.testing.assert_close(in_onnx(op, x, boxes), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["roi_pool", "roi_align"])
def test_more_boxes_than_are_taken_at_a_time(name: str) -> None:
    op, x = make(name, output_size=2), example(tensor(2, 3, 9, 8))
    places = 7 * torch.rand(2, 75, 2, generator=torch.Generator().manual_seed(0))
    boxes = torch.cat([places, places + places.flip(1) / 2], 2)
    torch.testing.assert_close(accepted(op, x, boxes), in_onnx(op, x, boxes), **TOLERANCE)


@pytest.mark.parametrize(("name", "theirs"), [("roi_pool", "RoIPool"), ("roi_align", "RoIAlign")])
def test_attributes_are_torchvisions_in_order(name: str, theirs: str) -> None:
    known = inspect.signature(getattr(torchvision.ops, theirs)).parameters
    assert list(OPERATORS[name].attributes) == list(known)


@pytest.mark.parametrize("name", ["roi_pool", "roi_align"])
def test_gradients_reach_the_features(name: str) -> None:
    op, types = make(name, output_size=2), (tensor(2, 3, 6, 6), tensor(1, 5))
    x = example(types[0]).requires_grad_()
    crop(op, *types)(x, torch.tensor([[1.0, 0, 0, 4, 4]])).sum().backward()
    assert x.grad is not None
    assert x.grad[0].abs().sum() == 0
    assert x.grad[1].abs().sum() > 0


@pytest.mark.parametrize("name", ["roi_pool", "roi_align"])
def test_symbolic_sizes_are_followed(name: str) -> None:
    op, k = make(name, output_size=(2, 3)), symbol("K")
    types = tensor(symbol("N"), 3, symbol("h"), symbol("w")), tensor(k, 5)
    assert findings(op, *types) == []
    assert op.infer(*types).shape == (k, 3, 2, 3)
    x = [example(tensor(2, 3, 6, 7)), torch.tensor([[1.0, 0, 0, 4, 4], [0, 1, 2, 5, 6]])]
    (y,) = run_onnx(onnx_model(op, types, {}), x)
    torch.testing.assert_close(y, crop(op, *types)(*x), **TOLERANCE)


@pytest.mark.parametrize("name", ["roi_pool", "roi_align"])
@pytest.mark.parametrize("sizes", [("N", 3), ("N", "K"), (2, "K")])
def test_boxes_of_each_sample_with_symbolic_sizes(name: str, sizes: Any) -> None:
    op = make(name, output_size=2)
    n, k = (symbol(size) if isinstance(size, str) else size for size in sizes)
    types = tensor(n, 3, symbol("h"), symbol("w")), tensor(n, k, 4)
    assert findings(op, *types) == []
    assert op.infer(*types).shape == (n * k, 3, 2, 2)
    x = [example(tensor(2, 3, 6, 7)), example(tensor(2, 3, 4)).abs().cumsum(2)]
    (y,) = run_onnx(onnx_model(op, types, {}), x)
    torch.testing.assert_close(y, crop(op, *types)(*x), **TOLERANCE)


@pytest.mark.parametrize("name", ["roi_pool", "roi_align"])
def test_what_does_not_fit_is_refused(name: str) -> None:
    x, boxes = tensor(2, 3, 6, 6), tensor(4, 5)
    assert [p.at for p in findings(make(name, output_size=2), x, tensor(4, 4))] == [1]
    assert [p.at for p in findings(make(name, output_size=2), x, tensor(4, 5, 1))] == [1]
    (other,) = findings(make(name, output_size=2), x, tensor(3, 4, 4))
    assert other.message == f"{name} takes boxes of every sample: the boxes have 3 samples, the features 2"
    assert [p.at for p in findings(make(name, output_size=2), tensor(3, 6, 6), boxes)] == [0]
    assert [p.at for p in findings(make(name, output_size=2, spatial_scale=-1), x, boxes)] == ["spatial_scale"]
    assert [p.code for p in findings(make(name, output_size=2), x, tensor(4, 5, dtype="int64"))] == ["dtype-mismatch"]
