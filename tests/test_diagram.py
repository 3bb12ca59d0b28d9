"""What a picture says about a network: operators, arrows, what is fused, collapsed, marked; that text stays text."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import graphviz
import msgspec
import pytest
from graphviz.backend import dot_command

import netc
from netc.backends import diagram
from netc.backends.diagram import Level, dot
from netc.backends.diagram.engine import find_engine, render
from netc.ir.flat import flatten
from netc.ir.model import Network

SPECS = Path(__file__).parent.parent / "specs"
SKIP = "#B4491D"
FAMILIES = ["alexnet", "cnn1d", "cnn3d", "densenet", "googlenet", "lenet5", "mlp", "mobilenet_v2", "resnet", "vgg"]


def spec(name: str) -> Network:
    return netc.load(SPECS / f"{name}.yaml").ir


def built(net: str, inputs: str = "{image: [N, 3, 8*h, 8*w]}", rest: str = "") -> Network:
    return netc.load(f"netc: 1\nname: tested\ninputs: {inputs}\n{rest}\nnet:\n{net}").ir


def to_dot(network: Network, level: Level = "blocks", direction: dot.Direction = "tb") -> str:
    return dot.to_dot(diagram.view_of(network, level), direction)


class Graph:
    """DOT as the engine reads it."""

    def __init__(self, dot: str) -> None:
        done = subprocess.run([find_engine(), "-Tjson0"], input=dot.encode(), capture_output=True, check=True)
        read: dict[str, Any] = json.loads(done.stdout)
        objects = {item["_gvid"]: item for item in read.get("objects", [])}
        self.frames = [item for item in objects.values() if item["name"].startswith("cluster_") and item["label"]]
        self.nodes = {item["name"]: item for item in objects.values() if "nodes" not in item and "pos" in item}
        self.edges = [(objects[e["tail"]]["name"], objects[e["head"]]["name"], e) for e in read.get("edges", [])]

    def pairs(self) -> Counter[tuple[str, str]]:
        return Counter((tail, head) for tail, head, _ in self.edges)

    def skips(self) -> set[tuple[str, str]]:
        return {(tail, head) for tail, head, edge in self.edges if edge.get("color") == SKIP}

    def texts(self) -> str:
        return "\n".join(item["label"] for item in (*self.nodes.values(), *self.frames))


def graph(network: Network, level: Level = "blocks") -> Graph:
    return Graph(to_dot(network, level))


@pytest.mark.parametrize("name", ["googlenet", "mobilenet_v2", "resnet"])
def test_level_ops_draws_every_operator_and_arrow(name: str) -> None:
    flat, drawn = flatten(spec(name)), graph(spec(name), "ops")
    maker = {wire: f"in:{wire.path}" for wire in flat.inputs}
    maker.update((wire, node.path) for node in flat.nodes for wire in node.outputs)
    arrows = Counter((maker[wire], node.path) for node in flat.nodes for wire in node.inputs)
    arrows.update((maker[output.wire], f"out:{output.name}") for output in flat.outputs)
    ends = {f"in:{wire.path}" for wire in flat.inputs} | {f"out:{output.name}" for output in flat.outputs}
    assert set(drawn.nodes) == {node.path for node in flat.nodes} | ends
    assert drawn.pairs() == arrows


@pytest.mark.parametrize("level", ["overview", "blocks", "ops"])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_level_of_every_family_reads_from_input_to_output(name: str, level: Level) -> None:
    drawn = graph(spec(name), level)
    reached = {node for node in drawn.nodes if node.startswith("in:")}
    for _ in drawn.nodes:
        reached |= {head for tail, head, _ in drawn.edges if tail in reached}
    assert reached == set(drawn.nodes)


@pytest.mark.parametrize("level", ["overview", "blocks", "ops"])
def test_the_same_network_gives_the_same_text(level: Level) -> None:
    assert to_dot(spec("googlenet"), level) == to_dot(spec("googlenet"), level)


def test_resnet_collapses_what_is_equal() -> None:
    text = graph(spec("resnet")).texts()
    assert [text.count(f"×{n} ") for n in (2, 3, 4, 5, 6)] == [2, 1, 0, 1, 0]


def test_resnet_fuses_and_marks_shortcuts() -> None:
    drawn = graph(spec("resnet"))
    assert "Conv·BN·ReLU" in drawn.nodes["layer1.0.conv1"]["label"]
    assert "Conv·BN<" in drawn.nodes["layer1.0.conv3"]["label"]
    assert {("maxpool", "layer1.0.downsample.0"), ("layer1.0.downsample.0", "layer1.0.out.0")} <= drawn.skips()
    assert ("layer1.0.out.0", "layer1.1.out.0") in drawn.skips()
    assert ("layer1.0.out.0", "layer1.1.conv1") not in drawn.skips()


def test_dense_layers_that_grow_are_one_frame() -> None:
    text = graph(spec("densenet")).texts()
    assert all(f"×{n} " in text for n in (6, 12, 24, 16))
    labels = [edge["label"].strip() for _, _, edge in graph(spec("densenet")).edges if "label" in edge]
    assert "64…224×8h×8w" in labels


def test_branches_of_a_concat_are_no_skips() -> None:
    assert graph(spec("googlenet")).skips() == set()


def test_what_only_trains_is_dashed() -> None:
    drawn = graph(spec("googlenet"))
    dashed = {name for name, node in drawn.nodes.items() if "dashed" in node["style"]}
    assert {"out:aux1", "out:aux2", "aux1.fc2"} <= dashed
    assert not any(name.startswith("inception") for name in dashed)


def test_the_overview_has_a_box_per_stage() -> None:
    drawn = graph(spec("resnet"), "overview")
    stages = ["conv1", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "flatten", "fc"]
    assert list(drawn.nodes) == ["in:image", *stages, "out:logits"]
    assert "6× bottleneck" in drawn.nodes["layer3"]["label"]


SAME_PIECES = """
  a: conv2d 8 3 padding=1
  b: conv2d 8 3 padding=1
  c: conv2d 8 3 padding=1
  other: conv2d 8 3 padding=1 bias=false
"""


def test_copies_are_found_by_what_they_compute_never_by_name() -> None:
    drawn = graph(built(SAME_PIECES))
    assert drawn.pairs() == Counter([("in:image", "a"), ("a", "b"), ("b", "other"), ("other", "out:out")])
    assert "×2 " in drawn.nodes["b"]["label"]
    assert "×" not in drawn.nodes["other"]["label"].replace("3×3", "")


def test_a_run_read_from_outside_is_not_collapsed() -> None:
    net = """
  a: conv2d 3 3 padding=1
  b: conv2d 3 3 padding=1 @a
  sum: add @a @b
"""
    assert set(graph(built(net)).nodes) >= {"a", "b", "sum"}


def test_only_single_reader_runs_are_fused() -> None:
    net = """
  conv: conv2d 3 3 padding=1
  act: relu @conv
  sum: add @conv @act
"""
    assert {"conv", "act"} <= set(graph(built(net)).nodes)


SHARED = """
  first: head @image
  second: head @first
"""


def test_shared_modules_are_marked() -> None:
    text = graph(built(SHARED, rest="shared: {head: conv2d 3 1}")).texts()
    assert text.count("shared head") == 1
    assert "×2 " in text
    plain = graph(built(SHARED.replace("head", "conv2d 3 1"))).texts()
    assert "shared" not in plain
    assert "×2 " in plain


def test_shapes_are_printed_only_where_they_change() -> None:
    drawn = graph(spec("lenet5"))
    labels = {(tail, head): edge["label"].strip() for tail, head, edge in drawn.edges if edge.get("label")}
    assert labels[("conv1", "pool1")] == "6×28×28"
    assert ("in:image", "conv1") not in labels
    assert ("fc3", "out:logits") not in labels


def test_sums_of_sizes_stand_in_parentheses() -> None:
    drawn = graph(spec("alexnet"))
    assert any(edge.get("label", "").strip() == "64×(8h−1)×(8w−1)" for _, _, edge in drawn.edges)


@pytest.mark.parametrize("name", ["densenet", "mobilenet_v2", "resnet", "vgg"])
def test_the_main_way_is_a_straight_line(name: str) -> None:
    drawn = graph(spec(name))
    skips = drawn.skips()
    main = {tail for tail, head, _ in drawn.edges if (tail, head) not in skips} - {head for _, head in skips}
    assert len({float(drawn.nodes[node]["pos"].split(",")[0]) for node in main}) == 1


def test_directions() -> None:
    def size(direction: Any) -> tuple[float, float]:
        svg = ElementTree.fromstring(render(to_dot(spec("lenet5"), "blocks", direction)))
        return float(svg.attrib["width"].removesuffix("pt")), float(svg.attrib["height"].removesuffix("pt"))

    down, across = size("tb"), size("lr")
    assert down[1] > 3 * down[0]
    assert across[0] > 3 * across[1]


HOSTILE = [
    '</TD></TR></TABLE>> ]; evil [label="',
    '<B>&amp; &lt; &#0; \\N \\G \\"',
    'quote " back \\ end \\',
    "]]> --> <script>alert(1)</script>",
    "\x00\x07\x1b[31m \u2028 \ud800 \U0001f600",
    '} subgraph "cluster_1" { graph [\n\t]; lp="0,0"',
]


def renamed(network: Network, text: str) -> Network:
    """The network with hostile text in its name, doc, input, output and a statement's path."""
    block = network.block
    source = block.inputs[0]
    image = msgspec.structs.replace(source, path=text)
    items = tuple(
        msgspec.structs.replace(item, path=f"{text}{n}", inputs=tuple(image if v is source else v for v in item.inputs))
        for n, item in enumerate(block.leaves())
    )
    outputs = tuple(msgspec.structs.replace(output, name=text) for output in block.outputs)
    block = msgspec.structs.replace(block, inputs=(image,), items=items, outputs=outputs)
    network.file.doc = text
    return msgspec.structs.replace(network, name=text, block=block)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    network = renamed(spec("lenet5"), text)
    plain = graph(spec("lenet5"), "ops")
    hostile = graph(network, "ops")
    assert len(hostile.nodes) == len(plain.nodes)
    assert len(hostile.edges) == len(plain.edges)
    assert not hostile.frames
    svg = ElementTree.fromstring(render(to_dot(network, "ops")))
    assert {element.tag.rpartition("}")[2] for element in svg.iter()} <= {
        "svg",
        "g",
        "title",
        "polygon",
        "path",
        "text",
        "a",
    }
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    words = "".join(element.text or "" for element in svg.iter() if element.tag.endswith("}text"))
    assert (shown if len(shown) <= 40 else shown[:39] + "…") in words
    titles = [
        title.replace("\xa0", " ").strip()
        for element in svg.iter()
        for name, title in element.items()
        if name.endswith("}title")
    ]
    told = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    assert f"{told}\n{told}".strip() in titles


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_in_frames(text: str) -> None:
    network = built("\n  stem: [conv2d 8 3, relu, max_pool2d 2]\n")
    stem = msgspec.structs.replace(network.block.items[0], path=text)
    network = msgspec.structs.replace(network, block=msgspec.structs.replace(network.block, items=(stem,)))
    assert len(graph(network).frames) == 1
    svg = render(to_dot(network)).decode()
    words = "".join(
        element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("}text")
    )
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    assert (shown if len(shown) <= 40 else shown[:39] + "…") in words
    assert "Conv·ReLU" in words


def test_a_long_network_is_written_quickly() -> None:
    network = built("\n  deep: [conv2d 3 1 x3000, relu]\n")
    assert to_dot(network, "ops").count(" -> ") == 3002
    assert "×2999 " in to_dot(network)


def test_a_digraph_of_the_package_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = netc.load(SPECS / "lenet5.yaml").to_graphviz("ops", "lr")
    graph.node("mine")
    graph.edge("fc3", "mine")
    drawn = Graph(graph.source)
    assert ("fc3", "mine") in drawn.pairs()
    assert set(Graph(to_dot(spec("lenet5"), "ops")).nodes) == set(drawn.nodes) - {"mine"}


def test_a_digraph_renders_without_dot_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the engine netc finds; what the package was set to comes back, and what the user sets stays."""
    graph = netc.load(SPECS / "lenet5.yaml").to_graphviz()
    graph.node("mine")
    monkeypatch.setenv("NETC_DOT", find_engine())
    monkeypatch.setenv("PATH", "")
    assert ">mine</text>" in graph.pipe(format="svg", encoding="utf-8")
    assert ">mine</text>" in graph.copy()._repr_mimebundle_()["image/svg+xml"]
    written = graph.render(tmp_path / "lenet5.gv", format="svg")
    assert ">mine</text>" in Path(written).read_text("utf-8")
    assert str(dot_command.DOT_BINARY) == "dot"
    monkeypatch.setattr(dot_command, "DOT_BINARY", Path("/no/such/dot"))
    with pytest.raises(graphviz.ExecutableNotFound):
        graph.pipe(format="svg")


def printed(picture: diagram.Picture) -> dict[str, Any]:
    """What `neato -n2` makes of a picture's DOT."""
    command = [find_engine(), "-Kneato", "-n2", "-Tjson"]
    done = subprocess.run(command, input=picture.dot.encode(), capture_output=True, check=True)
    read: dict[str, Any] = json.loads(done.stdout)
    return read


@pytest.mark.parametrize("name", ["resnet", "lraspp", "unet", "retinanet"])
def test_neato_prints_frames_and_lines_where_the_picture_has_them(name: str) -> None:
    """In letters of 11 points where the picture has 9.5; also where its own style is another."""
    picture = diagram.Picture(spec(name), diagram.Options())
    drawn, scene = printed(picture), diagram.Picture(spec(name), diagram.Options(style="columns")).scene
    frames = [item["bb"] for item in drawn["objects"] if item.get("bb") and item.get("label")]
    sizes = [tuple(float(number) for number in text.split(",")) for text in frames]
    found = sorted((round(right - left, 1), round(top - low, 1)) for left, low, right, top in sizes)
    expected = sorted((w * 11 / 9.5, h * 11 / 9.5) for _, _, w, h in scene.frames.values())
    assert len(found) == len(expected)
    pairs = [(a, b) for one, other in zip(found, expected, strict=True) for a, b in zip(one, other, strict=True)]
    assert all(abs(a - b) < 0.2 for a, b in pairs)
    ways = [way.split() for edge in drawn["edges"] for way in edge["pos"].split(";")]
    for way in ways:
        points = [tuple(map(float, point.split(","))) for point in way if not point.startswith("e")]
        assert all(min(abs(x0 - x1), abs(y0 - y1)) < 0.1 for (x0, y0), (x1, y1) in pairwise(points))


def test_places_are_those_of_the_picture() -> None:
    picture = diagram.Picture(spec("lenet5"), diagram.Options())
    drawn = Graph(picture.dot)
    assert all("pos" in node for node in drawn.nodes.values())
    spots = picture.scene.spots
    assert set(spots) >= set(drawn.nodes)
    upper = sorted(drawn.nodes, key=lambda name: spots[name][1])
    heights = [float(re.findall(f'"{re.escape(name)}" .*?pos="[^,]*,([^"]*)"', picture.dot)[0]) for name in upper]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_like_branches_may_read_what_is_made_after_the_first_of_them(depth: int) -> None:
    network = netc.load("examples/rows.yaml", args={"depth": depth})
    edges = re.findall(r'"([^"]+)" -> "([^"]+)"', network.to_dot())
    maps = {target for _, target in edges if target.startswith("out:map")}
    assert maps == {f"out:map{i}" for i in range(2, depth + 1)}
    assert ("fused.out", "out:fused") in edges
