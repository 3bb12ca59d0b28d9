"""The engine: found in its order, stopped in time, honest about what it cannot draw; titles and fonts as promised."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from netc.backends.diagram.engine import EngineFailed, EngineMissing, EngineTimeout, TooLarge, find_engine, render

FRAMED = """digraph g {
  graph [pad=0.25 outputorder=edgesfirst];
  node [shape=box fontname="Arial"];
  subgraph "cluster_1" { graph [fillcolor="#F5F6F8" style="rounded,filled"
    label=<<TABLE BORDER="0"><TR><TD BGCOLOR="#374151">×3</TD><TD><B>the title</B></TD></TR></TABLE>>];
    a; b; a -> b;
  }
  i -> a;
}"""
SVG = "{http://www.w3.org/2000/svg}"


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_netc_dot_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = program(tmp_path, "my-dot", "")
    monkeypatch.setenv("NETC_DOT", str(chosen))
    assert find_engine() == str(chosen)


def test_the_wheel_comes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "dot", "")
    monkeypatch.delenv("NETC_DOT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(find_engine()).stem == "graphviz-pure"


def test_dot_on_path_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dot = program(tmp_path, "dot", "")
    alone(monkeypatch, tmp_path)
    assert find_engine() == str(dot)


def alone(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """No engine but what stands in `path`."""
    monkeypatch.delenv("NETC_DOT", raising=False)
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setattr("sysconfig.get_path", lambda name: os.devnull)
    monkeypatch.setattr("sys.executable", str(path / "python"))


def test_no_engine_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch, tmp_path)
    with pytest.raises(EngineMissing, match="pip install graphviz-pure"):
        render("digraph {}")


def test_a_wrong_netc_dot_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETC_DOT", "/nowhere/dot")
    with pytest.raises(EngineMissing, match="/nowhere/dot"):
        find_engine()


def test_a_slow_engine_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETC_DOT", str(program(tmp_path, "slow", "import time; time.sleep(60)")))
    with pytest.raises(EngineTimeout, match=r"0\.3 s"):
        render("digraph {}", timeout=0.3)


def test_what_the_engine_says_is_passed_on() -> None:
    with pytest.raises(EngineFailed, match="syntax error"):
        render("digraph { a [label=<x<b>] }")


def test_a_silent_engine_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETC_DOT", str(program(tmp_path, "mute", "")))
    with pytest.raises(EngineFailed):
        render("digraph {}")


def test_titles_are_drawn_after_arrows() -> None:
    svg = render(FRAMED).decode()
    assert svg.index("the title") > max(found.start() for found in re.finditer('class="edge"', svg))
    assert svg.count("the title") == 1


def test_svg_names_a_stack_of_fonts() -> None:
    families = {text.get("font-family") for text in ElementTree.fromstring(render(FRAMED)).iter(f"{SVG}text")}
    assert families == {"Arial, Helvetica, 'Liberation Sans', Arimo, sans-serif"}


def test_png_has_twice_the_points() -> None:
    png, svg = render(FRAMED, "png"), ElementTree.fromstring(render(FRAMED))
    assert png.startswith(b"\x89PNG")
    width = int.from_bytes(png[16:20])
    assert width == pytest.approx(2 * float(svg.attrib["width"].removesuffix("pt")), abs=3)


def test_a_png_too_tall_is_refused() -> None:
    chain = "digraph { node [height=1]; " + " ".join(f"n{i} -> n{i + 1};" for i in range(250)) + "}"
    with pytest.raises(TooLarge, match=r"write an SVG, or use a coarser level"):
        render(chain, "png")
    assert render(chain, "svg").startswith(b"<?xml")
