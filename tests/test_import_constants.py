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
    with pytest.raises(netc.NetcError, match=r"elements of constants, more than 268,435,456"):
        netc.import_onnx(path)


def test_windows_over_constants_are_refused(tmp_path: Path) -> None:
    image = np.ones((1, 1, 4, 4), np.float32)
    path = written(tmp_path, "Conv", [image, image], pads=[10**6] * 4)
    with pytest.raises(netc.NetcError, match="it computes with constants alone"):
        netc.import_onnx(path)


def test_small_results_are_computed(tmp_path: Path) -> None:
    path = written(tmp_path, "Range", [np.array(0), np.array(8), np.array(1)])
    network = netc.import_onnx(path).network
    image = torch.ones(1, 4)
    assert torch.equal(network.module()(image), 7 * image)
