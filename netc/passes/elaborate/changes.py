"""Changes of a spec's text that might mend a finding. Each is tried on the whole network before it is offered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netc.diagnostics.model import Edit, Fix, Span
from netc.dims import Dim, dim_source
from netc.ops.base import BadValue, Op
from netc.ops.conversion import convert
from netc.syntax.ast import Line

Values = Mapping[str, Any]
"""Attributes and the values to give them."""

_NAMED = re.compile(r"\w+\s*([=:])", re.ASCII)


def changed(op: Op, values: Values) -> Op | None:
    """The operator with other attributes; None where it does not take such values."""
    try:
        return op.replace(**{name: convert(type(op), op.attributes[name], value) for name, value in values.items()})
    except (BadValue, KeyError):
        return None


def written(value: Any) -> str:
    """A value as a spec says it; a list of equal numbers as that number."""
    if isinstance(value, tuple):
        return written(value[0]) if len(set(value)) == 1 else f"({' '.join(map(written, value))})"
    if isinstance(value, bool):
        return str(value).lower()
    return dim_source(value) if isinstance(value, Dim) else "none" if value is None else str(value)


def in_words(values: Values) -> str:
    """`stride=2 padding=1`."""
    return " ".join(f"{name}={written(value)}" for name, value in values.items())


def give(line: Line, spans: Mapping[str, Span], values: Values) -> tuple[Edit, ...] | None:
    """The edits that give a line's operator these attributes; None for the long form, which tools write."""
    if line.op_span.start != line.span.start:
        return None
    edits = [_rewrite(spans[name], name, value) for name, value in values.items() if name in spans]
    new = {name: value for name, value in values.items() if name not in spans}
    return (*edits, append(line, in_words(new))) if new else tuple(edits)


def _rewrite(span: Span, name: str, value: Any) -> Edit:
    """The value of an argument that is written already, by its name or by its position."""
    named = _NAMED.match(span.text)
    lead = f"{name}=" if named and named[1] == "=" else f"{name}: " if named else ""
    return Edit(span, lead + written(value))


def append(line: Line, text: str) -> Edit:
    """An argument more, behind those the line has."""
    at = max([line.op_span.end, *[argument.span.end for argument in line.arguments]])
    return Edit(Span(line.span.source, at, at), f" {text}")


def reference_spans(line: Line) -> list[Span]:
    """Where each `@tensor` of a line stands."""
    return [Span(line.span.source, ref.start, ref.end) for ref in line.inputs or ()]


def insert_before(named: Span, name: str, text: str) -> Edit:
    """A statement of its own above another, whose name stands at `named`."""
    line, column = named.source.position(named.start)
    indent = named.source.line(line)[: column - 1]
    gap = f"\n{indent}" if not indent.strip() else ", "
    return Edit(Span(named.source, named.start, named.start), f"{name}: {text}{gap}")


def is_ours(edits: Sequence[Edit]) -> bool:
    """Whether all edits are of files that users write, not of netc's library."""
    return not any(edit.span.source.path.startswith("netc:") for edit in edits)


def offer(title: str, *edits: Edit) -> Iterator[Fix]:
    """A fix to be tried."""
    if edits and is_ours(edits):
        yield Fix(title, edits)


def prepend(line: Line, texts: Sequence[str]) -> tuple[Edit, ...] | None:
    """Lines that run before another, which takes their place in a list or becomes a list with them; None where the line
    repeats or stands in the long form. What the line reads, the first of them reads."""
    if line.op_span.start != line.span.start or line.repeat is not None or len(line.inputs or ()) > 1:
        return None
    source, start = line.span.source, line.span.start
    before = source.text[:start].rstrip(" ")
    refs = reference_spans(line)
    first = f"{texts[0]} {refs[0].text}" if refs else texts[0]
    own = [Edit(Span(source, refs[0].start - 1, refs[0].end), "")] if refs else []
    if before.endswith(("[", ",")):
        lead = ", ".join([first, *texts[1:], ""])
        return (Edit(Span(source, start, start), lead), *own)
    if before.endswith("-"):
        indent = "\n" + " " * (source.position(start)[1] - 1 - (start - len(before)) - 1) + "- "
        return (Edit(Span(source, start, start), indent.join([first, *texts[1:], ""])), *own)
    if before.endswith(":"):
        lead = "[" + ", ".join([first, *texts[1:], ""])
        return (Edit(Span(source, start, start), lead), *own, Edit(Span(source, line.span.end, line.span.end), "]"))
    return None
