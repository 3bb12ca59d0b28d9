"""Specs broken at random: whatever a text holds, the answer is a network or located diagnostics, never an exception."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from netc.api import compile_spec
from netc.diagnostics.model import Diagnostic, Source

ROOT = Path(__file__).parents[1]
TEXTS = [
    text
    for folder in ("specs", "tests/errors", "examples")
    for path in sorted((ROOT / folder).glob("*.yaml"))
    if len(text := path.read_text(encoding="utf-8")) < 2500
]
LINES = ("softmax 9", "flatten 3 1", "unflatten 1 (0 0)", "reshape (-1 -1)", "interpolate 0", "chunk 2", "linear x.H")
WORDS = ("x", "x3", "x(n-1)", "@in", "@a.b", "@convs.*", "$i", "$(1..3)", "1..4", "in.C", "x.C", "t.shape[9]", "like=@")
KEYS = (
    "if",
    "else",
    "for",
    "do",
    "op",
    "args",
    "net",
    "none",
    "true",
    "not",
    "and",
    "N",
    "h",
    "relu",
    "conv2d",
    "len(",
)
NUMBERS = ("0", "1", "-1", "0.5", "1e400", "2**9999", "99999999999", "(1 2)", "min()", "0x10", "é")
TOKENS = (*LINES, *WORDS, *KEYS, *NUMBERS, *"@$()[]{}:,*+-/.'\"#&!%|>=")
WORD = re.compile(r"[\w.$*@]+")
ROUNDS, EACH = 20, 300


def _mutated(text: str, chance: random.Random) -> str:
    """The text with a few characters, words or lines put in, taken out or exchanged."""
    for _ in range(chance.randint(1, 4)):
        text = chance.choice((_insert, _delete, _exchange, _repeat))(text, chance)
    return text


def _insert(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(TOKENS) + text[at:]


def _delete(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + text[at + chance.randint(1, 8) :]


def _exchange(text: str, chance: random.Random) -> str:
    words = [match.span() for match in WORD.finditer(text)] or [(0, 0)]
    (start, end), (other, last) = chance.choice(words), chance.choice(words)
    return text[:start] + (text[other:last] if chance.random() < 0.5 else chance.choice(TOKENS)) + text[end:]


def _repeat(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    lines[chance.randrange(len(lines))] = chance.choice(lines)
    return "\n".join(lines)


def _is_located(found: Diagnostic) -> bool:
    span = found.span
    return span is None or 0 <= span.start <= span.end <= len(span.source.text)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_any_text_is_answered(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(EACH):
        text = _mutated(chance.choice(TEXTS), chance)
        network, found = compile_spec(Source("mutated.yaml", text), args={}, variant=None, bind={})
        assert (network is None) == any(one.severity == "error" for one in found), text
        assert all(map(_is_located, found)), text
