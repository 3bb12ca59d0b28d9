"""Members of an `OrderedDict` whose names count and whose numbers step, as one comprehension."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from netc.backends.pytorch.shadow import quoted

_NUMBER = re.compile(r"(?<=[(= ])\d+(?=[,)])")
_COUNTED = re.compile(r"(\D+)(\d+)")
SHORTEST = 3

Member = tuple[str, str]


def collapsed(members: Sequence[Member]) -> Iterator[str]:
    """`("name", Module())` pairs, runs of three or more in arithmetic progression as `*(… for i in range(n))`."""
    start = 0
    while start < len(members):
        end = _run(members, start)
        if end - start >= SHORTEST:
            yield _comprehension(members[start:end])
        else:
            end = start + 1
            name, made = members[start]
            yield f"({quoted(name)}, {made})"
        start = end


def _run(members: Sequence[Member], start: int) -> int:
    """The end of the longest progression that begins at `start`."""
    end = start + 1
    while end < len(members) and _continues(members[start : end + 1]):
        end += 1
    return end


def _continues(run: Sequence[Member]) -> bool:
    names = [_COUNTED.fullmatch(name) for name, _ in run]
    if any(n is None for n in names) or any('"' in made or "\0" in made for _, made in run):
        return False
    stems = {n[1] for n in names if n}
    counts = [int(n[2]) for n in names if n]
    skeletons = {_NUMBER.sub("#", made) for _, made in run}
    columns = [counts, *_numbers(run)]
    return len(stems) == len(skeletons) == 1 and all(map(_is_progression, columns)) and counts[1] - counts[0] == 1


def _numbers(run: Sequence[Member]) -> list[list[int]]:
    rows = [[int(n) for n in _NUMBER.findall(made)] for _, made in run]
    return [list(column) for column in zip(*rows, strict=True)] if len({len(r) for r in rows}) == 1 else []


def _is_progression(numbers: Sequence[int]) -> bool:
    return all(b - a == numbers[1] - numbers[0] for a, b in itertools.pairwise(numbers))


def _comprehension(run: Sequence[Member]) -> str:
    stem, first = _COUNTED.fullmatch(run[0][0]).groups()  # type: ignore[union-attr]
    terms = iter([_term(column[0], column[1] - column[0]) for column in _numbers(run)])
    made = _NUMBER.sub(lambda _: next(terms), run[0][1])
    name = quoted(f"{stem}{{{_term(int(first), 1)}}}")
    return f"*((f{name}, {made}) for i in range({len(run)}))"


def _term(base: int, step: int) -> str:
    if step == 0:
        return str(base)
    walked = "i" if step == 1 else f"i * {abs(step)}"
    if base == 0 and step > 0:
        return walked
    return f"{walked} + {base}" if step == 1 else f"{base} {'+' if step > 0 else '-'} {walked}"
