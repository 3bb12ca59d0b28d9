"""Sampling at real-valued places against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import CASES, TOLERANCE, agree, call, example, findings, make, onnx_model, quick, run_onnx, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from netc.dims import symbol
from netc.ops import BadValue, Op

heavy = settings(quick, max_examples=max(30, CASES // 2))
SPACE = st.integers(1, 6)


def same(op: Op, types: list[Any], x: list[torch.Tensor]) -> None:
    """ONNX Runtime and PyTorch on these very tensors."""
    record = op.torch(*types).call
    assert record is not None
    (found,) = run_onnx(onnx_model(op, types, {}), x)
    torch.testing.assert_close(found, call(record, *x), **TOLERANCE)


@st.composite
def samples(draw: Any) -> tuple[Op, list[Any]]:
    rank = draw(st.sampled_from([2, 2, 3]))
    op = make(
        "grid_sample",
        mode=draw(st.sampled_from(["bilinear", "nearest", "bicubic"])),
        padding_mode=draw(st.sampled_from(["zeros", "border", "reflection"])),
        align_corners=draw(st.booleans()),
    )
    image = tensor(2, draw(st.integers(1, 3)), *[draw(SPACE) for _ in range(rank)])
    grid = tensor(
        draw(st.sampled_from([2] * 6 + [1])),
        *[draw(SPACE) for _ in range(rank)],
        draw(st.sampled_from([rank] * 6 + [1])),
    )
    return op, [image, grid]


@heavy
@given(samples(), st.integers(0, 99))
def test_grid_sample_agrees(case: Any, seed: int) -> None:
    op, types = case
    if agree(op, *types):
        same(op, types, [example(t, seed + i) for i, t in enumerate(types)])


@st.composite
def grids(draw: Any) -> tuple[Op, list[Any]]:
    rank = draw(st.sampled_from([2, 2, 3]))
    count = draw(st.sampled_from([rank] * 6 + [1]))
    like = draw(st.booleans())
    size = [draw(SPACE) for _ in range(count)]
    op = make("affine_grid", align_corners=draw(st.booleans()), **({} if like else {"size": tuple(size)}))
    maps = tensor(2, rank, rank + 1)
    return op, [maps, tensor(2, 3, *size)] if like else [maps]


@heavy
@given(grids())
def test_affine_grid_agrees(case: Any) -> None:
    op, types = case
    if agree(op, *types):
        same(op, types, [example(t, i) for i, t in enumerate(types)])


def test_the_identity_map_reads_the_image_as_it_is() -> None:
    image = example(tensor(1, 2, 5, 7))
    maps = torch.eye(2, 3)[None]
    places = call(make("affine_grid", size=(5, 7)).torch(tensor(1, 2, 3)).call, maps)
    sampled = call(make("grid_sample").torch(tensor(*image.shape), tensor(*places.shape)).call, image, places)
    torch.testing.assert_close(sampled, image)


def test_symbolic_sizes() -> None:
    n, h, w = symbol("N"), symbol("h"), symbol("w")
    image, grid = tensor(n, 3, h, w), tensor(n, 5, w, 2)
    assert findings(make("grid_sample"), image, grid) == []
    assert make("grid_sample").infer(image, grid).shape == (n, 3, 5, w)
    maps = tensor(n, 2, 3)
    assert make("affine_grid").infer(maps, image).shape == (n, h, w, 2)
    onnx_model(make("affine_grid", size=(3, 4)), [maps], {})


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(5, 7), (1, 4), (3, 1, 2)])
def test_an_affine_grid_follows_an_image_of_any_size(size: tuple[int, ...], align_corners: bool) -> None:
    rank, op = len(size), make("affine_grid", align_corners=align_corners)
    maps, image = tensor(2, rank, rank + 1), tensor(2, 3, *size)
    unknown = tensor(symbol("N"), rank, rank + 1), tensor(symbol("N"), 3, *[symbol(name) for name in "hwd"[:rank]])
    x = [example(maps), example(image, 1)]
    same(op, list(unknown), x)


@pytest.mark.parametrize(
    ("grid", "code", "text"),
    [
        ((2, 5, 5, 3), "shape-mismatch", "2 coordinates"),
        ((3, 5, 5, 2), "shape-mismatch", "3 grids for 2 samples"),
        ((2, 5, 2), "rank-mismatch", "N×H×W×2"),
    ],
)
def test_a_grid_that_does_not_fit_says_why(grid: Any, code: str, text: str) -> None:
    (problem,) = findings(make("grid_sample"), tensor(2, 1, 4, 4), tensor(*grid))
    assert (problem.code, problem.at) == (code, 1)
    assert text in problem.message


def test_bicubic_has_two_axes() -> None:
    found = findings(make("grid_sample", mode="bicubic"), tensor(2, 1, 4, 4, 4), tensor(2, 4, 4, 4, 3))
    assert [p.at for p in found] == ["mode"]


@pytest.mark.parametrize(
    ("given_size", "shapes", "at"),
    [((), [(1, 2, 3)], None), ((4, 4), [(1, 2, 4)], 0), ((4,), [(1, 2, 3)], "size"), ((), [(1, 2, 3), (1, 2, 4)], 1)],
)
def test_an_affine_grid_needs_maps_and_a_size(given_size: Any, shapes: Any, at: Any) -> None:
    found = findings(make("affine_grid", size=given_size), *[tensor(*shape) for shape in shapes])
    assert [p.at for p in found] == [at]


def test_bad_words_are_refused() -> None:
    with pytest.raises(BadValue, match="`padding_mode` must be one of zeros, border, reflection"):
        make("grid_sample", padding_mode="reflect")
