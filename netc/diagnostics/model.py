"""The one object every stage reports with: a Diagnostic points at exact characters of a Source."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Literal, TypeVar

import msgspec

Severity = Literal["error", "warning"]
T = TypeVar("T")


class Source:
    """A text and the path it is shown under; turns offsets (in characters) into lines and columns."""

    __slots__ = ("_starts", "path", "text")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._starts: list[int] | None = None

    def place(self, offset: int) -> int:
        """Where a character stands in the text."""
        return offset

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            starts = [0]
            find = self.text.find
            at = find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = find("\n", at + 1)
            self._starts = starts
        return self._starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both counted from 1; columns count characters."""
        starts = self._line_starts()
        line = bisect_right(starts, offset) - 1
        return line + 1, offset - starts[line] + 1

    def line(self, number: int) -> str:
        """The text of a line (counted from 1) without its line end."""
        starts = self._line_starts()
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r\n")


APART = 1 << 32
"""Offsets from here on are counted in parts of a text, which stay what they are while the text around them changes."""


class ChangingSource(Source):
    """A text that is being typed. Offset `i` of part `n` is `n * APART + i`, in whichever version the part was read."""

    __slots__ = ("starts",)

    def __init__(self, path: str) -> None:
        super().__init__(path, "")
        self.starts: dict[int, int] = {}
        """Where each part begins in the text as it is now."""

    def become(self, text: str) -> None:
        self.text = text
        self._starts = None

    def place(self, offset: int) -> int:
        return offset if offset < APART else self.starts[offset // APART] + offset % APART


class Span(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The characters `start:end` of a source, from the offset `first` to the offset `last`."""

    source: Source
    first: int
    last: int

    @property
    def start(self) -> int:
        return self.source.place(self.first)

    @property
    def end(self) -> int:
        return self.source.place(self.last)

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def lines(self) -> tuple[int, int]:
        """The first and the last line, counted from 1."""
        return self.source.position(self.start)[0], self.source.position(self.end)[0]


class Label(msgspec.Struct, frozen=True, eq=False):
    """A span with a few words printed beneath it."""

    span: Span
    text: str = ""


class Frame(msgspec.Struct, frozen=True, eq=False):
    """One step of the way that led to a place: the block `name`, called at `span` as `path`; or, where `turn` says so,
    a turn of the loop or the copy of a repeated line at `span`."""

    name: str
    span: Span
    path: str
    turn: bool = False


class Edit(msgspec.Struct, frozen=True, eq=False):
    """A change of a text: what stands at `span` becomes `replacement`."""

    span: Span
    replacement: str


class Fix(msgspec.Struct, frozen=True, eq=False):
    """A remedy in words, and, where it is a plain change of texts, the edits that make it."""

    title: str
    edits: tuple[Edit, ...] = ()


class Diagnostic(msgspec.Struct, frozen=True, eq=False):
    """One finding. `span` is None only where no text exists (a missing file, say)."""

    code: str
    message: str
    span: Span | None
    severity: Severity = "error"
    label: str = ""
    secondary: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    trail: tuple[Frame, ...] = ()
    path: str | None = None


class NetcError(Exception):
    """Raised by the Python API when a spec cannot be compiled; carries every diagnostic found."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(f"{d.code}: {d.message}" for d in diagnostics))


def failure(
    code: str,
    message: str,
    notes: tuple[str, ...] = (),
    fixes: tuple[Fix, ...] = (),
    *,
    span: Span | None = None,
    path: str | None = None,
) -> NetcError:
    """The error of a single finding, by default about what stands in no text: a file, an option, a library."""
    return NetcError((Diagnostic(code, message, span, notes=notes, fixes=fixes, path=path),))


def require(result: T | None, diagnostics: Iterable[Diagnostic]) -> T:
    """What a stage made of its input; raises NetcError with the diagnostics where that is nothing."""
    if result is None:
        raise NetcError(tuple(diagnostics))
    return result


class Fault(NetcError, ValueError):
    """A mistake of a plugin; a ValueError too, for those who ask an operator what it may not know."""
