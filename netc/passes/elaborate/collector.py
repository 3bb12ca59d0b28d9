"""Collects findings while a spec is elaborated: each once, with the chain of calls that led there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Self

import msgspec

from netc.budget import FINDING, spend
from netc.diagnostics.model import Diagnostic, Edit, Fix, Frame, Label, Severity, Span
from netc.dims import Size
from netc.literals import literal
from netc.syntax.ast import Line, Loop, SpecFile
from netc.syntax.findings import MAX_FINDINGS
from netc.syntax.library import is_shipped

MOST_AT_ONE_PLACE = 3
"""Findings of one code at the same characters."""


Key = tuple[str, str, int]
"""A finding's code, the path of its source and the offset of its first character."""


def key_of(diagnostic: Diagnostic) -> Key:
    return (
        (diagnostic.code, diagnostic.span.source.path, diagnostic.span.start)
        if diagnostic.span
        else (diagnostic.code, diagnostic.message, 0)
    )


def moved(diagnostic: Diagnostic, edits: Iterable[Edit]) -> Key:
    """The key of a finding in the text after the edits."""
    code, path, start = key_of(diagnostic)
    shift = 0
    for edit in edits:
        if edit.span.source.path == path and edit.span.start < start:
            shift += len(edit.replacement) - (edit.span.end - edit.span.start)
    return code, path, start + shift


class Abandoned(Exception):
    """Elaboration stopped; why is in the report."""


class Clue(msgspec.Struct, frozen=True, eq=False):
    """What may lead to a remedy: changes that are yet to be tried, best first, and sizes that should be equal. Few
    findings have them tried: the changes may be found as they are asked for, which happens once."""

    offers: Iterable[Fix] = ()
    pairs: tuple[tuple[Size, Size], ...] = ()


class Finding:
    """A finding that is still being told: `report.error(…).also(label).note("…").help("…")`."""

    def __init__(
        self, code: str, message: str, span: Span | None, severity: Severity, trail: tuple[Frame, ...], path: str | None
    ) -> None:
        self.code, self.message, self.span, self.severity = code, message, span, severity
        self.trail, self.path = trail, path
        self.hint: Clue | None = None
        self._label = ""
        self._secondary: tuple[Label, ...] = ()
        self._notes: tuple[str, ...] = ()
        self._fixes: tuple[Fix, ...] = ()

    def label(self, text: str) -> Self:
        """A few words beneath the place itself."""
        self._label = text
        return self

    def also(self, *labels: Label) -> Self:
        """Other places that have to do with it."""
        self._secondary += labels
        return self

    def note(self, *notes: str) -> Self:
        self._notes += notes
        return self

    def fix(self, *fixes: Fix) -> Self:
        self._fixes += fixes
        return self

    def help(self, *texts: str | None) -> Self:
        """Remedies in words; None is none."""
        self._fixes += tuple([Fix(text) for text in texts if text])
        return self

    def clue(self, clue: Clue | None) -> Self:
        self.hint = clue
        return self

    @cached_property
    def diagnostic(self) -> Diagnostic:
        """What there is to say in the end."""
        return Diagnostic(
            code=self.code,
            message=self.message,
            span=self.span,
            severity=self.severity,
            label=self._label,
            secondary=self._secondary,
            notes=self._notes,
            fixes=self._fixes,
            trail=self.trail,
            path=self.path,
        )


class Outcome(msgspec.Struct, frozen=True, eq=False):
    """What a check found, with severities as they count and clues; what windows leave unseen."""

    found: Sequence[Diagnostic]
    clues: Mapping[Diagnostic, Clue]
    losses: Mapping[tuple[str, int], Sequence[Size]]
    spec: SpecFile | None


class Report:
    """Findings in the order they were made. `trail` is the way to the place being elaborated, outermost first.

    losses: what windows leave unseen of symbolic sizes, by place, of a check that is `probing` for remedies.
    """

    def __init__(self, probing: bool = False) -> None:
        self.probing = probing
        self.findings: list[Finding] = []
        self.errors = 0
        self.losses: defaultdict[tuple[str, int], list[Size]] = defaultdict(list)
        self.trail: list[Frame] = []
        self._known: defaultdict[object, set[str]] = defaultdict(set)
        self.asked = 0
        """How often there was something to say, said before or not."""

    def knows(self, code: str, message: str, span: Span | None) -> bool:
        """Whether this finding stands already, or its place has had its share (the turns of a loop, say)."""
        self.asked += 1
        messages = self._messages(code, span)
        return message in messages or len(messages) >= MOST_AT_ONE_PLACE

    def _messages(self, code: str, span: Span | None) -> set[str]:
        """What is said already at a place; at one of the library's, for each line that calls it."""
        caller = None if span is None or not is_shipped(span.source.path) else tuple([f.span.start for f in self.trail])
        return self._known[code, span and (span.source.path, span.start, span.end), caller]

    @contextmanager
    def turn(self, loop: Loop, bindings: Mapping[str, object]) -> Iterator[None]:
        """What is found meanwhile is found in this turn of a loop."""
        held = ", ".join(f"{name} = {literal(value)}" for name, value in bindings.items())
        self.trail.append(Frame(f"in the iteration `{held}` of the loop", loop.span, "", turn=True))
        yield
        self.trail.pop()

    @contextmanager
    def copy(self, line: Line, number: int, count: int) -> Iterator[None]:
        """What is found meanwhile is found in this copy of a repeated line. The first one stands for them all."""
        if number == 1:
            yield
            return
        self.trail.append(Frame(f"in copy {number} of {count} of the statement", line.span, "", turn=True))
        yield
        self.trail.pop()

    def error(self, code: str, message: str, span: Span | None, *, path: str | None = None) -> Finding:
        """Add a finding unless the same one stands already. What else there is to say of it is said of the result.

        Raises Abandoned after so many errors that nobody reads on, and OverBudget.
        """
        return self._add(code, message, span, "error", path)

    def warning(self, code: str, message: str, span: Span | None, *, path: str | None = None) -> Finding:
        """As `error`, for what may be meant."""
        return self._add(code, message, span, "warning", path)

    def _add(self, code: str, message: str, span: Span | None, severity: Severity, path: str | None) -> Finding:
        finding = Finding(code, message, span, severity, tuple(self.trail), path)
        if self.knows(code, message, span):
            return finding
        if self.errors >= MAX_FINDINGS:
            raise Abandoned
        spend(FINDING)
        self._messages(code, span).add(message)
        self.findings.append(finding)
        self.errors += severity == "error"
        return finding

    def exceeded(self, limit: int, span: Span | None, path: str) -> None:
        """Add that the compile takes more steps than it may; it spends none."""
        millions, rest = divmod(10 * limit, 10**6)
        more = 10 * limit if rest else f"{millions}M"
        message = f"checking this network takes more than {limit:,} steps"
        finding = Finding("too-much-work", message, span, "error", tuple(self.trail), path)
        finding.note("a step is about a microsecond; the limit keeps a spec from holding up the machine")
        finding.help(f"if you trust this spec, allow more: `--limit {more}`, or `limit={10 * limit:_}` in Python")
        self.findings.append(finding)
        self.errors += 1
