"""Networks people know, written as the language means them to be written, and run in PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
import torch
from spectext import Made
from torch import nn

import netc

SPECS = Path(__file__).parents[1] / "specs"


def write(folder: Path, text: str, name: str = "main.yaml") -> str:
    target = folder / name
    target.write_text(dedent(text), encoding="utf-8")
    return str(target)


def load(path: str, **options: Any) -> netc.Network:
    network = netc.load(path, **options)
    assert [w.code for w in network.ir.warnings if w.code != "pruned-import"] == []
    return network


def module(network: netc.Network) -> nn.Module:
    """The generated class, built; it must have exactly the parameters that were computed."""
    made = ModuleType("generated")
    sys.modules["generated"] = made
    exec(compile(network.to_torch(), "generated.py", "exec"), made.__dict__)
    classes = [c for c in vars(made).values() if isinstance(c, type) and c.__module__ == "generated"]
    built: nn.Module = [c for c in classes if issubclass(c, nn.Module)][-1]()
    assert {k: tuple(p.shape) for k, p in built.named_parameters()} == Made(network.ir).weights
    return built


def shapes(network: netc.Network, *inputs: Sequence[int]) -> list[tuple[int, ...]]:
    """The shapes of what the generated module returns in eval."""
    with torch.no_grad():
        found = module(network).eval()(*(torch.randn(*shape) for shape in inputs))
    return [tuple(t.shape) for t in (found if isinstance(found, tuple | list) else [found])]


def count(network: netc.Network) -> int:
    return sum(torch.Size(shape).numel() for shape in Made(network.ir).weights.values())


INCEPTION = """
    netc: 1
    inputs: {image: [N, 192, 28, 28]}
    defaults: {conv2d: {bias: false}, batch_norm2d: {eps: 0.001}}
    blocks:
      conv_bn:
        args: c k s=1 p=0
        net: {conv: conv2d c k stride=s padding=p, bn: batch_norm2d, out: relu}
      inception:
        args: c1 r3 c3 r5 c5 cp
        net:
          branch1: conv_bn c1 1 @in
          branch2: [conv_bn r3 1 @in, conv_bn c3 3 p=1]
          branch3: [conv_bn r5 1 @in, conv_bn c5 3 p=1]
          branch4: [max_pool2d 3 stride=1 padding=1 ceil_mode=true @in, conv_bn cp 1]
          out: concat @branch1 @branch2 @branch3 @branch4
    net:
      inception3a: inception 64 96 128 16 32 32
      inception3b: inception 128 128 192 32 96 64
"""


def test_inception_block(tmp_path: Path) -> None:
    network = load(write(tmp_path, INCEPTION))
    assert shapes(network, (2, 192, 28, 28)) == [(2, 480, 28, 28)]
    keys = list(Made(network.ir).weights)
    assert keys[:3] == [f"inception3a.branch1.{k}" for k in ("conv.weight", "bn.weight", "bn.bias")]
    assert "inception3b.branch2.1.conv.weight" in keys
    assert count(network) == _torchvision_inception(192, 64, 96, 128, 16, 32, 32) + _torchvision_inception(
        256, 128, 128, 192, 32, 96, 64
    )


def _torchvision_inception(c: int, c1: int, r3: int, c3: int, r5: int, c5: int, cp: int) -> int:
    """Parameters of an Inception module of GoogLeNet with batch norm and 3×3 in place of 5×5, as torchvision has it."""
    convolutions = [(c, c1, 1), (c, r3, 1), (r3, c3, 3), (c, r5, 1), (r5, c5, 3), (c, cp, 1)]
    return sum(i * o * k * k + 2 * o for i, o, k in convolutions)


SHUFFLENET = """
    netc: 1
    inputs: {image: [N, 116, 28, 28]}
    blocks:
      right:
        args: c
        net:
          - conv2d c 1 bias=false
          - batch_norm2d
          - relu
          - conv2d x.C 3 padding=1 groups=x.C bias=false
          - batch_norm2d
          - conv2d c 1 bias=false
          - batch_norm2d
          - relu
      unit:
        args: width
        net:
          halves: chunk 2
          branch2: right width/2 @halves.1
          out: [concat @halves.0 @branch2, channel_shuffle 2]
    net: {stage2: unit 116 x3}
"""


def test_shufflenet_unit(tmp_path: Path) -> None:
    network = load(write(tmp_path, SHUFFLENET))
    assert shapes(network, (1, 116, 28, 28)) == [(1, 116, 28, 28)]
    assert Made(network.ir).weights["stage2.2.branch2.3.weight"] == (58, 1, 3, 3)


FPN = """
    netc: 1
    import: {resnet: "resnet.yaml:resnet50"}
    inputs: {image: [N, 3, 64*h, 64*w]}
    lint: {pruned-import: ignore}
    blocks:
      rpn_head:
        net:
          conv: [conv2d 256 3 padding=1, relu]
          score: conv2d 3 1 @conv
          box: conv2d 12 1 @conv
        outputs: {scores: score, boxes: box}
    shared: {rpn: rpn_head}
    net:
      body: resnet @image
      inner$i: {for: {i: 1..4}, do: conv2d 256 1 @body.layer$i}
      up3: interpolate like=@inner3 mode=nearest @inner4
      sum3: add @inner3 @up3
      up2: interpolate like=@inner2 mode=nearest @sum3
      sum2: add @inner2 @up2
      up1: interpolate like=@inner1 mode=nearest @sum2
      sum1: add @inner1 @up1
      p2: conv2d 256 3 padding=1 @sum1
      p3: conv2d 256 3 padding=1 @sum2
      p4: conv2d 256 3 padding=1 @sum3
      p5: conv2d 256 3 padding=1 @inner4
      p6: max_pool2d 1 stride=2 @p5
      rpn$i: {for: {i: 2..6}, do: rpn @p$i}
      s$i: {for: {i: 2..6}, do: flatten @rpn$i.scores}
      b$i: {for: {i: 2..6}, do: flatten @rpn$i.boxes}
      scores: concat @s$(2..6)
      boxes: concat @b$(2..6)
    outputs: {scores: scores, boxes: boxes}
"""


def test_pyramid_of_an_imported_backbone_with_a_shared_head(tmp_path: Path) -> None:
    write(tmp_path, (SPECS / "resnet.yaml").read_text(encoding="utf-8"), "resnet.yaml")
    network = load(write(tmp_path, FPN))
    places = 3 * (32 * 32 + 16 * 16 + 8 * 8 + 4 * 4 + 2 * 2)
    assert shapes(network, (1, 3, 128, 128)) == [(1, places), (1, 4 * places)]
    keys = list(Made(network.ir).weights)
    assert [k for k in keys if k.startswith("rpn")] == [
        f"rpn.{k}.{p}" for k in ("conv.0", "score", "box") for p in ("weight", "bias")
    ]
    assert not any(k.startswith("body.fc") for k in keys)
    backbone = 25_557_032 - (2048 * 1000 + 1000)
    inner = sum(c * 256 + 256 for c in (256, 512, 1024, 2048))
    head = 256 * 256 * 9 + 256 + 256 * 3 + 3 + 256 * 12 + 12
    assert count(network) == backbone + inner + 4 * (256 * 256 * 9 + 256) + head


def test_pyramid_says_what_it_leaves_out(tmp_path: Path) -> None:
    write(tmp_path, (SPECS / "resnet.yaml").read_text(encoding="utf-8"), "resnet.yaml")
    network = netc.load(write(tmp_path, FPN.replace("    lint: {pruned-import: ignore}\n", "")))
    assert [w.code for w in network.ir.warnings] == ["pruned-import"]
    assert "fc" in network.ir.warnings[0].message


YOLO = """
    netc: 1
    args: {S: 7, B: 2, C: 20}
    inputs: {image: [N, 32, 7, 7]}
    net:
      fc: [flatten, linear 64, leaky_relu 0.1, dropout 0.5, linear S*S*(5*B+C)]
      grid: unflatten 1 (S S 5*B+C)
    checks: [grid.shape[3] == 5*B + C]
"""


def test_yolo_head_has_a_computed_width(tmp_path: Path) -> None:
    path = write(tmp_path, YOLO.replace("[grid.shape[3] == 5*B + C]", '["grid.shape[3] == 5*B + C"]'))
    assert shapes(load(path), (2, 32, 7, 7)) == [(2, 7, 7, 30)]
    coarse = load(path, args={"S": "5", "C": "3"})
    assert Made(coarse.ir).weights["fc.4.weight"] == (5 * 5 * 13, 64)
    assert shapes(coarse, (1, 32, 7, 7)) == [(1, 5, 5, 13)]


UNET = """
    netc: 1
    args: {depth: 2, base: 8}
    inputs: {image: [N, 1, SIDE*h, SIDE*w]}
    blocks:
      double_conv:
        args: c
        net: [conv2d c 3 padding=1, relu, conv2d c 3 padding=1, relu]
    net:
      enc$i:
        for: {i: 1..depth}
        do: {conv: double_conv base*2**(i-1), pool: max_pool2d 2 @conv}
      mid: double_conv base*2**depth
      dec$i:
        for: {i: "range(depth, 0, -1)"}
        do:
          up: conv_transpose2d base*2**(i-1) 2 stride=2
          cat: concat @enc$i.conv @up
          conv: double_conv base*2**(i-1)
      head: conv2d 2 1
"""


@pytest.mark.parametrize("depth", [0, 1, 2, 4])
def test_unet_of_any_depth(tmp_path: Path, depth: int) -> None:
    path = write(tmp_path, UNET.replace("SIDE", str(2**depth)))
    network = load(path, args={"depth": depth})
    side = 2**depth * 2
    assert shapes(network, (1, 1, side, 2 * side)) == [(1, 2, side, 2 * side)]
    keys = [k for k in Made(network.ir).weights if k.endswith("up.weight")]
    assert keys == [f"dec{i}.up.weight" for i in range(depth, 0, -1)]


def test_unet_refuses_sizes_that_do_not_come_back(tmp_path: Path) -> None:
    with pytest.raises(netc.NetcError) as caught:
        netc.load(write(tmp_path, UNET.replace("SIDE*", "")))
    assert [d.code for d in caught.value.diagnostics] == ["shape-mismatch"]


RESNET = """
    netc: 1
    args: {block: basic, depths: [2, 2], act: relu, norm: batch_norm2d}
    variants: {small: {}, deep: {block: bottleneck, depths: [3, 4]}}
    inputs: {image: [N, 3, 16*h, 16*w]}
    defaults: {conv2d: {bias: false}}
    blocks:
      basic:
        args: width stride=1
        net:
          body: [conv2d width 3 stride=stride padding=1 @in, norm, act, conv2d width 3 padding=1, norm]
          skip:
            if: stride != 1 or in.C != width
            do: [conv2d width 1 stride=stride @in, norm]
            else: "@in"
          out: [add @body @skip, act]
      bottleneck:
        args: width stride=1
        net:
          body:
            - [conv2d width 1 @in, norm, act]
            - [conv2d width 3 stride=stride padding=1, norm, act]
            - [conv2d 4*width 1, norm]
          skip:
            if: stride != 1 or in.C != 4*width
            do: [conv2d 4*width 1 stride=stride @in, norm]
            else: "@in"
          out: [add @body @skip, act]
    net:
      stem: [conv2d 16 3 padding=1, norm, act]
      layer1: block 16 x(depths[0])
      layer2:
        - block 32 stride=2
        - block 32 x(depths[1]-1)
      pool: adaptive_avg_pool2d 1
      flatten: flatten
      fc: linear 10
"""


@pytest.mark.parametrize("variant", ["small", "deep"])
@pytest.mark.parametrize("norm", [None, '"group_norm 4"', "none"])
def test_blocks_and_operators_as_values(tmp_path: Path, variant: str, norm: str | None) -> None:
    args = {} if norm is None else {"norm": norm, "act": "gelu"}
    network = load(write(tmp_path, RESNET), variant=variant, args=args)
    assert shapes(network, (2, 3, 32, 48)) == [(2, 10)]
    weights = Made(network.ir).weights
    assert ("layer1.0.skip.0.weight" in weights) == (variant == "deep")
    assert ("stem.1.weight" in weights) == (norm != "none")
