"""Reads references (`@p$i.scores`) and the templates of statement names (`layer$(i-1).conv`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from netc.expr.lexer import Locate, SyntaxProblem
from netc.expr.parser import locator, parse_hole
from netc.expr.tree import Expr, Name, TensorRef

_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PLAIN = re.compile(r"[\w.*][\w.*-]*", re.ASCII)


def parse_reference(text: str, base_offset: int = 0, offsets: Sequence[int] | None = None) -> TensorRef:
    """`@stem.0`, `@p$(2..6).scores`; the leading `@` may be left out. Raises: SyntaxProblem."""
    locate = locator(base_offset, offsets)
    skip = 1 if text.startswith("@") else 0
    if len(text) == skip:
        message = "expected the name of a tensor"
        raise SyntaxProblem("bad-reference", message, locate(0), locate(len(text)), "a tensor is written `@conv1`")
    parts = _template(text, skip, locate, "bad-reference")
    _check_dots(parts, text, skip, locate, "bad-reference")
    return TensorRef(parts=parts, start=locate(0), end=locate(len(text)))


def parse_template(text: str, base_offset: int = 0, offsets: Sequence[int] | None = None) -> tuple[str | Expr, ...]:
    """The parts of a statement's name: `layer$(i-1).conv` is `"layer"`, the hole, `".conv"`. Raises: SyntaxProblem."""
    if _WORD.fullmatch(text) is not None:
        return (text,)
    locate = locator(base_offset, offsets)
    if not text:
        raise SyntaxProblem("bad-name", "this name is empty", locate(0), locate(0))
    parts = _template(text, 0, locate, "bad-name")
    _check_dots(parts, text, 0, locate, "bad-name")
    if "*" in text and any(isinstance(part, str) and "*" in part for part in parts):
        raise SyntaxProblem("bad-name", "`*` is not allowed in a name", locate(0), locate(len(text)))
    return parts


def parse_message(text: str, base_offset: int = 0, offsets: Sequence[int] | None = None) -> tuple[str | Expr, ...]:
    """A text with values in it: `needs $(2*width) channels, not $(in.C)`. Raises: SyntaxProblem."""
    locate = locator(base_offset, offsets)
    parts: list[str | Expr] = []
    at = 0
    while at < len(text):
        end = text.find("$", at)
        if end == at:
            hole, at = _hole(text, at, locate, "bad-expression")
            parts.append(hole)
        else:
            parts.append(text[at:] if end < 0 else text[at:end])
            at = len(text) if end < 0 else end
    return tuple(parts)


def _check_dots(parts: tuple[str | Expr, ...], text: str, skip: int, locate: Locate, code: str) -> None:
    shape = "".join(part if isinstance(part, str) else "i" for part in parts)
    if "" in shape.split("."):
        raise SyntaxProblem(code, "a name is missing next to a dot", locate(skip), locate(len(text)))


def _template(text: str, at: int, locate: Locate, code: str) -> tuple[str | Expr, ...]:
    parts: list[str | Expr] = []
    while at < len(text):
        if text[at] == "$":
            hole, at = _hole(text, at, locate, code)
            parts.append(hole)
            continue
        plain = _PLAIN.match(text, at)
        if plain is None:
            raise _bad_character(text, at, locate, code)
        parts.append(plain.group())
        at = plain.end()
    return tuple(parts)


def _bad_character(text: str, at: int, locate: Locate, code: str) -> SyntaxProblem:
    shown = f"`{text[at]}`" if text[at].isprintable() else f"U+{ord(text[at]):04X}"
    remedy = "names consist of letters a-z, A-Z, digits, `_` and `.`, and of values such as `$i` and `$(i-1)`"
    return SyntaxProblem(code, f"{shown} is not allowed in a name", locate(0), locate(len(text)), remedy)


def _hole(text: str, at: int, locate: Locate, code: str) -> tuple[Expr, int]:
    """The expression behind the `$` at `at`, and where the text goes on."""
    word = _WORD.match(text, at + 1)
    if word is not None:
        return Name(id=word.group(), start=locate(word.start()), end=locate(word.end())), word.end()
    end = closing(text, at + 1) if text[at + 1 : at + 2] == "(" else None
    if end is None:
        remedy = "write `$i` or `$(i-1)`"
        raise SyntaxProblem(code, "`$` is not followed by a name", locate(at), locate(len(text)), remedy)
    return parse_hole(text[at + 2 : end], lambda i: locate(at + 2 + i)), end + 1


def closing(text: str, opening: int) -> int | None:
    """Where the parenthesis at `opening` closes; quotes hide what they hold."""
    depth, quote = 0, ""
    for at in range(opening, len(text)):
        sign = text[at]
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "([":
            depth += 1
        elif sign in ")]":
            depth -= 1
            if depth == 0:
                return at
    return None
