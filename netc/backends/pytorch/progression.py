"""Members of an `OrderedDict` whose names count and whose numbers step, as one comprehension."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from netc.backends.pytorch.shadow import quoted

_NUMBER = re.compile(r"(?<=[(= ])\d+(?=[,)])")
_COUNTED = re.compile(r"(.*\D)(\d+)")
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
    first = _row(members[start])
    end, step, before = start + 1, None, first
    while first is not None and before is not None and end < len(members):
        row = _row(members[end])
        if row is None or row[:2] != first[:2]:
            break
        here = [b - a for a, b in zip(before[2], row[2], strict=True)]
        if step not in (None, here) or here[0] != 1:
            break
        end, step, before = end + 1, here, row
    return end


def _row(member: Member) -> tuple[str, str, list[int]] | None:
    """What must be alike in all members, and the numbers that may step, the name's first."""
    name, made = member
    counted = _COUNTED.fullmatch(name)
    if counted is None or '"' in made or "\0" in made:
        return None
    return counted[1], _NUMBER.sub("#", made), [int(counted[2]), *map(int, _NUMBER.findall(made))]


def _numbers(run: Sequence[Member]) -> list[list[int]]:
    """The first two values of every number that may step."""
    rows = [[int(n) for n in _NUMBER.findall(made)] for _, made in run[:2]]
    return [list(column) for column in zip(*rows, strict=True)]


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
