"""Networks that are no nest of chains and branches, laid out in layers, and what begins or ends beside the main way."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from test_pictures import built, faults

from netc.backends.diagram.picture import DEFAULT_PAGE, Options, Picture
from netc.backends.diagram.scene import Line, Rect, Text, primitives, smallest_text
from netc.ir.model import Network
from tools.gallery.entries import all_entries

PYRAMID = """
  c1: conv2d 8 3 padding=1
  c2: conv2d 8 3 stride=2 padding=1 @c1
  c3: conv2d 8 3 stride=2 padding=1 @c2
  l1: conv2d 8 1 @c1
  l2: conv2d 8 1 @c2
  l3: conv2d 8 1 @c3
  u2: interpolate like=@l2 @l3
  s2: add @l2 @u2
  u1: interpolate like=@l1 @s2
  s1: add @l1 @u1
  p1: conv2d 8 3 padding=1 @s1
  p2: conv2d 8 3 padding=1 @s2
  p3: conv2d 8 3 padding=1 @l3
outputs: {p1: p1, p2: p2, p3: p3}
"""
HIGH_RESOLUTION = """
  a0: conv2d 8 3 padding=1
  b0: conv2d 16 3 stride=2 padding=1 @a0
  a1: conv2d 8 3 padding=1 @a0
  b1: conv2d 16 3 padding=1 @b0
  ab: conv2d 16 3 stride=2 padding=1 @a1
  ba0: conv2d 8 1 @b1
  ba: interpolate like=@a1 @ba0
  a2: add @a1 @ba
  b2: add @b1 @ab
  c2: conv2d 32 3 stride=2 padding=1 @b2
  a3: conv2d 8 3 padding=1 @a2
  b3: conv2d 16 3 padding=1 @b2
  ca0: conv2d 8 1 @c2
  ca: interpolate like=@a3 @ca0
  cb0: conv2d 16 1 @c2
  cb: interpolate like=@b3 @cb0
  bc: conv2d 32 3 stride=2 padding=1 @b3
  ac0: conv2d 8 3 stride=2 padding=1 @a3
  ac: conv2d 32 3 stride=2 padding=1 @ac0
  a4: add @a3 @ca
  b4: add @b3 @cb
  c4: add @c2 @bc @ac
outputs: {a: a4, b: b4, c: c4}
"""
SEARCHED_CELL = """
  h0: conv2d 8 3 padding=1 @image
  h1: conv2d 8 1 @h0
  left1: conv2d 8 3 padding=1 @h1
  right1: conv2d 8 5 padding=2 @h0
  n1: add @left1 @right1
  left2: avg_pool2d 3 stride=1 padding=1 @h0
  n2: add @left2 @h1
  left3: conv2d 8 3 padding=1 @n1
  right3: max_pool2d 3 stride=1 padding=1 @h1
  n3: add @left3 @right3
  left4: conv2d 8 1 @h0
  n4: add @left4 @n2
  n5: add @n3 @h0
  out: concat @n4 @n5 @h1 @n3
"""


@pytest.mark.parametrize("net", [PYRAMID, HIGH_RESOLUTION, SEARCHED_CELL], ids=["pyramid", "hrnet", "nasnet"])
@pytest.mark.parametrize("level", ["blocks", "ops"])
def test_what_is_no_nest_of_branches_gets_layers(net: str, level: str) -> None:
    network = built(net)
    assert faults(network, Options(level=level)) == {}  # type: ignore[arg-type]
    assert smallest_text(Picture(network, Options()).scene, *DEFAULT_PAGE) >= 4


@pytest.mark.parametrize("net", [PYRAMID, HIGH_RESOLUTION], ids=["pyramid", "hrnet"])
def test_lines_of_layers_do_not_turn_by_a_hair(net: str) -> None:
    scene = Picture(built(net), Options()).scene
    lines = [item.points for item in primitives(scene.items) if isinstance(item, Line)]
    across = [abs(a[0] - b[0]) for points in lines for a, b in pairwise(points) if abs(a[0] - b[0]) > 0.01]
    assert min(across) >= 4


def test_what_alone_leads_to_a_part_stands_above_it() -> None:
    """Where there is room."""
    spots = Picture(built(HIGH_RESOLUTION), Options()).scene.spots
    middle = {name: x + w / 2 for name, (x, _, w, _) in spots.items()}
    pairs = [
        ("b0", "b1"),
        ("ba0", "ba"),
        ("a2", "a3"),
        ("ac0", "ac"),
        ("a4", "out:a"),
        ("b4", "out:b"),
        ("c4", "out:c"),
    ]
    assert [pair for pair in pairs if abs(middle[pair[0]] - middle[pair[1]]) > 0.01] == []


def test_each_part_stands_once() -> None:
    scene = Picture(built(HIGH_RESOLUTION), Options(level="ops")).scene
    boxes = [item for item in primitives(scene.items) if isinstance(item, Rect) and item.role == "box"]
    symbols = [item for item in primitives(scene.items) if isinstance(item, Text) and item.text == "+"]
    assert len(boxes) + len(symbols) == HIGH_RESOLUTION.count("\n  ")


def middles(network: Network) -> dict[str, float]:
    return {name: x + w / 2 for name, (x, _, w, _) in Picture(network, Options()).scene.spots.items()}


POSITIONS = """
  patches: conv2d 8 4 stride=4
  tokens: [flatten start_dim=2, transpose 1 2]
  class_token: parameter (1 1 8)
  repeated: expand (in.N -1 -1) @class_token like=@tokens
  joined: concat @repeated @tokens dim=1
  position: parameter (1 257 8)
  added: add @joined @position
  out: linear 4
"""


def test_parameters_stand_beside_the_way() -> None:
    """However many begin where others run."""
    network = built(POSITIONS)
    middle = middles(network)
    way = ["in:image", "patches", "joined", "added", "out", "out:out"]
    assert len({round(middle[name], 3) for name in way}) == 1
    assert middle["patches"] < middle["class_token"] < middle["position"]
    assert faults(network) == {}


SIDE = """
  a: conv2d 8 3 padding=1
  side: [conv2d 8 3 @a, relu, conv2d 8 5, relu, conv2d 8 7, relu, conv2d 8 9, relu]
  b: [conv2d 8 3 padding=1 @a, sigmoid]
  c: [conv2d 8 3 padding=1, tanh]
  d: [conv2d 8 1, sigmoid]
outputs: {d: d, side: side}
"""


def test_the_way_goes_on_beside_what_ends_early() -> None:
    """No part waits until a side way has ended."""
    spots = Picture(built(SIDE), Options()).scene.spots
    tops = [spots[name][1] for name in ("a", "b.0", "c.0", "d.0", "out:d")]
    assert max(below - above for above, below in pairwise(tops)) < 70


TWO_TENSORS = """
  e: encoder
  m: [conv2d 8 3 padding=1 @e, relu]
  n: concat @m @e.low
  p: [conv2d 8 3 padding=1, relu]
  q: concat @p @e.high
"""
ENCODER = """
blocks:
  encoder:
    net:
      low: conv2d 8 3 padding=1 @in
      high: conv2d 8 5 padding=2
      out: conv2d 8 7 padding=3
    outputs: {out: out, low: low, high: high}
"""


def test_tensors_of_one_frame_leave_it_on_lines_of_their_own() -> None:
    scene = Picture(built(TWO_TENSORS, rest=ENCODER), Options()).scene
    left, top, w, h = scene.spots["e"]
    rails = [item for item in primitives(scene.items) if isinstance(item, Line) and item.colour == "skip"]
    outside = [rail for rail in rails if abs(rail.points[0][0] - left - w) < 0.01]
    assert len(outside) == 2
    assert len({rail.points[0] for rail in outside} | {rail.points[1][0] for rail in outside}) == 4
    assert all(top < rail.points[0][1] < top + h for rail in outside)


def test_tensors_of_one_part_run_through_layers_on_lanes_of_their_own() -> None:
    """Three of the body of YOLO v3, to three levels: they meet nowhere but where they leave it."""
    entry = next(entry for entry in all_entries() if entry.name == "yolo_v3")
    ways = Picture(entry.load(entry.full).ir, Options()).scene.ways
    lines = [line for (source, _, _), found in ways.items() if getattr(source, "path", "") == "body" for line in found]
    downs = [(a[0], a[1], b[1]) for line in lines for a, b in pairwise(line.points) if a[0] == b[0] and a[1] < b[1]]
    assert len(lines) == 3
    bottom = min(top for _, top, _ in downs)
    rest = [(x, top, low) for x, top, low in downs if top > bottom]
    assert len({x for x, _, _ in rest}) == 3


def random_net(seed: int) -> tuple[str, str]:
    """Statements that read any of the last few before them, sizes and parameters among them, and the outputs."""
    rng = Random(seed)
    lines, read = ["  n0: conv2d 8 3 padding=1 @image"], set[int]()
    count = rng.randrange(4, 40)
    for n in range(1, count):
        near = max(0, n - rng.choice([1, 2, 4, 12]))
        a, b, c = (rng.randrange(near, n) for _ in range(3))
        forms = [([a], f"conv2d 8 {rng.choice([1, 3])} padding=same @n{a}"), ([a], f"relu @n{a}")]
        if n > 1 and rng.random() < 0.1:
            forms = [([], "parameter (1 8 1 1)")]
        elif len({a, b, c}) == 3:
            forms += [([a, b, c], f"add @n{a} @n{b} @n{c}")]
        elif a != b:
            forms += [([a, b], f"mul @n{a} @n{b}"), ([a, b], f"interpolate like=@n{b} @n{a}")]
        uses, line = rng.choice(forms)
        read.update(uses)
        lines.append(f"  n{n}: {line}")
    return "\n".join(lines), "outputs: {" + ", ".join(f"o{n}: n{n}" for n in range(count) if n not in read) + "}"


@pytest.mark.parametrize("seed", range(30))
def test_nothing_lies_over_anything_in_random_networks(seed: int) -> None:
    net, outputs = random_net(seed)
    network = built(net, rest=outputs)
    assert faults(network) == faults(network, Options(level="ops")) == faults(network, Options(style="paper")) == {}
