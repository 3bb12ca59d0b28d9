"""Outputs over loops, and blocks with any number of inputs."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
import torch
from alike import alike
from spectext import made, net, refused, spec
from torch import nn

import netc

HEADS = "stem: conv2d 4 1 @image\nhead$k: {for: {k: 1..3}, do: conv2d k 1 @stem}"


def test_outputs_run_over_a_loop() -> None:
    m = net(HEADS, 'outputs: {"score$k": {for: {k: 1..3}, from: head$k}}')
    assert m.sources == {"score1": "head1", "score2": "head2", "score3": "head3"}


def test_outputs_over_a_loop_take_conditions_rows_and_training() -> None:
    head = """
outputs:
  first: head0
  score$k: {for: {k w: enumerate((0 1 1 2))}, from: head$k, if: w == 1, when: train}
"""
    network = netc.load(spec(HEADS.replace("1..3", "0..3").replace("conv2d k 1", "conv2d k+1 1"), head))
    assert [(o.name, o.train_only) for o in network.ir.block.outputs] == [
        ("first", False),
        ("score1", True),
        ("score2", True),
    ]


def test_outputs_of_blocks_run_over_loops(tmp_path: Path) -> None:
    text = """
        netc: 1
        name: pyramid
        inputs: {image: [N, 3, 16, 16]}
        blocks:
          backbone:
            args: n
            net:
              c$i: {for: {i: 1..n}, do: [conv2d 4*i 3 stride=2 padding=1, relu]}
            outputs: {p$i: {for: {i: 1..n}, from: c$i}}
        net:
          body: backbone 3
          all$i: {for: {i: 1..3}, do: [conv2d 2 1 @body.p$i, adaptive_avg_pool2d 1]}
          out: concat @all$(1..3)
        outputs: {out: out, "map$i": {for: {i: 2..3}, from: body.p$i}}
    """

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Module()
            inside = 3
            for i in (1, 2, 3):
                self.body.add_module(f"c{i}", nn.Sequential(nn.Conv2d(inside, 4 * i, 3, 2, 1), nn.ReLU()))
                inside = 4 * i
                self.add_module(f"all{i}", nn.Sequential(nn.Conv2d(inside, 2, 1), nn.AdaptiveAvgPool2d(1)))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            maps, found = [], []
            for i in (1, 2, 3):
                x = getattr(self.body, f"c{i}")(x)
                maps.append(x)
                found.append(getattr(self, f"all{i}")(x))
            return torch.cat(found, 1), maps[1], maps[2]

    alike(netc.load(dedent(text)), Net(), tmp_path, torch.randn(2, 3, 16, 16))


@pytest.mark.parametrize(
    ("outputs", "code"),
    [
        ('{"score$k": head1}', "unknown-name"),
        ("{score: {for: {k: 1..3}, from: head$k}}", "duplicate-name"),
        ('{"score$k": {for: {k: 1..4}, from: head$k}}', "unknown-tensor"),
        ('{"a.b": head1}', "bad-name"),
        ('{"score$k": {for: k, from: head$k}}', "wrong-kind"),
        ("{score: head$(1..3)}", "bad-arity"),
    ],
)
def test_outputs_that_cannot_be(outputs: str, code: str) -> None:
    assert code in [found for found, _ in refused(HEADS, f"outputs: {outputs}")]


JOIN = """
blocks:
  join:
    args: width
    inputs: [first, rest.*]
    net:
      lead: conv2d width 1 @first
      side$i: {for: {i: rest}, do: conv2d width 1 @rest.$i}
      sum: add @lead @side$(rest)
      out: concat @sum @rest.*
"""


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_block_takes_any_number_of_inputs(count: int, tmp_path: Path) -> None:
    maps = "".join(f"\nm{i}: conv2d {i + 2} 1 @image" for i in range(count))
    statements = f"{maps}\nout: join 5 @image {' '.join(f'@m{i}' for i in range(count))}"

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Module()
            self.out.lead = nn.Conv2d(3, 5, 1)
            for i in range(count):
                self.add_module(f"m{i}", nn.Conv2d(3, i + 2, 1))
                self.out.add_module(f"side{i}", nn.Conv2d(i + 2, 5, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            maps = [getattr(self, f"m{i}")(x) for i in range(count)]
            total = self.out.lead(x)
            for i, one in enumerate(maps):
                total = total + getattr(self.out, f"side{i}")(one)
            return torch.cat([total, *maps], 1)

    alike(netc.load(spec(statements, JOIN, image="[N, 3, 4, 4]")), Net(), tmp_path, torch.randn(2, 3, 4, 4))


def test_further_inputs_have_sizes_and_a_count() -> None:
    head = "blocks: {average: {inputs: [maps.*], net: {sum: add @maps.*, out: 'div len(maps)*maps.0.C @sum'}}}"
    m = net("a: conv2d 4 1 @image\nb: conv2d 4 1 @image\nout: average @a @b", head)
    assert m.attribute("out.out", "other") == 8
    assert m.reads["out.sum"] == ["a", "b"]


def test_all_of_one_reference_go_in() -> None:
    m = net("a$i: {for: {i: 1..2}, do: relu @image}\nout: join 2 @image @a$(1..2)", JOIN)
    assert m.reads["out.out"] == ["out.sum", "a1", "a2"]


def test_none_is_left_out_of_the_further_inputs() -> None:
    m = net("a: {if: false, do: relu @image, else: none}\nout: join 2 @image @a", JOIN)
    assert m.paths == ["out.lead"]
    assert refused("a: {if: false, do: relu @image, else: none}\nout: join 2 @a @image", JOIN)[0][0] == "absent-tensor"


def test_a_block_needs_the_inputs_it_names() -> None:
    head = JOIN.replace("[first, rest.*]", "[first, second, rest.*]").replace("@sum @rest.*", "@sum @second @rest.*")
    assert refused("out: join 2 @image", head) == [("bad-arity", "join 2 @image")]
    assert refused("out: relu", "blocks: {b: {inputs: [a.*, c], net: {o: add @c @a.*}}}") == [("bad-argument", "a.*")]
    assert refused("out: relu", "blocks: {b: {inputs: [in.*], net: {o: relu}}}")[0][0] == "bad-name"
    found = refused("out: b @image", "blocks: {b: {inputs: [a.*], net: {a: relu @a.0}}}")
    assert ("duplicate-name", "a") in found
    assert refused("out: b @image", "blocks: {b: {inputs: [a.*], net: {o: relu @a.1}}}") == [("unknown-tensor", "@a.1")]


def test_a_list_in_a_list_is_a_member() -> None:
    m = net("a: [[conv2d 4 1, relu], conv2d 8 1]")
    assert m.paths == ["a.0.0", "a.0.1", "a.1"]


def test_one_reference_per_declared_output_still() -> None:
    text = spec(HEADS, "outputs: {a: head1, b: head2, c: head3}")
    assert list(made(text).outputs) == ["a", "b", "c"]
