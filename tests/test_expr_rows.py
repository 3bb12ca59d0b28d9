"""Comprehensions, `zip` and `enumerate`, and indices that need no quotes."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from alike import alike
from spectext import net, refused, spec
from torch import nn

import netc
from netc.dims import Domain
from netc.expr.evaluate import Context, ExprError, evaluate
from netc.expr.lexer import SyntaxProblem
from netc.expr.parser import parse_expression
from netc.expr.scope import Binding, Scope

KNOWN = {"widths": (8, 16, 32), "stages": ((3, 8), (5, 16)), "n": 3}


def value(text: str, **known: Any) -> Any:
    scope = Scope(None, {name: Binding("argument", found) for name, found in {**KNOWN, **known}.items()})
    return evaluate(parse_expression(text), Context(scope, Domain()))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("(8*2**i for i in 0..n)", (8, 16, 32, 64)),
        ("[8*i for i in 1..3]", (8, 16, 24)),
        ("(w//2 for w in widths if w > 8)", (8, 16)),
        ("(k*c for k c in stages)", (24, 80)),
        ("(k*c for k, c in stages)", (24, 80)),
        ("((w i) for i w in enumerate(widths))", ((8, 0), (16, 1), (32, 2))),
        ("(i for i in 1..0)", ()),
        ("sum(w*2 for w in widths)", 112),
        ("max(c for k c in stages)", 16),
        ("((i*j for j in 1..i) for i in 1..2)", ((1,), (2, 4))),
        ("(1 if w > 8 else 0 for w in widths)", (0, 1, 1)),
        ("(w for w in (widths if n > 2 else stages))", (8, 16, 32)),
        ("len((i for i in range(n)))", 3),
        ("zip(widths range(3))", ((8, 0), (16, 1), (32, 2))),
        ("zip(widths, widths, widths)", ((8, 8, 8), (16, 16, 16), (32, 32, 32))),
        ("enumerate(stages)", ((0, 3, 8), (1, 5, 16))),
        ("widths.(0)", 8),
        ("widths.(n-1)", 32),
        ("widths.(-1) + 1", 33),
        ("widths.(1:)", (16, 32)),
        ("widths.(:2)", (8, 16)),
        ("widths.(1:2)", (16,)),
        ("stages.(1).(0)", 5),
        ("stages.(1)[0]", 5),
        ("(1 2 3).(n-2)", 2),
        ("max(widths.(0) 9)", 9),
    ],
)
def test_lists_are_made_and_read(text: str, wanted: Any) -> None:
    assert value(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        *("(i for in 1..3)", "(i for i)", "(1 2 for i in 1..3)", "(i for i in 1..3 2)", "(for i in 1..3)"),
        *("widths.(0", "widths.()", "(i for 3 in 1..3)", "(i for i in 1..3 if)", "(i for true in 1..3)"),
        *("i for i in 1..3", "1..3"),
    ],
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(SyntaxProblem):
        value(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("(k for k c in widths)", "bad-expression"),
        ("(n for n in widths)", "ambiguous-name"),
        ("(i for i in 5)", "bad-expression"),
        ("(m for i in widths)", "unknown-name"),
        ("zip(widths stages)", "bad-expression"),
        ("zip(widths 3)", "bad-expression"),
        ("enumerate(3)", "bad-expression"),
        ("(i for i in 1..1001)", "too-large"),
        ("sum(sum(i*j for j in 1..100) for i in 1..100)", "too-large"),
        ("(i for i in widths).(3)", "bad-expression"),
    ],
)
def test_what_has_no_value_says_why(text: str, code: str) -> None:
    with pytest.raises(ExprError) as caught:
        value(text)
    assert caught.value.code == code


def test_comprehensions_nest_no_deeper_than_other_expressions() -> None:
    deep = "1..2"
    for i in range(80):
        deep = f"(v{i} for v{i} in {deep})"
    with pytest.raises(SyntaxProblem, match="levels"):
        parse_expression(deep)


def test_names_of_a_comprehension_are_its_own() -> None:
    assert refused("a: conv2d sum(i for i in 1..3)*i 1")[0] == ("unknown-name", "i")


SPEC = """
    netc: 1
    name: rows
    args: {base: 4, depth: 3}
    let: {widths: (base*2**i for i in range(depth)), strides: (1 if i == 0 else 2 for i in range(depth))}
    inputs: {image: [N, 3, 16, 16]}
    net:
      stage$i: {for: {i w s: enumerate(zip(widths strides))}, do: [conv2d w 3 stride=s padding=1, relu]}
      twice: {for: {i: range(2)}, do: [conv2d widths.(i) 1, "conv2d widths[-1] 1"]}
      head: [adaptive_avg_pool2d 1, flatten, linear max(widths.(0) 5)]
"""


def test_networks_are_built_over_rows(tmp_path: Path) -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            inside = 3
            for i, (width, stride) in enumerate([(4, 1), (8, 2), (16, 2)]):
                self.add_module(f"stage{i}", nn.Sequential(nn.Conv2d(inside, width, 3, stride, 1), nn.ReLU()))
                inside = width
            self.twice = nn.Sequential(
                nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1), nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1)
            )
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for i in range(3):
                x = getattr(self, f"stage{i}")(x)
            return self.head(self.twice(x))  # type: ignore[no-any-return]

    alike(netc.load(dedent(SPEC)), Rows(), tmp_path, torch.randn(2, 3, 16, 16))


def test_blocks_called_over_rows_have_numbers_of_their_own(tmp_path: Path) -> None:
    head = "blocks: {unit: {args: w, net: [conv2d w 1, relu]}}"
    statements = "a$i: {for: {i w: enumerate((2*k for k in 1..3))}, do: unit w}\nb: unit sum(k for k in 1..3)"
    assert [n.node.op.out_channels for n in net(statements, head).flat.nodes[::2]] == [2, 4, 6, 6]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, inside, width in (("a0", 3, 2), ("a1", 2, 4), ("a2", 4, 6), ("b", 6, 6)):
                self.add_module(name, nn.Sequential(nn.Conv2d(inside, width, 1), nn.ReLU()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for unit in self.children():
                x = unit(x)
            return x

    alike(netc.load(spec(statements, head)), Net(), tmp_path, torch.randn(2, 3, 32, 32))
