"""Collects findings while a spec is elaborated: each once, with the chain of calls that led there."""

from __future__ import annotations

from netc.diagnostics.model import Diagnostic, Fix, Frame, Label, Span


class Abandoned(Exception):
    """Elaboration stopped; why is in the report."""


class Report:
    """Findings in the order they were made. `trail` is the way to the place being elaborated, outermost first."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self.trail: list[Frame] = []
        self._seen: set[tuple[object, ...]] = set()

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
        key = (code, message, span and (span.source.path, span.start, span.end))
        if key in self._seen:
            return
        self._seen.add(key)
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
