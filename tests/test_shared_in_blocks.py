"""A file's shared modules called by its blocks: weights that exist once, modules that are handed on."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import onnxruntime
import pytest
import torch
from alike import TOLERANCE, alike
from module_judge import judge
from spectext import made, net, refused, shown, spec
from torch import Tensor, fx, nn

import netc
from netc.backends.diagram import units
from netc.backends.onnx import OnnxOptions, write_onnx_fresh
from netc.verify import verify

SIAMESE = """
    netc: 1
    name: siamese
    args: {width: 4}
    inputs: {left: [N, 3, 9, 8], right: [N, 3, H, W]}
    blocks:
      encoder: {args: c, net: [conv2d c 3, relu, adaptive_avg_pool2d 1, flatten]}
      pair:
        args: more=1
        inputs: [one, other]
        net:
          a: encode @one
          b: encode @other
          both: add @a @b
          wide: [linear more*width @both, relu, linear width]
          out: mix
    shared: {encode: encoder width, mix: linear width}
    net:
      near: pair @left @right
      far: pair more=3 @right @left
      alone: encode @left
      out: add @near @far @alone
"""


class Pair(nn.Module):
    def __init__(self, more: int) -> None:
        super().__init__()
        self.wide = nn.Sequential(nn.Linear(4, 4 * more), nn.ReLU(), nn.Linear(4 * more, 4))


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.mix = nn.Linear(4, 4)
        self.near, self.far = Pair(1), Pair(3)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        one, other = self.encode(left), self.encode(right)
        near, far = self.mix(self.near.wide(one + other)), self.mix(self.far.wide(other + one))
        return near + far + one


def test_blocks_call_what_their_file_shares() -> None:
    m = made(SIAMESE)
    assert [key for key in m.weights if key.endswith("weight")] == [
        "encode.0.weight", "near.wide.0.weight", "near.wide.2.weight", "mix.weight", "far.wide.0.weight",
        "far.wide.2.weight",
    ]  # fmt: skip
    assert m.nodes["near.b.0"].module == m.nodes["alone.0"].module == "encode.0"
    assert netc.load(dedent(SIAMESE)).summary().parameters == sum(p.numel() for p in Siamese().parameters())


def test_modules_and_files_compute_what_sharing_means(tmp_path: Path) -> None:
    network = netc.load(dedent(SIAMESE))
    alike(network, Siamese(), tmp_path, torch.randn(2, 3, 9, 8), torch.randn(2, 3, 7, 11))


def test_arguments_reach_through_shared_modules() -> None:
    network = netc.load(dedent(SIAMESE))
    assert (judge(dedent(SIAMESE).replace("H, W", "7, 11")) or 0) > 1
    text = network.to_torch()
    assert "self.mix = nn.Linear(width, width)" in text
    assert "self.far = Pair(more=3, width=width)" in text
    assert "encode: nn.Module, mix: nn.Module" in text


def test_functions_are_given_the_weights_they_share(tmp_path: Path) -> None:
    network, inputs = netc.load(dedent(SIAMESE)), (torch.randn(1, 3, 9, 8), torch.randn(1, 3, 6, 5))
    found = []
    for functions in (False, True):
        path = tmp_path / f"{functions}.onnx"
        write_onnx_fresh(network.ir, path, seed=1, options=OnnxOptions(functions=functions))
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        feed = {name: value.numpy() for name, value in zip(network.inputs, inputs, strict=True)}
        found.append(torch.from_numpy(session.run(None, feed)[0]))
    torch.testing.assert_close(found[1], found[0], **TOLERANCE)


def test_tools_of_pytorch_take_modules_that_hand_on_others() -> None:
    module, inputs = netc.load(dedent(SIAMESE)).module().eval(), (torch.randn(2, 3, 9, 8), torch.randn(2, 3, 9, 9))
    wanted = module(*inputs)
    assert torch.equal(fx.symbolic_trace(module)(*inputs), wanted)
    torch.testing.assert_close(torch.export.export(module, inputs).module()(*inputs), wanted)


def test_layers_are_compared_within_shared_modules() -> None:
    found = verify(netc.load(dedent(SIAMESE)).ir, bind={"H": 7, "W": 6}, layers=True, runs=1)
    assert found.ok
    assert found.layers is not None
    assert found.layers.compared == 2 * 13 + 4 + 1
    assert not found.layers.absent


def test_pictures_name_the_module() -> None:
    opened = units.open_network(netc.load(dedent(SIAMESE)).ir)
    shared = {box.path: box.shared for box in units.boxes(opened.units) if box.shared}
    assert shared == {"near.out": "mix", "far.out": "mix"}


OPERATORS = """
    netc: 1
    name: operators
    inputs: {a: [N, 7, 8], b: [N, 5, 8]}
    blocks:
      pairs: {net: {out: twice @in @in}}
      step:
        inputs: [query, key]
        net: {r: lstm @query, n: norm, g: act, m: attend @key @g @g, p: pairs, last: [drop, flatten, linear 3]}
    shared:
      lstm: lstm 8 batch_first=true
      norm: layer_norm 8
      act: gelu
      attend: multihead_attention 4 batch_first=true
      twice: bilinear 3
      drop: dropout
    net: {one: step @a @b, two: step @b @a, out: add @one @two}
"""


class Operators(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.attend = nn.MultiheadAttention(8, 4, batch_first=True)
        self.twice = nn.Bilinear(8, 8, 3)
        self.one = nn.ModuleDict({"last": nn.Sequential(nn.Dropout(), nn.Flatten(), nn.Linear(15, 3))})
        self.two = nn.ModuleDict({"last": nn.Sequential(nn.Dropout(), nn.Flatten(), nn.Linear(21, 3))})

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.step(self.one, a, b) + self.step(self.two, b, a)

    def step(self, own: nn.ModuleDict, query: Tensor, key: Tensor) -> Tensor:
        g = nn.functional.gelu(self.norm(self.lstm(query)[0]))
        m = self.attend(key, g, g, need_weights=False)[0]
        found: Tensor = own["last"](self.twice(m, m))
        return found


def test_operators_of_every_kind_are_shared(tmp_path: Path) -> None:
    network = netc.load(dedent(OPERATORS))
    alike(network, Operators(), tmp_path, torch.randn(2, 7, 8), torch.randn(2, 5, 8))
    assert "gelu(" in network.to_torch()


PART = """
    netc: 1
    name: part
    args: {c: 8}
    inputs: {image: [N, 3, H, W]}
    init: {"mix.weight": ones}
    blocks:
      unit: {net: [conv2d c 3 padding=1, mix, relu]}
      units: {net: [unit, unit]}
    shared: {mix: conv2d c 1}
    net: {first: units, last: unit}
"""
WHOLE = """
    netc: 1
    name: whole
    inputs: {image: [N, 3, 8, 9]}
    import: {part: "part.yaml"}
    blocks:
      calls: {net: {a: conv2d 3 1, b: p, c: conv2d 3 1, d: p}}
    shared: {p: part c=6}
    net:
      small: part c=5 @image
      large: part @image
      both: [calls @image, calls x2]
      out: concat @small @large @both
"""


def test_files_share_within_each_use_of_them(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(dedent(PART), encoding="utf-8")
    (tmp_path / "whole.yaml").write_text(dedent(WHOLE), encoding="utf-8")
    network = netc.load(str(tmp_path / "whole.yaml"))
    module = network.module()
    mixes = {key: tuple(value.shape) for key, value in module.state_dict().items() if key.endswith("mix.weight")}
    assert mixes == {"p.mix.weight": (6, 6, 1, 1), "small.mix.weight": (5, 5, 1, 1), "large.mix.weight": (8, 8, 1, 1)}
    assert all(bool((module.state_dict()[key] == 1).all()) for key in mixes)
    assert judge(tmp_path / "whole.yaml") == 1


NEARER = """
    blocks:
      argument: {args: 'mix="conv2d 3 3 padding=1"', net: {a: mix}}
      own: {shared: {mix: conv2d 3 5 padding=2}, net: {a: mix, b: mix}}
      named: {net: {mix: mix @in, out: conv2d 3 1 @mix, again: mix x3}}
    shared: {mix: conv2d 3 1}
"""


def test_what_is_nearer_comes_first() -> None:
    m = net("a: argument\nb: own\nc: named", head=NEARER)
    assert {key: shape for key, shape in m.weights.items() if key.endswith("weight")} == {
        "a.a.weight": (3, 3, 3, 3), "b.mix.weight": (3, 3, 5, 5), "mix.weight": (3, 3, 1, 1),
        "c.out.weight": (3, 3, 1, 1),
    }  # fmt: skip
    assert judge(spec("a: argument\nb: own\nc: named", head=NEARER)) == 1


SEVERAL = """
    netc: 1
    name: several
    args: {width: 4}
    inputs: {left: [N, 3, 8, 8], right: [N, 3, H, W]}
    blocks:
      branch: {args: c, net: [encode, relu, conv2d c 1]}
      tail: {net: {a: body @in, b: [encode @in, conv2d 3 1, relu], out: add @a @b}}
    shared:
      encode: [conv2d width 1, relu, conv2d 3 1 x2]
      stem: conv2d 3 3 x2
      body:
        do:
          one: encode
          two: [conv2d 4 1, adaptive_avg_pool2d 4]
          three: [conv2d 4 1 @two, tanh]
          out: add @two @three
          five: conv2d 3 1
    net:
      a: [stem @left, branch 3]
      b: [stem @right, adaptive_avg_pool2d 4, branch 3]
      c: encode @a
      d: tail @b
      out: add @a @b @c @d
"""


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.Conv2d(3, 3, 1))
        self.stem = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3))
        self.body = nn.Module()
        self.body.two = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(4))
        self.body.three = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Tanh())
        self.body.five = nn.Conv2d(4, 3, 1)
        self.a = nn.ModuleDict({"1": nn.ModuleDict({"2": nn.Conv2d(3, 3, 1)})})
        self.b = nn.ModuleDict({"2": nn.ModuleDict({"2": nn.Conv2d(3, 3, 1)})})
        self.d = nn.ModuleDict({"b": nn.ModuleDict({"1": nn.Conv2d(3, 3, 1)})})

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(self.stem(right), 4)
        a = self.a["1"]["2"](self.encode(self.stem(left)).relu())
        b = self.b["2"]["2"](self.encode(pooled).relu())
        two = self.body.two(self.encode(b))
        body = self.body.five(two + self.body.three(two))
        tail = body + self.d["b"]["1"](self.encode(b)).relu()
        found: Tensor = a + b + self.encode(a) + tail
        return found


def test_chains_and_bodies_are_shared_with_blocks(tmp_path: Path) -> None:
    network = netc.load(dedent(SEVERAL))
    alike(network, Several(), tmp_path, torch.randn(2, 3, 8, 8), torch.randn(2, 3, 9, 11))
    assert (judge(dedent(SEVERAL).replace("H, W", "9, 11")) or 0) >= 1
    assert netc.load(dedent(SEVERAL)).summary().parameters == sum(p.numel() for p in Several().parameters())


def test_a_shared_chain_is_no_operator_to_be_given() -> None:
    head = "blocks: {unit: {args: act, net: {a: act, b: mix}}}\nshared: {mix: [conv2d 3 1, relu]}"
    assert refused('u: unit act="mix"', head=head)[0][0] == "unknown-op"


@pytest.mark.parametrize(
    ("shared", "message", "at"),
    [
        ("parameter (3 1 1)", "`mix` is a tensor of the file, so blocks cannot call it", "mix"),
        ("conv2d 3 1 @image", "`mix` is shared: give its inputs where it is called", "conv2d 3 1 @image"),
        ("unit", "`unit` contains itself", "unit"),
    ],
)
def test_what_blocks_cannot_call(shared: str, message: str, at: str) -> None:
    head = f"blocks: {{unit: {{net: {{a: mix @in, b: relu}}}}}}\nshared: {{mix: {shared}}}"
    text = f"netc: 1\nname: net\ninputs: {{image: [N, 3, 8, 8]}}\n{head}\nnet: {{u: unit}}\n"
    with pytest.raises(netc.NetcError) as caught:
        netc.load(text)
    found = [line for line in shown(list(caught.value.diagnostics)) if message in line]
    assert found, shown(list(caught.value.diagnostics))
    assert found[0].endswith(f"^{at}^")


def test_a_call_in_a_block_takes_no_arguments() -> None:
    head = "blocks: {unit: {net: {a: mix 8, b: relu}}}\nshared: {mix: conv2d 3 1}"
    assert refused("u: unit", head=head) == [("bad-argument", "mix 8")]


def test_calls_in_blocks_must_agree() -> None:
    head = "blocks: {unit: {args: c, net: {a: conv2d c 1, b: mix}}}\nshared: {mix: conv2d 3 1}"
    found = refused("u: unit 4 @image\nv: unit 5 @image\nout: add @u @v", head=head)
    assert [code for code, _ in found] == ["shared-mismatch"]
