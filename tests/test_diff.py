"""What `netc diff` says of two networks, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import netc
from netc.cli.main import cli
from netc.passes.difference import difference

LENET = str(Path(__file__).parent.parent / "specs/lenet5.yaml")
RESNET = str(Path(__file__).parent.parent / "specs/resnet.yaml")
BASE = """netc: 1
name: small
inputs: {image: [N, 3, 16, 16]}
net:
  a: conv2d 8 3 padding=1
  b: relu
  c: conv2d 8 3 padding=1
outputs: {y: c}
"""


def diff(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["diff", *arguments], input=text)


def kinds(second: str) -> dict[str, str]:
    found = difference(netc.load(BASE).ir, netc.load(second).ir)
    return {change.path: change.kind for change in found.changes}


def test_equal_networks_end_with_0_and_say_nothing() -> None:
    result = diff(LENET, LENET)
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  b: relu\n", "  b: gelu\n", {"b": "changed"}),
        ("  b: relu\n", "", {"b": "removed", "c": "moved"}),
        ("  b: relu\n", "  b: relu\n  d: dropout 0.1\n", {"d": "added", "c": "moved"}),
        ("  b: relu\n", "  act: relu\n", {"act": "renamed"}),
        ("a: conv2d 8", "a: conv2d 4", {"a": "changed", "b": "resized", "c": "resized"}),
    ],
)
def test_each_kind_of_change(old: str, new: str, expected: dict[str, str]) -> None:
    assert kinds(BASE.replace(old, new)) == expected


def test_interfaces_are_compared() -> None:
    found = difference(netc.load(BASE).ir, netc.load(BASE.replace("{y: c}", "{z: c}")).ir)
    assert found.interface == ("− output y N×8×16×16", "+ output z N×8×16×16")


def test_counts_are_those_of_the_summaries() -> None:
    result = diff(f"{RESNET}:resnet18", f"{RESNET}:resnet34", "--size", "224x224", "--json")
    assert result.exit_code == 1
    totals = json.loads(result.stdout)["totals"]
    assert totals["parameters"] == [11_689_512, 21_797_672]
    changes = json.loads(result.stdout)["changes"]
    added = sum((c["parameters"][1] or 0) - (c["parameters"][0] or 0) for c in changes)
    assert added == totals["parameters"][1] - totals["parameters"][0]


def test_standard_input_and_a_picture(tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(BASE.replace("b: relu", "b: gelu"))
    result = diff("-", str(tmp_path / "new.yaml"), "-o", str(tmp_path / "d.svg"), text=BASE)
    assert result.exit_code == 1
    svg = (tmp_path / "d.svg").read_text("utf-8")
    assert svg.count("#FFF3C4") == 3  # the changed box in each network, and the legend


def test_trouble_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(BASE.replace("relu", "rellu"))
    result = diff(LENET, str(tmp_path / "wrong.yaml"))
    assert result.exit_code == 2
    assert "rellu" in result.output
    assert diff("-", "-").exit_code == 2
