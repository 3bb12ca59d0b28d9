"""Did you mean …? The nearest of the words that exist."""

from __future__ import annotations

from collections.abc import Iterable

_MAX_CANDIDATES = 2_000
_MAX_LENGTH = 60


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate nearest to `word` by edit distance, or None when all are far (more than a third differs)."""
    if len(word) > _MAX_LENGTH:
        return None
    limit = max(1, len(word) // 3)
    best: tuple[int, str] | None = None
    for candidate, _ in zip(candidates, range(_MAX_CANDIDATES), strict=False):
        if abs(len(candidate) - len(word)) > limit:
            continue
        steps = distance(word.lower(), candidate.lower())
        if steps <= limit and (best is None or (steps, candidate) < best):
            best = (steps, candidate)
    return best[1] if best and best[1] != word else None


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
