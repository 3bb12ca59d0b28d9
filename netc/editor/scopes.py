"""Declared names, and which of them hold at a place of a spec."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal as OneOf

import msgspec

from netc.diagnostics.model import Span
from netc.expr.tree import Expr
from netc.syntax.ast import Named

Kind = OneOf["block", "import", "argument", "let", "input", "statement", "shared", "loop variable", "output", "variant"]

HOLE = "\0"
"""What stands for a hole in the path of a reference: `@p$i` is `p` and this."""


class Symbol(msgspec.Struct, frozen=True, eq=False):
    """A declared name. span: where it is declared; node: the part of the syntax tree that says what it is."""

    kind: Kind
    name: str
    span: Span
    node: object
    members: tuple[Symbol, ...] = ()
    """Statements inside, of a statement that is a body."""

    @property
    def plain(self) -> bool:
        """Is the name written without holes, so that it can be changed?"""
        return "$" not in self.name


class SymbolNames:
    """Symbols by the paths that mean them: those without holes by name, others by pattern."""

    def __init__(self) -> None:
        self.plain: dict[str, Symbol] = {}
        self.patterns: list[tuple[re.Pattern[str], Symbol]] = []

    def add(self, symbol: Symbol) -> None:
        parts = symbol.node.name if isinstance(symbol.node, Named) else (symbol.name,)
        if len(parts) == 1 and isinstance(parts[0], str):
            self.plain[parts[0]] = symbol
        else:
            self.patterns.append((_pattern(parts), symbol))

    def find(self, path: str) -> tuple[Symbol, int] | None:
        """The symbol that the longest beginning of a path names, and how many of its characters that is."""
        matches = [(match.end(1), symbol) for pattern, symbol in self.patterns if (match := pattern.match(path))]
        end = len(path)
        while end > 0:
            symbol = self.plain.get(path[:end])
            if symbol is not None:
                matches.append((end, symbol))
                break
            end = path.rfind(".", 0, end)
        best = max(matches, key=lambda pair: pair[0], default=None)
        return None if best is None else (best[1], best[0])

    def all(self) -> Iterator[Symbol]:
        yield from self.plain.values()
        yield from (symbol for _, symbol in self.patterns)


class SymbolScope:
    """The names that hold at a place: values, and tensors of bodies from the inside out."""

    def __init__(self, parent: SymbolScope | None, tensors_of_parent: bool = True) -> None:
        self.parent = parent
        self.see_tensors = tensors_of_parent
        self.values: dict[str, Symbol] = {}
        self.tensors = SymbolNames()
        self.modules: dict[str, Symbol] = {}

    def value(self, name: str) -> Symbol | None:
        return self.values.get(name) or (self.parent.value(name) if self.parent else None)

    def module(self, name: str) -> Symbol | None:
        own = self.modules.get(name)
        return own or (self.parent.module(name) if self.parent and self.see_tensors else None)

    def all_tensors(self) -> Iterator[Symbol]:
        """Those of this body and of the bodies around it."""
        yield from self.tensors.all()
        if self.parent and self.see_tensors:
            yield from self.parent.all_tensors()

    def tensor(self, path: str) -> tuple[Symbol, int] | None:
        """The symbol that a path begins with, and how many of its characters name it."""
        symbol = self.tensors.find(path)
        if symbol is not None:
            return symbol
        return self.parent.tensor(path) if self.parent and self.see_tensors else None


def _pattern(parts: tuple[str | Expr, ...]) -> re.Pattern[str]:
    r"""Matches references to a name: a hole is a hole, or anything that may stand for it."""
    text = "".join(re.escape(part) if isinstance(part, str) else rf"(?:{HOLE}|[\w-]+)" for part in parts)
    return re.compile(rf"({text})(?=\.|$)")
