"""Whole quotients and remainders against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import agree, call, findings, make, onnx_model, quick, run_onnx, same_values, tensor
from hypothesis import given
from hypothesis import strategies as st

from netc.dims import symbol

NAMES = ["floor_divide", "remainder", "fmod"]
PLACES = torch.tensor([[-91, -8, -7, -1, 0], [1, 6, 7, 8, 2**40]])
"""The last is beyond what float32 counts."""


@quick
@given(
    st.sampled_from(NAMES), st.sampled_from([-3, -1, 1, 2, 91]), st.sampled_from(["int64", "int32", "int8", "uint8"])
)
def test_by_a_number_as_pytorch(name: str, other: int, dtype: str) -> None:
    op, x = make(name, other=other), tensor(3, 4, dtype=dtype)
    if other < 0 and dtype == "uint8":
        assert [p.at for p in findings(op, x)] == ["other"], "PyTorch wraps silently"
    else:
        assert agree(op, x)
        same_values(op, x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", [7, -7])
def test_integers_are_divided_exactly(name: str, other: int) -> None:
    op, x = make(name, other=other), tensor(2, 5, dtype="int64")
    expected = getattr(torch, name)(PLACES, other)
    (form,) = [op.torch(x).call]
    assert form is not None
    assert torch.equal(call(form, PLACES), expected)
    assert torch.equal(run_onnx(onnx_model(op, [x], {}), [PLACES])[0], expected)


@pytest.mark.parametrize("name", NAMES)
def test_by_a_tensor_that_broadcasts(name: str) -> None:
    op, types = make(name), (tensor(2, 5, dtype="int64"), tensor(5, dtype="int32"))
    divisors = torch.tensor([2, -2, 3, -5, 7], dtype=torch.int32)
    assert not findings(op, *types)
    assert [(t.shape, t.dtype) for t in op.outputs(*types)] == [((2, 5), "int64")]
    expected = getattr(torch, name)(PLACES, divisors)
    form = op.torch(*types).call
    assert form is not None
    assert torch.equal(call(form, PLACES, divisors), expected)
    assert torch.equal(run_onnx(onnx_model(op, types, {}), [PLACES, divisors])[0], expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("other", "dtype", "code"),
    [(0, "int64", "bad-argument"), (2, "bool", "dtype-mismatch")],
)
def test_what_is_refused(name: str, other: Any, dtype: str, code: str) -> None:
    assert [p.code for p in findings(make(name, other=other), tensor(3, dtype=dtype))] == [code]


@pytest.mark.parametrize("name", NAMES)
def test_symbolic_sizes(name: str) -> None:
    x = tensor(symbol("N"), 3, dtype="int64")
    assert make(name, other=2).infer(x) == x
    same_values(make(name, other=2), tensor(2, 3, dtype="int64"), symbolic=True)


@quick
@given(st.sampled_from(NAMES), st.sampled_from([-2.5, -1.0, 0.1, 1, 3, 0]), st.sampled_from(["float32", "float64"]))
def test_real_numbers_are_divided_as_in_pytorch(name: str, other: Any, dtype: str) -> None:
    op, x = make(name, other=other), tensor(4, 5, dtype=dtype)
    assert agree(op, x)
    same_values(op, x)
    assert agree(make(name), x, tensor(5, dtype=dtype))
    same_values(make(name), x, tensor(5, dtype=dtype))


@pytest.mark.parametrize("name", NAMES)
def test_a_real_divisor_makes_integers_real(name: str) -> None:
    op, x = make(name, other=1.5), tensor(3, dtype="int64")
    assert op.infer(x).dtype == "float32"
    assert agree(op, x)
    same_values(op, x)


def test_a_quotient_of_real_numbers_has_a_gradient() -> None:
    x = torch.randn(4, requires_grad=True)
    form = make("floor_divide", other=2).torch(tensor(4)).call
    assert form is not None
    call(form, x).sum().backward()
    assert torch.equal(x.grad, torch.zeros(4))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["floor", "trunc"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int32", "int8", "uint8"])
@pytest.mark.parametrize("other", [2, 2.5, 0.3, 7])
def test_rounded_quotients(mode: str, dtype: str, other: float) -> None:
    op, x = make("div", other=other, rounding_mode=mode), tensor(4, 5, dtype=dtype)
    assert agree(op, x)
    same_values(op, x)


@pytest.mark.parametrize("mode", ["floor", "trunc"])
def test_rounded_quotients_of_two(mode: str) -> None:
    op, types = make("div", rounding_mode=mode), (tensor(2, 5, dtype="int64"), tensor(5, dtype="int32"))
    divisors = torch.tensor([2, -2, 3, -5, 7], dtype=torch.int32)
    expected = torch.div(PLACES, divisors, rounding_mode=mode)
    assert torch.equal(run_onnx(onnx_model(op, types, {}), [PLACES, divisors])[0], expected)
    reals = torch.tensor([[-7.5, 7.5, 0.3, -0.3, 1.0]]), torch.tensor([2.0, -2.0, 0.1, 0.1, 0.0])
    (found,) = run_onnx(onnx_model(op, (tensor(1, 5), tensor(5)), {}), list(reals))
    assert torch.equal(found, torch.div(*reals, rounding_mode=mode))


def test_what_rounding_refuses() -> None:
    def codes(dtype: str, count: int = 1, **given: Any) -> list[str]:
        types = [tensor(3, dtype=dtype)] * count
        return [p.code for p in findings(make("div", rounding_mode="floor", **given), *types)]

    assert codes("int64", other=0) == ["bad-argument"]
    assert codes("float32", other=0) == []
    assert codes("bool", 2) == ["dtype-mismatch"]
    assert codes("float32", 3) == ["bad-argument"]
