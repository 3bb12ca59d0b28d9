"""Lays one statement out over lines as `ruff format` does at its default of 88 columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from netc.backends.pytorch.pieces import BREAK, Chain, Items, Joined, Led, Piece, Row, matching, take_apart

__all__ = ["BREAK", "WIDTH", "layout"]

WIDTH = 88
_TARGET = re.compile(r"([\w.,\" \[\]-]+) = ")


def layout(text: str, indent: int) -> list[str]:
    """The lines of a statement written as one line, each indented."""
    pad = " " * indent
    if BREAK not in text and len(text) + indent <= WIDTH:
        return [pad + text]
    if text.startswith("def "):
        return _header(text, indent)
    if text.startswith("from "):
        head, _, names = text.partition(" import ")
        return [f"{pad}{head} import (", *(f"{pad}    {name}," for name in names.split(", ")), f"{pad})"]
    before, value, after = _parts(text)
    target = before.removesuffix(" = ")
    lines = _value(take_apart(value), indent, before, after)
    if len(lines[0]) <= WIDTH or ", " not in target or target == before:
        return lines
    if len(pad + before) < WIDTH:
        return [f"{pad}{before}(", *_inside(take_apart(value), indent + 4, "", ""), f"{pad}){after}"]
    results = [f"{pad}    {name}," for name in target.split(", ")]
    return [f"{pad}(", *results, *_value(take_apart(value), indent, ") = ", after)]


def _parts(text: str) -> tuple[str, str, str]:
    """What stands before an expression, the expression, and what stands after it."""
    for word in ("return ", "if "):
        if text.startswith(word):
            after = ":" if word == "if " else ""
            return word, text.removeprefix(word).removesuffix(after), after
    target = _TARGET.match(text)
    end = target.end() if target else 0
    return text[:end], text[end:], ""


def _header(text: str, indent: int) -> list[str]:
    """`def name(parameters) -> result:`"""
    pad, opened = " " * indent, text.index("(")
    closed = matching(text, opened)
    inside, result = text[opened + 1 : closed], text[closed + len(") -> ") : -1]
    shared = len(inside) + indent + 4 <= WIDTH
    parameters = [f"{pad}    {inside}"] if shared else list(_parameters(inside, indent + 4))
    last = _value(take_apart(result), indent, ") -> ", ":")
    return [f"{pad}{text[: opened + 1]}", *parameters, *last]


def _parameters(inside: str, indent: int) -> Iterator[str]:
    """Parameters of a function: every comma before a name that has a type."""
    for parameter in re.split(r", (?=\w+: )", inside):
        name, equals, default = parameter.partition(" = ")
        value = take_apart(default) if equals else Piece("")
        yield from _inside(value, indent, name + equals, ",")


def _value(piece: Piece, indent: int, before: str, after: str) -> list[str]:
    """A value outside of all brackets: only within brackets, its own or some put around it, it may break."""
    pad, line = " " * indent, f"{before}{piece.text}{after}"
    if not piece.forced and indent + len(line) <= WIDTH:
        return [pad + line]
    if isinstance(piece, Row):
        items = [line for item in piece.items for line in _inside(item, indent + 4, "", ",")]
        return [f"{pad}{before}(", *items, f"{pad}){after}"]
    if _breaks_at_brackets(piece):
        lines = _at_brackets(list(_links(piece)), indent, before, after)
        if isinstance(piece, Chain) or all(len(line) <= WIDTH for line in lines):
            return lines
    return [f"{pad}{before}(", *_inside(piece, indent + 4, "", ""), f"{pad}){after}"]


def _breaks_at_brackets(piece: Piece) -> bool:
    """Whether a value breaks at brackets of its own, so that it needs none around it."""
    if isinstance(piece, Chain):
        return not piece.is_fluent
    if not isinstance(piece, Joined) or len(piece.parts) > (3 if piece.kind == "choice" else 2):
        return False
    *_, (_, last) = _links(piece)
    return last is not None and bool(last.items) and not last.text.startswith("[")


def _links(piece: Piece) -> Iterator[tuple[str, Items | None]]:
    """All of a value as names and brackets that follow each other."""
    match piece:
        case Chain():
            yield from piece.links
        case Led():
            (lead, items), *rest = _links(piece.inner)
            yield from ((piece.lead + lead, items), *rest)
        case Joined():
            first, *more = piece.parts
            yield from _links(first)
            for part in more:
                (lead, items), *rest = _links(part)
                yield from ((f" {lead}", items), *rest)
        case _:
            yield piece.text, None


def _inside(piece: Piece, indent: int, before: str, after: str) -> list[str]:
    """An expression within brackets, where every line may break."""
    line = f"{before}{piece.text}{after}"
    if not piece.forced and indent + len(line) <= WIDTH:
        return [" " * indent + line]
    match piece:
        case Led():
            return _inside(piece.inner, indent, before + piece.lead, after)
        case Joined():
            return _apart(piece.parts, indent, before, after)
        case Chain() if piece.is_fluent:
            return _fluent(piece, indent, before, after)
        case Chain():
            return _at_brackets(list(piece.links), indent, before, after)
    return [" " * indent + line]


def _apart(parts: Sequence[Piece], indent: int, before: str, after: str) -> list[str]:
    lines = []
    for i, part in enumerate(parts):
        lines += _inside(part, indent, "" if i else before, after if i == len(parts) - 1 else "")
    return lines


def _fluent(chain: Chain, indent: int, before: str, after: str) -> list[str]:
    """A method on each line."""
    rows: list[list[tuple[str, Items | None]]] = [[]]
    for at, link in enumerate(chain.links):
        if at and link[0].startswith("."):
            rows.append([])
        rows[-1].append(link)
    lines = []
    for i, row in enumerate(rows):
        lines += _at_brackets(row, indent, "" if i else before, after if i == len(rows) - 1 else "")
    return lines


def _at_brackets(links: list[tuple[str, Items | None]], indent: int, before: str, after: str) -> list[str]:
    """Breaks the last brackets before which the line fits, and those that must."""
    pad, lines, line = " " * indent, [], before
    for at, (lead, brackets) in enumerate(links):
        line += lead
        if brackets is None:
            continue
        rest = _until_brackets(links[at + 1 :], after)
        fits = not brackets.forced and indent + len(line + brackets.text + rest) <= WIDTH
        if fits or not brackets.items or _is_number(brackets):
            line += brackets.text
            continue
        lines += [f"{pad}{line}{brackets.text[0]}", *_items(brackets, indent + 4)]
        line = brackets.text[-1]
    return [*lines, f"{pad}{line}{after}"]


def _until_brackets(links: list[tuple[str, Items | None]], after: str) -> str:
    """What stands on the line until it may break."""
    shown = ""
    for lead, brackets in links:
        shown += lead
        if brackets is not None and brackets.items and not _is_number(brackets):
            return shown + brackets.text[0]
        shown += "" if brackets is None else brackets.text
    return shown + after


def _is_number(brackets: Items) -> bool:
    """Nothing is gained by a line for the number in `[0]`."""
    return brackets.text[0] == "[" and brackets.text[1:-1].isdigit()


def _items(brackets: Items, indent: int) -> list[str]:
    """What stands in brackets: on one line if it fits there and is no list, else each on its own."""
    items = brackets.items
    shared = ", ".join(item.text for item in items)
    if not brackets.literal and not brackets.forced and indent + len(shared) <= WIDTH:
        return [" " * indent + shared]
    if len(items) == 1:
        only = items[0]
        if isinstance(only, Joined) and only.kind == "comprehension":
            return _apart(only.parts, indent, "", "")
        return _inside(only, indent, "", "")
    return [line for item in items for line in _inside(item, indent, "", ",")]
