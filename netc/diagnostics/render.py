"""Diagnostics as text: `full` for people, `concise` for editors, `json` for programs, and reports of services."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from netc.diagnostics.excerpt import Excerpt, Marks
from netc.diagnostics.model import Diagnostic, Edit, Fix, Frame
from netc.diagnostics.style import PLAIN, Style, ascii_only, shown
from netc.lazy import LazyModule

if TYPE_CHECKING:
    import json

    from netc.diagnostics import reports
else:
    json = LazyModule("json")
    reports = LazyModule("netc.diagnostics.reports")

__all__ = ["FILES", "FORMS", "PLAIN", "Style", "as_json", "concise", "full", "github", "render"]

FORMS = ("full", "concise", "json", "github", "gitlab", "sarif")

FILES = ("json", "gitlab", "sarif")
"""Those that are a whole file, also where nothing was found."""

MOST_SHOWN = 20
"""Findings that the full form shows; the others are counted."""

MOST_PLACELESS = 10
"""Findings of one code that the full form shows where they have no place, such as tensors that a file lacks."""

LONGEST = 500
"""Characters of one line of text in the full form."""


def render(diagnostics: Iterable[Diagnostic], form: str = "full", *, color: bool = False, unicode: bool = True) -> str:
    """All diagnostics in one of `FORMS`, without a line end. The full form shows the first ones and counts the rest."""
    diagnostics, style = list(diagnostics), Style(color, unicode)
    if form == "sarif":
        return reports.sarif(diagnostics)
    if form == "gitlab":
        return reports.gitlab(diagnostics)
    if form == "json":
        return json.dumps([as_json(item) for item in diagnostics], indent=2)
    write: dict[str, Callable[[Diagnostic, Style], str]] = {"full": full, "concise": concise, "github": github}
    told = _first(diagnostics) if form == "full" else diagnostics
    parts = [write[form](item, style) for item in told]
    parts += [_rest(diagnostics, told)] if len(told) < len(diagnostics) else []
    text = ("\n\n" if form == "full" else "\n").join(parts)
    return text if unicode else ascii_only(text)


def _first(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """As many as a person reads, errors before warnings where there are more."""
    told: list[Diagnostic] = []
    counts: Counter[str] = Counter()
    for one in (
        diagnostics if len(diagnostics) <= MOST_SHOWN else sorted(diagnostics, key=lambda one: one.severity != "error")
    ):
        if one.span is None and counts[one.code] >= MOST_PLACELESS:
            continue
        counts[one.code] += one.span is None
        told.append(one)
    return told[:MOST_SHOWN]


def _rest(diagnostics: list[Diagnostic], shown: list[Diagnostic]) -> str:
    left = Counter(one.code for one in diagnostics) - Counter(one.code for one in shown)
    listed = ", ".join(f"{count:,} {code}" for code, count in left.most_common())
    return f"… and {left.total():,} more: {listed}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def full(diagnostic: Diagnostic, style: Style = PLAIN) -> str:
    """The form of rustc: the place with its line, every label beneath its characters, notes and remedies."""
    head = style.paint(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]")
    lines = [f"{head}: {style.bold(_cut(shown(diagnostic.message)))}"]
    excerpt = _excerpt(diagnostic, style)
    lines += excerpt.lines(_place(diagnostic))
    gutter = excerpt.gutter
    for note in diagnostic.notes:
        lines += _remark(style, gutter, "note", note)
    for index, fix in enumerate(diagnostic.fixes):
        lines += _remark(style, gutter, "help", f"or {fix.title}" if index and _is_clause(fix) else fix.title)
    for frame in diagnostic.trail:
        lines += _remark(style, gutter, None, _step(frame, diagnostic))
    return "\n".join(lines)


def _is_clause(fix: Fix) -> bool:
    """Whether "or …" reads well before it."""
    return fix.title[:1].islower() and not fix.title.startswith(("did you mean", "or "))


def _excerpt(diagnostic: Diagnostic, style: Style) -> Excerpt:
    marks = Marks()
    if diagnostic.span is not None:
        marks.add(diagnostic.span, diagnostic.label, primary=True)
    for label in diagnostic.secondary:
        marks.add(label.span, label.text, primary=False)
    return Excerpt(marks, diagnostic.span.source if diagnostic.span else None, diagnostic.severity, style)


def _place(diagnostic: Diagnostic) -> str:
    if diagnostic.span is None:
        return shown(diagnostic.path or "")
    line, column = diagnostic.span.source.position(diagnostic.span.start)
    return f"{shown(diagnostic.span.source.path)}:{line}:{column}"


def _remark(style: Style, gutter: int, kind: str | None, text: str) -> list[str]:
    first, *rest = text.split("\n")
    lead = " " * gutter + f" {style.faint('=')} "
    word = f"{style.bold(kind)}: " if kind else ""
    return [lead + word + _cut(shown(first)), *(" " * (gutter + 3) + _cut(shown(line)) for line in rest)]


def _step(frame: Frame, diagnostic: Diagnostic) -> str:
    line, _ = frame.span.source.position(frame.span.start)
    elsewhere = diagnostic.span is not None and frame.span.source is not diagnostic.span.source
    file = f" of {frame.span.source.path}" if elsewhere else ""
    if frame.turn:
        return f"{frame.name} at line {line}{file}"
    path = f" as `{frame.path}`" if frame.path else ""
    return f"in block `{frame.name}`, called at line {line}{file}{path}"


def concise(diagnostic: Diagnostic, style: Style = PLAIN) -> str:
    """`path:line:column: severity[code] message`, on one line."""
    place = _place(diagnostic)
    head = style.paint(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]")
    return f"{place}: {head} {shown(diagnostic.message)}" if place else f"{head} {shown(diagnostic.message)}"


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """The diagnostic as plain data; lines and columns count from 1, the end is behind the last character."""
    line = column = end_line = end_column = None
    if diagnostic.span is not None:
        line, column = diagnostic.span.source.position(diagnostic.span.start)
        end_line, end_column = diagnostic.span.source.position(diagnostic.span.end)
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "path": diagnostic.span.source.path if diagnostic.span else diagnostic.path,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "notes": [*diagnostic.notes, *(_step(frame, diagnostic) for frame in diagnostic.trail)],
        "fixes": [{"title": fix.title, "edits": [_edit(edit) for edit in fix.edits]} for fix in diagnostic.fixes],
    }


def _edit(edit: Edit) -> dict[str, Any]:
    line, column = edit.span.source.position(edit.span.start)
    end_line, end_column = edit.span.source.position(edit.span.end)
    return {
        "path": edit.span.source.path,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "replacement": edit.replacement,
    }


def github(diagnostic: Diagnostic, style: Style = PLAIN) -> str:
    """A workflow command that GitHub shows beside the line."""
    fields = {"file": diagnostic.path, "title": f"{diagnostic.severity}[{diagnostic.code}]"}
    if diagnostic.span is not None:
        line, column = diagnostic.span.source.position(diagnostic.span.start)
        end, end_column = diagnostic.span.source.position(diagnostic.span.end)
        fields |= {"file": diagnostic.span.source.path, "line": str(line), "endLine": str(end)}
        fields |= {"col": str(column), "endColumn": str(end_column)} if line == end else {}
    properties = ",".join(f"{key}={_property(value)}" for key, value in fields.items() if value)
    text = "\n".join((diagnostic.message, *diagnostic.notes, *(f"help: {fix.title}" for fix in diagnostic.fixes)))
    return f"::{diagnostic.severity} {properties}::{_data(text)}"


def _data(text: str) -> str:
    return shown(text, keep="\n").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
