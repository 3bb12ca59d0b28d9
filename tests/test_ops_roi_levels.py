"""Crops from several maps against torchvision's own way through its levels, and ONNX Runtime."""

from __future__ import annotations

import inspect
from typing import Any
from unittest import mock

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
poolers = torchvision.ops.poolers
PYTHON_ROI_ALIGN = torchvision.ops.roi_align.__globals__["_roi_align"].__wrapped__


def python_roi_align(
    x: torch.Tensor, boxes: torch.Tensor, output_size: Any, spatial_scale: float, sampling_ratio: int
) -> torch.Tensor:
    """torchvision's Python form, which takes no empty list of boxes."""
    if not len(boxes):
        return x.new_zeros(0, x.shape[1], *output_size)
    return PYTHON_ROI_ALIGN(x, boxes, spatial_scale, *output_size, sampling_ratio, False)  # type: ignore[no-any-return]


def torchvisions(op: Any, maps: list[torch.Tensor], boxes: torch.Tensor) -> torch.Tensor:
    first, last = (op.strides[i].bit_length() - 1 for i in (0, -1))
    mapper = poolers.LevelMapper(first, last, op.canonical_scale, op.canonical_level)
    scales = [1 / stride for stride in op.strides]
    with mock.patch.object(poolers, "roi_align", python_roi_align):
        return poolers._multiscale_roi_align(maps, list(boxes), op.output_size, op.sampling_ratio, scales, mapper)  # type: ignore[no-any-return]


@st.composite
def pyramids(draw: Any) -> tuple[Op, list[torch.Tensor], torch.Tensor]:
    """Maps of an image of 64×96 and boxes inside of it, of all sizes, many of a side exactly between two levels."""
    finest, count = draw(st.sampled_from([2, 4])), draw(st.integers(1, 4))
    op = make(
        "multiscale_roi_align",
        output_size=draw(st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))),
        strides=tuple(finest << i for i in range(count)),
        sampling_ratio=draw(st.sampled_from([-1, 1, 2])),
        canonical_scale=draw(st.sampled_from([16, 24, 32])),
        canonical_level=draw(st.integers(1, 4)),
    )
    n, k = draw(st.integers(1, 2)), draw(st.integers(1, 5))
    maps = [example(tensor(n, 2, 64 // stride, 96 // stride), seed=stride) for stride in op.strides]
    sides = st.sampled_from([3, 4, 6, 8, 12, 16, 24, 32, 48]) | st.floats(1, 60, width=16)
    rows = []
    for _ in range(n * k):
        wide, tall = draw(sides), draw(sides)
        left, top = (draw(st.integers(0, int(62 - side))) / 4 for side in (wide, tall))
        rows.append([left, top, left + wide, top + tall])
    return op, maps, torch.tensor(rows).reshape(n, k, 4)


def inside(op: Any, maps: list[torch.Tensor], boxes: torch.Tensor) -> torch.Tensor:
    """Boxes that end before the last element of every map: torchvision's Python code, unlike its kernels, also counts
    samples outside."""
    reach = torch.tensor([min((m.shape[i] - 1) * s for m, s in zip(maps, op.strides, strict=True)) for i in (3, 2)])
    return torch.minimum(boxes, reach.repeat(2).to(boxes))


@heavy
@given(pyramids())
def test_it_is_torchvisions(case: Any) -> None:
    op, maps, boxes = case
    boxes = inside(op, maps, boxes)
    torch.testing.assert_close(computed(op, *maps, boxes), torchvisions(op, maps, boxes), **TOLERANCE)


@heavy
@given(pyramids(), st.booleans())
def test_it_is_onnx_runtimes(case: Any, aligned: bool) -> None:
    op, maps, boxes = case
    op = op.replace(aligned=aligned)
    torch.testing.assert_close(in_onnx(op, *maps, boxes), computed(op, *maps, boxes), **TOLERANCE)
    listed = torchvision.ops._utils.convert_boxes_to_roi_format(list(boxes))
    torch.testing.assert_close(computed(op, *maps, listed), computed(op, *maps, boxes))
    torch.testing.assert_close(in_onnx(op, *maps, listed), computed(op, *maps, boxes), **TOLERANCE)


def test_boxes_of_one_level_leave_the_others_empty() -> None:
    op = make("multiscale_roi_align", output_size=2, strides=(4, 8, 16))
    maps = [example(tensor(2, 3, 64 // s, 64 // s), seed=s) for s in op.strides]
    boxes = torch.tensor([[[0.0, 0, 10, 10]], [[3.0, 5, 40, 30]]])
    alone = make("roi_align", output_size=2, spatial_scale=0.25)
    torch.testing.assert_close(computed(op, *maps, boxes), computed(alone, maps[0], boxes))
    torch.testing.assert_close(in_onnx(op, *maps, boxes), computed(alone, maps[0], boxes), **TOLERANCE)


def test_symbolic_sizes_are_followed() -> None:
    op, n, k = make("multiscale_roi_align", output_size=(2, 3), strides=(2, 4)), symbol("N"), symbol("K")
    h, w = symbol("h"), symbol("w")
    types = tensor(n, 3, 2 * h, 2 * w), tensor(n, 3, h, w), tensor(n, k, 4)
    assert findings(op, *types) == []
    assert op.outputs(*types)[0].shape == (n * k, 3, 2, 3)
    boxes = torch.tensor([[[0.0, 0, 4, 5], [1, 1, 15, 15]], [[2.0, 3, 9, 9], [0, 0, 3, 3]]])
    op = op.replace(canonical_scale=8, canonical_level=2)
    x = [example(tensor(2, 3, 8, 8)), example(tensor(2, 3, 4, 4)), boxes]
    (y,) = run_onnx(onnx_model(op, types, {}), x)
    torch.testing.assert_close(y, computed(op, *x), **TOLERANCE)


def test_gradients_reach_every_map_with_boxes() -> None:
    op = make("multiscale_roi_align", output_size=2, strides=(2, 4, 8), canonical_scale=8, canonical_level=2)
    maps = [example(tensor(1, 2, 32 // s, 32 // s)).requires_grad_() for s in op.strides]
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 30, 30]]])
    record = op.torch(*[tensor(*t.shape) for t in (*maps, boxes)]).module
    assert record is not None
    build(record)(*maps, boxes).sum().backward()
    assert [bool(m.grad.abs().sum() > 0) for m in maps if m.grad is not None] == [True, False, True]


def test_attributes_are_torchvisions() -> None:
    known = set(inspect.signature(torchvision.ops.MultiScaleRoIAlign).parameters) - {"featmap_names"}
    assert set(OPERATORS["multiscale_roi_align"].attributes) == known | {"strides", "aligned"}


def test_what_does_not_fit_is_refused() -> None:
    def at(op: Op, *types: Any) -> list[Any]:
        return [p.at for p in findings(op, *types)]

    fine, coarse, boxes = tensor(2, 3, 8, 8), tensor(2, 3, 4, 4), tensor(2, 5, 4)
    op = make("multiscale_roi_align", output_size=2, strides=(4, 8))
    assert at(op, fine, coarse, boxes) == []
    assert at(op, fine, coarse, tensor(7, 5)) == []
    assert at(op, fine, coarse, tensor(3, 5, 4)) == [2]
    assert at(op, fine, tensor(2, 4, 4, 4), boxes) == [1]
    assert at(op, fine, tensor(1, 3, 4, 4), boxes) == [1]
    assert at(op, fine, tensor(3, 4, 4), tensor(7, 5)) != []
    assert at(op, fine, boxes) == ["strides"]
    (odd,) = findings(make("multiscale_roi_align", output_size=2, strides=(4, 12)), fine, coarse, boxes)
    assert odd.message == "each stride must be twice the one before, not 4, 12"
    (three,) = findings(make("multiscale_roi_align", output_size=2, strides=(3, 6)), fine, coarse, boxes)
    assert three.message == "strides must be powers of two, not 3, 6"
