"""Inlay hints: what comes out of a statement and how many parameters it has, behind its line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from netc.editor.measures import Measure, Measures
from netc.editor.positions import Positions
from netc.syntax.ast import Alias, Body, Chain, Conditional, Line, Loop, Nothing, SpecFile, Statement


class Hint(msgspec.Struct, frozen=True):
    """A label to show at `offset`, and what more there is to say of it."""

    offset: int
    label: str
    tooltip: str


def hints(spec: SpecFile, measures: Measures | None, positions: Positions) -> list[Hint]:
    """A hint for every line of the text that a statement begins on, at the line's end; none without measures."""
    by_line: dict[int, Hint] = {}
    for statement in () if measures is None else _statements(spec):
        uses = [] if measures is None else measures.of(statement)
        if uses:
            line = positions.position(statement.span.start)[0]
            offset = _end(positions, line)
            by_line.setdefault(line, Hint(offset, _label(uses), _tooltip(uses)))
    return [by_line[line] for line in sorted(by_line)]


def equal_ends(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """How many lines at the beginning of two texts are the same, and how many of the others at the end."""
    least = min(len(old), len(new))
    same = next((at for at in range(least) if old[at] != new[at]), least)
    return same, next((at for at in range(least - same) if old[-1 - at] != new[-1 - at]), least - same)


def moved(hints: list[Hint], before: str, after: str) -> list[Hint]:
    """Hints of a text for what it became: those on the lines above and below all that was changed."""
    old, new = before.split("\n"), after.split("\n")
    same, rest = equal_ends(old, new)
    first = sum(len(line) + 1 for line in old[:same])
    last = len(before) - sum(len(line) + 1 for line in old[len(old) - rest :])
    shift = len(after) - len(before)
    above = [hint for hint in hints if hint.offset < first]
    return above + [replace(hint, offset=hint.offset + shift) for hint in hints if hint.offset > last]


def _end(positions: Positions, line: int) -> int:
    """The end of what stands on a line, before a comment."""
    start, end = positions.line_start(line), positions.line_end(line)
    text = positions.text[start:end]
    comment = text.find(" #")
    return start + len((text if comment < 0 or '"' in text[comment:] else text[:comment]).rstrip())


def _statements(spec: SpecFile) -> Iterator[Statement]:
    """Outer statements before the ones inside: the first on a line speaks for it."""
    for definition in (spec, *spec.blocks.values()):
        for statement in (definition.net, *(named.statement for named in definition.shared)):
            if statement is not None:
                yield from _inside(statement)


def _inside(statement: Statement) -> Iterator[Statement]:
    if not isinstance(statement, Body):
        yield statement
    match statement:
        case Body():
            for named in statement.statements:
                yield from _inside(named.statement)
        case Chain():
            for item in statement.items:
                yield from _inside(item)
        case Loop():
            yield from _inside(statement.body)
        case Conditional():
            yield from _inside(statement.then)
            if statement.otherwise is not None:
                yield from _inside(statement.otherwise)
        case Line() | Alias() | Nothing():
            return


def _label(uses: list[Measure]) -> str:
    first, *others = uses
    return f"{first} …" if others else str(first)


def _tooltip(uses: list[Measure]) -> str:
    return "\n".join(dict.fromkeys(map(str, uses[:12]))) + ("\n…" if len(uses) > 12 else "")
