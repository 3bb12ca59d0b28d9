"""What is written in a picture, in full: numbers against the formulas of convolutions, every word where it belongs."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from test_diagram import built

from netc.backends.diagram import view_of
from netc.backends.diagram.page import page_text
from netc.backends.diagram.picture import Options, Picture
from netc.backends.diagram.scene import Rect, Text, primitives

NET = """
  down: conv2d 8 3 stride=2 padding=1 @image
  body: residual x3 @down
  pooled: max_pool2d 2 @body
  mid: head @pooled
  again: head @mid
  up: interpolate scale_factor=2 @again
  joined: concat @up @body
  last: conv2d 4 1 @joined
"""
BLOCKS = """
shared: {head: conv2d 8 3 padding=1}
blocks:
  residual: {net: {a: [conv2d in.C 3 padding=1 @in, relu], b: conv2d in.C 3 padding=1 @a, out: add @b @in}}
"""

EVERYWHERE = {"Concat": 1, "Conv": 4, "Conv·ReLU": 1, "MaxPool": 1, "Resize": 1, "+": 1, "image": 1, "out": 1}
SETTINGS = {"3×3, 8, s2, p1": 1, "2×2": 1, "nearest, 2": 1, "1×1, 4": 1}
NAMES = {"shared head": 1, "×2": 1, "×3": 1}
SHAPES = {"3×8h×8w": 1, "8×2h×2w": 1, "16×4h×4w": 1}


def picture(style: str) -> Picture:
    return Picture(built(NET, rest=BLOCKS), Options(style=style))  # type: ignore[arg-type]


def texts(style: str) -> Counter[str]:
    return Counter(item.text for item in primitives(picture(style).scene.items) if isinstance(item, Text))


def test_columns_say_every_part_with_its_settings_and_each_shape_that_changes() -> None:
    assert texts("columns") == {
        **EVERYWHERE,
        **SETTINGS,
        **NAMES,
        **SHAPES,
        "3×3, 8, p1": 3,
        "8×4h×4w": 3,
        "4×4h×4w": 1,
        "body": 1,
        "residual": 1,
    }


def test_a_paper_counts_parameters_and_work_of_each_part() -> None:
    convolution = 8 * 8 * 9 + 8
    parts = {"224": 1, "584": 1, "68": 1}
    assert [3 * 8 * 9 + 8, convolution, 16 * 4 + 4] == [int(text) for text in parts]
    whole = 224 + 3 * 2 * convolution + convolution + 68
    work = [216 * 16, 6 * 576 * 16, 2 * 576 * 4, 64 * 16]
    sums = {"3.5 k": 3 * 2 * convolution, "4.38 k": whole}
    sums |= dict(zip(("3.46 k·h·w", "55.3 k·h·w", "4.61 k·h·w", "1.02 k·h·w"), work, strict=True))
    sums |= {"64.4 k·h·w": sum(work)}
    assert all(f"{number / 1000:.3g}" == text.split()[0] for text, number in sums.items())
    assert texts("paper") == {
        **EVERYWHERE,
        **SETTINGS,
        **NAMES,
        **SHAPES,
        **parts,
        **dict.fromkeys(sums, 1),
        "3×3, 8, p1": 1,
        "3×3, in.C, p1": 2,
        "8×4h×4w": 2,
        "4×4h×4w": 2,
        **dict.fromkeys(("MACs", "output", "parameters", "tested"), 1),
        "residual": 2,
    }


@pytest.mark.parametrize("style", ["columns", "paper"])
def test_badges_hold_their_words(style: str) -> None:
    items = [*primitives(picture(style).scene.items)]
    badges = [item for item in items if isinstance(item, Rect) and item.role == "badge"]
    words = [item for item in items if isinstance(item, Text) and item.text in NAMES]
    assert len(badges) == len(words) == 3
    for word in words:
        (around,) = [one for one in badges if one.y < word.y < one.y + one.h and one.x < word.x < one.x + one.w]
        assert word.anchor == "middle"
        assert word.x == around.x + around.w / 2
        assert word.room == around.w


U = """
  a1: [conv2d 4 3 padding=1 @image, relu]
  a2: [conv2d 4 3 padding=1 @a1, relu]
  p1: max_pool2d 2 @a2
  b1: [conv2d 8 3 padding=1 @p1, relu]
  p2: max_pool2d 2 @b1
  c1: [conv2d 16 3 padding=1 @p2, relu]
  u2: conv_transpose2d 8 2 stride=2 @c1
  j2: concat @b1 @u2
  d1: [conv2d 8 3 padding=1 @j2, relu]
  u1: conv_transpose2d 4 2 stride=2 @d1
  j1: concat @a2 @u1
  e1: [conv2d 4 3 padding=1 @j1, relu]
  out: conv2d 2 1 @e1
"""


def test_a_u_has_a_row_of_bars_per_resolution_with_their_channels() -> None:
    scene = Picture(built(U, "{image: [N, 3, 32, 32]}"), Options(style="u")).scene
    items = [*primitives(scene.items)]
    words = [item for item in items if isinstance(item, Text)]
    bars = [item for item in items if isinstance(item, Rect)]
    tops = sorted({bar.y for bar in bars})
    rows = [sorted((bar for bar in bars if bar.y == top), key=lambda bar: bar.x) for top in tops]
    assert [len(row) for row in rows] == [3 + 2 + 2, 2 + 2 + 1, 2]
    heights = [{bar.h for bar in row} for row in rows]
    assert [len(one) for one in heights] == [1, 1, 1]
    (high,), (middle,), (low,) = heights
    assert high > middle > low
    assert tops[1] - (tops[0] + high) == pytest.approx(tops[2] - (tops[1] + middle))
    channels = sorted((word.y, word.x, word.text) for word in words if word.text.isdecimal())
    assert [text for *_, text in channels] == [*"34", "4", "8", "4", "2", *"48", "16", "8", "8", "16"]
    assert all(any(bar.x <= x <= bar.x + bar.w and y < bar.y for bar in bars) for y, x, _ in channels)
    sizes = sorted((word.y, word.x, word.text) for word in words if word.text.endswith("²"))
    assert [text for *_, text in sizes] == ["32²", "32²", "16²", "16²", "8²"]
    legend = [word.text for word in words if not word.text.isdecimal() and not word.text.endswith("²")]
    assert legend == ["image", "out", "Conv·ReLU 3×3", "MaxPool 2×2", "Up-conv 2×2", "Conv 1×1", "copy"]
    assert all(bar.x >= 0 and bar.x + bar.w <= scene.width and bar.y + bar.h <= scene.height for bar in bars)


def test_a_page_says_how_each_size_follows_and_what_each_parameter_is() -> None:
    net = """
  a: max_pool2d 3 stride=2 ceil_mode=true @image
  b: conv2d 8 3 padding=same stride=2 @a
  c: conv2d 4 (1 2) padding=1 dilation=2 bias=false @b
  d: conv_transpose2d 4 2 stride=2 @c
"""
    page = page_text(view_of(built(net, "{image: [N, 3, 32, 33]}"), "ops"), "")
    (text,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert formulas(json.loads(text)) == {
        "a": ["W = ⌊(33 + 2·0 − 1·(3−1) − 1 + 1)/2⌋ + 1 = ⌊31/2⌋ + 1 = 16"],
        "b": ["W = ⌈16/2⌉ = 8", "weight 8×3×3×3", "bias 8"],
        "c": ["W = ⌊(8 + 2·1 − 2·(2−1) − 1)/1⌋ + 1 = ⌊7/1⌋ + 1 = 8", "weight 4×8×1×2"],
        "d": ["weight 4×4×2×2", "bias 4"],
    }


def formulas(data: Any) -> dict[str, list[str]]:
    """Of every statement, wherever the page holds it."""
    if isinstance(data, list):
        return {path: told for item in data for path, told in formulas(item).items()}
    if isinstance(data, dict):
        own = {data["path"]: data["formulas"]} if "formulas" in data else {}
        return own | formulas(list(data.values()))
    return {}
