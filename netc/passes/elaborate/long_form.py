"""Changes of lines in the long form: `{op: conv2d, args: {out_channels: 8, kernel_size: 3}, inputs: [stem]}`, in braces
or over several lines."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from netc.diagnostics.model import Edit, Span
from netc.syntax.ast import Line, LongForm

_KEY = re.compile(r"\bargs\s*:\s*$")
_VALUE = re.compile(r"\w+\s*:\s*", re.ASCII)


def give(
    line: Line, long: LongForm, own: Mapping[str, Span], texts: Mapping[str, str], gone: Collection[str]
) -> tuple[Edit, ...]:
    """The edits that give the line these arguments and take some away. own: where its arguments stand."""
    new = [f"{name}: {quoted(text)}" for name, text in texts.items() if name not in own]
    if long.args is None:
        return (add_entry(line, f"args: {{{', '.join(new)}}}"),)
    named = all(_VALUE.match(span.text) for span in own.values())
    if gone or not named or not own:
        kept = {name: _VALUE.sub("", span.text, count=1) for name, span in own.items() if name not in gone}
        kept |= {name: quoted(text) for name, text in texts.items()}
        return (Edit(long.args, f"{{{', '.join(f'{name}: {text}' for name, text in kept.items())}}}"),)
    edits = [Edit(own[name], f"{name}: {quoted(text)}") for name, text in texts.items() if name in own]
    last = max(own.values(), key=lambda span: span.end)
    gap = ", " if long.args.text.startswith("{") else _next_line(long.args)
    return (*edits, Edit(Span(last.source, last.end, last.end), "".join(gap + text for text in new)))


def quoted(text: str) -> str:
    """A value as YAML takes it."""
    return f'"{text}"' if text.startswith("@") else text


def add_entry(line: Line, text: str) -> Edit:
    """One more entry at the end of the mapping."""
    span = line.span
    if not span.text.startswith("{"):
        return Edit(Span(span.source, span.end, span.end), _next_line(span) + text)
    at = span.start + len(span.text[:-1].rstrip().rstrip(","))
    return Edit(Span(span.source, at, at), f", {text}")


def as_inputs(long: LongForm, names: Sequence[str]) -> Iterator[Edit]:
    """`inputs` in the place of `args`."""
    key = None if long.args is None else _KEY.search(long.args.source.text, 0, long.args.start)
    if key is not None and long.args is not None:
        yield Edit(Span(long.args.source, key.start(), long.args.end), f"inputs: [{', '.join(names)}]")


def without_inputs(line: Line) -> list[Edit]:
    """The line without its entry `inputs`, and without the comma or line end that parts it from its neighbours."""
    entry = None if line.long is None else line.long.inputs
    if entry is None:
        return []
    text = entry.source.text
    if entry.start == line.span.start or text[: entry.start].rstrip().endswith("{"):
        behind = re.compile(r"\s*,?\s*").match(text, entry.end)
        return [Edit(Span(entry.source, entry.start, behind.end() if behind else entry.end), "")]
    start = len(text[: entry.start].rstrip().removesuffix(","))
    return [Edit(Span(entry.source, start, entry.end), "")]


def listed(line: Line, texts: Sequence[str]) -> list[Edit]:
    """A list of some lines, the first of which reads what this one read, and of this one, which stands over several
    lines."""
    source, start = line.span.source, line.span.start
    lead = "".join(f"- {text}{_next_line(line.span)}" for text in texts)
    gone = without_inputs(line)
    ends = [start + match.end() for match in re.finditer("\n", line.span.text)]
    kept = [at for at in ends if not any(edit.span.start < at <= edit.span.end for edit in gone)]
    return [Edit(Span(source, start, start), f"{lead}- "), *[Edit(Span(source, at, at), "  ") for at in kept], *gone]


def _next_line(span: Span) -> str:
    """The end of a line, and the indentation of what begins at `span`."""
    return "\n" + " " * (span.source.position(span.start)[1] - 1)
