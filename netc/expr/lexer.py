"""Splits the text of an expression into tokens that remember the blanks around them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import msgspec

MAX_LENGTH = 20_000
"""Characters of one expression."""

MAX_DIGITS = 18
"""Digits of one integer: it fits 64 bits."""

Kind = Literal["number", "word", "text", "sign", "end"]
Locate = Callable[[int], int]


class SyntaxProblem(Exception):
    """What is wrong with `start:end` of the source, and how to mend it: in words, perhaps by writing something else."""

    def __init__(
        self, code: str, message: str, start: int, end: int, help: str | None = None, replacement: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.start = start
        self.end = end
        self.help = help
        self.replacement = replacement


class Token(msgspec.Struct, frozen=True, eq=False, gc=False):
    """`start:end` count in the expression's own text; `blank` says whether a space stands before and after."""

    kind: Kind
    text: str
    start: int
    end: int
    blank_before: bool
    blank_after: bool

    @property
    def lopsided(self) -> bool:
        return self.blank_before != self.blank_after


_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n]+)
      | (?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<word>[A-Za-z_]\w*(?:\.\w+)*)
      | (?P<text>"[^"\n]*"|'[^'\n]*')
      | (?P<sign>\.\.|\.(?=\()|\*\*|//|==|!=|<=|>=|[-+*/%<>()\[\],:])
    """,
    re.VERBOSE | re.ASCII,
)

_REMEDIES = {
    "=": "compare with `==`",
    "^": "powers are written `**`",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`, or `!=`",
    '"': "close the quote",
    "'": "close the quote",
    "@": "a tensor is named with `@` as an input of a line, not inside an expression",
    "$": "`$` is only for statement names and references",
    "{": "lists are written `(1 2)`",
    "}": "lists are written `(1 2)`",
    "×": "multiply with `*`",
    "−": "use the plain `-` sign",
}


def tokenize(text: str, locate: Locate) -> list[Token]:
    """All tokens of an expression and an `end` token.

    Raises: SyntaxProblem for a character that begins no token, and for a text that is too long.
    """
    if len(text) > MAX_LENGTH:
        message = f"this expression has {len(text)} characters; the limit is {MAX_LENGTH}"
        raise SyntaxProblem("too-complex", message, locate(0), locate(len(text)))
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _stray(text, at, locate)
        if match.lastgroup != "blank":
            tokens.append(_token(text, match, locate))
        at = match.end()
    tokens.append(Token("end", "", len(text), len(text), True, True))
    return tokens


def _token(text: str, match: re.Match[str], locate: Locate) -> Token:
    start, end = match.span()
    kind: Kind = match.lastgroup  # type: ignore[assignment]
    if kind == "number" and (text[end : end + 1].isalnum() or text[end : end + 1] == "_"):
        raise _not_a_number(text, start, locate)
    blank_before = start == 0 or text[start - 1].isspace()
    blank_after = end == len(text) or text[end].isspace()
    return Token(kind, match.group(), start, end, blank_before, blank_after)


def _not_a_number(text: str, start: int, locate: Locate) -> SyntaxProblem:
    run = re.compile(r"[\w.]+").match(text, start)
    end = run.end() if run else start + 1
    message = f"`{text[start:end]}` is neither a number nor a name"
    remedy = "numbers are decimal, such as `16`, `0.5` or `1e-3`; names start with a letter"
    sizes = re.fullmatch(r"[1-9]\d*(?:x[1-9]\d*)+", text[start:end])
    listed = f"({text[start:end].replace('x', ' ')})" if sizes else None
    remedy = f"write `{listed}`" if listed else remedy
    return SyntaxProblem("bad-expression", message, locate(start), locate(end), remedy, listed)


def _stray(text: str, at: int, locate: Locate) -> SyntaxProblem:
    sign = text[at]
    message = f"`{sign}` is not allowed here" if sign.isprintable() else f"unexpected character U+{ord(sign):04X}"
    return SyntaxProblem("bad-expression", message, locate(at), locate(at + 1), _REMEDIES.get(sign))
