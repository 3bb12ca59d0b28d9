"""Numbers of a source keep their type (`2.0` makes floats of whole numbers, `2` does not), and 0 divides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import netc

MASK = np.array([[True, False, True]])


@pytest.mark.parametrize("numbers", [(0, -1), (0.5, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int32"])
def test_two_numbers_that_a_mask_chooses_between(dtype: str, numbers: tuple[float, float], tmp_path: Path) -> None:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    sides = [numpy_helper.from_array(np.array(n).astype(dtype), name) for n, name in zip(numbers, "ab", strict=True)]
    graph = helper.make_graph(
        [helper.make_node("Where", ["mask", "a", "b"], ["y"])],
        "chosen",
        [helper.make_tensor_value_info("mask", TensorProto.BOOL, [1, 3])],
        [helper.make_tensor_value_info("y", kind, [1, 3])],
        sides,
    )
    path = tmp_path / "chosen.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    (wanted,) = onnxruntime.InferenceSession(str(path)).run(None, {"mask": MASK})
    with torch.no_grad():
        found = netc.import_onnx(path).network.module()(torch.from_numpy(MASK)).numpy()
    assert found.dtype == wanted.dtype
    assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_the_largest_number_is_one_for_pytorch_too(dtype: str, tmp_path: Path) -> None:
    """3.4028235e38, the shortest that float32 rounds to its largest, is more than PyTorch takes."""
    spec = f"netc: 1\nname: n\ninputs: {{image: {{shape: [2, 3], dtype: {dtype}}}}}\nnet: {{out: nan_to_num}}\n"
    netc.load(spec).write_onnx(tmp_path / "n.onnx")
    x = torch.tensor([[torch.inf, torch.nan, 1], [-torch.inf, 0, 2]], dtype=getattr(torch, dtype))
    with torch.no_grad():
        found = netc.import_onnx(tmp_path / "n.onnx").network.module()(x)
    assert torch.equal(found, x.nan_to_num())


class Promoting(nn.Module):
    def forward(self, mask: Tensor, whole: Tensor) -> tuple[Tensor, ...]:
        zero = torch.tensor(0.0, dtype=torch.float64)
        return (
            torch.where(mask, 0.0, -1.0),
            torch.where(mask, 1, 2),
            torch.where(mask, whole, 2.0),
            torch.where(mask, zero + 1, zero),
            whole * 2.0,
            whole * 2,
            whole + 1.0,
            whole.clamp(min=0.0),
            whole.masked_fill(mask, 2.0),
        )


def test_pytorch_promotes_by_what_a_number_is() -> None:
    example = torch.tensor([True, False, True]), torch.tensor([3, -4, 0])
    found = netc.import_torch(Promoting(), example)
    wanted = Promoting()(*example)
    with torch.no_grad():
        for ours, theirs in zip(found.network.module()(*example), wanted, strict=True):
            assert ours.dtype == theirs.dtype
            assert ours.tolist() == theirs.tolist()


def test_what_is_divided_by_zero_is_no_factor(tmp_path: Path) -> None:
    lines = "  a: div 0 @image\n  b: mul @a @image\n  c: floor_divide 0 @b\n"
    text = f"netc: 1\nname: a\ninputs: {{image: [2, 3]}}\nnet:\n{lines}"
    network, image = netc.load(text), torch.tensor([[1.0, -2.0, 0.5], [0.0, 4.0, -1.0]])
    network.write_onnx(tmp_path / "zero.onnx")
    again = netc.import_onnx(tmp_path / "zero.onnx")
    module = again.network.module({key: torch.from_numpy(again.tensor(key)) for key in again.tensors})
    with torch.no_grad():
        wanted, found = network.module()(image), module(image)
    assert torch.equal(wanted.isnan(), found.isnan())
    assert torch.equal(wanted.nan_to_num(), found.nan_to_num())


def test_the_order_of_equal_elements_is_kept(tmp_path: Path) -> None:
    lines = "  a: sort dim=1 descending=true stable=true @image\n  b: sort dim=1 stable=true @image\n"
    outputs = "outputs: {v: a.values, i: a.indices, w: b.values, j: b.indices}"
    network = netc.load(f"netc: 1\nname: a\ninputs: {{image: [2, 40]}}\nnet:\n{lines}{outputs}")
    network.write_onnx(tmp_path / "sorted.onnx")
    image = torch.randint(0, 3, (2, 40)).float()
    again = netc.import_onnx(tmp_path / "sorted.onnx").network.module()
    for ours, theirs in zip(again(image), network.module()(image), strict=True):
        assert torch.equal(ours, theirs)
