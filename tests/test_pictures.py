"""Pictures of every network of the gallery, measured on the scene: what a reader must be able to rely on."""

from __future__ import annotations

import re
import sys
import time
from functools import cache
from xml.etree import ElementTree

import pytest
import scenes
from test_diagram import printed, renamed

import netc
from netc.backends.diagram.arrange import LeafBlock, SeriesBlock
from netc.backends.diagram.columns import spread
from netc.backends.diagram.errors import PictureError
from netc.backends.diagram.picture import DEFAULT_PAGE, PAGES, Options, Picture, Style, drawn
from netc.backends.diagram.scene import Line, Scene, Text, primitives, smallest_text
from netc.backends.diagram.shown import view_of
from netc.backends.diagram.sketch import Sketch
from netc.backends.diagram.spots import Places
from netc.backends.diagram.ushape import is_u
from netc.ir.model import Network
from tools.gallery.entries import Entry, all_entries

FAMILIES = {entry.path: entry for entry in reversed(all_entries())}.values()
"""The first network of each file, for the quick tests."""
DEFAULT = Options()
EVERY = [
    pytest.param(entry, marks=() if entry in FAMILIES else pytest.mark.full, id=entry.name) for entry in all_entries()
]


def picture(entry: Entry, everything: bool = False) -> Picture:
    return _picture(entry.name, everything)


@cache
def _picture(name: str, everything: bool) -> Picture:
    entry = next(entry for entry in all_entries() if entry.name == name)
    return Picture(entry.load(entry.full).ir, Options(expand=("*",) if everything else ()))


def built(net: str, inputs: str = "{image: [N, 3, 64, 64]}", rest: str = "") -> Network:
    return netc.load(f"netc: 1\nname: tested\ninputs: {inputs}\n{rest}\nnet:\n{net}").ir


def faults(network: Network, options: Options = DEFAULT) -> dict[str, list[object]]:
    return faults_of(Picture(network, options).scene)


def faults_of(scene: Scene) -> dict[str, list[object]]:
    checks = (
        scenes.too_wide,
        scenes.overlapping_texts,
        scenes.overlapping_boxes,
        scenes.lines_through_boxes,
        scenes.lines_through_texts,
        scenes.edges_through_texts,
        scenes.outside,
        scenes.slanted,
    )
    return {check.__name__: found for check in checks if (found := list(check(scene)))}


@pytest.mark.parametrize("everything", [False, True], ids=["fitted", "everything"])
@pytest.mark.parametrize("entry", EVERY)
def test_nothing_lies_over_anything(entry: Entry, everything: bool) -> None:
    assert faults_of(picture(entry, everything).scene) == {}


def test_text_on_a_page_can_be_read() -> None:
    sizes = {entry.name: smallest_text(picture(entry).scene, *DEFAULT_PAGE) for entry in FAMILIES}
    assert {name: size for name, size in sizes.items() if size < 5} == {}


def test_what_is_closed_is_said() -> None:
    for entry in FAMILIES:
        whole, _ = drawn(picture(entry).whole, Options(expand=("*",)))
        assert bool(picture(entry).notes) == (smallest_text(whole, *DEFAULT_PAGE) < 5), entry.name


@pytest.mark.parametrize("entry", EVERY)
def test_the_main_way_is_straight(entry: Entry) -> None:
    """What lies on every way, in every frame, has one axis."""
    view = view_of(entry.load(entry.full).ir)
    content = Sketch(view).content(spread(view.top))
    places = Places(content.cells)
    content.block.put(0, 0, places)
    assert isinstance(content.block, SeriesBlock)
    axes = {round(places.top(part.node)[0], 3) for part in content.block.parts if isinstance(part, LeafBlock)}
    assert len(axes) == 1


def test_layout_takes_at_most_three_tenths_of_a_second() -> None:
    """Every view that is tried until one fits included."""
    for entry in FAMILIES:
        drawn_anew = Picture(entry.load(entry.full).ir, Options())
        view = drawn_anew.whole
        start = time.process_time()
        drawn(view, drawn_anew.options)
        assert time.process_time() - start < 0.3, entry.name


BRANCHES = """
  a: conv2d 8 1 @image
  b: [conv2d 8 1 @image, conv2d 8 3 padding=1]
  c: max_pool2d 3 stride=1 padding=1 @image
  d: conv2d 8 5 padding=2 @image
  out: concat @a @b @c @d
"""


def test_branches_stand_in_the_order_they_are_written_in() -> None:
    spots = Picture(built(BRANCHES), Options()).scene.spots
    assert sorted("abcd", key=lambda name: spots[name][0]) == list("abcd")


def test_the_same_network_gives_the_same_bytes() -> None:
    entry = next(iter(FAMILIES))
    assert Picture(entry.load(entry.full).ir, Options()).svg == Picture(entry.load(entry.full).ir, Options()).svg


DENSE = "  c0: conv2d 4 3 padding=1 @image\n  c1: conv2d 4 3 padding=1 @c0\n" + "".join(
    f"  k{i}: concat {' '.join(f'@c{j}' for j in range(i))}\n  c{i}: conv2d 4 3 padding=1 @k{i}\n" for i in range(2, 60)
)
LONG = "\n".join(f"  c{i}: conv2d {8 + i % 7} 3 padding=1" for i in range(2000))
SKIPPING = "  r0: conv2d 3 3 padding=1 @image\n" + "".join(
    f"  a{i}: conv2d 3 {1 + 2 * (i % 3)} padding={i % 3} @r{i}\n  r{i + 1}: add @a{i} @r{i}\n" for i in range(600)
)


@pytest.mark.parametrize("net", [DENSE, LONG, SKIPPING], ids=["dense", "long", "skipping"])
def test_large_networks_end_in_a_picture(net: str) -> None:
    network = built(net)
    start = time.process_time()
    svg = Picture(network, Options(level="ops")).svg
    assert svg.endswith("</svg>\n")
    assert time.process_time() - start < 8


def test_what_cannot_be_read_on_a_page_is_no_strip_and_says_so() -> None:
    picture = Picture(built(LONG), Options())
    assert picture.scene.height < 3 * picture.scene.width
    assert picture.notes == ("text on the page is 1.2 pt high; -o model.html writes a page to explore",)


def test_many_outputs_stand_together() -> None:
    net = "\n".join(f"  o{i}: conv2d {i + 1} 1 @image" for i in range(200))
    outputs = "{" + ", ".join(f"r{i}: o{i}" for i in range(200)) + "}"
    scene = Picture(built(net, rest=f"outputs: {outputs}"), Options()).scene
    assert scene.width < 20_000
    assert faults(built(net, rest=f"outputs: {outputs}")) == {}


HOSTILE = [
    "</title><script>alert(1)</script>",
    "]]><svg onload=alert(1)>",
    "\"quotes\" 'and' \\back\\slash \\N \\G",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd",
    "emoji \U0001f9e0 \U0001f468\u200d\U0001f469",
    "x" * 10_000,
    "nul \x00 bell \x07 surrogate \ud800 \ufffe",
    "%(percent)s {braces} #{hash} `code` <!-- -->",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("style", ["columns", "paper", "volumes", "u"])
def test_hostile_text_stays_text(text: str, style: Style) -> None:
    network = built(STRIDED) if style == "u" else netc.load("specs/lenet5.yaml").ir
    plain, picture = (Picture(renamed(network, name), Options(style=style)) for name in ("plain", text))
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(picture.svg).iter()}
    assert tags <= {"svg", "title", "desc", "rect", "g", "text", "path", "polygon", "circle"}
    assert picture.data(".pdf").startswith(b"%PDF")
    assert not re.search(rb"/(JavaScript|JS|URI|OpenAction|Launch)\b", picture.data(".pdf"))
    assert picture.data(".pdf") == picture.data(".pdf")
    assert not re.search(r"[<>`](?!br/>)", re.sub(r"-->|<br/>", "", picture.mermaid))
    drawn, expected = printed(picture), printed(plain)
    assert len(drawn["objects"]) == len(expected["objects"])
    assert [edge["pos"] for edge in drawn["edges"]] != []
    assert "\u202e" not in picture.svg


def test_shares_and_legends() -> None:
    network = netc.load("specs/lenet5.yaml").ir
    plain, legend = Picture(network, Options()).scene, Picture(network, Options(legend=True)).scene
    assert legend.height > plain.height
    words = {item.text for item in primitives(legend.items) if isinstance(item, Text)}
    assert {"convolution", "pooling", "linear, recurrent, attention"} <= words
    assert "normalisation" not in words
    assert not {"skip, projection", "only the size is read", "only in training"} & words
    lines = Picture(netc.load("specs/deeplabv3.yaml").ir, Options(legend=True)).scene
    assert {"skip, projection", "only the size is read"} <= set(texts_of(lines))
    shares = Picture(network, Options(color="params", legend=True)).svg
    assert "#4292C6" in shares
    assert "of the parameters" in shares
    assert faults(network, Options(color="macs", legend=True)) == {}


@pytest.mark.parametrize("page", [PAGES["a4"], PAGES["slide"], (300, 200)])
def test_pages_have_their_size(page: tuple[float, float]) -> None:
    svg = Picture(netc.load("specs/lenet5.yaml").ir, Options(page=page)).svg
    root = ElementTree.fromstring(svg)
    assert (root.attrib["width"], root.attrib["height"]) == (f"{page[0]:g}pt", f"{page[1]:g}pt")


def test_closing_and_opening_by_name() -> None:
    network = netc.load("specs/resnet.yaml:resnet18", bind={"h": 7, "w": 7}).ir
    closed = Picture(network, Options(collapse=("layer*",))).scene.spots
    assert "layer3" in closed
    assert "layer3.0.conv1" not in closed
    opened = Picture(network, Options(level="overview", expand=("layer3",))).scene.spots
    assert "layer3.0.conv1" in opened
    assert "layer2.0.conv1" not in opened
    assert "layer1.0.conv1" not in Picture(network, Options(depth=0)).scene.spots


def test_paper_says_numbers_as_the_spec_does() -> None:
    svg = Picture(netc.load("specs/resnet.yaml:resnet50", bind={"h": 7, "w": 7}).ir, Options(style="paper")).svg
    for words in ("bottleneck A", "bottleneck B", "1×1, 4·width", "3×3, width, p1, s=stride", "25.6 M", "4.09 G"):
        assert f">{words}<" in svg
    assert ">if stride ≠ 1 or in.C ≠ 4·width<" in svg
    assert ">unless stride ≠ 1 or in.C ≠ 4·width<" in svg


@pytest.mark.parametrize("name", ["unet", "segnet", "deconvnet"])
def test_encoder_decoders_are_drawn_as_a_u(name: str) -> None:
    entry = next(entry for entry in all_entries() if entry.name == name)
    scene = picture(entry).scene
    assert {"way_down", "way_up"} <= {item.colour for item in primitives(scene.items) if isinstance(item, Line)}
    assert scenes.overlapping_texts(scene) == []
    assert scenes.slanted(scene) == []


@pytest.mark.parametrize("name", ["segnet", "deconvnet"])
def test_unpooling_says_which_pool_tells_where(name: str) -> None:
    """A dotted line for each of the five pools, straight from its arrow, and one in the legend."""
    entry = next(entry for entry in all_entries() if entry.name == name)
    lines = [item for item in primitives(picture(entry).scene.items) if isinstance(item, Line)]
    dotted = [line for line in lines if line.dash]
    downs = [line.points for line in lines if line.colour == "way_down" and not line.dash]
    assert len(dotted) == 6
    for line in dotted[:5]:
        (x, y), (_, end) = line.points
        assert y == end
        assert any(abs(low[0] + 3 - x) < 0.01 and low[1] < y < high[1] for low, high in downs)
    assert "pooling indices" in texts_of(picture(entry).scene)


STRIDED = """
  d0: conv2d 16 3 padding=1
  d1: conv2d 32 4 stride=2 padding=1 @d0
  d2: conv2d 64 4 stride=2 padding=1 @d1
  u2: conv_transpose2d 32 4 stride=2 padding=1
  m2: concat @d1 @u2
  u1: conv_transpose2d 16 4 stride=2 padding=1
  m1: concat @d0 @u1
"""


def test_a_u_that_would_leave_something_out_says_what() -> None:
    """By itself it is not chosen."""
    deep = built(STRIDED + "  side: conv2d 2 1 @u2\n", rest="outputs: {mask: m1, side: side}")
    gated = built(STRIDED.replace("concat @d1", "concat @gate").replace("  m2", "  gate: conv2d 32 1 @d1\n  m2"))
    for network, left in ((deep, "side, side"), (gated, "gate")):
        assert not is_u(view_of(network))
        told = f"this style draws the main path only, without {left}; --style columns shows everything"
        assert Picture(network, Options(style="u")).notes == (told,)


def test_strides_go_down_as_pools_do() -> None:
    assert is_u(view_of(built(STRIDED)))
    without_merges = "\n".join(line.partition(" @")[0] for line in STRIDED.splitlines() if "concat" not in line)
    assert not is_u(view_of(built(without_merges)))


def test_what_does_not_suit_says_so() -> None:
    with pytest.raises(PictureError, match="--style columns"):
        _ = Picture(netc.load("specs/lenet5.yaml").ir, Options(style="u")).scene


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(PictureError, match=r"pip install 'netc\[pictures\]'"):
        Picture(netc.load("specs/lenet5.yaml").ir, Options()).data(".png")


def test_pyramids_of_pools_are_no_u() -> None:
    entry = next(entry for entry in all_entries() if entry.name == "deeplabv3_resnet50")
    assert not is_u(view_of(entry.load(entry.full).ir))


@pytest.mark.parametrize(("name", "style"), [("unet", "auto"), ("segnet", "auto"), ("vgg", "volumes")])
def test_what_is_drawn_to_scale_takes_usual_sizes_where_they_are_open(name: str, style: Style) -> None:
    picture = Picture(netc.load(f"specs/{name}.yaml").ir, Options(style=style))
    note, *others = picture.notes
    assert note.startswith("drawn to scale at h=")
    asked = {name: int(number) for name, number in re.findall(r"(\w)=(\d+)", note)}
    bound = Picture(netc.load(f"specs/{name}.yaml", bind=asked).ir, Options(style=style))
    assert bound.notes == tuple(others)
    assert bound.svg == picture.svg


DILATED = """
  body: {for: {i: "range(4)"}, do: "residual 2**i"}
  widening: {for: {k: "[3 5 7]"}, do: [conv2d 8 k padding=k//2, relu]}
  twice: [conv2d 8 3 padding=1, conv2d 8 5 padding=2]
  wider: {for: {c: "[16 24 32]"}, do: conv2d c 1}
"""
RESIDUAL = """
blocks:
  residual:
    args: d
    net: {a: conv2d 8 3 padding=d dilation=d @in, b: conv2d 8 3 padding=d dilation=d, out: add @b @in}
"""


def test_a_run_that_differs_in_a_number_is_drawn_once_and_says_it() -> None:
    """Two copies, and copies of other widths, stand by themselves; what is equal inside stays one, here ×2."""
    network = built(DILATED, "{image: [N, 8, 64, 64]}", RESIDUAL)
    texts = texts_of(Picture(network, Options()).scene)
    assert [text for text in texts if text.startswith("×")] == ["×4", "×2", "×3"]
    assert {"residual, d 1,2,4,8", "8, kernel_size 3,5,7, padding 1,2,3"} <= set(texts)
    assert texts.count("3×3, 8, padding = dilation 1…8") == 1
    assert faults(network) == {}


def test_what_is_resized_says_to_what_size() -> None:
    """In words where no dotted line does; a line where it can run beside the way."""
    head = "  deep: conv2d 8 3 padding=1 stride=2 @image\n"
    beside = built(head + "  wide: interpolate mode=bilinear like=@image")
    dotted = [
        item for item in primitives(Picture(beside, Options()).scene.items) if isinstance(item, Line) and item.dash
    ]
    assert len(dotted) == 1
    assert texts_of(Picture(beside, Options()).scene).count("size") == 1
    assert not any("size of" in text for text in texts_of(Picture(beside, Options()).scene))
    apart = built(
        head + "  a: interpolate mode=bilinear like=@image @deep\n  b: interpolate mode=bilinear like=@image @deep",
        rest="outputs: {a: a, b: b}",
    )
    assert texts_of(Picture(apart, Options()).scene).count("bilinear, size of image") == 2


def test_paper_says_the_number_of_a_run_by_its_name() -> None:
    texts = texts_of(Picture(built(DILATED, "{image: [N, 8, 64, 64]}", RESIDUAL), Options(style="paper")).scene)
    assert "d 1,2,4,8" in texts
    assert "args: d" in texts
    assert any("d=d" in text for text in texts)


def texts_of(scene: Scene) -> list[str]:
    return [item.text for item in primitives(scene.items) if isinstance(item, Text)]
