"""The page to explore, in a real browser: folding, searching, following, keys, files; it asks nothing of a network."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, find_browser
from test_diagram import renamed

import netc
from netc.backends.diagram.picture import Options, Picture

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium on PATH")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "resnet18.html"
    netc.load(ROOT / "specs/resnet.yaml:resnet18", bind={"h": 7, "w": 7}).diagram().save(path)
    return path.as_uri()


def unit(key: str) -> str:
    """The selector of a part by its key."""
    return f'[aria-label^="{key} "]'


def shown(browser: Browser) -> int:
    found: int = browser.value("document.querySelectorAll('[data-id]').length")
    return found


def test_blocks_fold_and_unfold(browser: Browser, address: str) -> None:
    browser.open(address)
    before = shown(browser)
    browser.click(unit("layer1"))
    assert shown(browser) > before
    assert browser.value(f"document.querySelector('{unit('layer1')}').getAttribute('aria-expanded')") == "true"
    browser.click(unit("layer1"))
    assert shown(browser) == before


def test_everything_opens_and_closes(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.click("#all")
    assert browser.value("document.querySelectorAll('[aria-expanded=false]').length") == 0
    browser.click("#none")
    assert browser.value("document.querySelectorAll('[aria-expanded=true]').length") == 0


def test_the_address_holds_what_is_open_and_chosen(browser: Browser, address: str) -> None:
    browser.open(address + "#open=layer2,layer2.0&at=fc")
    assert browser.value(f"!!document.querySelector('{unit('layer2.0.conv1')}')")
    assert browser.value("document.querySelector('.chosen').getAttribute('aria-label')").startswith("fc ")
    browser.click(unit("layer3"))
    assert "layer3" in browser.value("decodeURIComponent(location.hash)")


def test_searching_opens_what_it_finds(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.press("/")
    browser.type("downsample")
    assert re.fullmatch(r"\d+ found", browser.value("document.getElementById('hits').textContent"))
    browser.press("Enter")
    browser.wait("document.querySelector('.hit')")


def test_hovering_tells_formula_line_and_costs(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.hover(unit("conv1"))
    browser.wait("document.getElementById('about').textContent.includes('conv1')")
    told = browser.value("document.getElementById('about').textContent")
    assert "W = ⌊(224 + 2·3 − 1·(7−1) − 1)/2⌋ + 1 = ⌊223/2⌋ + 1 = 112, remainder 1" in told
    assert "weight 64×3×7×7" in told
    assert "9.54 k" in told
    assert "118 M" in told
    assert "receptive field" in told
    assert re.search(r"resnet\.yaml:\d+", told)
    assert "conv2d 64 7 stride=2" in told


def test_a_part_and_a_line_can_be_followed(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.click(unit("maxpool"))
    assert browser.value("document.querySelectorAll('#lines .on').length") == 2
    browser.value("document.querySelector('#lines path').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert browser.value("document.querySelectorAll('#lines .on').length") >= 1
    assert "made by" in browser.value("document.getElementById('about').textContent")
    browser.press("Escape")
    assert browser.value("document.querySelectorAll('#lines .dim').length") == 0


def test_keys_move_and_act(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.value("document.querySelector('[data-id]').focus()")
    first = browser.value("document.activeElement.getAttribute('aria-label')")
    browser.press("ArrowDown")
    assert browser.value("document.activeElement.getAttribute('aria-label')") != first
    browser.value(f"document.querySelector('{unit('layer4')}').focus()")
    browser.press("Enter")
    assert browser.value(f"document.querySelector('{unit('layer4')}').getAttribute('aria-expanded')") == "true"
    assert browser.value("document.activeElement.getAttribute('aria-label')").startswith("layer4 ")


def test_pictures_can_be_saved(browser: Browser, address: str, tmp_path: Path) -> None:
    browser.open(address)
    browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.click("#svg")
    browser.click("#png")
    for _ in range(150):
        names = {path.name for path in tmp_path.iterdir()}
        if {"resnet18.svg", "resnet18.png"} <= names:
            break
        time.sleep(0.1)
    assert (tmp_path / "resnet18.svg").read_text("utf-8").startswith("<svg")
    assert (tmp_path / "resnet18.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_asked_and_nothing_goes_wrong(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.click("#all")
    asked = [url for url in browser.requests if not url.startswith(("file:", "about:", "blob:", "data:"))]
    assert asked == []
    assert browser.errors == []


def test_two_thousand_statements_are_ready_in_two_seconds(browser: Browser, tmp_path: Path) -> None:
    net = "\n".join(f"  c{i}: conv2d {8 + i % 7} 3 padding=1" for i in range(2000))
    network = netc.load(f"netc: 1\nname: long\ninputs: {{image: [N, 3, 64, 64]}}\nnet:\n{net}\n")
    path = tmp_path / "long.html"
    path.write_text(network.diagram().html, "utf-8")
    browser.open(path.as_uri())
    assert int(browser.value("document.body.dataset.ready")) < 2000
    start = time.monotonic()
    browser.click("#q")
    browser.type("c1999")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('.hit').length === 1")
    browser.press("Escape")
    browser.click("#all")
    assert time.monotonic() - start < 2
    assert browser.errors == []


SIZED = """netc: 1
name: sized
inputs: {image: [N, 3, 64, 64]}
net:
  deep: [conv2d 8 3 stride=2 padding=1, conv2d 4 3 stride=2 padding=1]
  wide: interpolate mode=bilinear like=@image
"""


def test_lines_say_shapes_and_sizes(browser: Browser, tmp_path: Path) -> None:
    """What leaves a closed block, too."""
    path = tmp_path / "sized.html"
    netc.load(SIZED).diagram().save(path)
    browser.open(path.as_uri())
    told = browser.value("[...document.querySelectorAll('.shape')].map(label => label.textContent)")
    assert {"4×16×16", "size"} <= set(told)
    assert browser.value("document.querySelectorAll('#lines path.size').length") == 1
    assert browser.errors == []


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> ]]> & \" ' \u202e\U0001f600" + "x" * 10_000


def test_hostile_text_stays_text(browser: Browser, tmp_path: Path) -> None:
    """In the description, and as the name of everything."""
    network = renamed(netc.load(ROOT / "specs/lenet5.yaml").ir, HOSTILE)
    path = tmp_path / "hostile.html"
    Picture(network, Options()).save(path)
    browser.open(path.as_uri())
    browser.click("#all")
    browser.hover("#picture .box")
    assert shown(browser) > 5
    browser.open(path.as_uri())
    assert browser.value("document.querySelectorAll('script').length") == 2
    assert browser.value("document.images.length") == 0
    assert "alert(1)" in browser.value("document.getElementById('about').textContent")
    assert browser.errors == []


def test_without_scripts_there_is_the_picture(address: str) -> None:
    text = Path(address.removeprefix("file://")).read_text("utf-8")
    inside = text.partition("<noscript>")[2].partition("</noscript>")[0]
    assert inside.startswith("<svg")
    assert "Conv·BN·ReLU" in inside
