"""Non-maximum suppression against its definition, box by box, and ONNX Runtime."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conformance import build, findings, make, onnx_model, quick, run_onnx, run_torch, tensor
from hypothesis import given
from hypothesis import strategies as st

import netc
from netc.dims import symbol
from netc.ops import Op
from netc.ops.records import Unsupported
from netc.types import TensorType
from netc.verify import verify

Three = list[torch.Tensor]


def overlap(a: np.ndarray, b: np.ndarray) -> np.float32:
    """Intersection over union in float32; nan for two empty boxes."""
    wide = max(np.float32(0), min(a[2], b[2]) - max(a[0], b[0]))
    tall = max(np.float32(0), min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.float32(wide * tall) / np.float32(areas[0] + areas[1] - wide * tall)


def greedy(op: Any, boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> list[int]:
    """The boxes of one sample that stay, best first: each in turn, unless it overlaps one before it too much."""
    least = -inf if op.score_threshold is None else np.float32(op.score_threshold)
    side = -inf if op.min_size is None else np.float32(op.min_size)
    valid = [i for i, b in enumerate(boxes) if scores[i] > least and b[2] - b[0] >= side and b[3] - b[1] >= side]
    kept: list[int] = []
    for i in sorted(valid, key=lambda i: -scores[i]):
        rivals = [j for j in kept if groups[j] == groups[i]]
        if not any(overlap(boxes[i], boxes[j]) > np.float32(op.iou_threshold) for j in rivals):
            kept.append(i)
    return kept[: op.max_output]


def expected(op: Any, boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor | None = None) -> Three:
    indices = torch.zeros(len(boxes), op.max_output, dtype=torch.int64)
    best, count = torch.zeros(len(boxes), op.max_output), torch.zeros(len(boxes), dtype=torch.int64)
    groups = torch.zeros_like(scores) if groups is None else groups
    for n in range(len(boxes)):
        kept = greedy(op, boxes[n].numpy(), scores[n].numpy(), groups[n].numpy())
        indices[n, : len(kept)] = torch.tensor(kept, dtype=torch.int64)
        best[n, : len(kept)] = scores[n, kept]
        count[n] = len(kept)
    return [indices, best, count]


@st.composite
def rivals(draw: Any) -> tuple[Op, Three]:
    """Boxes with many equal corners and scores, some empty or turned around."""
    n, m = draw(st.integers(1, 3)), draw(st.integers(1, 12))
    op = make(
        "nms",
        max_output=draw(st.integers(1, 15)),
        iou_threshold=draw(st.sampled_from([0, 0.25, 0.5, 0.7, 1])),
        score_threshold=draw(st.none() | st.sampled_from([0, 0.5, 0.9, 2])),
        min_size=draw(st.none() | st.sampled_from([0, 1, 2.5])),
    )
    rows = st.lists(st.integers(-1, 6) | st.floats(0, 6, width=16), min_size=4, max_size=4)
    boxes = torch.tensor([[draw(rows) for _ in range(m)] for _ in range(n)], dtype=torch.float32)
    if draw(st.booleans()):
        boxes = torch.cat([torch.minimum(*boxes.split(2, 2)), torch.maximum(*boxes.split(2, 2))], 2)
    marks = st.sampled_from([-1.0, 0.0, 0.5, 0.75, 1.0]) | st.floats(-1, 1, width=16)
    scores = torch.tensor([[draw(marks) for _ in range(m)] for _ in range(n)])
    if not draw(st.booleans()):
        return op, [boxes, scores]
    kinds = st.integers(-2, 3)
    return op, [boxes, scores, torch.tensor([[draw(kinds) for _ in range(m)] for _ in range(n)])]


def types_of(x: Three) -> list[TensorType]:
    return [tensor(*t.shape, dtype=str(t.dtype).removeprefix("torch.")) for t in x]


def computed(op: Op, x: Three) -> Three:
    types = types_of(x)
    assert findings(op, *types) == []
    results, _ = run_torch(op, types, x)
    assert [tensor(*y.shape, dtype=str(y.dtype).removeprefix("torch.")) for y in results] == list(op.outputs(*types))
    return results


def same(results: Three, wanted: Three) -> None:
    for ours, theirs in zip(results, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@quick
@given(rivals())
def test_nms_is_its_definition(case: tuple[Op, Three]) -> None:
    op, x = case
    same(computed(op, x), expected(op, *x))


@quick
@given(rivals())
def test_nms_is_onnx_runtimes(case: tuple[Op, Three]) -> None:
    op, x = case
    same(run_onnx(onnx_model(op, types_of(x), {}), x), expected(op, *x))


@pytest.mark.parametrize("grouped", [False, True])
def test_many_boxes_with_symbols_for_sizes(grouped: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    corners = 100 * torch.rand(2, 300, 2, generator=generator)
    boxes = torch.cat([corners, corners + 40 * torch.rand(2, 300, 2, generator=generator)], 2)
    x = [boxes, torch.rand(2, 300, generator=generator)]
    x += [torch.randint(0, 5, (2, 300), generator=generator)] * grouped
    op = make("nms", max_output=100, iou_threshold=0.3, score_threshold=0.05, min_size=2)
    wanted = expected(op, *x)
    assert int(wanted[2].min()) > 0
    same(computed(op, x), wanted)
    n, m = symbol("N"), symbol("M")
    types = [tensor(n, m, 4), tensor(n, m), tensor(n, m, dtype="int64")][: len(x)]
    assert findings(op, *types) == []
    assert [t.shape for t in op.outputs(*types)] == [(n, 100), (n, 100), (n,)]
    same(run_onnx(onnx_model(op, types, {}), x), wanted)


def test_a_box_gone_from_one_group_stays_in_another() -> None:
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 3]]])
    scores, groups = torch.tensor([[0.5, 0.75, 1.0]]), torch.tensor([[1, 0, 0]])
    op = make("nms", max_output=4)
    same(
        computed(op, [boxes, scores]), [torch.tensor([[2, 0, 0, 0]]), torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([1])]
    )
    indices, best, count = computed(op, [boxes, scores, groups])
    assert (indices.tolist(), best.tolist(), count.tolist()) == ([[2, 0, 0, 0]], [[1.0, 0.5, 0, 0]], [2])


def test_nothing_left_is_index_zero_and_score_zero() -> None:
    x = [torch.tensor([[[0.0, 0, 4, 4]]]), torch.tensor([[0.5]])]
    op = make("nms", max_output=2, score_threshold=0.5)
    same(computed(op, x), [torch.tensor([[0, 0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([0])])


def test_gradients_reach_the_scores_that_stay() -> None:
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 4, 3], [5, 5, 6, 6]]])
    scores = torch.tensor([[0.5, 0.75, 1.0]], requires_grad=True)
    op = make("nms", max_output=5)
    record = op.torch(*types_of([boxes, scores])).module
    build(record)(boxes, scores)[1].sum().backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [[0, 1, 1]]


def test_what_does_not_fit_is_refused() -> None:
    op, boxes, scores = make("nms", max_output=3), tensor(2, 7, 4), tensor(2, 7)
    assert findings(op, boxes, scores) == []
    assert [p.at for p in findings(op, tensor(2, 7, 5), scores)] == [0]
    assert [p.at for p in findings(op, tensor(7, 4), scores)] == [0]
    assert [p.at for p in findings(op, boxes, tensor(2, 6))] == [1]
    assert [p.at for p in findings(op, boxes, tensor(2, 7, 1))] == [1]
    assert [p.at for p in findings(op, boxes, scores, tensor(2, 6, dtype="int64"))] == [2]
    assert [p.code for p in findings(op, boxes, scores, tensor(2, 7))] == ["dtype-mismatch"]
    assert [p.code for p in findings(op, boxes, tensor(2, 7, dtype="float16"))] == ["dtype-mismatch"]
    assert [p.message for p in findings(op, boxes, tensor(2, 6))] == ["nms takes scores 2×7, one per box, not 2×6"]


def test_doubles_have_no_onnx_form() -> None:
    types = tensor(2, 7, 4, dtype="float64"), tensor(2, 7, dtype="float64")
    assert findings(make("nms", max_output=3), *types) == []
    with pytest.raises(Unsupported, match="float64"):
        make("nms", max_output=3).onnx(*types)


def test_the_best_boxes_of_an_image_are_the_same_in_onnx_runtime() -> None:
    network = netc.load(Path(__file__).parent.parent / "examples/nms.yaml")
    report = verify(network.ir)
    assert report.ok, report


CROPS = """\
netc: 1
name: crops
inputs: {image: [N, 3, 32*h, 32*w]}
net:
  c2: [conv2d 8 8 stride=4 padding=2, relu]
  c3: [conv2d 8 2 stride=2 @c2, relu]
  scores: [conv2d 2 1 @c3, permute (0 2 3 1), flatten, sigmoid]
  offsets: [conv2d 8 1 @c3, permute (0 2 3 1), unflatten 3 (2 4), flatten 1 3]
  anchors: anchors 16 ratios=(0.5 2) stride=8 like=@c3
  boxes: [decode_boxes @offsets @anchors, clip_boxes like=@image]
  nms: nms 20 iou_threshold=0.7 @boxes @scores
  places: unsqueeze 2 @nms.indices
  best: take_along_dim 1 @boxes @places
  levels: multiscale_roi_align 3 strides=(4 8) sampling_ratio=2 canonical_scale=64 @c2 @c3 @best
  aligned: roi_align (2 3) spatial_scale=1/8 @c3 @best
  pooled: roi_pool 2 spatial_scale=1/8 @c3 @best
  votes: ps_roi_align 2 spatial_scale=1/8 @c3 @best
  fc: [flatten @levels, linear 5]
outputs: {fc: fc, aligned: aligned, pooled: pooled, votes: votes, scores: nms.scores, count: nms.count}
"""


def test_crops_of_the_best_boxes_are_the_same_in_onnx_runtime(tmp_path: Path) -> None:
    """From end to end, with sizes that depend on the input, also the shapes onnx infers."""
    (tmp_path / "crops.yaml").write_text(CROPS, encoding="utf-8")
    report = verify(netc.load(tmp_path / "crops.yaml").ir)
    assert report.ok, report
