"""Whether some or all elements are true, and cross products, against PyTorch and ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from conformance import agree, call, findings, make, onnx_model, run_onnx, run_torch, same_symbolic, same_values, tensor
from onnx import TensorProto, helper

import netc
from netc.dims import symbol
from netc.ops import Op
from netc.types import DTYPES


def in_onnx(op: Op, *x: torch.Tensor) -> torch.Tensor:
    types = [tensor(*t.shape, dtype=str(t.dtype).removeprefix("torch.")) for t in x]
    (y,) = run_onnx(onnx_model(op, types, {}), x)
    return y


TRUTHS = [[1, 0, 0], [0, 0, 0], [1, 1, 1], [-0.0, 0.4, float("nan")]]


@pytest.mark.parametrize("name", ["any", "all"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [None, 0, (-1,), (1, 0)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_truths_of_every_type(name: str, dtype: str, dim: Any, keepdim: bool) -> None:
    """What is not 0 is true: fractions and NaN too."""
    rows = TRUTHS if dtype.startswith(("float", "bfloat")) else TRUTHS[:3]
    x = torch.tensor(rows).to(getattr(torch, dtype))
    op = make(name, **({} if dim is None else {"dim": dim}), keepdim=keepdim)
    expected = getattr(torch, name)(x, dim, keepdim=keepdim)
    (ours,), _ = run_torch(op, [tensor(*x.shape, dtype=dtype)], [x])
    assert ours.dtype == expected.dtype
    torch.testing.assert_close(ours, expected, rtol=0, atol=0)
    assert str(expected.dtype) == f"torch.{op.infer(tensor(*x.shape, dtype=dtype)).dtype}"
    if dtype != "bfloat16":
        torch.testing.assert_close(in_onnx(op, x), expected, rtol=0, atol=0)


def test_a_scalar_is_what_it_is() -> None:
    for name in ("any", "all"):
        same_values(make(name), tensor(dtype="bool"))


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype not in ("bool", "bfloat16")])
@pytest.mark.parametrize("dim", [1, -2])
def test_cross_products_of_every_type(dtype: str, dim: int) -> None:
    a, b = (torch.randint(0, 9, shape).to(getattr(torch, dtype)) for shape in ((2, 3, 4), (1, 3, 4)))
    op = make("cross", dim=dim)
    expected = torch.linalg.cross(a, b, dim=dim)
    torch.testing.assert_close(in_onnx(op, a, b), expected, rtol=0, atol=0)
    assert agree(op, *[tensor(*t.shape, dtype=dtype) for t in (a, b)])


def test_cross_products_of_infinite_vectors() -> None:
    a = torch.tensor([[float("inf"), 1, 2], [float("nan"), 0, 1], [0, float("-inf"), 3]])
    b = torch.tensor([[1.0, 2, 3]])
    torch.testing.assert_close(in_onnx(make("cross"), a, b), torch.linalg.cross(a, b), equal_nan=True)


@pytest.mark.parametrize(
    "shapes", [((2, 3), (3,)), ((2, 4), (2, 4)), ((1,), (3,)), ((2, 3), (4, 3)), ((2, 3), (2, 1)), ((), ())]
)
def test_vectors_that_do_not_fit(shapes: Any) -> None:
    types = [tensor(*shape) for shape in shapes]
    assert not agree(make("cross"), *types)


def test_vectors_whose_size_is_open() -> None:
    n = symbol("N")
    (problem,) = findings(make("cross"), tensor(2, n), tensor(2, n))[:1]
    assert problem.message == "cross takes vectors of 3 along axis -1, not 2×N"
    same_symbolic(make("cross"), tensor(2, 4, 3), tensor(2, 4, 3))


def test_gradients_of_a_cross_product() -> None:
    a, b = (torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    form = make("cross", dim=1).torch(tensor(2, 3, 4), tensor(2, 3, 4)).call
    assert form is not None
    y = call(form, a, b)
    ours = torch.autograd.grad(y.square().sum(), (a, b))
    theirs = torch.autograd.grad(torch.linalg.cross(a, b, dim=1).square().sum(), (a, b))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("name", "extreme"), [("any", "ReduceMax"), ("all", "ReduceMin")])
def test_exporters_count_truths(name: str, extreme: str, tmp_path: Path) -> None:
    """PyTorch's exporter reduces them as numbers."""
    nodes = [
        helper.make_node("Cast", ["x"], ["truths"], to=TensorProto.BOOL),
        helper.make_node("Cast", ["truths"], ["numbers"], to=TensorProto.INT64),
        helper.make_node(extreme, ["numbers", "axes"], ["extreme"], keepdims=0),
        helper.make_node("Cast", ["extreme"], ["y"], to=TensorProto.BOOL),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 4])
    result = helper.make_tensor_value_info("y", TensorProto.BOOL, ["N", 4])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], np.array([1]))
    graph = helper.make_graph(nodes, "truths", [given], [result], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "truths.onnx")
    assert f"{name} 1" in netc.import_onnx(tmp_path / "truths.onnx").text
