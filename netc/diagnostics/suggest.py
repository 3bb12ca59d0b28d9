"""Did you mean …? The nearest of the words that exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from math import inf

from netc.budget import spend
from netc.diagnostics.model import Edit, Fix, Span

_MAX_CANDIDATES = 2_000
_MAX_LENGTH = 60

MOST_LISTED = 40
"""Names that a message lists."""


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate nearest to `word`, or None when all are far."""
    near = nearest(word, candidates, limit=1)
    return near[0] if near else None


def nearest(word: str, candidates: Iterable[str], limit: int = 3) -> list[str]:
    """Up to `limit` candidates, nearest first, of which at most a third differs from `word`; of a word of two letters
    one may, of one letter only the case. Of names that differ in a number, the nearest number comes first; then
    names that begin alike."""
    if len(word) > _MAX_LENGTH:
        return []
    most = len(word) // 3 or len(word) - 1
    ranked: set[tuple[int, float, bool, str]] = set()
    for candidate in islice(candidates, _MAX_CANDIDATES):
        if candidate != word and abs(len(candidate) - len(word)) <= most:
            spend(1 + len(word) * len(candidate) // 4)
            steps = distance(word.lower(), candidate.lower())
            other = word[:1].lower() != candidate[:1].lower()
            ranked |= {(steps, _apart(word, candidate), other, candidate)} if steps <= most else set()
    return [candidate for *_, candidate in sorted(ranked)[:limit]]


def did_you_mean(word: Span | str, candidates: Iterable[str], prefix: str = "") -> tuple[Fix, ...]:
    """The remedy that names the candidate nearest to `word`, after `prefix`, and puts it where the word stands if that
    is known; none when all are far."""
    near = closest(word if isinstance(word, str) else word.text, candidates)
    if near is None:
        return ()
    edits = () if isinstance(word, str) else (Edit(word, near),)
    return (Fix(f"did you mean `{prefix}{near}`?", edits),)


def _apart(word: str, candidate: str) -> float:
    """How far the numbers in two names are apart, infinitely where anything else differs."""
    (texts, numbers), (others, theirs) = _numbered(word), _numbered(candidate)
    return sum(abs(a - b) for a, b in zip(numbers, theirs, strict=True)) if texts == others else inf


def _numbered(name: str) -> tuple[list[str], list[int]]:
    parts = re.split(r"([0-9]+)", name)
    return parts[::2], list(map(int, parts[1::2]))


def listed(names: Iterable[str], most: int = MOST_LISTED) -> str:
    """`a, b, c`, and how many more there are where they are too many to read."""
    texts = list(names)
    left = f", … and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + left


def few(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 4 more`: the first of many, where how many there are matters."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def elided(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c, …`: the first of many, where they are examples."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def in_order(texts: Sequence[str]) -> str:
    """`a, b and c`."""
    *first, last = texts or [""]
    return f"{', '.join(first)} and {last}" if first else last


def distance(left: str, right: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours that turn `left` into `right`.

    The optimal string alignment distance (Damerau 1964), one row at a time.
    """
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            steps = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                steps = min(steps, older[j - 2] + 1)
            row.append(steps)
    return row[-1]
