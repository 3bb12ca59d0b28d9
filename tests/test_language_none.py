"""`none`: branches that are not there, merges of what is left, and statements that hand a tensor on."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from alike import alike
from module_judge import judge
from spectext import net, refused, spec, warnings
from torch import nn

import netc

SIDE = "args: {side: true}"


def test_a_branch_that_is_none_is_left_out_of_a_merge() -> None:
    statements = "a: conv2d 3 1 @image\nb: {if: side, do: relu @image, else: none}\nout: add @b @a"
    assert net(statements, SIDE).reads["out"] == ["b", "a"]
    alone = net(statements, SIDE, args={"side": False})
    assert alone.paths == ["a"]
    assert alone.sources == {"out": "a"}


@pytest.mark.parametrize("name", ["add", "mul", "maximum", "minimum", "concat", "stack"])
def test_merges_leave_none_out(name: str) -> None:
    statements = f"a: relu @image\nb: tanh @image\nc: {{if: false, do: relu @image, else: none}}\nout: {name} @a @c @b"
    assert net(statements).reads["out"] == ["a", "b"]


def test_stack_of_one_has_the_new_axis() -> None:
    m = net("a: relu @image\nc: {if: false, do: relu @image, else: none}\nout: stack @a @c")
    assert m.shapes["out"] == "1×N×3×32×32"


def test_none_may_stand_behind_do() -> None:
    m = net("a: {if: side, do: none, else: relu @image}\nb: tanh @image\nout: add @a @b", SIDE)
    assert m.reads == {"b": ["image"]}


def test_what_is_computed_from_none_alone_is_none() -> None:
    statements = """
        a: {if: side, do: conv2d 4 1 @image, else: none}
        b: [batch_norm2d @a, relu]
        c: {do: {first: conv2d 4 1 @b, last: relu}}
        d: relu x2 @c
        level$i: {for: {i: 1..2}, do: relu}
        e: conv2d 4 1 @image
        out: concat @level2 @e
    """
    assert net(statements, SIDE).shapes["out"] == "N×8×32×32"
    assert net(statements, SIDE, args={"side": False}).paths == ["e"]


def test_a_block_whose_output_is_none_is_none() -> None:
    head = """
        blocks:
          shortcut:
            args: width
            net: {found: {if: in.C == width, do: batch_norm2d @in, else: none}}
          pair:
            args: both
            net: {a: relu @in, b: {if: both, do: tanh @in, else: none}}
            outputs: {b: b, a: a}
    """
    m = net("s: shortcut 8 @image\np: pair false @image\nout: concat @s @p.b @p.a @p.a", head)
    assert m.reads == {"p.a": ["image"], "out": ["p.a", "p.a"]}
    m = net("s: shortcut 3 @image\np: pair true @image\nout: concat @s @p.b @p.a", head)
    assert m.reads["out"] == ["s.found", "p.b", "p.a"]


def test_a_tensor_named_by_an_attribute_may_be_none() -> None:
    m = net("a: {if: false, do: relu @image, else: none}\nout: interpolate scale_factor=2 like=@a @image")
    assert m.shapes["out"] == "N×3×64×64"


def test_names_of_no_statement_are_none() -> None:
    m = net("a$i: {for: {i: 1..n}, do: relu @image}\nb: tanh @image\nout: concat @a$(1..n) @b", "args: {n: 0}")
    assert m.sources == {"out": "b"}


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_network_over_n_branches_holds_for_one(n: int) -> None:
    statements = """
        parts: chunk n @image
        a$i: {for: {i: 1..n}, do: "conv2d 2 1 @parts.$(i-1)"}
        same: split 8//n @image
        out: concat @a$(1..n) @same.$(range(n))
        sum: add @a$(1..n)
        both: concat @out @sum
    """
    m = net(statements, "args: {n: 4}", "[N, 8, 4, 4]", args={"n": n})
    assert m.outputs == {"out": f"N×{2 * n + 8 + 2}×4×4"}


def test_one_input_named_as_such_is_no_merge() -> None:
    assert refused("a: relu\nout: add @a") == [("bad-arity", "add @a")]
    assert refused("a: relu\nout: concat") == [("bad-arity", "concat")]
    assert refused("a$i: {for: {i: 1..1}, do: relu}\nout: sub @a$(1..1)") == [("bad-arity", "sub @a$(1..1)")]


def test_what_hands_a_tensor_on_checks_its_arguments() -> None:
    assert refused("a$i: {for: {i: 1..1}, do: relu}\nout: concat dim=7 @a$(1..1)") == [("bad-argument", "dim=7")]
    assert refused("a: chunk 1 dim=7") == [("bad-argument", "dim=7")]


def test_readers_of_a_name_that_hands_on_are_no_fork() -> None:
    net("a: relu\ns: {if: false, do: relu @a, else: '@a'}\nb: tanh\nout: add @b @a")
    assert refused("a: relu\ns: {if: false, do: relu @a, else: '@a'}\nb: tanh\nout: add @b @s") == [
        ("implicit-fork", "tanh")
    ]


def test_an_operator_that_vanished_hands_on_what_it_names() -> None:
    head = "blocks: {unit: {args: act=relu, net: {body: [act @in, conv2d 8 1], out: concat @body @in}}}"
    m = net("a: unit act=none", head)
    assert m.reads == {"a.body.0": ["image"], "a.out": ["a.body.0", "image"]}
    assert refused("a: [act @image @image, relu]", "args: {act: none}") == [("bad-arity", "act @image @image")]


@pytest.mark.parametrize(
    ("statements", "place"),
    [
        ("out: sub @image @a", "@a"),
        ("out: matmul @a @image", "@a"),
        ("out: einsum 'nchw,nchw->nc' @a @image", "@a"),
        ("p: pair @image @a\nout: relu @p", "@a"),
    ],
)
def test_what_needs_all_of_its_inputs_says_which_is_none(statements: str, place: str) -> None:
    head = "blocks: {pair: {inputs: [left, right], net: {out: add @left @right}}}"
    found = refused(f"a: {{if: false, do: relu @image, else: none}}\n{statements}", head)
    assert found[0] == ("absent-tensor", place)


def test_an_output_that_is_none_is_refused_unless_a_condition_takes_it_away() -> None:
    statements = "a: {if: side, do: relu @image, else: none}\nb: tanh @image"
    off = {"args": {"side": False}}
    assert refused(statements, f"{SIDE}\noutputs: {{b: b, a: a}}", **off) == [("absent-tensor", "a")]
    m = net(statements, f"{SIDE}\noutputs: {{b: b, a: {{from: a, if: side}}}}", **off)
    assert list(m.outputs) == ["b"]


def test_none_has_no_sizes() -> None:
    found = refused("a: {if: false, do: relu @image, else: none}\nout: conv2d a.C 1 @image")
    assert found == [("absent-tensor", "a.C")]


def test_a_branch_that_is_none_makes_no_false_finding() -> None:
    statements = "a: {if: side, do: [conv2d 4 1 @image, relu], else: none}\nb: tanh @image\nout: concat @a @b"
    assert warnings(spec(statements, "args: {side: false}")) == []


REPVGG = """
    netc: 1
    name: rep
    inputs: {image: [N, 4, 8, 8]}
    blocks:
      unit:
        args: width
        net:
          identity: {if: in.C == width, do: batch_norm2d @in, else: none}
          wide: [conv2d width 3 padding=1 bias=false @in, batch_norm2d]
          out: [add @identity @wide, relu]
    net: {a: unit 4, b: unit 6, c: unit 6}
"""


class RepVGG(nn.Module):
    """The same, by hand."""

    def __init__(self) -> None:
        super().__init__()
        for name, inside, width in (("a", 4, 4), ("b", 4, 6), ("c", 6, 6)):
            unit = nn.Module()
            if inside == width:
                unit.identity = nn.BatchNorm2d(width)
            unit.wide = nn.Sequential(nn.Conv2d(inside, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
            self.add_module(name, unit)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for unit in self.children():
            y: Any = unit.wide(x)  # type: ignore[operator]
            x = (y + unit.identity(x) if hasattr(unit, "identity") else y).relu()  # type: ignore[operator]
        return x


def test_a_block_with_a_branch_that_may_be_none_computes_what_pytorch_does(tmp_path: Path) -> None:
    alike(netc.load(dedent(REPVGG)), RepVGG(), tmp_path, torch.randn(2, 4, 8, 8))


@pytest.mark.parametrize("n", [1, 2])
def test_one_part_computes_what_pytorch_does(n: int, tmp_path: Path) -> None:
    text = """
        netc: 1
        name: parts
        args: {n: 1}
        inputs: {v: [N, 8]}
        net:
          parts: chunk n
          a$i: {for: {i: 1..n}, do: "relu @parts.$(i-1)"}
          sum: add @a$(1..n)
          all: stack @a$(1..n)
        outputs: {sum: sum, all: all}
    """
    network = netc.load(dedent(text), args={"n": n})

    def reference(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        parts = [part.relu() for part in v.chunk(n, 1)]
        return torch.stack(parts).sum(0), torch.stack(parts)

    alike(network, reference, tmp_path, torch.randn(3, 8))


@pytest.mark.parametrize("tail", ["prelu", "relu", "prelu, relu, conv2d x.C 1", "relu, conv2d x.C 1, relu"])
def test_what_vanishes_from_a_chain_keeps_its_number(tail: str) -> None:
    """A merge of one tensor is no module, and what follows it has the weights' names that it has elsewhere."""
    text = dedent(REPVGG).replace("relu]", f"{tail}]")
    assert judge(text)
    network = netc.load(text)
    keys = network.module().state_dict().keys()
    assert {key.replace("a.out", "b.out") for key in keys if key.startswith("a.out")} == {
        key for key in keys if key.startswith("b.out")
    }
