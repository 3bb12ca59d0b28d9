"""A spec is checked within its budget of steps, and a step is worth little: calls are counted here, not seconds."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from click.testing import CliRunner
from spectext import spec

import netc
from benchmarks.hostile import CASES
from netc.budget import LIMIT, Budget, OverBudget, budgeted, limited, share, spend
from netc.cli.main import cli
from netc.diagnostics.model import Source
from netc.passes import compile_spec

STEPS = 10_000
"""Small, so that each case is soon over."""

CALLS = 20
"""Of Python and C functions, for each step."""

BYTES = 400
"""Memory kept or used for each step."""


def _codes(text: str, limit: int | None = None) -> set[str]:
    with limited(limit):
        return {one.code for one in compile_spec(Source("hostile.yaml", text))[1]}


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Modules that load when first needed are not work of the spec that needs them."""
    for make in CASES.values():
        _codes(make(3), STEPS)


@pytest.mark.parametrize("name", CASES)
def test_work_is_counted(name: str) -> None:
    text = CASES[name](40)
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    tracemalloc.start()
    sys.setprofile(count)
    try:
        with limited(STEPS), budgeted() as budget:
            compile_spec(Source("hostile.yaml", text))
    finally:
        sys.setprofile(None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert calls <= CALLS * budget.spent
    assert peak <= BYTES * budget.spent


def test_what_exceeds_it_says_where_and_what_to_do() -> None:
    text = spec("a: relu\nb: {for: {i: 1..9000}, do: {for: {j: 1..9000}, do: relu}}", "blocks: {c: {net: relu}}")
    _, (found,) = compile_spec(Source("hostile.yaml", text))
    assert found.code == "too-much-work"
    assert found.message == f"checking this network takes more than {LIMIT:,} steps"
    assert found.span is not None
    assert found.span.text == "relu"
    assert "--limit" in found.fixes[0].title


def test_the_way_to_the_place_is_told() -> None:
    text = spec("a: b", "blocks: {b: {net: {c: relu x9000}}}")
    with limited(STEPS):
        _, (found,) = compile_spec(Source("hostile.yaml", text))
    assert found.trail[0].name == "b"


def test_the_same_text_takes_the_same_steps() -> None:
    """Whatever was compiled before, and although decisions about sizes are kept."""
    text = CASES["sizes_added"](3)
    spent = []
    for _ in range(2):
        with budgeted(Budget()) as budget:
            compile_spec(Source("hostile.yaml", text))
        spent.append(budget.spent)
    assert spent[0] == spent[1]


def test_errors_are_no_more_than_somebody_reads() -> None:
    with limited(100 * LIMIT):
        _, found = compile_spec(Source("hostile.yaml", spec("\n".join(f"a{i}: relu @b{i}" for i in range(1001)))))
    assert len(found) == 1000


def test_a_giant_is_let_through(tmp_path: Path) -> None:
    """By the Python interface and the command line."""
    path = tmp_path / "giant.yaml"
    path.write_text(spec("a: {for: {i: 1..400}, do: relu}"), "utf-8")
    with pytest.raises(netc.NetcError, match="too-much-work"):
        netc.load(path, limit=STEPS)
    assert netc.load(path, limit=10 * STEPS).outputs
    refused = CliRunner().invoke(cli, ["check", str(path), "--limit", "20k"])
    assert refused.exit_code == 1
    assert "too-much-work" in refused.stdout
    assert CliRunner().invoke(cli, ["check", str(path), "--limit", "1M"]).exit_code == 0
    assert CliRunner().invoke(cli, ["check", str(path), "--limit", "plenty"]).exit_code == 2


def test_all_variants_have_one_budget(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    variants = ", ".join(f"v{i}: {{w: {i + 1}}}" for i in range(300))
    path.write_text(spec("a: conv2d w 3", f"args: w=8\nvariants: {{{variants}}}"), "utf-8")
    done = CliRunner().invoke(cli, ["check", str(path), "--all-variants", "--limit", "100k"])
    assert done.exit_code == 1
    assert done.stdout.count("too-much-work") == 1
    assert 0 < done.stdout.count("is valid") < 300


def test_lists_in_messages_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    variants = ", ".join(f"v{i}: {{w: {i % 2 + 3}}}" for i in range(100))
    path.write_text(spec("a: conv2d 4 w\nb: add @a @image", f"args: w=3\nvariants: {{{variants}}}"), "utf-8")
    unknown = CliRunner().invoke(cli, ["check", f"{path}:w"])
    assert "and 60 more" in unknown.stdout
    every = CliRunner().invoke(cli, ["check", str(path), "--all-variants", "--json"])
    assert "and 42 more" in every.stdout


def test_shares() -> None:
    with budgeted(Budget(100)) as whole:
        with share(30) as part, pytest.raises(OverBudget):
            spend(31)
        assert part.spent == 31
        assert whole.left == 100
        spend(60)
        with share(80) as part:
            assert part.limit == 40
    spend(10**9)
