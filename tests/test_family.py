"""Networks of a family that reuse one another's blocks are the networks that compiling each alone gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from netc.budget import limited
from netc.diagnostics.model import Source
from netc.ir.flat import flatten
from netc.ir.text import ir_text
from netc.passes import compile_spec
from netc.passes import family as families
from netc.passes.cost import costs
from netc.passes.family import SpecFamily
from netc.passes.receptive_field import receptive_fields
from netc.syntax.read import read_source

SPECS = Path("specs")

REACHING = """
netc: 1
name: reaching
args: {width: 8, deep: false, norm: batch_norm2d, act: relu}
inputs: {image: [N, 3, 4*h, 4*w]}
defaults: {conv2d: {bias: deep}}
blocks:
  inner:
    args: width
    net: {a: conv2d width 3 padding=1, b: norm, c: act}
  outer:
    args: width
    net: {one: inner width, two: inner width, down: max_pool2d 2}
net:
  first: outer width
  second: outer 2*width @first
  side: {if: deep, do: max_pool2d 2 @first.one.a, else: identity @first}
  small: [max_pool2d 2 @side, conv2d 2*width 1]
  out: add @second @small
outputs: {out: out}
"""


def same(source: Source, family: SpecFamily, args: dict[str, str], bind: dict[str, int]) -> bool:
    """Compare, and tell whether the network is valid."""
    fresh, findings = compile_spec(source, args, None, bind)
    reused, found = family.network(args)
    assert [d.message for d in found] == [d.message for d in findings if d.severity == "error"]
    assert (fresh is None) == (reused is None)
    if fresh is None or reused is None:
        return False
    assert ir_text(reused) == ir_text(fresh)
    ours, theirs = flatten(reused), flatten(fresh)
    assert costs(reused, ours) == costs(fresh, theirs)
    assert [*receptive_fields(ours).values()] == [*receptive_fields(theirs).values()]
    assert [n.train_only for n in ours.nodes] == [n.train_only for n in theirs.nodes]
    assert reused.domain.bounds == fresh.domain.bounds
    return True


@pytest.mark.parametrize("bind", [{}, {"h": 4, "w": 4}], ids=["symbolic", "numbers"])
def test_networks_are_what_each_is_alone(bind: dict[str, int]) -> None:
    source = Source("reaching.yaml", REACHING)
    family = SpecFamily(source, None, bind)
    norms = ("batch_norm2d", '"group_norm 4"', '"group_norm width//2"', '"group_norm 3"', "none")
    valid = [
        same(source, family, {"width": width, "deep": deep, "norm": norm}, bind)
        for width in ("8", "16", "8")
        for deep in ("false", "true", "false")
        for norm in norms
    ]
    assert valid == [norm != '"group_norm 3"' for norm in norms] * 9


@pytest.mark.parametrize(
    ("name", "given"),
    [
        (
            "resnet",
            [{"depths": "[1, 2, 1, 1]"}, {"block": "basic"}, {"norm": '"group_norm 32"'}, {"output_stride": "8"}],
        ),
        ("unet", [{}, {"classes": "3"}]),
        ("vgg", [{}, {"classes": "7"}, {"classes": "-1"}]),
        ("mobilenet_v2", [{}, {"classes": "3"}]),
    ],
)
def test_networks_of_the_gallery(name: str, given: list[dict[str, str]]) -> None:
    source = read_source(str(SPECS / f"{name}.yaml"))
    assert isinstance(source, Source)
    family = SpecFamily(source)
    for args in given * 2:
        same(source, family, args, {})


def test_blocks_are_made_once() -> None:
    family = SpecFamily(Source("reaching.yaml", REACHING))
    family.network({})
    before = len(family.blocks.kept)
    family.network({"act": "gelu"})
    assert len(family.blocks.kept) == 2 * before
    family.network({"deep": "false"})
    assert len(family.blocks.kept) == 2 * before


def test_blocks_are_forgotten_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "MOST_BLOCKS", 20)
    source = Source("reaching.yaml", REACHING)
    family = SpecFamily(source)
    for width in range(8, 40):
        assert same(source, family, {"width": str(width)}, {})
        assert len(family.blocks.kept) < 30


def test_steps_are_those_of_each_alone() -> None:
    """Whether a network takes too much work does not depend on those before it."""
    source = Source("reaching.yaml", REACHING.replace("one: inner width", "one: inner width x(20)"))
    with limited(40_000):
        family = SpecFamily(source)
        for width in ("8", "8", "16", "8"):
            assert same(source, family, {"width": width}, {})
    with limited(6_000):
        family = SpecFamily(source)
        for _ in range(3):
            assert family.network({})[1][0].code == "too-much-work"
