"""Looking up along an axis against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import agree, example, findings, make, onnx_model, quick, run_onnx, same_values, tensor
from hypothesis import given
from hypothesis import strategies as st

from netc.dims import symbol
from netc.ops.base import Op
from netc.ops.records import OnnxNode

SIZE = st.integers(1, 4)
AXIS = st.integers(-4, 3)


@st.composite
def pairs(draw: Any) -> tuple[Op, Any, Any]:
    """A source with 5 elements along the axis, the example's indices reaching up to 4, and indices that fit."""
    sizes = draw(st.lists(SIZE, min_size=1, max_size=4))
    dim = draw(st.integers(-len(sizes), len(sizes) - 1))
    source, index = ([draw(st.sampled_from([n, n, 1])) for n in sizes] for _ in range(2))
    source[dim], index[dim] = 5, draw(SIZE)
    return make("take_along_dim", dim=dim), tensor(*source), tensor(*index, dtype="int64")


@quick
@given(pairs())
def test_it_looks_up_as_pytorch(case: Any) -> None:
    op, *types = case
    assert agree(op, *types)
    same_values(op, *types)


@quick
@given(
    st.lists(SIZE, min_size=1, max_size=4),
    st.lists(SIZE, min_size=1, max_size=4),
    AXIS,
    st.sampled_from(["int64", "int32"]),
)
def test_it_accepts_as_pytorch(a: list[int], b: list[int], dim: int, dtype: str) -> None:
    source = [5 if axis == dim % len(a) else n for axis, n in enumerate(a)]
    agree(make("take_along_dim", dim=dim), tensor(*source), tensor(*b, dtype=dtype))


@pytest.mark.parametrize(
    ("source", "index", "dim", "last"),
    [
        ((2, 5, 4), (2, 3, 1), 1, "GatherND"),
        ((2, 5, 4), (1, 3, 1), 1, "Gather"),
        ((2, 3, 5, 4, 6), (2, 3, 2, 1, 1), 2, "GatherND"),
        ((2, 5), (2, 3), 1, "GatherElements"),
        ((1, 5, 4), (2, 3, 1), 1, "GatherElements"),
        ((2, 5, 4), (2, 3, 4), -2, "GatherElements"),
    ],
)
def test_symbolic_batch_and_number(source: Any, index: Any, dim: int, last: str) -> None:
    """Rows are moved whole where they can be."""
    op, n, m, k = make("take_along_dim", dim=dim), symbol("N"), symbol("M"), symbol("K")
    types = [tensor(*source), tensor(*index, dtype="int64")]
    lifted = [
        t.with_shape(*[s if i == dim % t.rank else n if s == 2 and i == 0 else size for i, size in enumerate(t.shape)])
        for t, s in zip(types, (m, k), strict=True)
    ]
    assert findings(op, *lifted) == []
    nodes = op.onnx(*lifted)
    assert not isinstance(nodes, OnnxNode)
    assert nodes[-1].op_type == last
    x = [example(t) for t in types]
    (y,) = run_onnx(onnx_model(op, lifted, {}), x)
    torch.testing.assert_close(y, torch.take_along_dim(*x, dim), rtol=0, atol=0)


@quick
@given(st.lists(SIZE, min_size=1, max_size=4), AXIS, SIZE, st.sampled_from(["int64", "int32", "float32"]))
def test_slices_as_pytorch(sizes: list[int], dim: int, count: int, dtype: str) -> None:
    sizes = [5 if axis == dim % len(sizes) else n for axis, n in enumerate(sizes)]
    op, types = make("index_select", dim=dim), (tensor(*sizes), tensor(count, dtype=dtype))
    if agree(op, *types):
        same_values(op, *types)


def test_sizes_that_are_not_always_equal_are_refused() -> None:
    op = make("take_along_dim", dim=1)
    (problem,) = findings(op, tensor(symbol("N"), 5, 4), tensor(symbol("M"), 3, 1, dtype="int64"))
    assert (problem.code, problem.at) == ("shape-mismatch", 1)
    assert problem.message == "take_along_dim inputs disagree on axis 0 (N): N and M"
