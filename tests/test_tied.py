"""Weights of other statements: `@embed.weight` as a tensor and as the weight of a `linear`."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from alike import TOLERANCE, exported
from module_judge import judge
from safetensors.torch import load_file
from spectext import net, refused
from torch import Tensor, nn

import netc
from netc.backends.onnx import write_onnx_fresh
from netc.verify import verify

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


GATED = """
    netc: 1
    name: gated
    args: {c: 4, flag: true}
    inputs: {image: [N, 4, 4, 4]}
    net:
      conv: conv2d c 3 padding=1
      bn: batch_norm2d
      table: [mean dim=(1 2 3) @conv.weight, unflatten 0 (-1 1 1)]
      mean: unflatten 0 (-1 1 1) @bn.running_mean
      bias: unflatten 0 (-1 1 1) @conv.bias
      scaled: mul @bn @table
      moved: {if: flag, do: {centred: sub @scaled @mean, all: add @centred @bias}, else: add @scaled @bias}
      out: relu
    outputs: {out: out, weight: conv.weight}
"""
BLOCKS = """
    netc: 1
    name: blocks
    args: {c: 4}
    inputs: {image: [N, 7]}
    blocks:
      auto:
        args: width
        net:
          code.first: linear width @in
          code.act: relu @code.first
          code.second: linear width
          back: [relu @code.second, linear 7]
          wide: linear 4*width @code.first
          odd: linear 4*width weight=@wide.weight @code.second
          narrow: linear width @odd
          also: linear 7 weight=@back.1.weight bias=false @narrow
          again: linear width weight=@code.second.weight @narrow
          last: linear 7
          sums: add @back @also
          every: [linear 7 @wide, relu]
          total: add @every @sums
          out: add @total @last
    net:
      one: auto c @image
      two: auto c+1 @one
      layers$i: {for: {i: 0..2}, do: linear 7 bias=false @two}
      more$i: {for: {i: 0..2}, do: linear 7 bias=false weight=@layers$i.weight @layers2}
      low: add @more0 @more1
      high: add @more2 @layers0
      both: add @low @high
      all: add @both @layers1
"""
STARTED = """
    netc: 1
    name: started
    args: {width: 8, words: 20}
    inputs: {ids: {shape: [N, w], dtype: int64}}
    init: {linear.bias: constant 0.5, embed.weight: constant 0.25}
    net:
      embed: embedding words width
      hidden: [linear width, relu]
      logits: linear words weight=@embed.weight
"""


@pytest.mark.parametrize("text", [LANGUAGE_MODEL.replace("t]", "w]"), GATED, BLOCKS, STARTED])
def test_modules_read_the_weights_of_others(text: str) -> None:
    assert judge(dedent(text))


def test_a_module_has_one_tensor_for_both() -> None:
    """As written by hand; copies and files keep it one tensor."""
    torch.manual_seed(0)
    network = netc.load(dedent(LANGUAGE_MODEL))
    model, reference = network.module(seed=1), LanguageModel()
    reference.load_state_dict(model.state_dict(), strict=True)
    ids = torch.randint(0, 20, (2, 5))
    assert "linear(x, self.embed.weight)" in network.to_torch()
    copied = copy.deepcopy(model)
    for found in (model, copied, pickle.loads(pickle.dumps(copied))):
        assert torch.equal(found(ids), reference(ids))
        with torch.no_grad():
            found.embed.weight.zero_()
        assert not found(ids).any()


def test_exported_programs_keep_the_tie() -> None:
    model = netc.load(dedent(LANGUAGE_MODEL)).module(seed=1)
    ids = torch.randint(0, 20, (2, 5))
    program = torch.export.export(model, (ids,))
    assert {key for key, _ in program.named_parameters()} == {key for key, _ in model.named_parameters()}
    assert torch.equal(program.module()(ids), model(ids))
    assert torch.equal(torch.jit.script(model)(ids), model(ids))


def test_both_backends_agree() -> None:
    network = netc.load(dedent(LANGUAGE_MODEL))
    assert verify(network.ir, bind={"N": 2, "t": 5}).ok
