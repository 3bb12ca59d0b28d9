"""Changes of a spec's text that might mend a finding. Each is tried on the whole network before it is offered."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from netc.diagnostics.model import Edit, Fix, Span
from netc.dims import dim_source
from netc.expr.tree import Name
from netc.literals import literal
from netc.ops.base import BadValue, Op
from netc.ops.conversion import convert
from netc.passes.elaborate import long_form
from netc.syntax.ast import Input, Line

Values = Mapping[str, Any]
"""Attributes and the values to give them."""

_NAMED = re.compile(r"\w+\s*([=:])", re.ASCII)


class Tensor(str):
    """The name of a tensor, as the value of an attribute."""

    __slots__ = ()


def changed(op: Op, values: Values) -> Op | None:
    """The operator with other attributes; None where it does not take such values."""
    try:
        return op.replace(**{name: convert(type(op), op.attributes[name], value) for name, value in values.items()})
    except (BadValue, KeyError):
        return None


def written(value: Any) -> str:
    """A value as a spec says it; a list of equal numbers as that number."""
    return f"@{value}" if isinstance(value, Tensor) else literal(value, size=dim_source, once=True)


def in_words(values: Values) -> str:
    """`stride=2 padding=1`."""
    return " ".join(f"{name}={written(value)}" for name, value in values.items())


def give(line: Line, spans: Mapping[str, Span], values: Values, without: Collection[str] = ()) -> tuple[Edit, ...]:
    """The edits that give a line's operator these attributes, `without` some that it has.

    spans: where its attributes are given. One given elsewhere, under `defaults` say, stays: the line's own has the
    last word.
    """
    own = {name: span for name, span in spans.items() if _is_within(span, line.span)}
    texts = {name: written(value) for name, value in values.items()}
    gone = [name for name in without if name in own]
    if line.long is not None and (gone or (texts.keys() - own.keys())):
        return long_form.give(line, line.long, own, texts, gone)
    edits = [_rewrite(own[name], name, text) for name, text in texts.items() if name in own]
    new = [f"{name}={text}" for name, text in texts.items() if name not in own]
    for name in gone:
        edits.append(Edit(own[name], new.pop(0)) if new else cut(own[name]))
    return (*edits, append(line, " ".join(new))) if new else tuple(edits)


def _is_within(span: Span, outer: Span) -> bool:
    return span.source is outer.source and outer.start <= span.start and span.end <= outer.end


def _rewrite(span: Span, name: str, text: str) -> Edit:
    """The value of an argument that is written already, by its name or by its position."""
    named = _NAMED.match(span.text)
    if named and named[1] == ":":
        return Edit(span, f"{name}: {long_form.quoted(text)}")
    return Edit(span, f"{name}={text}" if named and named[1] == "=" else text)


def append(line: Line, text: str) -> Edit:
    """An argument more, behind those the line has."""
    at = max([line.op_span.end, *[argument.span.end for argument in line.arguments]])
    return Edit(Span(line.span.source, at, at), f" {text}")


def cut(span: Span) -> Edit:
    """Without what stands there and the space before it."""
    return Edit(Span(span.source, span.start - 1, span.end), "")


def reference_spans(line: Line) -> list[Span]:
    """Where each `@tensor` of a line stands."""
    return [Span(line.span.source, ref.start, ref.end) for ref in line.inputs or ()]


def another(ref: Span, name: str) -> Edit:
    """Another tensor in the place of one that is named, with its @ where that has one."""
    return Edit(ref, f"@{name}" if ref.text.startswith("@") else name)


def name_of(ref: Span) -> str:
    """The tensor that is named there."""
    return ref.text.removeprefix("@")


def read(line: Line, name: str) -> Edit:
    """The tensor that a line reads which names none."""
    if line.long is not None:
        return long_form.add_entry(line, f"inputs: [{name}]")
    return Edit(Span(line.span.source, line.span.end, line.span.end), f" @{name}")


def name_tensors(line: Line, bare: Sequence[Name]) -> Iterator[Edit]:
    """The positional words of a line that name tensors, with their @, or under `inputs` where they are all there is."""
    if line.long is None:
        yield from (Edit(Span(line.span.source, word.start, word.start), "@") for word in bare)
    elif len(bare) == len(line.arguments) and line.inputs is None:
        yield from long_form.as_inputs(line.long, [word.id for word in bare])


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
    repeats. What the line reads, the first of them reads."""
    if line.repeat is not None or len(line.inputs or ()) > 1:
        return None
    source, start = line.span.source, line.span.start
    before = source.text[:start].rstrip(" ")
    refs = reference_spans(line)
    first = f"{texts[0]} @{name_of(refs[0])}" if refs else texts[0]
    own = [cut(refs[0])] if refs and line.long is None else long_form.without_inputs(line)
    if before.endswith(("[", ",")):
        lead = ", ".join([first, *texts[1:], ""])
        return (Edit(Span(source, start, start), lead), *own)
    if before.endswith("-"):
        indent = "\n" + " " * (source.position(start)[1] - 1 - (start - len(before)) - 1) + "- "
        return (Edit(Span(source, start, start), indent.join([first, *texts[1:], ""])), *own)
    if before.endswith(":"):
        lead = "[" + ", ".join([first, *texts[1:], ""])
        return (Edit(Span(source, start, start), lead), *own, Edit(Span(source, line.span.end, line.span.end), "]"))
    if line.long is not None and before.rstrip().endswith(":"):
        return tuple(long_form.listed(line, [first, *texts[1:]]))
    return None


def channels_second(declared: Input) -> Iterator[Fix]:
    """An input of the network with the axes of a picture in PyTorch's order, N×C×H×W, instead of N×H×W×C."""
    if declared.shape is not None and len(declared.shape) == 4:
        source = declared.span.source
        batch, height, width, colours = [source.text[size.start : size.end] for size in declared.shape]
        sizes = f"{batch}, {colours}, {height}, {width}"
        span = Span(source, declared.shape[0].start, declared.shape[-1].end)
        yield from offer(f"declare `{declared.name}: [{sizes}]`", Edit(span, sizes))
