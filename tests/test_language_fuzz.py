"""Specs damaged at random: whatever stands in a file, the answer is a network or diagnostics, soon, never a crash."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.specs import NASTY, judge_text

SPECS = sorted((Path(__file__).parents[1] / "specs").glob("*.yaml"))
TEXTS = [path.read_text(encoding="utf-8") for path in SPECS]
TOKEN = re.compile(r"\w+|[ \t]+|\n|[^\w\s]")
SECONDS = 10.0
EVERY = int(os.environ.get("NETC_LINES_EVERY", "6"))
"""One line of so many is left out of a spec, each of them in `make conformance`."""
SIGNS = "@$x0123456789()[]{}.,:*+-/%=<>\"' \nabinCHN"

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
    """As `judge_text` says, and soon."""
    start = time.perf_counter()
    judge_text(text)
    seconds = time.perf_counter() - start
    assert seconds < SECONDS, f"{seconds:.1f} s"


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
def test_a_spec_without_one_of_its_lines(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number in range(SPECS.index(path) % EVERY, len(lines), EVERY):
        check("".join(lines[:number] + lines[number + 1 :]))
