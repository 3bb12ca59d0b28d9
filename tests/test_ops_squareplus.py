"""Squareplus, which PyTorch has not: against its formula in numpy, and against PyTorch's ReLU where it is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conformance import agree, example, findings, make, onnx_model, run_onnx, run_torch, same_values, tensor


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("b", [0, 0.5, 4])
def test_the_formula(b: float, dtype: str) -> None:
    op, x = make("squareplus", b=b), tensor(2, 3, 5, dtype=dtype)
    assert agree(op, x)
    same_values(op, x)
    value = example(x).double().numpy()
    (found,), _ = run_torch(op, [x], [example(x)])
    exact = (value + np.sqrt(value**2 + b)) / 2
    np.testing.assert_allclose(found.double().numpy(), exact, rtol=1e-5, atol=1e-6)


def test_without_a_bend_it_is_relu() -> None:
    op, x = make("squareplus", b=0), tensor(4, 7)
    (found,) = run_onnx(onnx_model(op, [x], {}), [example(x)])
    torch.testing.assert_close(found, torch.relu(example(x)))


def test_whole_numbers_are_refused() -> None:
    (problem,) = findings(make("squareplus"), tensor(2, 3, dtype="int64"))
    assert problem.code == "dtype-mismatch"
