"""Pools against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
from conformance import agree, example, findings, make, quick, run_torch, same_symbolic, same_values, tensor
from hypothesis import given
from hypothesis import strategies as st

from netc.dims import symbol


def per_axis(rank: int, low: int, high: int) -> st.SearchStrategy[Any]:
    number = st.integers(low, high)
    return number | st.tuples(*[number] * rank)


@st.composite
def pools(draw: Any) -> tuple[Any, Any]:
    rank, kind = draw(st.integers(1, 3)), draw(st.sampled_from(["max", "avg"]))
    given_ = {
        "kernel_size": draw(per_axis(rank, 1, 4)),
        "stride": draw(st.none() | per_axis(rank, 1, 4)),
        "padding": draw(per_axis(rank, 0, 2) | st.sampled_from(["valid", "half"])),
        "ceil_mode": draw(st.booleans()),
    }
    if kind == "max":
        given_["dilation"] = draw(per_axis(rank, 1, 3))
    else:
        given_["count_include_pad"] = draw(st.booleans())
        if rank > 1:
            given_["divisor_override"] = draw(st.none() | st.integers(1, 5))
    sizes = draw(st.tuples(*[st.integers(1, 8)] * rank))
    return make(f"{kind}_pool{rank}d", **given_), tensor(2, 2, *sizes)


@quick
@given(pools())
def test_pool_accepts_sizes_and_computes_as_pytorch(case: Any) -> None:
    op, x = case
    if agree(op, x):
        same_symbolic(op, x)
        if sees_an_element_everywhere(op, x):
            same_values(op, x, symbolic=True)


def sees_an_element_everywhere(op: Any, x: Any) -> bool:
    """Where dilation leaves a window nothing but padding, PyTorch says −∞ and ONNX Runtime the smallest float."""
    (result,), _ = run_torch(op, [x], [example(x)])
    return bool(result.isfinite().all())


def some_kept(rank: int) -> st.SearchStrategy[Any]:
    """A size for each axis, or none where it stays."""
    return st.tuples(*[st.none() | st.integers(1, 5)] * rank)


@st.composite
def adaptive(draw: Any) -> tuple[Any, Any]:
    rank, kind = draw(st.integers(1, 3)), draw(st.sampled_from(["max", "avg"]))
    kept = [per_axis(rank, 1, 5)] if rank == 1 else [per_axis(rank, 1, 5), some_kept(rank)]
    op = make(f"adaptive_{kind}_pool{rank}d", output_size=draw(st.one_of(kept)))
    return op, tensor(2, 2, *draw(st.tuples(*[st.integers(1, 7)] * rank)))


@quick
@given(adaptive())
def test_adaptive_pool_sizes_and_computes_as_pytorch(case: Any) -> None:
    op, x = case
    assert agree(op, x)
    same_values(op, x, symbolic=True)


def test_global_pool_of_a_symbolic_size_is_one_node() -> None:
    x = tensor(symbol("N"), 512, symbol("h"), symbol("w"))
    assert make("adaptive_avg_pool2d", output_size=1).onnx(x).op_type == "GlobalAveragePool"


def test_an_axis_that_stays_needs_no_size() -> None:
    x = tensor(symbol("N"), 512, symbol("h"), symbol("w"))
    rows = make("adaptive_avg_pool2d", output_size=(None, 1))
    assert rows.infer(x).shape == (symbol("N"), 512, symbol("h"), 1)
    assert [node.op_type for node in rows.onnx(x)] == ["ReduceMean"]
    assert rows.caption(x) == "H×1"
    assert make("adaptive_max_pool2d", output_size=None).onnx(x) == ()


def test_a_pool_of_one_axis_does_not_keep_it() -> None:
    (problem,) = findings(make("adaptive_max_pool1d", output_size=None), tensor(1, 1, 8))
    assert problem.at == "output_size"
    assert not agree(make("adaptive_max_pool1d", output_size=None), tensor(1, 1, 8))


def test_too_much_padding_offers_half_the_window() -> None:
    (problem,) = findings(make("max_pool2d", kernel_size=3, padding=2), tensor(1, 1, 8, 8))
    assert (problem.code, problem.at, problem.candidates) == ("bad-argument", "padding", ((("padding", 1),),))


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_the_stride_is_left_out_where_it_is_the_kernel(name: str) -> None:
    def shown(**attributes: Any) -> list[str]:
        args = make(name, kernel_size=2, **attributes).torch(tensor(1, 1, 8, 8)).module.args
        return [a.name for a in args if a.omit is ... or a.value != a.omit]

    assert shown() == ["kernel_size"]
    assert shown(stride=2) == ["kernel_size"]
    assert shown(stride=1) == ["kernel_size", "stride"]


def test_an_integer_input_is_refused() -> None:
    (problem,) = findings(make("avg_pool2d", kernel_size=2), tensor(1, 1, 8, 8, dtype="int32"))
    assert problem.code == "dtype-mismatch"
