"""Specs damaged at random: whatever stands in a file, the answer is a network or diagnostics, soon, never a crash."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netc.diagnostics.codes import CODES
from netc.diagnostics.model import Diagnostic, Source, Span
from netc.ir.flat import flatten, parameters
from netc.passes.elaborate import elaborate_file

SPECS = sorted((Path(__file__).parents[1] / "specs").glob("*.yaml"))
TEXTS = [path.read_text(encoding="utf-8") for path in SPECS]
TOKEN = re.compile(r"\w+|[ \t]+|\n|[^\w\s]")
SECONDS = 10.0
SIGNS = "@$x0123456789()[]{}.,:*+-/%=<>\"' \nabinCHN"

WORDS = """
    @in @image @x @a.b.0 @p$(1..3) @stem.* $i $(i-1) x0 x1 x3 x(0-1) x(n) x99999
    none true 0 -1 1 2 7 0.5 1/0 99999999999999999999 2**61 1e308 h N in.C x.C
    ( ) [ ] { } : , " ' # & * ! | - = == .. é
    relu conv2d concat add chunk flatten identity linear max_pool2d batch_norm2d channel_shuffle
    in x for if else do op net blocks args inputs outputs shared import let init
    range(9) len(1) min(()) width c i stride=2 kernel_size=0 groups=3 padding=same
"""
NASTY = [*WORDS.split(), "(1 2)", "sum((1 2))", "\t", "\n", "\n    ", "\u2028"]

Mutation = Callable[[list[str], int, int, str], None]


def delete(tokens: list[str], at: int, other: int, nasty: str) -> None:
    del tokens[at]


def replace(tokens: list[str], at: int, other: int, nasty: str) -> None:
    tokens[at] = nasty


def insert(tokens: list[str], at: int, other: int, nasty: str) -> None:
    tokens[at:at] = [" ", nasty, " "]


def swap(tokens: list[str], at: int, other: int, nasty: str) -> None:
    tokens[at], tokens[other] = tokens[other], tokens[at]


def copy(tokens: list[str], at: int, other: int, nasty: str) -> None:
    tokens[at] = tokens[other]


def alike(tokens: list[str], at: int, other: int, nasty: str) -> None:
    """A word becomes another word of the file, a number another number: most of these are still readable."""
    turned = tokens[at:] + tokens[:at]
    word = next((t for t in turned if t[0].isalnum()), None)
    if word is not None:
        later = tokens[other:] + tokens[:other]
        same = (t for t in later if t[0].isalnum() and t.isdigit() == word.isdigit() and t != word)
        tokens[(at + turned.index(word)) % len(tokens)] = next(same, word)


def cut(tokens: list[str], at: int, other: int, nasty: str) -> None:
    del tokens[min(at, other) : max(at, other)]


MUTATIONS: list[Mutation] = [delete, replace, insert, swap, copy, alike, alike, alike]


@st.composite
def damaged(draw: st.DrawFn, cuts: bool = False) -> str:
    """A curated spec after one to six small changes."""
    tokens = TOKEN.findall(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 6))):
        mutate = draw(st.sampled_from([*MUTATIONS, cut] if cuts else MUTATIONS))
        at, other = (draw(st.integers(0, len(tokens) - 1)) for _ in range(2))
        mutate(tokens, at, other, draw(st.sampled_from(NASTY)))
        tokens = tokens or ["\n"]
    return "".join(tokens)


def check(text: str) -> None:
    """Elaborate; every finding must be known and lie inside the text, and no errors must mean a whole network."""
    source = Source("fuzz.yaml", text)
    start = time.perf_counter()
    network, found = elaborate_file(source)
    seconds = time.perf_counter() - start
    assert seconds < SECONDS, f"{seconds:.1f} s"
    for diagnostic in found:
        assert diagnostic.code in CODES
        for span in _spans(diagnostic):
            assert 0 <= span.start <= span.end <= len(text)
    assert (network is None) == any(d.severity == "error" for d in found)
    if network is not None:
        assert all(size > 0 for _, param, _ in parameters(flatten(network)) for size in param.shape)


def _spans(diagnostic: Diagnostic) -> list[Span]:
    spans = [diagnostic.span, *(label.span for label in diagnostic.secondary), *(f.span for f in diagnostic.trail)]
    return [span for span in spans if span is not None and span.source.path == "fuzz.yaml"]


QUICK = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@QUICK
@given(damaged())
def test_a_few_wrong_tokens(text: str) -> None:
    check(text)


@QUICK
@given(damaged(cuts=True))
def test_missing_pieces(text: str) -> None:
    check(text)


@QUICK
@given(st.sampled_from(TEXTS), st.integers(0, 10_000))
def test_a_file_that_stops_in_the_middle(text: str, at: int) -> None:
    check(text[: at % len(text)])


@QUICK
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    check(text)


@QUICK
@given(
    st.sampled_from(TEXTS),
    st.text(alphabet="@$x0123456789()[]{}.,:*+-/%=<>\"' \nabinCHN", max_size=30),
    st.integers(0, 10_000),
)
def test_signs_inside_a_spec(text: str, signs: str, at: int) -> None:
    at %= len(text)
    check(text[:at] + signs + text[at:])


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_without_each_of_its_lines(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number in range(len(lines)):
        check("".join(lines[:number] + lines[number + 1 :]))
