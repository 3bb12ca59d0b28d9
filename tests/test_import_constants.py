"""What an ONNX file computes from constants is bounded before it is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import netc

LINE = np.ones(100_000, np.float32)
HUGE = {
    "Tile": [LINE[:4], np.array([10**10])],
    "Add": [LINE.reshape(-1, 1), LINE.reshape(1, -1)],
    "Range": [np.array(0), np.array(10**11), np.array(1)],
    "Pad": [LINE[:4], np.array([10**10, 0])],
}


def written(folder: Path, operator: str, arrays: list[np.ndarray], **attributes: object) -> Path:
    """x times the largest number of what an operator makes of constants."""
    names = [f"constant{at}" for at in range(len(arrays))]
    nodes = [
        helper.make_node(operator, names, ["made"], **attributes),
        helper.make_node("Cast", ["made"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["real"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["x", "largest"], ["y"]),
    ]
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])] for name in ("x", "y")]
    held = [numpy_helper.from_array(array, name) for name, array in zip(names, arrays, strict=True)]
    model = helper.make_model(helper.make_graph(nodes, "g", *ends, held), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("operator", HUGE)
def test_large_results_are_refused(operator: str, tmp_path: Path) -> None:
    path = written(tmp_path, operator, HUGE[operator])
    with pytest.raises(netc.NetcError, match=r"constant elements, more than 268,435,456"):
        netc.import_onnx(path)


def test_windows_over_constants_are_refused(tmp_path: Path) -> None:
    image = np.ones((1, 1, 4, 4), np.float32)
    path = written(tmp_path, "Conv", [image, image], pads=[10**6] * 4)
    with pytest.raises(netc.NetcError, match="it computes with constants only"):
        netc.import_onnx(path)


def test_small_results_are_computed(tmp_path: Path) -> None:
    path = written(tmp_path, "Range", [np.array(0), np.array(8), np.array(1)])
    network = netc.import_onnx(path).network
    image = torch.ones(1, 4)
    assert torch.equal(network.module()(image), 7 * image)


def test_tables_that_are_spread_and_scattered_are_computed(tmp_path: Path) -> None:
    """A mask as exporters write it: places are numbers spread over a map and put beside one another."""
    lines, columns = np.arange(2).reshape(2, 1, 1), np.arange(1, 4).reshape(1, 3, 1)
    held = {"lines": lines, "columns": columns, "size": np.array([2, 3, 1]), "ones": np.ones((2, 3), np.float32)}
    nodes = [
        helper.make_node("Expand", ["lines", "size"], ["all_lines"]),
        helper.make_node("Expand", ["columns", "size"], ["all_columns"]),
        helper.make_node("Concat", ["all_lines", "all_columns"], ["places"], axis=-1),
        helper.make_node("ConstantOfShape", ["shape"], ["empty"]),
        helper.make_node("ScatterND", ["empty", "places", "ones"], ["mask"]),
        helper.make_node("Mul", ["x", "mask"], ["y"]),
    ]
    imported = netc.import_onnx(saved(tmp_path, nodes, held | {"shape": np.array([4, 4])}, ["N", 4, 4]))
    expected = torch.zeros(4, 4)
    expected[:2, 1:] = 1
    module = imported.network.module(weights={name: imported.tensor(name) for name in imported.tensors})
    assert torch.equal(module(torch.ones(2, 4, 4)), expected.expand(2, 4, 4))


def saved(folder: Path, nodes: list[onnx.NodeProto], held: dict[str, np.ndarray], shape: list[int | str]) -> Path:
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in held.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize(
    ("row", "row_length", "order", "said"),
    [
        ((6, 1, 1), 6, range(6), "relu"),
        ((2, 3), 6, range(6), "reshape (-1 2 3)"),
        ((6, 1, 1), 5, range(6), None),
        ((6, 1, 1), 6, [1, 0, 2, 3, 4, 5], None),
    ],
    ids=["same", "reshape", "overlapping", "other-order"],
)
def test_numbers_taken_from_where_they_lie(
    row: tuple[int, ...], row_length: int, order: list[int], said: str | None, tmp_path: Path
) -> None:
    """`as_strided` of PyTorch's newer exporter; what is no reshape is refused, since it depends on the batch."""
    table = np.array(order).reshape(1, *row)
    held = {"zero": np.array(0), "one": np.array(1), "first": np.array([0]), "length": np.array(row_length)}
    held |= {"all": np.array([-1]), "axes": np.arange(1, 1 + len(row)), "table": table}
    nodes = [
        helper.make_node("Shape", ["x"], ["batch"], start=0, end=1),
        helper.make_node("Squeeze", ["batch"], ["count"]),
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("Reshape", ["positive", "all"], ["flat"]),
        helper.make_node("Range", ["zero", "count", "one"], ["rows"]),
        helper.make_node("Mul", ["rows", "length"], ["begins"]),
        helper.make_node("Unsqueeze", ["begins", "axes"], ["spread"]),
        helper.make_node("Add", ["spread", "table"], ["places"]),
        helper.make_node("Gather", ["flat", "places"], ["y"]),
    ]
    path = saved(tmp_path, nodes, held, ["N", 6, 1, 1])
    if said is None:
        with pytest.raises(netc.NetcError, match="Range"):
            netc.import_onnx(path)
    else:
        imported = netc.import_onnx(path)
        assert said in imported.text
        assert "gather" not in imported.text
