"""The shape of a file: its outline, what can be folded, and which words are what kind of word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from netc.diagnostics.model import Source, Span
from netc.editor.analysis import Analysis
from netc.editor.formatting import parts_of
from netc.editor.scopes import Kind, Symbol
from netc.expr.tree import Literal as LiteralExpr
from netc.ops.base import OPERATORS
from netc.syntax.ast import Line, Named
from netc.syntax.nodes import Mapping, Node, Scalar, Sequence


class OutlineEntry(msgspec.Struct, frozen=True):
    """A line of the outline: a name, what it is, the characters it covers, and what is below it."""

    name: str
    kind: Kind
    detail: str
    start: int
    end: int
    name_start: int
    name_end: int
    children: tuple[OutlineEntry, ...] = ()


def outline(analysis: Analysis) -> list[OutlineEntry]:
    """Inputs, arguments, blocks with their statements, statements, and outputs, as in the file."""
    symbols = analysis.symbols
    if symbols is None or analysis.spec is None:
        return []
    spec = analysis.spec
    entries: list[OutlineEntry] = []
    for parameter in spec.parameters:
        entries.append(_plain(Symbol("argument", parameter.name, parameter.span, parameter)))
    entries += [_plain(symbol) for symbol in symbols.imported.values()]
    for block in spec.blocks.values():
        inner = tuple(_entry(symbol) for symbol in symbols.visible(block))
        end = max([block.span.end, *(one.end for one in inner)])
        entries.append(
            OutlineEntry(block.name, "block", "", block.span.start, end, block.span.start, block.span.end, inner)
        )
    entries += [_entry(symbol) for symbol in symbols.visible(spec)]
    for output in spec.outputs or ():
        entries.append(_plain(Symbol("output", output.name, output.span, output)))
    return sorted(entries, key=lambda entry: entry.start)


def _plain(symbol: Symbol) -> OutlineEntry:
    span = symbol.span
    return OutlineEntry(symbol.name, symbol.kind, "", span.start, span.end, span.start, span.end)


def _entry(symbol: Symbol) -> OutlineEntry:
    if not isinstance(symbol.node, Named):
        return _plain(symbol)
    statement = symbol.node.statement
    detail = statement.op if isinstance(statement, Line) else ""
    children = tuple(_entry(member) for member in symbol.members)
    end = max(symbol.span.end, statement.span.end)
    span = symbol.span
    return OutlineEntry(symbol.name, symbol.kind, detail, span.start, end, span.start, span.end, children)


def folds(analysis: Analysis) -> list[tuple[int, int]]:
    """The first and the last line of everything that spans several, counted from 0."""
    ranges: list[tuple[int, int]] = []
    todo: list[tuple[Node, int]] = [] if analysis.root is None else [(analysis.root, -1)]
    while todo:
        node, opener = todo.pop()
        first = analysis.positions.position(node.start)[0] if opener < 0 else opener
        last = analysis.positions.position(max(node.end - 1, node.start))[0]
        is_folded = isinstance(node, Mapping | Sequence) or (isinstance(node, Scalar) and "\n" in node.raw)
        if is_folded and last > first and node is not analysis.root:
            ranges.append((first, last))
        if isinstance(node, Mapping):
            todo += [(value, analysis.positions.position(key.start)[0]) for key, value in node.entries]
        elif isinstance(node, Sequence):
            todo += [(item, -1) for item in node.items]
    return sorted(set(ranges))


TokenKind = Literal["function", "class", "variable", "parameter", "property", "keyword", "number", "namespace"]
TOKENS: tuple[TokenKind, ...] = (
    "function", "class", "variable", "parameter", "property", "keyword", "number", "namespace"
)  # fmt: skip
"""What a word can be: an operator; a block; a tensor; a value; an attribute; a word of the language; …; an import."""

_KINDS: dict[Kind, TokenKind] = {
    "block": "class",
    "import": "namespace",
    "argument": "parameter",
    "let": "parameter",
    "loop variable": "parameter",
    "input": "variable",
    "statement": "variable",
    "shared": "class",
    "output": "variable",
    "variant": "parameter",
}
_WORDS = ("do", "if", "else", "for", "op", "args", "inputs", "repeat")


class SemanticToken(msgspec.Struct, frozen=True, order=True):
    start: int
    end: int
    kind: TokenKind


def tokens(analysis: Analysis) -> list[SemanticToken]:
    """The words of a text by kind, in order and without overlaps; none where it cannot be read."""
    if analysis.spec is None or analysis.symbols is None:
        return []
    tokens_ = [
        SemanticToken(one.span.start, one.span.end, _KINDS[one.symbol.kind]) for one in analysis.symbols.occurrences
    ]
    for part in parts_of(analysis.spec):
        tokens_ += _of_part(part, analysis.spec.span.source)
    tokens_ += _keywords(analysis.root)
    return list(_apart(sorted(tokens_)))


def _of_part(part: object, source: Source) -> Iterator[SemanticToken]:
    if isinstance(part, Line):
        if part.op in OPERATORS:
            yield SemanticToken(part.op_span.start, part.op_span.end, "function")
        for argument in part.arguments:
            if argument.name_span is not None:
                start = argument.name_span.start
                yield SemanticToken(start, start + len(argument.name or ""), "property")
    elif isinstance(part, LiteralExpr) and isinstance(part.value, int | float) and part.end > part.start:
        span = Span(source, part.start, part.end)
        yield SemanticToken(span.start, span.end, "keyword" if isinstance(part.value, bool) else "number")


def _keywords(root: Node | None) -> Iterator[SemanticToken]:
    """The keys of the language, at the margin and inside statements."""
    if not isinstance(root, Mapping):
        return
    yield from (SemanticToken(key.start, key.end, "keyword") for key, _ in root.entries)
    todo = [value for key, value in root.entries if key.text in ("net", "shared", "blocks")]
    while todo:
        match todo.pop():
            case Mapping(entries=entries):
                yield from (
                    SemanticToken(k.start, k.end, "keyword") for k, _ in entries if k.text in _WORDS and not k.quoted
                )
                todo += [value for _, value in entries]
            case Sequence(items=items):
                todo += items


def _apart(ordered: list[SemanticToken]) -> Iterator[SemanticToken]:
    """The first of those that overlap."""
    end = 0
    for token in ordered:
        if token.start >= end and token.end > token.start:
            yield token
            end = token.end
