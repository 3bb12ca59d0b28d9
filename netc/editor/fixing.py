"""`netc check --fix` as a function: makes the changes that diagnostics offer, where there is no choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from netc.diagnostics.model import Diagnostic, Edit, Fix, Source

MOST = 200
"""Changes of one file; each is checked anew."""

Check = Callable[[Source], Sequence[Diagnostic]]


class Mended(msgspec.Struct, frozen=True, eq=False):
    """A text after its changes, what was mended by what, and what is left."""

    source: Source
    made: tuple[tuple[Diagnostic, Fix], ...]
    left: tuple[Diagnostic, ...]

    @property
    def fails(self) -> bool:
        """Is an error left?"""
        return any(one.severity == "error" for one in self.left)


def mend(source: Source, check: Check) -> Mended:
    """Make every change that is offered alone and keeps what it promises.

    One is kept if its finding is gone after it and no error has come up at what it wrote; what it uncovers elsewhere is
    mended in turn. Only `source` itself is changed, never a file that it imports.
    """
    fixed: list[tuple[Diagnostic, Fix]] = []
    refused: set[tuple[str, str]] = set()
    diagnostics = check(source)
    while len(fixed) < MOST:
        step = _next(source, diagnostics, check, refused)
        if step is None:
            break
        one, fix, source, diagnostics = step
        fixed.append((one, fix))
    return Mended(source, tuple(fixed), tuple(diagnostics))


def _next(
    source: Source, diagnostics: Sequence[Diagnostic], check: Check, refused: set[tuple[str, str]]
) -> tuple[Diagnostic, Fix, Source, Sequence[Diagnostic]] | None:
    """The first finding that can be mended, with the text and the findings after it."""
    for one in diagnostics:
        offered = choices(one, source)
        if len(offered) != 1 or _kind(one) in refused:
            continue
        changed = Source(source.path, apply(source.text, offered[0].edits))
        after = check(changed)
        if _is_better(one, diagnostics, after, changed, offered[0].edits):
            return one, offered[0], changed, after
        refused.add(_kind(one))
    return None


def choices(one: Diagnostic, source: Source) -> tuple[Fix, ...]:
    """The remedies that are changes of this text alone."""
    return tuple(
        fix for fix in one.fixes if fix.edits and all(edit.span.source.text == source.text for edit in fix.edits)
    )


def apply(text: str, edits: Sequence[Edit]) -> str:
    """The text with all changes made."""
    for edit in sorted(edits, key=lambda edit: (edit.span.start, edit.span.end), reverse=True):
        text = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
    return text


def _is_better(
    one: Diagnostic, before: Sequence[Diagnostic], after: Sequence[Diagnostic], changed: Source, edits: Sequence[Edit]
) -> bool:
    then, now = Counter(map(_kind, before)), Counter(map(_kind, after))
    if now[_kind(one)] >= then[_kind(one)]:
        return False
    fresh = [d for d in after if d.severity == "error" and now[_kind(d)] > then[_kind(d)]]
    touched = _touched(edits)
    return not any(_meets(d, touched) for d in fresh if d.span is None or d.span.source.path == changed.path)


def _touched(edits: Sequence[Edit]) -> list[tuple[int, int]]:
    """From where to where the changed text holds what was written."""
    places = []
    moved = 0
    for edit in sorted(edits, key=lambda edit: edit.span.start):
        start = edit.span.start + moved
        moved += len(edit.replacement) - (edit.span.end - edit.span.start)
        places.append((start, start + len(edit.replacement)))
    return places


def _meets(diagnostic: Diagnostic, places: Sequence[tuple[int, int]]) -> bool:
    return diagnostic.span is None or any(
        start < diagnostic.span.end and diagnostic.span.start < end for start, end in places
    )


def _kind(diagnostic: Diagnostic) -> tuple[str, str]:
    return diagnostic.code, diagnostic.message
