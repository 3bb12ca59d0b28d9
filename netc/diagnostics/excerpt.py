"""The lines of a source with marks beneath them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from netc.diagnostics.model import Severity, Source, Span
from netc.diagnostics.style import Style, shown, shown_character, width

MAX_COLUMNS = 160
"""A longer line is shown around its marks only."""

_CONTEXT = 40


class Underline(msgspec.Struct, frozen=True, eq=False):
    """Columns `start:end` (characters, from 0) of one line, and what is said about them."""

    start: int
    end: int
    text: str
    primary: bool


class Marks:
    """Marks by source and line."""

    def __init__(self) -> None:
        self.sources: dict[int, Source] = {}
        self.lines: dict[int, dict[int, list[Underline]]] = defaultdict(lambda: defaultdict(list))

    def add(self, span: Span, text: str, *, primary: bool) -> None:
        """A span over several lines is marked to the end of its first."""
        line, column = span.source.position(span.start)
        last, end = span.source.position(span.end)
        if last > line:
            end = len(span.source.line(line)) + 1
        self.sources[id(span.source)] = span.source
        self.lines[id(span.source)][line].append(Underline(column - 1, max(end - 1, column), text, primary))


class Excerpt:
    """Draws the marked lines, first those of the `main` source."""

    def __init__(self, marks: Marks, main: Source | None, severity: Severity, style: Style) -> None:
        self.marks = marks
        self.main = main
        self.severity = severity
        self.style = style
        numbers = [line for lines in marks.lines.values() for line in lines]
        self.gutter = len(str(max(numbers, default=0)))

    def lines(self, place: str) -> list[str]:
        if not place:
            return []
        drawn = [" " * self.gutter + f"{self.style.faint('-->')} {place}"]
        for key, source in self.marks.sources.items():
            if source is not self.main:
                first = min(self.marks.lines[key])
                drawn.append(" " * self.gutter + f"{self.style.faint(':::')} {shown(source.path)}:{first}")
            drawn += self.source_lines(source, self.marks.lines[key])
        return drawn if self.main is None else [*drawn, self.bar()]

    def bar(self) -> str:
        return " " * self.gutter + self.style.faint(" |")

    def source_lines(self, source: Source, lines: dict[int, list[Underline]]) -> Iterator[str]:
        yield self.bar()
        before: int | None = None
        for number in sorted(lines):
            if before is not None and number > before + 2:
                yield "..."
            elif before is not None and number == before + 2:
                yield self.numbered(number - 1, _cut(source.line(number - 1), []).text)
            window = _cut(source.line(number), lines[number])
            yield self.numbered(number, window.text)
            yield from self.mark_lines(window, lines[number])
            before = number

    def numbered(self, number: int, text: str) -> str:
        return f"{self.style.faint(f'{number:>{self.gutter}} |')} {text}".rstrip()

    def mark_lines(self, window: _Window, marks: list[Underline]) -> Iterator[str]:
        """The underlines on one row, the rightmost text behind them, the other texts on rows below."""
        ordered = sorted(marks, key=lambda mark: (mark.start, mark.end))
        placed = [(window.column(mark.start), max(1, window.width(mark)), mark) for mark in ordered]
        underline = self.underline(placed)
        *others, (_, _, last) = placed
        hanging = [item for item in others if item[2].text]
        if last.text and all(start + size <= placed[-1][0] for start, size, _ in others):
            underline += " " + self.painted(last, shown(last.text))
        elif last.text:
            hanging.append(placed[-1])
        yield f"{self.bar()} {underline}"
        for start, _, mark in reversed(hanging):
            yield f"{self.bar()} {' ' * start}{self.painted(mark, shown(mark.text))}"

    def underline(self, placed: list[tuple[int, int, Underline]]) -> str:
        drawn, column = "", 0
        for start, size, mark in placed:
            if start + size <= column:
                continue
            begin = max(start, column)
            drawn += " " * (begin - column)
            drawn += self.painted(mark, ("^" if mark.primary else "-") * (start + size - begin))
            column = start + size
        return drawn

    def painted(self, mark: Underline, text: str) -> str:
        return self.style.paint(self.severity if mark.primary else "place", text)


class _Window(msgspec.Struct, frozen=True, eq=False):
    """The shown part of a line: characters `first:last` of `line`, behind `lead`."""

    line: str
    first: int
    last: int
    lead: str
    tail: str

    @property
    def text(self) -> str:
        return self.lead + shown(self.line[self.first : self.last]) + self.tail

    def column(self, index: int) -> int:
        """The terminal column of a character."""
        index = min(max(index, self.first), self.last)
        return width(self.lead) + sum(width(shown_character(sign)) for sign in self.line[self.first : index])

    def width(self, mark: Underline) -> int:
        return self.column(mark.end) - self.column(mark.start)


def _cut(line: str, marks: list[Underline]) -> _Window:
    if len(line) <= MAX_COLUMNS:
        return _Window(line, 0, len(line), "", "")
    first = max(0, min((mark.start for mark in marks), default=0) - _CONTEXT)
    last = min(len(line), first + MAX_COLUMNS)
    return _Window(line, first, last, "..." if first else "", "..." if last < len(line) else "")
