"""The table of relative positions against torchvision's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conformance import make
from safetensors.torch import load_file
from vision import torchvision

import netc
from netc.verify import verify

WINDOW = """
netc: 1
name: window
inputs: {rows: [N, 3]}
net:
  table: parameter (LENGTH 3)
  index: relative_position_index SIZE
  bias: index_select 0 @table @index
  mean: mean 0 keepdim=true
  sum: add @rows @mean
outputs: {sum: sum, index: index}
"""


def spec(height: int, width: int) -> str:
    length = (2 * height - 1) * (2 * width - 1)
    return WINDOW.replace("LENGTH", str(length)).replace("SIZE", f"({height} {width})")


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 7), (5, 1)])
def test_weights_and_module_hold_what_torchvision_computes(size: tuple[int, int], tmp_path: Path) -> None:
    attention = torchvision.models.swin_transformer.ShiftedWindowAttention(3, list(size), [0, 0], 3)
    network = netc.load(spec(*size))
    network.write_weights(tmp_path / "w.safetensors")
    kept = load_file(tmp_path / "w.safetensors")["index"]
    torch.testing.assert_close(kept, attention.relative_position_index, rtol=0, atol=0)
    report = verify(network.ir)
    assert report.ok, report.lines()
    assert make("relative_position_index", window_size=size).infer().shape == (len(kept),)


def test_the_buffer_is_part_of_the_state() -> None:
    code = netc.load(spec(7, 7)).to_torch()
    assert "self.index = nn.Buffer(\n            torch.arange(169)" in code
    assert "persistent" not in code
