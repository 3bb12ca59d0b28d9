"""Arguments and `let`s that nothing reads are named, and only those."""

from __future__ import annotations

from pathlib import Path

import pytest
from spectext import refused, spec, warnings

from netc.diagnostics.model import Diagnostic, Source
from netc.passes import compile_spec
from netc.syntax.idle import idle
from netc.syntax.parse import parse_spec
from netc.syntax.read import read_source

ROOT = Path(__file__).parents[1]
SHIPPED = sorted(path for folder in ("specs", "examples", "netc/library") for path in (ROOT / folder).rglob("*.yaml"))


def _idle(source: Source | Diagnostic) -> list[str]:
    assert isinstance(source, Source)
    parsed, found = parse_spec(source)
    assert parsed is not None, found
    return [one.name for one in idle(parsed)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_specs_declare_nothing_in_vain(path: Path) -> None:
    assert _idle(read_source(str(path))) == []


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("args: {k: 3}", [("unused-argument", "k")]),
        ("let: {k: 3}", [("unused-let", "k")]),
        ("args: {k: 3}\nlet: {v: 2*k}", [("unused-let", "v")]),
        ("args: {k: 3}\ndoc: sets k", [("unused-argument", "k")]),
        ("args: {k: 3}\nvariants: {a: {}, b: {k: 5}}", [("unused-argument", "k")]),
        ("args: {a: 3}\nchecks: [a.C == 3]", [("unused-argument", "a")]),
        ("args: {k: 3}\nblocks: {unit: {args: k, net: conv2d k 1}}", [("unused-argument", "k")]),
        ("args: {k: 3}\nblocks: {unit: {let: {k: 4}, net: conv2d k 1}}", [("unused-argument", "k")]),
        ("blocks: {unit: {args: j=1 k=2, net: conv2d j 1}}", [("unused-argument", "k")]),
        ("blocks: {unit: {args: j, let: {k: j}, net: relu}}", [("unused-let", "k")]),
    ],
)
def test_what_nothing_reads(head: str, expected: list[tuple[str, str]]) -> None:
    assert warnings(spec("a: relu", head)) == expected


@pytest.mark.parametrize(
    "head",
    [
        "let: {v: 2*k, w: v}\nchecks: [w == 6]",
        "checks: [a.C != k]",
        "init: {conv2d: normal std=k}",
        "defaults: {conv2d: {padding: k}}",
        "outputs: {out: {from: a, if: k > 1}}",
        "outputs: {out: a, more: {from: b.$k, if: false}}",
        "shared: {s: conv2d k 1}",
        "blocks: {unit: {args: c=k, net: conv2d c 1}}",
        "blocks: {unit: {let: {k: 2*k}, net: conv2d k 1}}",
        "blocks: {unit: {net: {if: k > 2, do: relu, else: tanh}}}",
        "blocks: {unit: {net: {for: {i: 1..k}, do: conv2d i 1}}}",
        "blocks: {unit: {net: {layer$k: relu}}}",
        "blocks: {unit: {net: relu x(k)}}",
        "blocks: {unit: {net: {op: conv2d, args: {out_channels: k}}}}",
        "blocks: {unit: {args: {act: 'conv2d k 1'}, net: act}}",
    ],
)
def test_every_place_that_may_read_an_argument(head: str) -> None:
    assert _idle(Source("case.yaml", spec("a: relu", f"args: {{k: 3}}\n{head}"))) == []


def test_sizes_of_inputs_operators_and_imports_read_arguments() -> None:
    assert warnings(spec("a: act", "args: {size: 32, act: relu}", image="[N, 3, size, size]")) == []
    assert warnings(spec("a: se ratio", "args: {ratio: 4}\nimport: {se: netc:squeeze_excite}", "[N, 16, 8, 8]")) == []


def test_a_finding_is_ignored_or_raised() -> None:
    assert warnings(spec("a: relu", "args: {k: 3}  # netc: ignore[unused-argument]")) == []
    assert warnings(spec("a: relu", "let: {k: 3}\nlint: {unused-let: ignore}")) == []
    assert refused("a: relu", head="args: {k: 3}\nlint: {unused-argument: error}") == [("unused-argument", "k")]


def test_an_imported_file_answers_for_itself(tmp_path: Path) -> None:
    (tmp_path / "body.yaml").write_text(spec("a: relu", "args: {k: 3}"))
    (tmp_path / "main.yaml").write_text(spec("a: body", "import: {body: body.yaml}"))
    for name, expected in (("body", ["unused-argument"]), ("main", [])):
        _, found = compile_spec(str(tmp_path / f"{name}.yaml"))
        assert [one.code for one in found] == expected
