"""Recurrent layers and what detectors need, from PyTorch's exporter and from netc's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from test_import_onnx import graph_file, imported_logits
from torch import Tensor, nn

import netc


class Reading(nn.Module):
    """Both directions, two layers, their last states put beside one another."""

    def __init__(self, kind: type[nn.RNNBase], **settings: Any) -> None:
        super().__init__()
        self.layer = kind(5, 4, **settings)
        self.head = nn.Linear(4 * (1 + self.layer.bidirectional), 3)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        output, state = self.layer(x)
        last = state[0] if isinstance(state, tuple) else state
        return self.head(output) + self.last(last.sum(0))[:, None]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("settings", [{}, {"bidirectional": True, "num_layers": 2}, {"bias": False}])
def test_recurrent_layers_are_pytorchs(kind: type[nn.RNNBase], settings: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Reading(kind, batch_first=True, **settings).eval()
    x, path = torch.randn(2, 6, 5), tmp_path / "m.onnx"
    axes = {"x": {0: "batch"}}
    torch.onnx.export(module, (x,), str(path), dynamo=False, input_names=["x"], dynamic_axes=axes)
    found = netc.import_onnx(path)
    line = next(line for line in found.text.splitlines() if f": {kind.__name__.lower()} 4" in line)
    assert "batch_first=true" in line
    assert ("num_layers=2 " in line, "bidirectional=true" in line) == (("num_layers" in settings),) * 2
    torch.testing.assert_close(imported_logits(found, x), module(x), rtol=1e-5, atol=1e-5)


def back(text: str, folder: Path) -> netc.Imported:
    """A spec as an ONNX file and read again."""
    (folder / "m.yaml").write_text(f"netc: 1\nname: m\n{text}")
    netc.load(folder / "m.yaml").write_onnx(folder / "m.onnx")
    return netc.import_onnx(folder / "m.onnx")


BOXES = {
    "boxes": "[N, 20, 4]",
    "scores": "[N, 20]",
    "groups": "{shape: [N, 20], dtype: int64}",
    "image": "[N, 8, 32, 32]",
}


@pytest.mark.parametrize(
    ("line", "inputs"),
    [
        ("nms 5 iou_threshold=0.4", "@boxes @scores"),
        ("nms 30 score_threshold=0.1 min_size=0.05", "@boxes @scores @groups"),
        ("roi_align 3 sampling_ratio=2 aligned=true", "@image @boxes"),
        ("roi_align (3 2) spatial_scale=0.5", "@image @boxes"),
        ("ps_roi_align 2 spatial_scale=0.25", "@image @boxes"),
    ],
)
def test_operators_of_several_nodes_are_one_again(line: str, inputs: str, tmp_path: Path) -> None:
    read = {word.removeprefix("@") for word in inputs.split()}
    told = ", ".join(f"{name}: {shape}" for name, shape in BOXES.items() if name in read)
    found = back(f"inputs: {{{told}}}\nnet:\n  y: {line} {inputs}\noutputs: {{y: y}}\n", tmp_path)
    assert found.report.operators == 1
    assert f": {line}" in found.text


def test_crops_of_several_maps_are_one_operator(tmp_path: Path) -> None:
    inputs = "inputs: {image: [N, 4, 32, 32], boxes: [N, 6, 4]}"
    net = "net:\n  fine: conv2d 4 1 @image\n  coarse: max_pool2d 2 @fine\n"
    net += "  crops: multiscale_roi_align 2 strides=(1 2) sampling_ratio=2 canonical_scale=16 @fine @coarse @boxes\n"
    found = back(f"{inputs}\n{net}outputs: {{y: crops}}\n", tmp_path)
    assert "multiscale_roi_align 2 (1 2) sampling_ratio=2 canonical_scale=16 @" in found.text


def test_a_pool_is_undone_where_it_was_made(tmp_path: Path) -> None:
    net = "net:\n  pool: max_pool2d 2 @image\n  conv: conv2d 3 1\n  back: max_unpool2d of=@pool\n"
    found = back(f"inputs: {{image: [N, 3, 4*h, 4*w]}}\n{net}outputs: {{y: back}}\n", tmp_path)
    assert "max_unpool2d of=@" in found.text
    assert found.report.operators == 3


def test_anchors_and_boxes_hold_for_every_size(tmp_path: Path) -> None:
    net = "net:\n  features: conv2d 8 3 stride=4 padding=1 @image\n"
    net += "  offsets: [permute (0 2 3 1), flatten, unflatten 1 (-1 4)]\n"
    net += "  anchors: anchors widths=(8 12.5) heights=(16 3) stride=4 offset=0.5 like=@features\n"
    net += "  boxes: decode_boxes weights=(10 10 5 5) @offsets @anchors\n  inside: clip_boxes like=@image\n"
    found = back(f"inputs: {{image: [N, 3, 4*h, 4*w]}}\n{net}outputs: {{y: inside}}\n", tmp_path)
    line = next(line for line in found.text.splitlines() if " anchors " in line)
    assert all(f" {told}" in line for told in ("widths=(8 12.5)", "heights=(16 3)", "stride=4", "offset=0.5", "like=@"))
    assert "decode_boxes (10 10 5 5)" in found.text
    assert "clip_boxes like=@image" in found.text


def test_changed_nodes_of_such_an_operator_are_not_taken_for_it(tmp_path: Path) -> None:
    text = "inputs: {boxes: [N, 20, 4], scores: [N, 20]}\nnet:\n  y: nms 5 @boxes @scores\noutputs: {y: y}\n"
    back(text, tmp_path)
    model = onnx.load(str(tmp_path / "m.onnx"))
    next(node for node in model.graph.node if node.op_type == "Greater").op_type = "Less"
    onnx.save(model, str(tmp_path / "m.onnx"))
    with pytest.raises(netc.NetcError, match="cannot-import"):
        netc.import_onnx(tmp_path / "m.onnx")


def test_deformable_convolutions(tmp_path: Path) -> None:
    net = "net:\n  moves: conv2d 27 3 padding=1 @image\n  parts: split (18 9)\n"
    net += "  y: deform_conv2d 4 3 padding=1 @image @parts.0 @parts.1\n"
    found = back(f"inputs: {{image: [N, 3, h, w]}}\n{net}outputs: {{y: y}}\n", tmp_path)
    assert "deform_conv2d 4 3 padding=1 @image" in found.text


def test_integers_are_divided_towards_zero(tmp_path: Path) -> None:
    for line in ("floor_divide 3", "div 3 rounding_mode=trunc"):
        text = f"inputs: {{places: {{shape: [N, 4], dtype: int64}}}}\nnet:\n  y: {line} @places\noutputs: {{y: y}}\n"
        assert f": {line}" in back(text, tmp_path).text


@pytest.mark.parametrize("pads", [(0, 0, 1, 0, 0, 0, 2, 3), (0, 2, 0, 0, 1, 0, 0, 0), (0, 1, 2, 0, 0, 0, 0, 1)])
def test_each_end_of_each_axis_is_padded_as_the_file_says(pads: tuple[int, ...], tmp_path: Path) -> None:
    path = graph_file(
        tmp_path / "pad.onnx", [helper.make_node("Pad", ["x", "pads"], ["y"])], {"pads": np.array(pads)}, [1, 3, 4, 5]
    )
    x = torch.randn(2, 3, 4, 5)
    begins, ends = pads[:4], pads[4:]
    told = [n for axis in (3, 2, 1, 0) for n in (begins[axis], ends[axis])]
    assert torch.equal(imported_logits(netc.import_onnx(path), x), nn.functional.pad(x, told))
    padding = nn.ZeroPad2d((begins[3], ends[3], begins[2], ends[2]))
    assert torch.equal(imported_logits(netc.import_torch(padding, x), x), padding(x))
