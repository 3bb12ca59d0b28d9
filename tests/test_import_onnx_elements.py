"""Functions of elements and places in ONNX files, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import netc

FLOAT, INT64, INT32, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL


def numbers() -> Any:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    x[0, 0, 0], x[1, 2, 3] = np.inf, -np.inf
    return x


def finite() -> Any:
    return np.clip(numbers(), -2, 2)


def places(dtype: Any = np.int64) -> Any:
    return np.argsort(np.random.default_rng(1).normal(size=(2, 3, 4)), axis=1).astype(dtype)


def whole(dtype: Any = np.int64) -> Any:
    return np.random.default_rng(2).integers(0, 100, (2, 3, 4)).astype(dtype)


CASES: dict[str, tuple[str, list[Any], dict[str, Any], dict[str, Any], int, str]] = {
    "infinite": ("IsInf", [numbers()], {}, {}, BOOL, "isinf"),
    "above all": ("IsInf", [numbers()], {"detect_negative": 0}, {}, BOOL, "isposinf"),
    "below all": ("IsInf", [numbers()], {"detect_positive": 0}, {}, BOOL, "isneginf"),
    "and": ("BitwiseAnd", [whole(), whole()[::-1].copy()], {}, {}, INT64, "bitwise_and"),
    "or a number": ("BitwiseOr", [whole(np.int32)], {}, {"b": np.array(5, np.int32)}, INT32, "bitwise_or 5"),
    "or, not both": ("BitwiseXor", [whole(), whole()[::-1].copy()], {}, {}, INT64, "bitwise_xor"),
    "not": ("BitwiseNot", [whole()], {}, {}, INT64, "bitwise_not"),
    "put": ("ScatterElements", [finite(), places(), finite()[::-1].copy()], {"axis": 1}, {}, FLOAT, "scatter 1"),
    "put at int32": ("ScatterElements", [finite(), places(np.int32), finite()], {"axis": 1}, {}, FLOAT, "scatter 1"),
    **{
        reduction: (
            "ScatterElements",
            [finite(), places(), finite()[::-1].copy()],
            {"axis": -2, "reduction": reduction},
            {},
            FLOAT,
            line,
        )
        for reduction, line in (
            ("add", "scatter_add -2"),
            ("mul", "scatter_reduce -2 prod"),
            ("max", "scatter_reduce -2 amax"),
            ("min", "scatter_reduce -2 amin"),
        )
    },
    "classes": ("OneHot", [places()], {}, {"depth": np.array(3), "values": np.array([0, 1])}, INT64, "one_hot 3"),
    "classes in float32": (
        "OneHot",
        [places()],
        {"axis": 3},
        {"depth": np.array([5]), "values": np.array([0, 1], np.float32)},
        FLOAT,
        "cast float32",
    ),
    "products": ("ReduceProd", [finite()], {"keepdims": 0}, {"axes": np.array([1, 2])}, FLOAT, "prod"),
    "products that keep their axes": ("ReduceProd", [finite()], {}, {"axes": np.array([-1, 1])}, FLOAT, "prod"),
    "no number": ("Where", [finite() > 0, finite()], {}, {"b": np.array(np.nan, np.float32)}, FLOAT, "where"),
}


@pytest.mark.parametrize("case", CASES)
def test_functions_of_elements(case: str, tmp_path: Path) -> None:
    op_type, arrays, attributes, constants, dtype, line = CASES[case]
    names = [f"in{at}" for at in range(len(arrays))]
    kinds = [helper.np_dtype_to_tensor_dtype(array.dtype) for array in arrays]
    given = [helper.make_tensor_value_info(n, k, a.shape) for n, k, a in zip(names, kinds, arrays, strict=True)]
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    made = helper.make_node(op_type, [*names, *constants], ["y"], **attributes)
    graph = helper.make_graph([made], "elements", given, [helper.make_tensor_value_info("y", dtype, None)], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "elements.onnx")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, dict(zip(names, arrays, strict=True)))
    imported = netc.import_onnx(tmp_path / "elements.onnx")
    assert line in imported.text
    weights = {name: torch.from_numpy(imported.tensor(name).copy()) for name in imported.tensors}
    found = imported.network.module(weights).eval()(*map(torch.from_numpy, arrays))
    torch.testing.assert_close(found, torch.from_numpy(expected), equal_nan=True)


TOKENS, TRUTHS = "{shape: [N, 4], dtype: int64}", "{shape: [N, 4], dtype: bool}"


@pytest.mark.parametrize(
    ("line", "inputs"),
    [
        ("ne 0", f"tokens: {TOKENS}"),
        ("ne @tokens @others", f"tokens: {TOKENS}, others: {TOKENS}"),
        ("any 1", f"truths: {TRUTHS}"),
        ("all (0 1) keepdim=true", f"truths: {TRUTHS}"),
    ],
)
def test_what_onnx_has_in_steps_is_one_operator(line: str, inputs: str, tmp_path: Path) -> None:
    written = netc.load(f"netc: 1\nname: steps\ninputs: {{{inputs}}}\nnet: {{found: {line}}}\n")
    written.write_onnx(tmp_path / "steps.onnx")
    assert line in netc.import_onnx(tmp_path / "steps.onnx").text
