"""Breaks one statement over lines as `ruff format` does at its default width: at its last brackets, then at its loosest
operators. A statement comes as one line."""

from __future__ import annotations

import re
from collections.abc import Iterator

BREAK = "\0"
"""After an opening bracket: its items stand on lines of their own even if they would fit on one."""
WIDTH = 88
_OPEN, _CLOSE = "([{", ")]}"
_COMMA = r", "
_CONDITION = r" (?=if |else )"
_SEPARATORS = (
    _COMMA,
    r" (?=for )",
    _CONDITION,
    r" (?=or )",
    r" (?=and )",
    r" (?=in |not in |is |(?:==|!=|<=?|>=?) )",
    r" (?=[-+] )",
    r" (?=(?:[*/%@]|//) )",
)
"""What an expression may break before (a comma: behind), the loosest first."""


def layout(text: str, indent: int) -> list[str]:
    """The lines of a statement, each indented."""
    if _fits(text, indent):
        return [" " * indent + text]
    if text.startswith("from "):
        head, _, names = text.partition(" import ")
        return _bracketed(f"{head} import (", names, ")", indent)
    if text.startswith("def "):
        start, end = _spans(text)[0]
        return _bracketed(text[: start + 1], text[start + 1 : end], text[end:], indent)
    found = re.match(r"return |if |elif |for .*? in |[\w.,\" \[\]|:-]+? \+?= |", text)
    head = found[0] if found else ""
    tail = ":" if head.startswith(("if ", "elif ", "for ")) else ""
    return _value(head, text[len(head) :].removesuffix(tail), tail, indent)


def _fits(text: str, indent: int) -> bool:
    return BREAK not in text and len(text) + indent <= WIDTH


def _spans(text: str) -> list[tuple[int, int]]:
    """Outermost brackets, each from its opening to its closing sign."""
    found, depth, start, quote, at = [], 0, 0, "", 0
    while at < len(text):
        sign = text[at]
        if quote:
            at += sign == "\\"
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in _OPEN:
            start, depth = (at, 1) if not depth else (start, depth + 1)
        elif sign in _CLOSE:
            if depth == 1:
                found.append((start, at))
            depth = max(0, depth - 1)
        at += 1
    return found


def call_end(text: str) -> int:
    """Where the first brackets of an expression close."""
    return _spans(text)[0][1]


def _hidden(text: str) -> str:
    """The text with everything in quotes and brackets blotted out."""
    shown = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'', lambda m: "_" * len(m[0]), text)
    for start, end in _spans(text):
        shown = shown[:start] + "_" * (end + 1 - start) + shown[end + 1 :]
    return shown


def _pieces(text: str) -> tuple[list[str], str]:
    """The parts between the loosest separators outside of brackets and quotes, and that separator's pattern."""
    hidden = _hidden(text)
    looped = re.search(r" for .+ in ", hidden) is not None
    for separator in _SEPARATORS[looped:]:
        cuts = [m.span() for m in re.finditer(separator, hidden)]
        if cuts and not (separator == _CONDITION and hidden.startswith("for ")):
            edges = [0, *(n for cut in cuts for n in cut), len(text)]
            return [text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)], separator
    return [text], ""


def _calls(text: str) -> list[str]:
    """`a(b).c(d).e` before each method that is called on what is called."""
    ends = [end + 1 for _, end in _spans(text) if text[end + 1 : end + 2] == "."]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


def _shown(text: str) -> str:
    return text.replace(BREAK, "")


def _value(head: str, text: str, tail: str, indent: int) -> list[str]:
    """Outside of brackets: at those it has, or at some put around it."""
    parts, _ = _pieces(text)
    plain = _shown(text)
    if len(_calls(text)) < 3 and len(parts) < 3 and any(plain[a + 1 : b] for a, b in _spans(plain)):
        lines = _at_brackets(head + text + tail, indent)
        if len(lines[0]) <= WIDTH or ", " not in head:
            return lines
        if len(head) + indent >= WIDTH:
            rest = _value(") = ", text, tail, indent)
            return [*_bracketed("(", head.removesuffix(" = "), "", indent)[:-1], *rest]
    return _bracketed(f"{head}(", text, f"){tail}", indent)


def _bracketed(head: str, inner: str, tail: str, indent: int) -> list[str]:
    """`head`, what stands inside, `tail`: the inside on one line if it fits there and need not break."""
    forced, inner = inner.startswith(BREAK), inner.removeprefix(BREAK)
    parts, separator = _pieces(inner)
    listed = separator == _COMMA or forced
    display = not re.search(r"[\w\])]\($", head)
    if _fits(inner, indent + 4) and not forced and not (display and separator == _COMMA):
        body = [" " * (indent + 4) + inner]
    else:
        body = [line for part in parts for line in _inside(part + ("," if listed else ""), indent + 4)]
    return [" " * indent + head, *body, *([" " * indent + tail] if _fits(tail, indent) else _at_brackets(tail, indent))]


def _inside(text: str, indent: int) -> Iterator[str]:
    """Within brackets, where every line may break."""
    if _fits(text, indent):
        yield " " * indent + text
        return
    bare = text.removesuffix(",")
    parts, separator = _pieces(bare)
    if separator and separator != _COMMA and not bare.startswith("for "):
        parts[-1] += text[len(bare) :]
        for part in parts:
            yield from _inside(part, indent)
    elif len(_calls(text)) > 2:
        for call in _calls(text):
            yield from _at_brackets(call, indent)
    else:
        yield from _at_brackets(text, indent)


def _at_brackets(text: str, indent: int) -> list[str]:
    """Breaks at the last brackets that hold more than a number."""
    found = [(a, b) for a, b in _spans(text) if _shown(text[a + 1 : b]) and not _shown(text[a + 1 : b]).isdigit()]
    if not found or _fits(text, indent):
        return [" " * indent + _shown(text)]
    if len(found) > 1 and found[-1][0] == found[-2][1] + 1 and text[found[-2][0]] == "(" and found[-2][0] == 0:
        found = found[:-1]
    forced = [(a, b) for a, b in found if BREAK in text[a:b]]
    start, end = (forced or found)[-1]
    return _bracketed(text[: start + 1], text[start + 1 : end], text[end:], indent)
