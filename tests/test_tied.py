"""Weights of other statements: `@embed.weight` as a tensor and as the weight of a `linear`."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
import torch
from alike import TOLERANCE, exported
from safetensors.torch import load_file
from spectext import net, refused
from torch import Tensor, nn

import netc
from netc.backends.onnx import write_onnx_fresh

LANGUAGE_MODEL = """
    netc: 1
    name: tied
    inputs: {ids: {shape: [N, t], dtype: int64}}
    net:
      embed: embedding 20 8
      hidden: [linear 8, relu]
      logits: linear 20 bias=false weight=@embed.weight
"""


class LanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.hidden = nn.Sequential(nn.Linear(8, 8), nn.ReLU())

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.linear(self.hidden(self.embed(ids)), self.embed.weight)


def test_a_weight_stands_once_and_is_read_twice(tmp_path: Path) -> None:
    network = netc.load(dedent(LANGUAGE_MODEL))
    assert network.summary().parameters == 20 * 8 + 8 * 8 + 8
    write_onnx_fresh(network.ir, tmp_path / "model.onnx", seed=1)
    weights = load_file(tmp_path / "model.safetensors")
    assert set(weights) == {"embed.weight", "hidden.0.bias", "hidden.0.weight"}
    assert weights["embed.weight"].any()
    reference = LanguageModel()
    reference.load_state_dict(weights, strict=True)
    ids = torch.randint(0, 20, (2, 5))
    (found,) = exported(tmp_path / "model.onnx", network, (ids,))
    torch.testing.assert_close(found, reference(ids).detach(), **TOLERANCE)


def test_a_weight_is_a_tensor_like_any_other(tmp_path: Path) -> None:
    text = """
        netc: 1
        name: gated
        inputs: {image: [N, 3, 4, 4]}
        net:
          conv: conv2d 4 3 padding=1
          table: mean dim=(1 2 3) @conv.weight
          row: reshape (1 4 1 1)
          scaled: mul @conv @row
        outputs: {scaled: scaled, weight: conv.weight}
    """

    def reference(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return nn.functional.conv2d(x, weight, bias, padding=1) * weight.mean((1, 2, 3)).reshape(1, 4, 1, 1)

    network = netc.load(dedent(text))
    write_onnx_fresh(network.ir, tmp_path / "model.onnx", seed=1)
    weights = load_file(tmp_path / "model.safetensors")
    x = torch.randn(2, 3, 4, 4)
    found, held = exported(tmp_path / "model.onnx", network, (x,))
    assert torch.equal(held, weights["conv.weight"])
    wanted = reference(x, weights["conv.weight"], weights["conv.bias"])
    torch.testing.assert_close(found, wanted, **TOLERANCE)


def test_a_weight_read_by_several_is_one_tensor() -> None:
    m = net("a: linear 32 @image\nb: linear 32 weight=@a.weight @a\nc: linear 32 weight=@a.weight bias=false")
    assert list(m.weights) == ["a.weight", "a.bias", "b.bias"]
    assert m.reads["c"] == ["b", "a.weight"]
    assert m.paths == ["a", "a.weight", "b", "c"]


def test_weights_that_do_not_fit_are_refused() -> None:
    assert refused("a: linear 16\nb: linear 32 weight=@a.weight")[0] == ("shape-mismatch", "weight=@a.weight")
    assert refused("a: linear 32\nb: linear 32 weight=@a.weigth") == [("unknown-tensor", "@a.weigth")]
    assert refused("a: relu\nb: linear 32 weight=@a.weight") == [("unknown-tensor", "@a.weight")]
    found = refused("a: linear 32\nb: linear 32 weight=@a.weight weight_norm=true")
    assert found == [("bad-argument", "weight_norm=true")]


def test_pytorch_says_what_it_lacks() -> None:
    with pytest.raises(netc.NetcError, match="reads the `weight` of another module"):
        netc.load(dedent(LANGUAGE_MODEL)).to_torch()
