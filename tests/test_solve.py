"""`netc solve`: exact by bisection or by looking at all values, else searched; the output says which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import netc
from netc.cli.main import cli

SPEC = """
netc: 1
name: small
args: {width: 8, depth: 1}
inputs: {image: [N, 3, h, w]}
net:
  stem: [conv2d width 3 stride=2 padding=1, relu]
  body: conv2d width 3 padding=1 x(depth)
  head: conv2d 2*width 5 stride=2
outputs: {out: head}
"""


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPEC)
    return Path("small.yaml")


def solve(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["solve", "small.yaml", *words])
    assert result.exit_code == code, result.output
    return result.output


def macs(size: tuple[int, int], **args: int) -> int:
    found = netc.load("small.yaml", args=args, bind={"h": size[0], "w": size[1]}).summary().macs
    assert isinstance(found, int)
    return found


def test_the_widest_under_a_budget() -> None:
    found = json.loads(
        solve("-p", "width=1..100", "--maximize", "width", "--where", "macs < 30e6", "--size", "64x64", "--json")
    )
    best = int(found["point"]["width"])
    assert found["way"] == "all values"
    assert found["measures"]["macs"] == macs((64, 64), width=best) < 30e6 <= macs((64, 64), width=best + 1)


def test_the_largest_size_is_proved_by_bisection() -> None:
    words = ["-p", "h=20..100000", "--bind", "w=32", "--maximize", "h", "--where", "macs < 30e6 and head.H > 3"]
    found = json.loads(solve(*words, "--json"))
    best = int(found["point"]["h"])
    assert found["way"] == "bisection"
    assert found["compiled"] <= 3
    assert macs((best, 32)) < 30e6 <= macs((best + 1, 32))


@pytest.mark.parametrize(("goal", "expected"), [("--maximize", 32), ("--minimize", 29)])
def test_both_ends_of_the_sizes_that_give_one(goal: str, expected: int) -> None:
    words = ["-p", "h=20..100000", "--bind", "w=32", goal, "h", "--where", "head.H == 6"]
    sizes = [h for h in range(20, 60) if netc.load("small.yaml", bind={"h": h, "w": 32}).outputs["out"].shape[2] == 6]
    assert expected == (max(sizes) if goal == "--maximize" else min(sizes))
    output = solve(*words)
    assert f"h = {expected}\n" in output
    assert "exact: bisection, head.H == 6" in output


def test_sizes_that_make_every_size_exact() -> None:
    Path("small.yaml").write_text(SPEC.replace("inputs:", "lint: {inexact-size: warn}\ninputs:"))
    output = solve("-p", "h=20..60", "--bind", "w=33", "--minimize", "h", "--where", "exact")
    assert "h = 21\n" in output
    assert "all 41 values" in output
    codes = {d.code for d in netc.load("small.yaml", bind={"h": 21, "w": 33}).check()}
    assert "inexact-size" not in codes
    assert "inexact-size" in {d.code for d in netc.load("small.yaml", bind={"h": 20, "w": 33}).check()}


def test_a_large_space_is_searched() -> None:
    words = ["-p", "width=1..200", "-p", "depth=1..50", "--maximize", "parameters", "--where", "macs < 2e8"]
    words += ["--size", "64x64", "--trials", "40"]
    first, second = solve(*words), solve(*words)
    assert first == second
    assert "searched, not proven" in first
    found = json.loads(solve(*words, "--json"))
    assert found["value"] == found["measures"]["parameters"]
    assert macs((64, 64), **{name: int(value) for name, value in found["point"].items()}) < 2e8
    assert "variants:\n  best: {width: " in first


def test_what_has_no_answer() -> None:
    assert "error[unsolvable]: no network of these fulfils `macs < 3`" in solve(
        "-p", "width=1..9", "--maximize", "width", "--where", "macs < 3", code=1
    )
    words = ["-p", "h=20..100000", "--bind", "w=32", "--maximize", "h", "--where", "macs < 3"]
    assert "exact: bisection" in solve(*words, code=1)
    assert "error[" in solve("-p", "width=-2,-1", "--maximize", "width", code=1)
    assert "did you mean `macs`" in solve("-p", "width=1,2", "--maximize", "mac", code=1)
    assert "is not a number" in solve("-p", "width=1,2", "--maximize", "width < 3", code=1)
    assert "either --maximize or --minimize" in solve("-p", "width=1,2", code=2)
    assert "sizes are positive integers" in solve("-p", "h=0,1", "--maximize", "h", code=1)
