"""Lays one statement out over lines as `ruff format` does at its default of 88 columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

WIDTH = 88
BREAK = "\0"
"""After an opening bracket: its items stand on lines of their own even if they would fit on one."""


def layout(text: str, indent: int, room: int = 0) -> list[str]:
    """The lines of a statement written as one line, each indented; `room` is kept free at the end."""
    pad = " " * indent
    if BREAK not in text and len(text) + indent + room <= WIDTH:
        return [pad + text]
    head, terms = _terms(text)
    if len(terms) > 2:
        lines = [line for term in terms for line in layout(term, indent + 4)]
        return [f"{pad}{head}(", *lines, f"{pad})"]
    bracket = _last_bracket(text, WIDTH - indent)
    if bracket is None:
        return [pad + text.replace(BREAK, "")]
    start, end = bracket
    inner = text[start + 1 : end].removeprefix(BREAK)
    lines = [pad + text[: start + 1].replace(BREAK, "")]
    lines.extend(_items(inner, indent + 4))
    lines.append(pad + text[end:])
    return lines


def _terms(text: str) -> tuple[str, list[str]]:
    """What stands before a sum that is returned or assigned, and its terms, each with the sign before it."""
    outer = [at for at, depth in _depths(text) if depth == 0]
    equals = next((at + 3 for at in outer if text.startswith(" = ", at)), 0)
    start = len("return ") if text.startswith("return ") else equals
    if not start or any(text.startswith(" if ", at) for at in outer):
        return "", []
    cuts = [start, *(at + 1 for at in outer if at >= start and text.startswith((" + ", " - "), at)), len(text) + 1]
    return text[:start], [text[a : b - 1] for a, b in itertools.pairwise(cuts)]


def _items(inner: str, indent: int) -> Iterator[str]:
    items = list(_split(inner))
    if len(items) == 1:
        for part in _single(items[0], indent):
            yield from layout(part, indent)
        return
    for item in items:
        *before, last = _item(item, indent)
        yield from before
        yield f"{last},"


def _single(item: str, indent: int) -> list[str]:
    """The parts an item alone in its brackets breaks into: a generator always, a conditional when it does not fit."""
    parts = _comprehension(item)
    fits = BREAK not in item and len(item) + indent <= WIDTH
    return parts if len(parts) > 1 or fits else _choice(item)


def _item(item: str, indent: int) -> list[str]:
    """One item of several; a conditional expression that does not fit breaks at its words."""
    parts = _choice(item)
    if len(parts) == 1 or (BREAK not in item and len(item) + indent < WIDTH):
        return layout(item, indent, room=1)
    return [line for part in parts for line in layout(part, indent, room=1)]


def _choice(item: str) -> list[str]:
    """`then`, `if condition` and `else otherwise` of a conditional expression, else the item alone."""
    outer = [at for at, depth in _depths(item) if depth == 0]
    first = next((at for at in outer if item.startswith(" if ", at)), None)
    second = next((at for at in outer if first is not None and at > first and item.startswith(" else ", at)), None)
    if first is None or second is None:
        return [item]
    return [item[:first], item[first + 1 : second], item[second + 1 :]]


def _comprehension(item: str) -> list[str]:
    """`element` and `for … in …` of a generator, else the item alone."""
    for at, depth in _depths(item):
        if depth == 0 and item.startswith(" for ", at) and " in " in item[at:]:
            return [item[:at], item[at + 1 :]]
    return [item]


def _split(inner: str) -> Iterator[str]:
    start = 0
    for at, depth in _depths(inner):
        if depth == 0 and inner[at] == ",":
            yield inner[start:at].strip()
            start = at + 1
    if inner[start:].strip():
        yield inner[start:].strip()


def _last_bracket(text: str, width: int) -> tuple[int, int] | None:
    """The last outermost pair of brackets with something inside before which the line fits, one that must break before
    all others."""
    found: list[tuple[int, int]] = []
    start = -1
    for at, depth in _depths(text):
        if text[at] in "([{" and depth == 1:
            start = at
        elif text[at] in ")]}" and depth == 0 and at > start + 1 and not _is_index(text[start : at + 1]):
            found.append((start, at))
    forced = [pair for pair in found if BREAK in text[pair[0] : pair[1]]]
    fitting = [pair for pair in found if pair[0] < width]
    return next((pairs[-1] for pairs in (forced, fitting, found) if pairs), None)


def _is_index(text: str) -> bool:
    """Nothing is gained by a line for the number in `[0]`."""
    return text[0] == "[" and text[1:-1].isdigit()


def _depths(text: str) -> Iterator[tuple[int, int]]:
    """Every character outside string literals with the brackets open after it."""
    depth, quote, skip = 0, "", False
    for at, char in enumerate(text):
        if quote:
            skip, quote = _in_string(char, quote, skip)
            continue
        if char in "\"'":
            quote = char
            continue
        depth += (char in "([{") - (char in ")]}")
        yield at, depth


def _in_string(char: str, quote: str, skip: bool) -> tuple[bool, str]:
    if skip:
        return False, quote
    return char == "\\", "" if char == quote else quote
