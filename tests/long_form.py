"""A spec with every line in the long form: `{op: conv2d, args: {out_channels: 8, kernel_size: 3}, inputs: [stem]}`."""

from __future__ import annotations

from collections.abc import Iterator

from netc.diagnostics.model import Source
from netc.ops.base import OPERATORS
from netc.syntax.ast import Body, Chain, Conditional, Line, Loop, Statement
from netc.syntax.parse import parse_spec


def in_long_form(text: str) -> str | None:
    """The spec with the lines that can be said so in the long form; None for one that is not read."""
    spec, _ = parse_spec(Source("case.yaml", text))
    if spec is None:
        return None
    bodies = [one.net for one in (spec, *spec.blocks.values()) if one.net is not None]
    edits = [edit for body in bodies for line in _lines(body) for edit in _edit(line)]
    for start, end, said in sorted(edits, reverse=True):
        text = text[:start] + said + text[end:]
    return text


def _lines(statement: Statement) -> Iterator[Line]:
    if isinstance(statement, Line):
        yield from () if statement.long is not None else (statement,)
    elif isinstance(statement, Chain):
        for item in statement.items:
            yield from _lines(item)
    elif isinstance(statement, Body):
        for named in statement.statements:
            yield from _lines(named.statement)
    elif isinstance(statement, Loop):
        yield from _lines(statement.body)
    elif isinstance(statement, Conditional):
        yield from _lines(statement.then)
        if statement.otherwise is not None:
            yield from _lines(statement.otherwise)


def _edit(line: Line) -> Iterator[tuple[int, int, str]]:
    positional = [one.span.text for one in line.arguments if one.name is None]
    named = {one.name: one.span.text.partition("=")[2] for one in line.arguments if one.name is not None}
    if any('"' in text for text in (*positional, *named.values())):
        return
    cls = OPERATORS.get(line.op)
    if positional and named:
        names = [*cls.attributes] if cls is not None else []
        if (
            len(names) < len(positional)
            or any(one.late for one in line.arguments)
            or named.keys() & names[: len(positional)]
        ):
            return
        named, positional = {**dict(zip(names, positional, strict=False)), **named}, []
    source = line.span.source.text
    parts = [f"op: {line.op}"]
    if positional:
        parts.append(f"args: [{', '.join(map(_quoted, positional))}]")
    if named:
        parts.append(f"args: {{{', '.join(f'{name}: {_quoted(value)}' for name, value in named.items())}}}")
    if line.inputs is not None:
        parts.append(f"inputs: [{', '.join(source[ref.start : ref.end].removeprefix('@') for ref in line.inputs)}]")
    if line.repeat is not None:
        parts.append(f"repeat: {source[line.repeat.start : line.repeat.end]}")
    start, end = line.span.start, line.span.end
    if source[start - 1] in "\"'" and source[end : end + 1] == source[start - 1]:
        start, end = start - 1, end + 1
    yield start, end, f"{{{', '.join(parts)}}}"


def _quoted(text: str) -> str:
    return f'"{text}"' if text.startswith("@") or "," in text or "[" in text else text
