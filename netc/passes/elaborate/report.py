"""Collects findings while a spec is elaborated: each once, with the chain of calls that led there."""

from __future__ import annotations

from collections import defaultdict

from netc.diagnostics.model import Diagnostic, Fix, Frame, Label, Span

MOST_AT_ONE_PLACE = 8
"""Findings of one code at the same characters."""


class Abandoned(Exception):
    """Elaboration stopped; why is in the report."""


class Report:
    """Findings in the order they were made. `trail` is the way to the place being elaborated, outermost first."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self.trail: list[Frame] = []
        self._seen: defaultdict[object, set[str]] = defaultdict(set)

    def knows(self, code: str, message: str, span: Span | None) -> bool:
        """Whether this finding stands already, or its place has had its share (the turns of a loop, say)."""
        seen = self._seen[code, span and (span.source.path, span.start, span.end)]
        return message in seen or len(seen) >= MOST_AT_ONE_PLACE

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
    ) -> None:
        """Add a finding unless the same one stands already."""
        if self.knows(code, message, span):
            return
        self._seen[code, span and (span.source.path, span.start, span.end)].add(message)
        all_fixes = (*fixes, *(Fix(h) for h in helps if h))
        self.found.append(
            Diagnostic(
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
        )
