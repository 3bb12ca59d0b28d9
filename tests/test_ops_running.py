"""Running products, extremes and sums of powers against PyTorch and ONNX Runtime."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path

import pytest
import torch
from alike import alike
from conformance import agree, findings, make, onnx_model, run_onnx, same_values, tensor
from spectext import spec

import netc
from netc.dims import symbol

NAMES = ["cumprod", "cummax", "cummin", "logcumsumexp"]
HARD = torch.tensor([[1.0, 1.0, -inf, nan, 3.0], [-inf, -inf, 2.0, inf, inf], [0.0, -0.0, 1e30, -1e30, -inf]])
"""Equal elements, infinities, and what is no number."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_what_is_no_number_goes_on_as_in_pytorch(name: str, dim: int) -> None:
    op, x = make(name, dim=dim), tensor(3, 5)
    expected = getattr(torch, name)(HARD, dim)
    found = run_onnx(onnx_model(op, [x], {}), [HARD])
    for one, other in zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"])
def test_element_types(name: str, dtype: str) -> None:
    op, x = make(name, dim=1), tensor(2, 4, 3, dtype=dtype)
    if dtype == "bool" and name in ("cummax", "cummin"):
        assert [p.code for p in findings(op, x)] == ["dtype-mismatch"], "PyTorch takes it"
    elif agree(op, x) and (name, dtype) != ("logcumsumexp", "float64"):  # ONNX Runtime has no Softplus of float64
        same_values(op, x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 2, 300])
def test_open_sizes(name: str, size: int, tmp_path: Path) -> None:
    network = netc.load(spec(f"a: {name} 2 @image", image="[N, 3, t]"))
    both = len(network.outputs) > 1
    x = torch.randn(2, 3, size)
    alike(network, lambda y: getattr(torch, name)(y, 2) if both else first(getattr(torch, name)(y, 2)), tmp_path, x)
    assert make(name, dim=2).outputs(tensor(symbol("N"), 3, symbol("t")))[0] == tensor(symbol("N"), 3, symbol("t"))


def first(found: object) -> torch.Tensor:
    return found[0] if isinstance(found, tuple) else found  # type: ignore[return-value]


@pytest.mark.parametrize("name", NAMES)
def test_an_axis_is_named(name: str) -> None:
    assert [p.at for p in findings(make(name, dim=2), tensor(3, 5))] == ["dim"]
