"""Collects findings while a spec is elaborated: each once, with the chain of calls that led there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from netc.budget import FINDING, spend
from netc.diagnostics.model import Diagnostic, Edit, Fix, Frame, Label, Span
from netc.dims import Size
from netc.literals import literal
from netc.syntax.ast import Line, Loop, SpecFile
from netc.syntax.report import MAX_FINDINGS

MOST_AT_ONE_PLACE = 8
"""Findings of one code at the same characters."""


Key = tuple[str, str, int]
"""A finding's code, the path of its source and the offset of its first character."""


def key_of(found: Diagnostic) -> Key:
    return (found.code, found.span.source.path, found.span.start) if found.span else (found.code, found.message, 0)


def moved(found: Diagnostic, edits: Iterable[Edit]) -> Key:
    """The key of a finding in the text after the edits."""
    code, path, start = key_of(found)
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


class Outcome(msgspec.Struct, frozen=True, eq=False):
    """What a check found, with severities as they count and clues; what windows leave unseen."""

    found: Sequence[Diagnostic]
    clues: Mapping[Diagnostic, Clue]
    losses: Mapping[tuple[str, int], Sequence[Size]]
    spec: SpecFile | None


class Report:
    """Findings in the order they were made. `trail` is the way to the place being elaborated, outermost first.

    clues: what is known of a finding besides. losses: what windows leave unseen of symbolic sizes, by place, of a check
    that is `probing` for remedies.
    """

    def __init__(self, probing: bool = False) -> None:
        self.probing = probing
        self.found: list[Diagnostic] = []
        self.clues: dict[Diagnostic, Clue] = {}
        self.losses: defaultdict[tuple[str, int], list[Size]] = defaultdict(list)
        self.trail: list[Frame] = []
        self._errors = 0
        self._seen: defaultdict[object, set[str]] = defaultdict(set)

    def knows(self, code: str, message: str, span: Span | None) -> bool:
        """Whether this finding stands already, or its place has had its share (the turns of a loop, say)."""
        seen = self._seen[code, span and (span.source.path, span.start, span.end)]
        return message in seen or len(seen) >= MOST_AT_ONE_PLACE

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

    def add(
        self,
        code: str,
        message: str,
        span: Span | None,
        *,
        label: str = "",
        secondary: tuple[Label, ...] = (),
        notes: tuple[str, ...] = (),
        fixes: tuple[Fix, ...] = (),
        helps: tuple[str | None, ...] = (),
        path: str | None = None,
        severity: str = "error",
        clue: Clue | None = None,
    ) -> None:
        """Add a finding unless the same one stands already. Raises Abandoned after so many errors that nobody reads on,
        and OverBudget."""
        if self.knows(code, message, span):
            return
        spend(FINDING)
        self._seen[code, span and (span.source.path, span.start, span.end)].add(message)
        all_fixes = (*fixes, *(Fix(h) for h in helps if h))
        found = Diagnostic(
            code=code,
            message=message,
            span=span,
            severity="warning" if severity == "warning" else "error",
            label=label,
            secondary=secondary,
            notes=notes,
            fixes=all_fixes,
            trail=tuple(self.trail),
            path=path,
        )
        self.found.append(found)
        if clue is not None:
            self.clues[found] = clue
        self._errors += found.severity == "error"
        if self._errors >= MAX_FINDINGS:
            raise Abandoned

    def exceeded(self, limit: int, span: Span | None, path: str) -> None:
        """Add that the compile takes more steps than it may; it spends none."""
        millions, rest = divmod(10 * limit, 10**6)
        more = 10 * limit if rest else f"{millions}M"
        self.found.append(
            Diagnostic(
                code="too-much-work",
                message=f"checking this network takes more than {limit:,} steps",
                span=span,
                notes=("a step is about a microsecond; the limit keeps a spec from holding up the machine",),
                fixes=(
                    Fix(f"if you trust this spec, allow more: `--limit {more}`, or `limit={10 * limit:_}` in Python"),
                ),
                trail=tuple(self.trail),
                path=path,
            )
        )
