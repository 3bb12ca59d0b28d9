"""Where adaptive max pooling finds its elements, against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import make, onnx_model, run_onnx, tensor
from torch import nn

from netc.dims import symbol
from netc.ops.records import Unsupported

POOLS = {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d, 3: nn.AdaptiveMaxPool3d}


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((2, 3, 11), 4),
        ((2, 3, 12), 4),
        ((2, 3, 9, 7), (4, 3)),
        ((2, 3, 9, 7), 1),
        ((2, 3, 9, 7), (None, 3)),
        ((2, 3, 9, 7), (4, None)),
        ((1, 2, 600, 45), (7, 8)),
        ((2, 2, 5, 6, 7), (2, 6, 3)),
    ],
)
def test_places_are_pytorchs_where_equals_meet_too(shape: tuple[int, ...], size: Any) -> None:
    rank = len(shape) - 2
    op, types = make(f"adaptive_max_pool{rank}d", output_size=size, return_indices=True), [tensor(*shape)]
    x = torch.randint(0, 6, shape, generator=torch.Generator().manual_seed(1)).float()
    expected = POOLS[rank](size, return_indices=True)(x)
    assert [(t.shape, t.dtype) for t in op.outputs(*types)] == [
        (expected[0].shape, "float32"),
        (expected[1].shape, "int64"),
    ]
    for ours, theirs in zip(run_onnx(onnx_model(op, types, {}), [x]), expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", ["avg", "max"])
@pytest.mark.parametrize("size", [1, 2, 3, (None, 3)])
def test_float64_has_other_kernels(kind: str, size: Any) -> None:
    """ONNX Runtime has GlobalAveragePool, AveragePool and GlobalMaxPool of float32 alone."""
    x = torch.randn(2, 3, 6, 4, dtype=torch.float64)
    op, types = make(f"adaptive_{kind}_pool2d", output_size=size), [tensor(*x.shape, dtype="float64")]
    expected = getattr(nn, f"Adaptive{kind.title()}Pool2d")(size)(x)
    torch.testing.assert_close(run_onnx(onnx_model(op, types, {}), [x])[0], expected, rtol=1e-12, atol=1e-12)


def test_open_sizes_have_no_places_unless_all_bins_are_alike() -> None:
    op, h = make("adaptive_max_pool1d", output_size=4, return_indices=True), symbol("h")
    with pytest.raises(Unsupported, match="--bind"):
        op.onnx(tensor(2, 3, h))
    x = torch.randn(2, 3, 8)
    expected = nn.AdaptiveMaxPool1d(4, return_indices=True)(x)
    with pytest.raises(Unsupported):
        op.onnx(tensor(2, 3, 4 * h))
    assert torch.equal(run_onnx(onnx_model(op, [tensor(2, 3, 8)], {}), [x])[1], expected[1])
