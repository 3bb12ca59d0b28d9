"""`netc fmt` as a function: a spec in netc's layout, which says the same as before, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import msgspec

from netc.diagnostics.model import Diagnostic, Source, Span
from netc.editor.comments import find_comments
from netc.editor.layout import Notes, TextLayout
from netc.expr.tree import Expr, Literal
from netc.syntax.ast import Alias, Line, Named, Parameter, SpecFile
from netc.syntax.findings import SourceFindings
from netc.syntax.nodes import Node
from netc.syntax.parse import parse_spec
from netc.syntax.yaml import load_tree

_PLACES = frozenset(("start", "end", "path", "file", "ignores"))

_LINES = (Alias, Line, Parameter)
"""What begins a text whose parts are spaced out: a statement, or a signature."""


def format_source(source: Source) -> str | list[Diagnostic]:
    """The text of a spec in netc's layout; its diagnostics where it has errors of syntax, and nothing is changed.

    Comments and blank lines stay, line ends are those of the first line, and formatting twice changes nothing more.
    What is returned reads as the same spec and has all its comments, which is looked at each time.
    """
    spec, diagnostics = parse_spec(source)
    root = load_tree(SourceFindings(source))
    if spec is None or root is None:
        return diagnostics
    text = lay_out(source, spec, root)
    again, _ = parse_spec(Source(source.path, text))
    if again is None or not same(spec, again) or _comments(source.text, root) != _comments(text, None):
        return [_unchanged(source)]
    return text.replace("\n", "\r\n") if _has_crlf(source.text) else text


def lay_out(source: Source, spec: SpecFile, root: Node, notes: Notes | None = None) -> str:
    """The text of a spec and its tree in netc's layout. notes: comments to add, by where mappings begin."""
    parts = list(parts_of(spec))
    lines = {part.span.start for part in parts if isinstance(part, _LINES) and not _is_long(part)}
    expressions = {(part.start, part.end) for part in parts if isinstance(part, Expr) and not _is_text(part)}
    lines |= {part.name_span.start for part in parts if isinstance(part, Named)}
    return str(TextLayout(source.text, root, lines, expressions, notes))


def _comments(text: str, root: Node | None) -> list[str]:
    tree = root or load_tree(SourceFindings(Source("", text)))
    return [] if tree is None else sorted(comment.text for comment in find_comments(text, tree))


def _is_long(part: object) -> bool:
    return isinstance(part, Line) and part.long is not None


def _is_text(part: Expr) -> bool:
    return isinstance(part, Literal) and isinstance(part.value, str)


def _has_crlf(text: str) -> bool:
    return text.find("\r\n") >= 0 and text.find("\r\n") == text.find("\n") - 1


def _unchanged(source: Source) -> Diagnostic:
    message = "this spec cannot be formatted without changing what it says, so it is left as it is"
    return Diagnostic("unformatted", message, Span(source, 0, 0))


def same(one: object, other: object) -> bool:
    """Do two parts of syntax trees say the same, wherever they stand?"""
    if isinstance(one, Span):
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, SpecFile) and isinstance(other, SpecFile) and not _same_ignores(one, other):
        return False
    if isinstance(one, msgspec.Struct):
        return all(same(getattr(one, name), getattr(other, name)) for name in _fields(type(one)))
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def _same_ignores(one: SpecFile, other: SpecFile) -> bool:
    return list(one.ignores.values()) == list(other.ignores.values())


def parts_of(node: object) -> Iterator[object]:
    """Every part of a syntax tree, in no order."""
    todo = [node]
    while todo:
        one = todo.pop()
        if isinstance(one, tuple | list):
            todo.extend(one)
        elif isinstance(one, dict):
            todo.extend(one.values())
        elif isinstance(one, msgspec.Struct):
            yield one
            todo.extend(getattr(one, name) for name in _fields(type(one)))


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Those that say something; a literal's `1`, `1.0` and `true` differ by their type."""
    return tuple(name for name in kind.__struct_fields__ if name not in _PLACES)
