"""Reductions, extremes, lengths, power pools and bilinear forms against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import (
    agree,
    build,
    example,
    findings,
    make,
    quick,
    run_torch,
    same_symbolic,
    same_values,
    shake,
    tensor,
)
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from netc.dims import symbol

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
AXIS = st.integers(-5, 4)
EXTREMES = st.sampled_from(["argmax", "argmin", "max", "min"])
NUMBERS = ["float32", "float64", "int64", "int32"]
"""Dtypes ONNX Runtime reduces."""


@quick
@given(st.sampled_from(["logsumexp", "prod", "norm"]), SHAPES, st.lists(AXIS, min_size=1, max_size=2), st.booleans())
def test_reduction_as_pytorch(name: str, shape: Any, dim: list[int], keepdim: bool) -> None:
    op = make(name, dim=tuple(dim), keepdim=keepdim)
    if agree(op, tensor(*shape)):
        same_values(op, tensor(*shape))


@pytest.mark.parametrize("p", [0, 0.5, 1, 2, 3, -1, 2.5, "inf", "-inf"])
def test_norms_as_pytorch(p: float | str) -> None:
    op = make("norm", dim=(1, 2), p=p, keepdim=True)
    assert agree(op, tensor(2, 3, 4))
    same_values(op, tensor(2, 3, 4))


@pytest.mark.parametrize("dtype", [*NUMBERS, "bool", "uint8"])
def test_products_of_integers_are_int64(dtype: str) -> None:
    assert agree(make("prod", dim=1), tensor(2, 3, dtype=dtype))
    same_values(make("prod", dim=1), tensor(2, 3, dtype=dtype))


@quick
@given(EXTREMES, SHAPES, st.none() | AXIS, st.booleans(), st.sampled_from(NUMBERS))
def test_extremes_as_pytorch(name: str, shape: Any, dim: int | None, keepdim: bool, dtype: str) -> None:
    op, x = make(name, dim=dim, keepdim=keepdim), tensor(*shape, dtype=dtype)
    if agree(op, x):
        same_values(op, x, symbolic=dtype == "float32")


def test_the_extreme_of_all_elements_has_no_index() -> None:
    assert make("max").ports() is None
    assert make("max").infer(tensor(2, 3)) == tensor()
    (problem,) = findings(make("min", keepdim=True), tensor(2, 3))
    assert (problem.at, problem.helps) == ("keepdim", ("`amin` does",))


@quick
@given(SHAPES, st.integers(1, 4), AXIS, st.booleans(), st.booleans())
def test_topk_as_pytorch(shape: Any, k: int, dim: int, largest: bool, in_order: bool) -> None:
    op, x = make("topk", k=k, dim=dim, largest=largest, sorted=in_order), tensor(*shape)
    if agree(op, x) and in_order:
        same_symbolic(op, x)
        same_values(op, x)


def test_extremes_have_named_outputs() -> None:
    for name in ("max", "min", "topk"):
        op = make(name, dim=1, **({"k": 2} if name == "topk" else {}))
        assert op.ports() == ("values", "indices")
        assert [t.dtype for t in op.outputs(tensor(2, 3, dtype="int32"))] == ["int32", "int64"]


@st.composite
def power_pools(draw: Any) -> tuple[Any, Any]:
    rank = draw(st.integers(1, 3))
    number = st.integers(1, 4)
    per_axis = number | st.tuples(*[number] * rank)
    op = make(
        f"lp_pool{rank}d",
        norm_type=draw(st.sampled_from([1, 2, 2.0, 3, 4, 0.5])),
        kernel_size=draw(per_axis),
        stride=draw(st.none() | per_axis),
        ceil_mode=draw(st.booleans()),
    )
    return op, tensor(2, 2, *draw(st.tuples(*[st.integers(1, 8)] * rank)))


@quick
@given(power_pools())
def test_power_pool_as_pytorch(case: Any) -> None:
    op, x = case
    if agree(op, x):
        same_symbolic(op, x)
        same_values(op, x, symbolic=True)


@pytest.mark.parametrize("norm_type", [0, -1, float("inf")])
def test_power_pools_need_a_positive_exponent(norm_type: float) -> None:
    (problem,) = findings(make("lp_pool2d", norm_type=norm_type, kernel_size=2), tensor(1, 2, 4, 4))
    assert problem.at == "norm_type"


def test_a_power_pool_has_no_padding_to_suggest() -> None:
    (problem,) = findings(make("lp_pool2d", norm_type=2, kernel_size=5), tensor(1, 2, 4, 9))
    assert problem.candidates == ((("kernel_size", 4),), (("kernel_size", 3),))


@quick
@given(SHAPES, st.integers(1, 5), st.booleans(), st.integers(0, 2), st.integers(1, 5))
def test_bilinear_as_pytorch(shape: Any, other: int, bias: bool, change: int, out: int) -> None:
    op = make("bilinear", out_features=out, bias=bias)
    types = tensor(*shape), tensor(*(shape[:-1] if change else (2, *shape[:-1])), other)
    if agree(op, *types):
        same_values(op, *types)


def test_bilinear_of_a_symbolic_batch() -> None:
    op, n = make("bilinear", out_features=4), symbol("N")
    assert op.infer(tensor(n, 3), tensor(n, 5)).shape == (n, 4)
    (problem,) = op.check(tensor(n, 3), tensor(symbol("M"), 5))
    assert (problem.code, problem.at) == ("shape-mismatch", 1)


@quick
@given(SHAPES, st.integers(0, 2), st.none() | st.sampled_from([1e-5, 0.1]), st.booleans())
def test_rms_norm_as_pytorch(shape: Any, axes: int, eps: float | None, affine: bool) -> None:
    normalized = shape[len(shape) - axes :] if axes else ()
    op = make("rms_norm", normalized_shape=normalized, eps=eps, elementwise_affine=affine)
    if agree(op, tensor(*shape)):
        same_values(op, tensor(*shape))


def test_rms_norm_refuses_another_shape() -> None:
    (problem,) = findings(make("rms_norm", normalized_shape=(3, 4)), tensor(2, 4, 4))
    assert problem.candidates == ((("normalized_shape", (4, 4)),),)


@quick
@given(SHAPES, AXIS, st.sampled_from([1.0, 2.0, 3.0, 0.5]), st.sampled_from([1e-12, 0.5]))
def test_normalize_as_pytorch(shape: Any, dim: int, p: float, eps: float) -> None:
    op, x = make("normalize", p=p, dim=dim, eps=eps), tensor(*shape)
    if agree(op, x):
        same_values(op, x, symbolic=True)


@quick
@given(st.lists(st.integers(1, 4), min_size=2, max_size=5).map(tuple), st.sampled_from([1e-12, 0.5]))
def test_l2_norm_is_pytorchs_normalize_times_a_scale(shape: Any, eps: float) -> None:
    op, x = make("l2_norm", eps=eps), tensor(*shape)
    assert agree(op, x)
    (found,), module = run_torch(op, [x], [example(x)])
    scale = module.weight.view(-1, *[1] * (len(shape) - 2))
    torch.testing.assert_close(found, normalize(example(x), dim=1, eps=eps) * scale)
    same_values(op, x, symbolic=True)


def test_l2_norm_starts_from_its_scale_and_learns() -> None:
    module = build(make("l2_norm", scale=10).torch(tensor(2, 3, 4, 4)).module)
    assert module.weight.tolist() == [10.0] * 3
    with torch.no_grad():
        shake(module)
    module(torch.randn(2, 3, 4, 4)).sum().backward()
    assert module.weight.grad is not None
    assert module.weight.grad.abs().min() > 0


@pytest.mark.parametrize("shape", [(2, 3, 4), (5,), ()])
@pytest.mark.parametrize("name", ["mean", "sum", "amax", "amin", "norm", "prod"])
def test_all_axes_are_reduced_where_none_is_named(name: str, shape: tuple[int, ...]) -> None:
    for keepdim in (False, True) if name != "prod" else (False,):
        op = make(name, keepdim=keepdim)
        assert agree(op, tensor(*shape))
        same_values(op, tensor(*shape), symbolic=len(shape) > 1)


def test_prod_of_all_axes_keeps_none() -> None:
    assert [p.at for p in findings(make("prod", keepdim=True), tensor(2, 3))] == ["keepdim"]
