"""The site builds without a warning, so that links in it lead somewhere; its pages ask nothing of other servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, find_browser
from mkdocs.exceptions import Abort

from tools.site.__main__ import PLAYGROUND, build, lay_out
from tools.site.docstrings import listed

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with an empty page in the playground's place."""
    folder = tmp_path_factory.mktemp("site")
    source, target = folder / "source", folder / "public"
    lay_out(source)
    (source / PLAYGROUND).mkdir()
    (source / PLAYGROUND / "index.html").write_text("<title>playground</title>", "utf-8")
    build(source, target)
    return target


def test_pages_are_there_with_their_content(site: Path) -> None:
    blocks = (ROOT / "docs/course.md").read_text("utf-8").count("```") // 2
    course = (site / "docs/course.html").read_text("utf-8")
    assert course.count('<div class="highlight"') == blocks, "folded answers are read as Markdown too"
    assert "Compile a spec." in (site / "api.html").read_text("utf-8")
    assert 'id="conv2d"' in (site / "docs/ops.html").read_text("utf-8")
    assert (site / "docs/gallery/resnet50.svg").exists()


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.md").write_text("[nothing](nothing.md)", "utf-8")
    with pytest.raises(Abort):
        build(source, tmp_path / "public")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.mark.skipif(find_browser() is None, reason="no Chromium on PATH")
def test_pages_ask_nothing_of_other_servers(address: str, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile") as browser:
        for page in ("index.html", "docs/tutorial.html", "api.html"):
            browser.call("Page.navigate", url=address + page)
            browser.wait("document.readyState === 'complete' && document.querySelector('h1')")
        assert browser.errors == []
        assert all(asked.startswith((address, "data:", "about:", "blob:")) for asked in browser.requests)


def test_arguments_are_listed_in_the_page_about_python(site: Path) -> None:
    text = "Do it.\n\nspec: a path.\nargs, bind: what\nis given. Raises NetcError.\n\nNothing: more."
    expected = "Do it.\n\n\n- `spec`: a path.\n- `args, bind`: what\nis given.\n\nRaises NetcError.\n\nNothing: more."
    assert listed(text, ["spec", "args", "bind"]) == expected
    assert "<li><code>variant</code>: one of the file's" in (site / "api.html").read_text("utf-8")
