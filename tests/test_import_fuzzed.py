"""What fuzzing found in the import of ONNX files: unusual inputs, constants and values, and files made to harm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from test_guard import turn

import netc
from netc.diagnostics.model import NetcError

ROOT = Path(__file__).parents[1]
FILES = {
    "a scalar as input": "inputs: {image: [N, 4], k: []}\nnet: {y: mul @image @k}",
    "only a scalar": "inputs: {k: []}\nnet: {y: exp @k}",
    "values that are NaN": "inputs: {image: [N, 4]}\nnet: {a: linear 4 @image, y: log}",
    "sizes that cannot be one letter": "inputs: {image: [1, 2, 8, 8], other: [1, 2, 4, 12]}\nnet: {a: relu @image, "
    "b: relu @other, c: flatten @a, d: flatten @b, y: concat @c @d}",
}


@pytest.mark.parametrize("words", FILES)
def test_unusual_networks_come_back(words: str, tmp_path: Path) -> None:
    network = netc.load(f"netc: 1\nname: odd\n{FILES[words]}\noutputs: {{y: y}}\n")
    network.write_onnx(tmp_path / "m.onnx")
    found = netc.import_onnx(tmp_path / "m.onnx")
    torch.manual_seed(0)
    inputs = [torch.randn([n if isinstance(n, int) else 2 for n in kind.shape]) for kind in network.inputs.values()]
    first = network.module().eval()
    weights = {key: np.array(found.tensor(key)) for key in found.tensors}
    again = found.network.module(weights or None).eval()
    first.load_state_dict(dict(zip(first.state_dict(), again.state_dict().values(), strict=True)))
    torch.testing.assert_close(again(*inputs), first(*inputs), equal_nan=True)


def one_node(path: Path, *nodes: onnx.NodeProto, **constants: np.ndarray) -> Path:
    """x of 64 numbers, and what the nodes make of it and of constants."""
    x, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [64]) for name in "xz")
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [z], held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_loop_over_constants_is_not_carried_out(tmp_path: Path) -> None:
    body = turn(helper.make_node("Relu", ["v"], ["w"]))
    nodes = helper.make_node("Loop", ["many", "", "c"], ["y"], body=body), helper.make_node("Add", ["x", "y"], ["z"])
    path = one_node(tmp_path / "m.onnx", *nodes, many=np.array(2**62), c=np.ones(64, "float32"))
    with pytest.raises(NetcError, match=r"cannot-import: .*body of its own"):
        netc.import_onnx(path)


@pytest.mark.parametrize(
    ("operator", "numbers"),
    [
        ("Range", {"a": np.float32(0), "b": np.float32(1e12), "d": np.float32(1)}),
        ("Expand", {"c": np.ones(64, "float32"), "s": np.array([2**20, 2**20, 64])}),
        ("ConstantOfShape", {"s": np.array([2**20, 2**20])}),
    ],
)
def test_constants_that_fill_all_memory_are_not_computed(
    operator: str, numbers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    made = helper.make_node(operator, list(numbers), ["y"]), helper.make_node("ReduceMax", ["y"], ["m"], keepdims=0)
    path = one_node(tmp_path / "m.onnx", *made, helper.make_node("Add", ["x", "m"], ["z"]), **numbers)
    with pytest.raises(NetcError, match=r"cannot-import|bad-input"):
        netc.import_onnx(path)


INVALID = {
    "no kernel_shape": helper.make_node("MaxPool", ["x"], ["z"]),
    "no input": helper.make_node("Relu", [], ["z"]),
    "too many inputs": helper.make_node("Relu", ["x", "x", "x"], ["z"]),
    "an axis that is not there": helper.make_node("Softmax", ["x"], ["z"], axis=7),
    "an attribute of another type": helper.make_node("Softmax", ["x"], ["z"], axis="one"),
    "an order of other axes": helper.make_node("Transpose", ["x"], ["z"], perm=[0, 1, 2]),
    "no output": helper.make_node("Relu", ["x"], []),
    "an input that nothing makes": helper.make_node("Relu", ["nowhere"], ["z"]),
    "an operator that is not there": helper.make_node("Relux", ["x"], ["z"]),
}


@pytest.mark.parametrize("words", INVALID)
def test_nodes_that_are_not_valid_are_refused(words: str, tmp_path: Path) -> None:
    with pytest.raises(NetcError, match=r"model-file|cannot-import"):
        netc.import_onnx(one_node(tmp_path / "m.onnx", INVALID[words]))


@pytest.mark.parametrize("text", ["node_n", "hidden", "x_in", "z_out", "size_n", "maker", "graph_n", "held_w"])
def test_texts_that_are_not_utf8_are_refused(text: str, tmp_path: Path) -> None:
    """By the reader that all commands share."""
    x, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["size_n"]) for name in ("x_in", "z_out"))
    nodes = [helper.make_node("Add", ["x_in", "held_w"], ["hidden"], name="node_n")]
    nodes.append(helper.make_node("Relu", ["hidden"], ["z_out"]))
    graph = helper.make_graph(nodes, "graph_n", [x], [z], [numpy_helper.from_array(np.ones(1, "float32"), "held_w")])
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, producer_name="maker", opset_imports=opset, ir_version=8)
    data = model.SerializeToString().replace(text.encode(), text[:-1].encode() + b"\xae")
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(NetcError, match="model-file"):
        netc.import_onnx(tmp_path / "m.onnx")


def test_import_ends_with_its_limits(tmp_path: Path) -> None:
    """It runs the file as other commands do, so it is ended as they are."""
    netc.load(f"netc: 1\n{FILES['a scalar as input']}\n").write_onnx(tmp_path / "m.onnx")
    command = [sys.executable, "-m", "netc", "import", str(tmp_path / "m.onnx"), "--time-limit", "0.01"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "time-limit" in done.stderr
