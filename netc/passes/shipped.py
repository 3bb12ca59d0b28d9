"""Findings inside blocks of the library, told at the line that calls them: that is the one their reader can change."""

from __future__ import annotations

from msgspec.structs import replace

from netc.diagnostics.model import Diagnostic, Span
from netc.syntax.library import is_shipped


def at_the_caller(finding: Diagnostic) -> Diagnostic:
    """The finding at the innermost line on the way to it that is not the library's; itself where there is none."""
    if not _is_shipped(finding.span):
        return finding
    own = [at for at, frame in enumerate(finding.trail) if not _is_shipped(frame.span) and not frame.turn]
    if not own:
        return finding
    caller, before = finding.trail[own[-1]], finding.trail[: own[-1]]
    assert finding.span is not None
    line, _ = finding.span.source.position(finding.span.start)
    where = f"this is about `{finding.span.text}` (line {line} of {finding.span.source.path})"
    return replace(
        finding,
        message=f"{caller.name}: {finding.message}",
        span=caller.span,
        label="",
        secondary=tuple([label for label in finding.secondary if not _is_shipped(label.span)]),
        notes=(*finding.notes, where),
        fixes=tuple([fix for fix in finding.fixes if not any(_is_shipped(edit.span) for edit in fix.edits)]),
        trail=before,
    )


def _is_shipped(span: Span | None) -> bool:
    return span is not None and is_shipped(span.source.path)
