"""Functions of elements at the places where formulas break: infinities, NaN, −0, tiny and huge numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conformance import agree, findings, make, onnx_model, run_onnx, run_torch, tensor

from netc.ops import Op

EDGES = [0.0, -0.0, 1e-30, -1e-30, 1e-10, -3e-9, 1e-4, -1e-4, 0.3, -0.3, 0.5, -0.5, 0.6, 1.0, -1.0, 1.5, -2.5, 7.0]
EDGES += [-7.0, 30.0, -30.0, 88.0, -88.0, 100.0, -104.0, 1e10, -1e10, 3e38, -3e38]
EDGES += [float("inf"), float("-inf"), float("nan")]
NUMBERS = torch.tensor(EDGES)
ONE = ["tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "sinc", "deg2rad", "rad2deg", "exp2"]
ONE += ["expm1", "log2", "log10", "log1p", "logit", "trunc", "frac", "signbit", "nan_to_num"]
TWO = ["atan2", "hypot", "logaddexp", "logaddexp2", "fmax", "fmin", "copysign", "xlogy", "isclose", "remainder", "fmod"]
WILD = {"tan": 1e4, "sinc": 1e4, "remainder": 1e9, "fmod": 1e9, "asinh": 1e19, "acosh": 1e19, "logaddexp2": 31}
"""Beyond this size the libraries round otherwise, or ONNX Runtime overflows where PyTorch does not."""


def close(op: Op, x: list[torch.Tensor]) -> None:
    """To a relative 2e-6, near 0 too, or as near to float64's numbers as PyTorch's are."""
    types = [tensor(*t.shape) for t in x]
    assert agree(op, *types)
    (theirs,), _ = run_torch(op, types, x)
    (ours,) = run_onnx(onnx_model(op, types, {}), x)
    assert ours.dtype == theirs.dtype
    (exact,), _ = run_torch(op, [tensor(*t.shape, dtype="float64") for t in x], [t.double() for t in x])
    nearer = (ours.double() - exact.double()).abs() <= (theirs.double() - exact.double()).abs()
    theirs = torch.where(nearer, ours, theirs)
    torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=1e-37, equal_nan=True)


def tame(name: str, x: torch.Tensor) -> torch.Tensor:
    return x[(x.abs() < WILD[name]) | ~x.isfinite()] if name in WILD else x


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_number_at_their_edges(name: str) -> None:
    close(make(name), [tame(name, NUMBERS)])


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two_numbers_at_their_edges(name: str) -> None:
    x = tame(name, NUMBERS)
    close(make(name), [x[:, None].clone(), x.clone()])


@pytest.mark.parametrize("other", [0, -2.5, 3])
@pytest.mark.parametrize("name", ["copysign", "xlogy"])
def test_a_number_may_be_the_second(name: str, other: Any) -> None:
    close(make(name, other=other), [NUMBERS])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_infinities_become_the_largest_number_of_the_type(dtype: str) -> None:
    op, x = make("nan_to_num"), tensor(len(EDGES), dtype=dtype)
    values = [NUMBERS.to(getattr(torch, dtype))]
    (theirs,), _ = run_torch(op, [x], values)
    (ours,) = run_onnx(onnx_model(op, [x], {}), values)
    assert torch.equal(ours, theirs)
    assert ours.abs().max() == torch.finfo(ours.dtype).max


def test_rounding_to_decimals_in_float16_has_powers_that_fit() -> None:
    half = tensor(3, dtype="float16")
    assert findings(make("round", decimals=5), half)[0].message == "10^5 does not fit float16"
    assert agree(make("round", decimals=4), half)
