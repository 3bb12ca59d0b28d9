"""The playground in a real browser, from static files alone: it loads offline, follows edits, and its links hold."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from browser import Browser, find_browser

from tools.site.playground.build import build

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="no Chromium on PATH"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="no npm on PATH, which the playground is put together with"),
    pytest.mark.xdist_group("playground"),
]


class Handler(SimpleHTTPRequestHandler):
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the playground, served as plain files."""
    folder = tmp_path_factory.mktemp("site")
    build(folder / "play")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/play/"
    server.shutdown()


@pytest.fixture(scope="module")
def page(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        load(browser, address)
        yield browser


def load(page: Browser, address: str) -> None:
    """Open the playground and wait until Python is there."""
    page.call("Page.navigate", url="about:blank")
    page.call("Page.navigate", url=address)
    page.wait("document.body && document.body.dataset.ready", 200)


def text_of(page: Browser, selector: str) -> str:
    found: str = page.value(f"document.querySelector({selector!r}).textContent")
    return found


def looked(page: Browser, act: str) -> None:
    """Do something in the page and wait until the text was looked at again."""
    before = int(page.value("document.body.dataset.looks"))
    page.value(act)
    page.wait(f"Number(document.body.dataset.looks) > {before}")


def edit(page: Browser, old: str, new: str) -> None:
    """Replace a part of the text by typing over it."""
    before = int(page.value("document.body.dataset.looks"))
    found = page.value(
        f"(() => {{ const at = [...document.querySelectorAll('.cm-line')].find(l => l.textContent.includes({old!r}));"
        f" const walk = document.createTreeWalker(at, NodeFilter.SHOW_TEXT); const range = document.createRange();"
        f" const start = at.textContent.indexOf({old!r}), end = start + {len(old)}; let n = 0;"
        f" for (let node; node = walk.nextNode(); n += node.length) {{"
        f"  if (start >= n && start <= n + node.length) range.setStart(node, start - n);"
        f"  if (end >= n && end <= n + node.length) {{ range.setEnd(node, end - n); break }} }}"
        f" document.querySelector('.cm-content').focus(); getSelection().removeAllRanges();"
        f" getSelection().addRange(range); return getSelection().toString() }})()"
    )
    assert found == old
    page.value("new Promise(done => setTimeout(done, 100))")
    page.type(new)
    page.wait(f"Number(document.body.dataset.looks) > {before}")


def show(page: Browser, view: str) -> str:
    page.click(f"[data-view={view}]")
    page.wait(f"document.getElementById('view').dataset.shows === {view!r}")
    return text_of(page, "#view")


def test_it_loads_offline_and_shows_the_first_network(page: Browser, address: str) -> None:
    assert page.errors == []
    assert all(asked.startswith((address, "data:", "about:", "blob:")) for asked in page.requests)
    assert text_of(page, "#state") == "valid"
    assert page.value("document.querySelectorAll('#view svg g').length") > 5
    assert "170,314" in show(page, "summary")
    assert "class Residual" in show(page, "module")
    assert "MACs" in show(page, "explain")
    assert show(page, "dot").startswith("digraph")
    show(page, "picture")


def test_an_edit_shows_its_error_and_then_its_picture_within_a_second(page: Browser) -> None:
    edit(page, "conv2: conv2d width 3 padding=1", "conv2: conv2d width 3")
    assert text_of(page, "#state") == "1 error"
    assert "add `padding=1` to `conv2`" in text_of(page, "#found")
    assert page.value("document.querySelectorAll('.cm-lintRange-error').length") >= 1
    assert "layer1.0.out.0 · add" in text_of(page, ".failing > title")
    assert "stale" in page.value("document.getElementById('view').className")
    told = [int(page.value("document.body.dataset.told"))]
    edit(page, "conv2: conv2d width 3", "conv2: conv2d width 3 padding=1")
    assert text_of(page, "#state") == "valid"
    assert page.value("document.querySelectorAll('.failing').length") == 0
    shown = [int(page.value("document.body.dataset.shown"))]
    for width, wider in ((32, 40), (40, 48), (48, 32)):  # the quickest counts: other tests may run on the same cores
        edit(page, f"layer1: residual {width}", f"layer1: residual {wider}")
        told.append(int(page.value("document.body.dataset.told")))
        shown.append(int(page.value("document.body.dataset.shown")))
    assert min(told) < 1000, told
    assert min(shown) < 1000, shown


def test_completions_come_from_netc(page: Browser) -> None:
    edit(page, "relu1: relu", "relu1: lea")
    page.wait("document.querySelector('.cm-tooltip-autocomplete')")
    assert "leaky_relu" in text_of(page, ".cm-tooltip-autocomplete")
    page.press("Escape")
    edit(page, "relu1: lea", "relu1: relu")


def test_examples_variants_and_links(page: Browser, address: str) -> None:
    looked(page, "(l => { l.value = 'specs/resnet.yaml'; l.dispatchEvent(new Event('change')) })"
                 "(document.getElementById('examples'))")  # fmt: skip
    assert text_of(page, "#state") == "valid"
    looked(page, "(l => { l.value = 'resnet18'; l.dispatchEvent(new Event('change')) })"
                 "(document.getElementById('variants'))")  # fmt: skip
    assert "11,689,512" in show(page, "summary")
    page.wait("location.hash.includes('variant=resnet18')")
    looked(page, "(l => { l.value = 'examples/imports.yaml'; l.dispatchEvent(new Event('change')) })"
                 "(document.getElementById('examples'))")  # fmt: skip
    assert text_of(page, "#state") == "valid, 1 warning"
    edit(page, "conv2d 64 1", "conv2d 96 1")
    page.wait("location.hash.includes('spec=')")
    link = page.value("location.href")
    load(page, link)
    assert "conv2d 96 1" in text_of(page, ".cm-content")
    assert text_of(page, "#state") == "valid, 1 warning"
    assert page.errors == []
