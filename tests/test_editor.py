"""What an editor asks, as functions without a server: on every spec, and on texts that are half written."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from netc.diagnostics.model import Source
from netc.editor.analysis import Analysis
from netc.editor.completing import completions
from netc.editor.context import context
from netc.editor.fixing import apply
from netc.editor.hints import Hint, moved
from netc.editor.hovering import hover
from netc.editor.navigating import RenameRefused, rename
from netc.editor.positions import Positions
from netc.editor.structure import folds, outline, tokens
from netc.passes import compile_spec
from netc.syntax.read import read_source

ROOT = Path(__file__).parent.parent
SPECS = sorted([*(ROOT / "specs").glob("*.yaml"), *(ROOT / "examples").glob("*.yaml")])


def analysis(path: Path) -> Analysis:
    source = read_source(str(path))
    assert isinstance(source, Source)
    return Analysis(source)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_another_name_is_the_same_network(path: Path) -> None:
    """Every name of the file is changed, one after another in groups: the spec stays right."""
    one = analysis(path)
    assert one.symbols is not None
    declared = {
        (occurrence.span.start): occurrence.symbol
        for occurrence in one.symbols.occurrences
        if occurrence.span.start == occurrence.symbol.span.start and occurrence.symbol.span.source is one.source
    }
    for at, symbol in list(declared.items())[:: max(1, len(declared) // 6)]:
        try:
            edits = rename(one, at, "renamed_here")
        except RenameRefused:
            continue
        if symbol.kind == "output" or any(edit.span.source.path != one.source.path for edit in edits):
            continue
        changed = apply(one.source.text, edits)
        found = [d.message for d in compile_spec(Source(one.source.path, changed))[1] if d.severity == "error"]
        assert found == [], (symbol.kind, symbol.name)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_answer_is_in_the_text(path: Path) -> None:
    one = analysis(path)
    text = one.source.text
    assert one.symbols is not None
    for occurrence in one.symbols.occurrences:
        last = occurrence.symbol.name.rpartition(".")[2]
        if occurrence.symbol.plain:
            assert occurrence.span.text == occurrence.symbol.name, last
    found = tokens(one)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert len(found) > 10
    lines = text.count("\n")
    assert all(0 <= first < last <= lines for first, last in folds(one))
    for entry in outline(one):
        assert text[entry.name_start : entry.name_end] == entry.name
    shown = one.hints
    assert shown
    assert all(text[hint.offset : hint.offset + 1] in ("\n", " ", "") for hint in shown)
    for offset in range(0, len(text), 97):
        told = hover(one, offset)
        assert told is None or told.start <= offset <= told.end


def test_hints_of_lines_that_stay() -> None:
    found = [Hint(3, "a", ""), Hint(7, "b", ""), Hint(11, "c", "")]
    before = "aaa\nbbb\nccc\nddd"
    assert [(hint.label, hint.offset) for hint in moved(found, before, "aaa\nbbb\nx\nccc\nddd")] == [
        ("a", 3), ("b", 7), ("c", 13)
    ]  # fmt: skip
    assert [hint.label for hint in moved(found, before, "aaa\nbXb\nccc\nddd")] == ["a", "c"]
    assert moved(found, before, before) == found
    assert moved(found, before, "") == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_positions(encoding: str) -> None:
    text = "añ𝒏x\r\n\n𝒏𝒏"
    places = Positions(text, encoding)  # type: ignore[arg-type]
    for offset in range(len(text) + 1):
        if text[offset - 1 : offset + 1] != "\r\n":
            assert places.offset(*places.position(offset)) == offset
    before = text[: text.index("x")]
    units = {"utf-8": len(before.encode()), "utf-16": len(before.encode("utf-16-le")) // 2, "utf-32": len(before)}
    assert places.position(text.index("x")) == (0, units[encoding])
    assert places.offset(9, 0) == len(text)


@pytest.mark.parametrize(
    ("text", "path", "role", "cell"),
    [
        ("|", (), "key", ""),
        ("na|", (), "key", "na"),
        ("name: x|", ("name",), "value", "x"),
        ("net:\n  a: conv|", ("net", "a"), "statement", "conv"),
        ("net:\n  a: [relu, conv2d 3|", ("net", "a"), "statement", "conv2d 3"),
        ("net:\n  a:\n    - relu\n    - con|", ("net", "a"), "statement", "con"),
        ("net:\n  a: {if: x > 1, do: re|", ("net", "a", "do"), "statement", "re"),
        ("net:\n  a: {if: x|", ("net", "a", "if"), "value", "x"),
        ("net:\n  a: {i|", ("net", "a"), "key", "i"),
        ("net:\n  a:\n    do: re|", ("net", "a", "do"), "statement", "re"),
        ("net:\n  a:\n    do:\n      b: re|", ("net", "a", "do", "b"), "statement", "re"),
        ("net: [relu, max|", ("net",), "statement", "max"),
        ("net:\n- relu\n- ma|", ("net",), "statement", "ma"),
        ("blocks:\n  u:\n    net:\n      a: conv2d c @i|", ("blocks", "u", "net", "a"), "statement", "conv2d c @i"),
        ("blocks:\n  u: {args: c, net: [con|", ("blocks", "u", "net"), "statement", "con"),
        ("blocks:\n  u:\n    ar|", ("blocks", "u"), "key", "ar"),
        ("inputs: {a: [N], b: {dtype: in|", ("inputs", "b", "dtype"), "value", "in"),
        ("lint: {lost-input: er|", ("lint", "lost-input"), "value", "er"),
        ('net:\n  a: "conv2d (1, 2|', ("net", "a"), "statement", "conv2d (1, 2"),
        ("net:\n  a: {op: conv2d, args: {pad|", ("net", "a", "args"), "key", "pad"),
        ("net:\n  a: relu\n  # a comment: here\n  b: ge|", ("net", "b"), "statement", "ge"),
    ],
)
def test_where_a_cursor_is(text: str, path: tuple[str, ...], role: str, cell: str) -> None:
    offset = text.index("|")
    found = context(text.replace("|", ""), offset)
    assert (found.path, found.role, found.cell) == (path, role, cell)


@pytest.mark.parametrize("path", SPECS[::5], ids=lambda path: path.stem)
def test_completions_stand_where_they_belong(path: Path) -> None:
    """At every word that is an operator, a tensor or a key the word itself is among what is offered."""
    one = analysis(path)
    text = one.source.text
    missed = []
    for token in tokens(one):
        if token.kind in ("function", "variable") and text[token.start - 1] in "@ [":
            offered = {c.label for c in completions(text[: token.start + 1] + text[token.end :], token.start + 1, one)}
            word = text[token.start : token.end]
            if token.kind == "function" and word not in offered:
                missed.append(text[token.start - 20 : token.end])
    assert missed == []
