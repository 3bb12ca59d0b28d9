"""Takes an expression apart where its lines may break: operators, brackets, method calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

import msgspec

BREAK = "\0"
"""After an opening bracket: its items stand on lines of their own even if they would fit on one."""


class Piece(msgspec.Struct, frozen=True):
    """Part of an expression. `forced` says that something inside must break."""

    text: str
    forced: bool = False


class Led(Piece, frozen=True, kw_only=True):
    """Something before an expression that no line break parts from it: `*`, `name=`, `+ `."""

    lead: str
    inner: Piece


class Joined(Piece, frozen=True, kw_only=True):
    """Parts that stand on lines of their own, operators and words in front: a sum, a choice, a comprehension."""

    parts: tuple[Piece, ...]
    kind: str


class Items(Piece, frozen=True, kw_only=True):
    """Brackets and what is inside. `literal`: its items never share a line when it breaks."""

    items: tuple[Piece, ...]
    literal: bool = False


class Chain(Piece, frozen=True, kw_only=True):
    """Names and brackets that follow each other: `self.convs[0](x).flatten(1)`, names with the brackets after."""

    links: tuple[tuple[str, Items | None], ...]

    @property
    def is_fluent(self) -> bool:
        """Whether two methods or more are called on what is called."""
        return sum(lead.startswith(".") for lead, _ in self.links[1:]) > 1


class Row(Piece, frozen=True, kw_only=True):
    """Items with commas and no brackets: several results."""

    items: tuple[Piece, ...]


def take_apart(text: str) -> Piece:
    """The pieces of an expression, or of the type of a result."""
    return _Reader(text).whole()


_SIGNS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Add: ("+", "sum"),
    ast.Sub: ("-", "sum"),
    ast.Mult: ("*", "product"),
    ast.Div: ("/", "product"),
    ast.FloorDiv: ("//", "product"),
    ast.Mod: ("%", "product"),
    ast.MatMult: ("@", "product"),
}


class _Reader:
    def __init__(self, text: str) -> None:
        pieces = text.split(BREAK)
        self.data = "".join(pieces).encode()
        self.marks: set[int] = set()
        at = 0
        for piece in pieces[:-1]:
            at += len(piece.encode())
            self.marks.add(at - 1)

    def whole(self) -> Piece:
        tree = ast.parse(self.data, mode="eval").body
        if isinstance(tree, ast.Tuple) and not self._is_wrapped(tree):
            return Row(*self._plain(0, len(self.data)), items=self._all(tree.elts, 0, len(self.data)))
        return self._read(tree, 0, len(self.data))

    def _plain(self, start: int, end: int) -> tuple[str, bool]:
        return self.data[start:end].decode(), any(start <= mark < end for mark in self.marks)

    def _is_wrapped(self, node: ast.Tuple) -> bool:
        start, end = _span(node)
        depth = 0
        for at, change in _brackets(self.data[start:end].decode(errors="replace")):
            depth += change
            if depth == 0:
                return self.data[start : start + 1] == b"(" and at == len(self.data[start:end].decode()) - 1
        return False

    def _extent(self, node: ast.AST, low: int, high: int) -> tuple[int, int]:
        """The node with the parentheses around it."""
        start, end = _span(node)
        while start > low and end < high and self.data[start - 1 : start] == b"(" and self.data[end : end + 1] == b")":
            start, end = start - 1, end + 1
        return start, end

    def _all(self, nodes: Sequence[ast.AST], low: int, high: int) -> tuple[Piece, ...]:
        edges = [low, *(_span(n)[1] for n in nodes[:-1])]
        ends = [*(_span(n)[0] for n in nodes[1:]), high]
        return tuple(self._read(n, a, b) for n, a, b in zip(nodes, edges, ends, strict=True))

    def _read(self, node: ast.AST, low: int, high: int) -> Piece:
        start, end = self._extent(node, low, high)
        if (start, end) != _span(node):
            inner = self._read(node, start + 1, end - 1)
            shown, forced = self._plain(start, end)
            return Chain(shown, forced, links=(("", Items(shown, forced, items=(inner,))),))
        return self._node(node, start, end)

    def _node(self, node: ast.AST, start: int, end: int) -> Piece:
        match node:
            case ast.Call() | ast.Subscript() | ast.Attribute():
                return Chain(*self._plain(start, end), links=tuple(self._links(node, start)))
            case ast.List() | ast.Tuple() | ast.Dict() | ast.ListComp() | ast.GeneratorExp() | ast.DictComp():
                items = self._literal(node, start, end)
                return Chain(*self._plain(start, end), links=(("", items),))
            case ast.BinOp() if type(node.op) in _SIGNS:
                kind = _SIGNS[type(node.op)][1]
                return Joined(*self._plain(start, end), parts=tuple(self._terms(node, kind, start, end)), kind=kind)
            case ast.IfExp():
                return self._choice(node, start, end)
            case ast.BoolOp():
                return self._logic(node, start, end)
            case ast.Starred():
                return Led(*self._plain(start, end), lead="*", inner=self._read(node.value, start + 1, end))
            case ast.keyword() if node.arg:
                lead = f"{node.arg}="
                return Led(*self._plain(start, end), lead=lead, inner=self._read(node.value, start + len(lead), end))
        return Piece(*self._plain(start, end))

    def _led(self, lead: str, node: ast.AST, low: int, high: int) -> Piece:
        inner = self._read(node, low, high)
        return Led(f"{lead}{inner.text}", inner.forced, lead=lead, inner=inner)

    def _terms(self, node: ast.BinOp, kind: str, start: int, end: int) -> Iterator[Piece]:
        middle = _span(node.right)[0]
        left_end = _span(node.left)[1]
        left = node.left
        bare = self._extent(left, start, middle) == _span(left)
        if bare and isinstance(left, ast.BinOp) and _SIGNS.get(type(left.op), ("", ""))[1] == kind:
            yield from self._terms(left, kind, start, left_end)
        else:
            yield self._read(left, start, middle)
        yield self._led(f"{_SIGNS[type(node.op)][0]} ", node.right, left_end, end)

    def _choice(self, node: ast.IfExp, start: int, end: int) -> Piece:
        then_end, test, test_end = _span(node.body)[1], _span(node.test), _span(node.orelse)[0]
        parts = (
            self._read(node.body, start, test[0]),
            self._led("if ", node.test, then_end, test_end),
            self._led("else ", node.orelse, test[1], end),
        )
        return Joined(*self._plain(start, end), parts=parts, kind="choice")

    def _logic(self, node: ast.BoolOp, start: int, end: int) -> Piece:
        word = "and " if isinstance(node.op, ast.And) else "or "
        first, *rest = self._all(node.values, start, end)
        more = (Led(f"{word}{p.text}", p.forced, lead=word, inner=p) for p in rest)
        return Joined(*self._plain(start, end), parts=(first, *more), kind="logic")

    def _links(self, node: ast.AST, start: int) -> Iterator[tuple[str, Items | None]]:
        """A chain from its beginning: leading names, then brackets."""
        inner = {ast.Call: "func", ast.Subscript: "value", ast.Attribute: "value"}.get(type(node))
        end = _span(node)[1]
        if inner is None:
            yield from self._head(node, start, end)
            return
        base = getattr(node, inner)
        after = self._extent(base, start, end)[1]
        *before, last = self._links(base, start) if after == _span(base)[1] else self._head(base, start, end)
        yield from before
        if isinstance(node, ast.Attribute):
            lead, brackets = last
            name = self.data[after:end].decode()
            if brackets is None:
                yield lead + name, None
            else:
                yield last
                yield name, None
            return
        items = self._inside(node, after, end)
        if last[1] is None:
            yield last[0], items
        else:
            yield last
            yield "", items

    def _head(self, node: ast.AST, start: int, end: int) -> Iterator[tuple[str, Items | None]]:
        found = self._read(node, start, end)
        if isinstance(found, Chain):
            yield from found.links
        else:
            yield found.text, None

    def _inside(self, node: ast.AST, start: int, end: int) -> Items:
        """The brackets of a call or an index."""
        if isinstance(node, ast.Subscript):
            index = node.slice
            nodes: Sequence[ast.AST] = index.elts if isinstance(index, ast.Tuple) else [index]
            if isinstance(index, ast.Tuple) and self._is_wrapped(index):
                nodes = [index]
        else:
            assert isinstance(node, ast.Call)
            nodes = [*node.args, *node.keywords]
        if len(nodes) == 1 and isinstance(nodes[0], ast.GeneratorExp) and _span(nodes[0])[0] == start:
            return self._literal(nodes[0], start, end)
        items = self._all(nodes, start + 1, end - 1) if nodes else ()
        return Items(*self._plain(start, end), items=items)

    def _literal(self, node: ast.AST, start: int, end: int) -> Items:
        match node:
            case ast.List() | ast.Tuple():
                items = self._all(node.elts, start + 1, end - 1) if node.elts else ()
                if isinstance(node, ast.Tuple) and len(items) == 1:
                    items = (Piece(f"{items[0].text},"),)
            case ast.Dict():
                items = tuple(self._pairs(node, end - 1))
            case ast.ListComp() | ast.GeneratorExp():
                items = (self._comprehension(node.elt, start, end),)
            case _:
                items = (Piece(self.data[start + 1 : end - 1].decode()),)
        literal = isinstance(node, ast.List | ast.Tuple | ast.Dict)
        return Items(*self._plain(start, end), items=items, literal=literal)

    def _pairs(self, node: ast.Dict, high: int) -> Iterator[Piece]:
        ends = [*(_span(key)[0] for key in node.keys[1:] if key is not None), high]
        for key, value, end in zip(node.keys, node.values, ends, strict=True):
            assert key is not None
            lead = f"{self.data[slice(*_span(key))].decode()}: "
            yield self._led(lead, value, _span(key)[1], end)

    def _comprehension(self, element: ast.AST, start: int, end: int) -> Piece:
        """`element` and `for … in …`."""
        words = self.data.index(b" for ", _span(element)[1])
        made = self._read(element, start + 1, words)
        rest = Piece(self.data[words + 1 : end - 1].decode())
        return Joined(*self._plain(start + 1, end - 1), parts=(made, rest), kind="comprehension")


def _span(node: ast.AST) -> tuple[int, int]:
    return node.col_offset, node.end_col_offset  # type: ignore[attr-defined]


def _brackets(text: str) -> Iterator[tuple[int, int]]:
    """Where brackets outside string literals open (1) and close (-1)."""
    quote, skip = "", False
    for at, char in enumerate(text):
        if quote:
            skip, quote = (False, quote) if skip else (char == "\\", "" if char == quote else quote)
        elif char in "\"'":
            quote = char
        elif char in "([{":
            yield at, 1
        elif char in ")]}":
            yield at, -1


def matching(text: str, start: int) -> int:
    """Where the bracket at `start` closes."""
    depth = 0
    for at, change in _brackets(text):
        depth += change if at >= start else 0
        if at >= start and depth == 0:
            return at
    raise ValueError(text)
