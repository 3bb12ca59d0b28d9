"""Tensors with numbers, and powers, against PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import agree, call, findings, make, onnx_model, quick, run_onnx, same_values, tensor
from hypothesis import given
from hypothesis import strategies as st

from netc.dims import symbol

NAMES = ["add", "sub", "rsub", "mul", "div", "pow", "maximum", "minimum"]
NUMBERS = st.sampled_from([-2, -1, 0, 1, 2, 3, 200, -1.5, 0.5, 1.0, 2.0])
DTYPES = ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"]
EVERYWHERE = ("float32", "float64", "int64", "int32")
"""Dtypes ONNX Runtime computes in."""


@quick
@given(st.sampled_from(NAMES), NUMBERS, st.sampled_from(DTYPES))
def test_a_number_as_operand_as_pytorch(name: str, other: Any, dtype: str) -> None:
    """Powers beyond the range of integers are left out: one library wraps, the other does not."""
    op, x = make(name, other=other), tensor(3, 4, dtype=dtype)
    low, high = {"int8": (-128, 127), "uint8": (0, 255)}.get(op.infer(x).dtype, (other, other))
    if not low <= other <= high:
        assert [p.at for p in findings(op, x)][:1] == ["other"], "PyTorch wraps silently"
    elif agree(op, x) and op.infer(x).dtype in EVERYWHERE and not (name == "pow" and other == 200):
        same_values(op, x)


@pytest.mark.parametrize("name", NAMES)
def test_a_number_keeps_symbolic_sizes(name: str) -> None:
    x = tensor(symbol("N"), 3, symbol("h"))
    op = make(name, other=2)
    assert list(op.check(x)) == []
    assert op.infer(x) == x
    same_values(op, tensor(2, 3, 4), symbolic=True)


@quick
@given(st.sampled_from(DTYPES), st.sampled_from(DTYPES))
def test_powers_promote_as_pytorch(a: str, b: str) -> None:
    op, types = make("pow"), (tensor(2, 2, dtype=a), tensor(2, 2, dtype=b))
    if {a, b} == {"int8", "uint8"}:
        assert findings(op, *types)
    elif agree(op, *types) and op.infer(*types).dtype in EVERYWHERE:
        same_values(op, *types)


def test_powers_broadcast() -> None:
    assert agree(make("pow"), tensor(2, 3, 4), tensor(3, 1))
    assert findings(make("pow"), tensor(2, 3), tensor(2, 4))[0].code == "shape-mismatch"


@pytest.mark.parametrize("name", NAMES)
def test_one_tensor_alone_is_refused(name: str) -> None:
    (problem,) = findings(make(name), tensor(2, 3))
    assert problem.code == "bad-arity"


@pytest.mark.parametrize("name", NAMES)
def test_several_tensors_and_a_number_are_refused(name: str) -> None:
    (problem,) = findings(make(name, other=2), tensor(2, 3), tensor(2, 3))
    assert (problem.code, problem.at) == ("bad-argument", "other")


def test_a_whole_number_keeps_integers_whole() -> None:
    assert make("mul", other=2).infer(tensor(2, dtype="int32")).dtype == "int32"
    assert make("mul", other=2.0).infer(tensor(2, dtype="int32")).dtype == "float32"
    assert "does not fit int8" in findings(make("add", other=300), tensor(2, dtype="int8"))[0].message


MIXED = [
    ("bool", "bool", "int64"),
    ("bool", "float32", "bool"),
    ("int32", "int32", "int64"),
    ("int64", "int32", "float32"),
    ("float32", "float32", "float64"),
    ("int32", "float32", "float64", "int64"),
]
"""Without float16, whose roundings between two nodes ONNX Runtime leaves out."""


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum"])
@pytest.mark.parametrize("dtypes", MIXED)
def test_several_are_put_together_two_at_a_time(name: str, dtypes: tuple[str, ...]) -> None:
    """Each pair in its own type: what wraps around, rounds or is a truth does so before the next operand comes."""
    op, types = make(name), [tensor(3, dtype=dtype) for dtype in dtypes]
    if name == "sub" and "bool" in dtypes:
        assert {p.code for p in findings(op, *types)} == {"dtype-mismatch"}
        return
    hard = {"bool": [1, 1, 0], "int32": [2**31 - 1, 3, 1], "float32": [1e-3, 2e3, 7.1]}
    hard |= {"int64": [5, 2**40, 1], "float64": [1e-9, 0.3, 11]}
    x = [torch.tensor(hard[dtype], dtype=getattr(torch, dtype)) for dtype in dtypes]
    form = op.torch(*types).call
    assert form is not None
    expected = call(form, *x)
    (found,) = run_onnx(onnx_model(op, types, {}), x)
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0, equal_nan=True)
    assert agree(op, *types)
