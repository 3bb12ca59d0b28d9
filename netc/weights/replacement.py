"""The new name of a rule: what the old one stood for, and arithmetic on the numbers in it.

`{…}` holds an expression of the spec language over whole numbers: in a glob it begins with the next `*`, as in
`{*+1}`; in a regular expression groups are `\\1`, `\\2`, …, as in `{2*\\1+1}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from netc.dims import Domain, TooComplex
from netc.expr.evaluate import Context, ExprError, Silenced, evaluate
from netc.expr.lexer import SyntaxProblem
from netc.expr.parser import parse_expression
from netc.expr.scope import Binding, Scope
from netc.expr.tree import Expr

Write = Callable[[Sequence[str]], str]
"""The text that a part of a new name stands for, given what the parts of the old one stood for."""

LONGEST = 9
"""Digits of a number in a name."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_GROUP = re.compile(r"\\(\d+)")


class NoNumber(Exception):
    """What arithmetic is done with is no number, or its result is none: the rule does not fit the name."""


def of_glob(new: str) -> tuple[Write, int]:
    """The new name of a glob, and how many `*` it has. Raises ValueError for braces without a whole expression."""
    parts: list[Write] = []
    stars = 0
    for text, inside in _pieces(new):
        if inside is None:
            first, *rest = text.split("*")
            parts.append(_literal(first))
            for piece in rest:
                stars += 1
                parts += [_group(stars), _literal(piece)]
        else:
            if not inside.strip().startswith("*"):
                raise ValueError(f"`{{{inside}}}` does not begin with `*`, as `{{*+1}}` does")
            stars += 1
            parts.append(_computed(inside.strip().replace("*", f"\\{stars}", 1), inside))
    return _joined(parts), stars


def of_regex(new: str) -> Callable[[re.Match[str]], str]:
    """The replacement of a regular expression. Raises ValueError for braces without a whole expression."""
    parts: list[Callable[[re.Match[str]], str]] = []
    for text, inside in _pieces(new):
        parts.append(_expanded(text) if inside is None else _of_match(_computed(inside, inside)))
    return lambda match: "".join(part(match) for part in parts)


def _pieces(new: str) -> list[tuple[str, str | None]]:
    """The text between braces, and what stands in braces: `(text, None)` and `("", inside)` in turn. Raises ValueError
    for a brace without its other."""
    pieces: list[tuple[str, str | None]] = []
    for at, piece in enumerate(_BRACES.split(new)):
        if not at % 2 and (lone := re.search(r"[{}]", piece)):
            raise ValueError(f"`{new}` has an unmatched `{lone[0]}`")
        pieces.append(("", piece) if at % 2 else (piece, None))
    return pieces


def _literal(text: str) -> Write:
    return lambda groups: text


def _group(number: int) -> Write:
    return lambda groups: groups[number - 1]


def _joined(parts: Sequence[Write]) -> Write:
    return lambda groups: "".join(part(groups) for part in parts)


def _expanded(text: str) -> Callable[[re.Match[str]], str]:
    return lambda match: match.expand(text)


def _of_match(write: Write) -> Callable[[re.Match[str]], str]:
    return lambda match: write([group or "" for group in match.groups()])


def _computed(inside: str, written: str) -> Write:
    """An expression in which `\\1` stands for the number that a part of the old name is; `written` in the rule so."""
    try:
        tree = parse_expression(_GROUP.sub(r"part\1", inside.replace(" ", "")))
    except SyntaxProblem as error:
        raise ValueError(f"`{{{written}}}` is not an expression: {error}") from error
    used = {int(number) for number in _GROUP.findall(inside)}

    def write(groups: Sequence[str]) -> str:
        if any(not 1 <= number <= len(groups) for number in used):
            raise IndexError(f"{{{written}}} names a group that does not exist")
        return _value(tree, {f"part{number}": _number(groups[number - 1]) for number in used})

    return write


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST):
        raise NoNumber
    return int(text)


def _value(tree: Expr, numbers: Mapping[str, int]) -> str:
    scope = Scope(None, {name: Binding("let", number) for name, number in numbers.items()})
    try:
        value = evaluate(tree, Context(scope, Domain()))
    except (ExprError, Silenced, TooComplex) as error:
        raise NoNumber from error
    if type(value) is not int or value < 0:
        raise NoNumber
    return str(value)
