"""Forms of ONNX that other exporters, older and newer opsets write: each is the usual statement, or says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import netc
from netc.diagnostics.model import NetcError

RANDOM = np.random.default_rng(0)


def some(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


def file(path: Path, nodes: list[Any], held: dict[str, Any], opset: int, shape: list[Any], *more: Any) -> Path:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape), *more]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in held.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


node = helper.make_node
IMAGE = ["N", 8, 6, 6]
NORM = {"s": some(8), "b": some(8), "m": some(8), "v": np.abs(some(8)) + 1}
INT8 = RANDOM.integers(-100, 100, (4, 8, 3, 3)).astype(np.int8)


def branch(name: str, op_type: str) -> Any:
    made = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)
    return helper.make_graph([node(op_type, ["x"], [f"{name}_y"])], name, [], [made])


IF = node("If", ["c"], ["t"], then_branch=branch("then", "Relu"), else_branch=branch("else", "Neg"))

FORMS = {
    "products with factors": (
        [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w", "c"], ["y"], transB=1, alpha=0.5, beta=2.0)],
        {"w": some(5, 288), "c": some(5)},
        9,
        "[flatten, linear 5]",
    ),
    "weights of whole numbers, a scale for each channel": (
        [node("DequantizeLinear", ["w", "s", "z"], ["f"], axis=0), node("Conv", ["x", "f"], ["y"])],
        {"w": INT8, "s": np.abs(some(4)) + 1, "z": np.arange(4).astype(np.int8)},
        13,
        "conv2d 4 3 bias=false",
    ),
    "weights of whole numbers, one scale": (
        [node("DequantizeLinear", ["w", "s"], ["f"]), node("Conv", ["x", "f"], ["y"])],
        {"w": INT8, "s": np.float32(0.01)},
        10,
        "conv2d 4 3 bias=false",
    ),
    "a branch that is always taken": ([IF, node("Abs", ["t"], ["y"])], {"c": np.array(True)}, 13, "[relu, abs]"),
    "a branch that is never taken": ([IF, node("Abs", ["t"], ["y"])], {"c": np.array(False)}, 13, "[neg, abs]"),
    "blocks of channels that lie apart": (
        [node("DepthToSpace", ["x"], ["y"], blocksize=2, mode="DCR")],
        {},
        13,
        "pixel_shuffle 2",
    ),
    "there and back": (
        [node("DepthToSpace", ["x"], ["t"], blocksize=2), node("SpaceToDepth", ["t"], ["y"], blocksize=2)],
        {},
        13,
        "[channel_shuffle 4, pixel_shuffle 2, pixel_unshuffle 2, channel_shuffle 2]",
    ),
    "a norm": ([node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])], NORM, 9, "batch_norm2d"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=[*FORMS])
def test_forms(form: tuple[list[Any], dict[str, Any], int, str], tmp_path: Path) -> None:
    nodes, held, opset, text = form
    assert text in netc.import_onnx(file(tmp_path / "form.onnx", nodes, held, opset, IMAGE)).text


@pytest.mark.parametrize(
    ("shape", "settings", "text"),
    [
        ([2, 3, 5, 4], {}, "scaled_dot_product_attention @image @image @image"),
        ([2, 3, 5, 4], {"is_causal": 1, "scale": 0.25}, "is_causal=true scale=0.25"),
        ([2, 5, 12], {"q_num_heads": 3, "kv_num_heads": 3}, "unflatten 2 (3 4)"),
    ],
)
def test_attention_of_opset_23(shape: list[int], settings: dict[str, Any], text: str, tmp_path: Path) -> None:
    path = file(tmp_path / "attention.onnx", [node("Attention", ["x", "x", "x"], ["y"], **settings)], {}, 23, shape)
    assert text in netc.import_onnx(path).text


@pytest.mark.parametrize(
    ("made", "held", "opset", "why"),
    [
        (node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y", "p", "q", "r", "t"]), NORM, 9, "training mode"),
        (node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2]), {}, 19, "no dilated average pool"),
        (node("Attention", ["x", "x", "x"], ["y"], softcap=2.0), {}, 23, "has no `softcap`"),
        (node("QuantizeLinear", ["x", "s"], ["y"]), {"s": np.float32(1)}, 13, "no operator for QuantizeLinear"),
        (node("FancyNorm", ["x"], ["y"], domain="com.acme"), {}, 13, "does not know operators of com.acme"),
    ],
)
def test_what_cannot_be_said(made: Any, held: dict[str, Any], opset: int, why: str, tmp_path: Path) -> None:
    path = file(tmp_path / "odd.onnx", [made], held, opset, IMAGE)
    if made.domain:
        model = onnx.load(path)
        model.opset_import.append(helper.make_opsetid(made.domain, 1))
        onnx.save(model, path)
    with pytest.raises(NetcError) as caught:
        netc.import_onnx(path)
    (problem,) = caught.value.diagnostics
    assert problem.code == "cannot-import"
    assert f"node y ({made.op_type}): " in problem.message
    assert why in problem.message


def test_a_branch_that_depends_on_the_input(tmp_path: Path) -> None:
    """Its attributes are told in a word each, not as the file has them."""
    taken = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    path = file(tmp_path / "if.onnx", [IF, node("Abs", ["t"], ["y"])], {}, 13, IMAGE, taken)
    with pytest.raises(NetcError, match="then_branch=a graph that begins with Relu"):
        netc.import_onnx(path)


def test_inputs_of_numbers_alone_stay_as_they_are_beside_open_ones(tmp_path: Path) -> None:
    table = helper.make_tensor_value_info("_members", TensorProto.FLOAT, [1, 8, 6, 6])
    path = file(tmp_path / "m.onnx", [node("Mul", ["x", "_members"], ["y"])], {}, 17, IMAGE, table)
    inputs = netc.import_onnx(path).network.inputs
    assert [*inputs] == ["image", "_members"]
    assert str(inputs["image"].shape[0]) == "N"
    assert inputs["_members"].shape == (1, 8, 6, 6)
