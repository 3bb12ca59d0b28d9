"""Style `paper`: each distinct block once, whatever lies in whatever, in the author's words."""

from __future__ import annotations

from collections import Counter

import pytest
from test_pictures import FAMILIES, built, faults_of

from netc.backends.diagram.picture import Options, Picture
from netc.backends.diagram.scene import Line, Text, primitives
from tools.gallery.entries import Entry, all_entries

PAPER = Options(style="paper")


@pytest.mark.parametrize("entry", [pytest.param(entry, id=entry.name) for entry in FAMILIES])
def test_nothing_lies_over_anything(entry: Entry) -> None:
    assert faults_of(Picture(entry.load(entry.full).ir, PAPER).scene) == {}


def titles(picture: Picture) -> Counter[str]:
    return Counter(item.text for item in primitives(picture.scene.items) if isinstance(item, Text) and item.bold)


def test_outer_blocks_are_closed_and_inner_ones_that_several_hold_drawn_once() -> None:
    entry = next(entry for entry in all_entries() if entry.name == "efficientnet_b0")
    found = titles(picture := Picture(entry.load(entry.full).ir, PAPER))
    assert [found[f"mb_conv {letter}"] for letter in "ABCD"] == [2, 7, 6, 0]
    assert found["squeeze_excite"] == 4
    assert found["Global avg pool"] == 2
    texts = {item.text for item in primitives(picture.scene.items) if isinstance(item, Text)}
    assert {"squeeze=in.C//4", "unless stride = 1 and in.C = width"} <= texts
    assert not any("false" in text for text in texts)


NESTED = """
  first: outer 8
  second: outer 16
  third: outer 32
"""
BLOCKS = """
blocks:
  inner:
    args: wide
    net: {left: conv2d wide 3 padding=1 @in, right: [conv2d wide 1 @left, relu], out: add @left @right}
  outer:
    args: width
    net: {upper: inner 2*width @in, middle: conv2d width 1 @upper, lower: inner width @middle, out: add @middle @lower}
"""


def test_blocks_within_blocks_say_arguments_in_the_words_of_what_holds_them() -> None:
    picture = Picture(built(NESTED, rest=BLOCKS), PAPER)
    assert titles(picture)["inner"] == 3
    texts = Counter(item.text for item in primitives(picture.scene.items) if isinstance(item, Text))
    assert texts["wide=2·width"] == texts["wide=width"] == 1
    assert texts["3×3, wide, p1"] == 1
    lines = sum(isinstance(item, Line) and item.head for item in primitives(picture.scene.items))
    assert lines == 4 + (2 + 5) + (2 + 4)
    assert faults_of(picture.scene) == {}
