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
    "transposed": "[conv2d 4 3 stride=2 padding=1, conv_transpose2d 4 3 stride=2 padding=1, conv2d 4 3 padding=1]",
    "nearest": "[conv2d 4 2 stride=2, interpolate scale_factor=2 mode=nearest, conv2d 4 3 padding=1]",
    "learned": "[parameter (4 1 1), conv2d 4 3 padding=1 @image, mul @body.1 @body.0, conv2d 4 3 padding=1]",
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
    field = network.summary().layers[-1].field
    assert field is not None
    assert widest_reach(module) == ([64, 64] if field.whole else list(field.size))


def widest_reach(module: torch.nn.Module) -> list[int]:
    """Extents of the input that gradients of one output element reach, the largest over elements near the middle."""
    image = torch.rand(1, 1, 64, 64, requires_grad=True)
    out = module(image)
    widest = [0, 0]
    for step in range(min(2, out.shape[2])):
        (gradient,) = torch.autograd.grad(
            out[0, 0, out.shape[2] // 2 - step, out.shape[3] // 2 - step], image, retain_graph=True
        )
        touched = gradient[0, 0] != 0
        found = [touched.any(axis).nonzero().flatten() for axis in (1, 0)]
        widest = [max(w, int(f[-1] - f[0]) + 1) for w, f in zip(widest, found, strict=True)]
    return widest


def test_a_grid_may_look_anywhere() -> None:
    """Twice the size is no reason to say how far a sample reaches: the grid turns the map around."""
    text = "netc: 1\ninputs: {image: [N, 1, 8, 8], grid: [N, 16, 16, 2]}\nnet: [grid_sample @image @grid]\n"
    assert netc.load(text).summary().layers[-1].field is None
    image, (y, x) = (
        torch.rand(1, 1, 8, 8, requires_grad=True),
        torch.meshgrid(*[torch.linspace(1, -1, 16)] * 2, indexing="ij"),
    )
    turned = torch.nn.functional.grid_sample(image, torch.stack([x, y], 2)[None], align_corners=True)
    (gradient,) = torch.autograd.grad(turned[0, 0, 0, 0], image)
    assert gradient[0, 0].nonzero().tolist() == [[7, 7]], "the first sample looks at the last element"
