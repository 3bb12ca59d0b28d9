"""Receptive fields against gradients: which input elements one output element really depends on."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path

import pytest
import torch

import netc

STEMS = {
    "strided": "[conv2d 4 7 stride=2 padding=3, avg_pool2d 3 stride=2 padding=1, conv2d 4 3 padding=1]",
    "dilated": "[conv2d 4 3 dilation=3 padding=3, conv2d 4 (1 5) padding=(0 2)]",
    "averaged": "[avg_pool2d 2, conv2d 4 3 padding=1 x2, avg_pool2d 3 stride=1 padding=1]",
    "branches": "{a: conv2d 4 7 padding=3 @image, b: conv2d 4 3 padding=1 @image, sum: add @a @b}",
    "whole": "[conv2d 4 3, adaptive_avg_pool2d 1]",
}


@pytest.mark.parametrize("stem", STEMS)
def test_the_field_is_what_gradients_reach(stem: str, tmp_path: Path) -> None:
    text = f"netc: 1\nname: field\ninputs: {{image: [N, 1, 64, 64]}}\nnet:\n  body: {STEMS[stem]}\n"
    network = netc.load(text if stem != "branches" else text.replace("body: {", "body: {do: {") + "}")
    (tmp_path / "model.py").write_text(network.to_torch(), encoding="utf-8")
    module = list(run_path(str(tmp_path / "model.py")).values())[-1]()
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    image = torch.rand(1, 1, 64, 64, requires_grad=True)
    out = module(image)
    out[0, 0, out.shape[2] // 2, out.shape[3] // 2].backward()
    field = network.summary().layers[-1].field
    assert image.grad is not None
    assert field is not None
    reach = [int((image.grad[0, 0].abs().sum(axis) > 0).nonzero().flatten().diff().sum()) + 1 for axis in (1, 0)]
    assert reach == ([64, 64] if field.whole else list(field.size))
