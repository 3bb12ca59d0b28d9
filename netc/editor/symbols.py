"""Who is who in a spec: every name that a file declares, and every place that means it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from netc.diagnostics.model import Source, Span
from netc.expr.tree import Attribute, Comprehension, Expr, Name, TensorRef, parts_of
from netc.syntax.ast import (
    Alias,
    Argument,
    Body,
    Chain,
    Conditional,
    Definition,
    Import,
    Line,
    Loop,
    Named,
    SpecFile,
    Statement,
)

Kind = Literal[
    "block", "import", "argument", "let", "input", "statement", "shared", "loop variable", "output", "variant"
]

_HOLE = "\0"
_DEEPEST = 20
"""Blocks inside blocks that a reference is followed through."""


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


class Occurrence(msgspec.Struct, frozen=True, eq=False):
    """Characters that mean a symbol, which may stand in another file."""

    span: Span
    symbol: Symbol


Imports = Callable[[Import, SpecFile], SpecFile | None]
"""Reads what a file imports."""


class _Scope:
    """The names that hold at a place: values, and tensors of bodies from the inside out."""

    def __init__(self, parent: _Scope | None, tensors_of_parent: bool = True) -> None:
        self.parent = parent
        self.see_tensors = tensors_of_parent
        self.values: dict[str, Symbol] = {}
        self.tensors: list[tuple[re.Pattern[str], Symbol]] = []
        self.modules: dict[str, Symbol] = {}

    def value(self, name: str) -> Symbol | None:
        return self.values.get(name) or (self.parent.value(name) if self.parent else None)

    def module(self, name: str) -> Symbol | None:
        own = self.modules.get(name)
        return own or (self.parent.module(name) if self.parent and self.see_tensors else None)

    def tensor(self, path: str) -> tuple[Symbol, int] | None:
        """The symbol that a path begins with, and how many of its characters name it."""
        found = [(match.end(1), symbol) for pattern, symbol in self.tensors if (match := pattern.match(path))]
        if found:
            end, symbol = max(found, key=lambda pair: pair[0])
            return symbol, end
        return self.parent.tensor(path) if self.parent and self.see_tensors else None


class Symbols:
    """The names of one file and their places, in the order of the file."""

    def __init__(self, spec: SpecFile, imports: Imports = lambda wanted, spec: None) -> None:
        self.spec = spec
        self.source: Source = spec.span.source
        self.occurrences: list[Occurrence] = []
        self.blocks: dict[str, Symbol] = {}
        self.imported: dict[str, Symbol] = {}
        self.tops: dict[int, tuple[Symbol, ...]] = {}
        """Statements of a definition, by its identity."""
        self._imports = imports
        self._index()
        self.occurrences.sort(key=lambda one: (one.span.start, -one.span.end))

    def at(self, offset: int) -> Occurrence | None:
        """The narrowest occurrence that holds the character or ends there."""
        inside = [one for one in self.occurrences if one.span.start <= offset <= one.span.end]
        return min(inside, key=lambda one: one.span.end - one.span.start, default=None)

    def of(self, symbol: Symbol) -> list[Occurrence]:
        """Where a symbol is meant here, its declaration included. Symbols of other files are told by their place."""
        return [one for one in self.occurrences if same_symbol(one.symbol, symbol)]

    def visible(self, definition: Definition) -> list[Symbol]:
        """Inputs, statements and shared modules of a definition."""
        return list(self.tops.get(id(definition), ()))

    def _index(self) -> None:
        spec = self.spec
        for wanted in spec.imports.values():
            at = self.source.text.rfind(wanted.name, 0, wanted.span.start)
            place = Span(self.source, max(at, 0), max(at, 0) + len(wanted.name))
            self.imported[wanted.name] = self._declare("import", wanted.name, place, wanted)
        for block in spec.blocks.values():
            self.blocks[block.name] = self._declare("block", block.name, block.span, block)
        outer = self._values(spec, None)
        for variant in spec.variants:
            self._declare("variant", variant.name, variant.span, variant)
            self._named_values(variant.values, spec, outer)
        self._definition(spec, outer)
        for block in spec.blocks.values():
            self._definition(block, self._values(block, outer))

    def _declare(self, kind: Kind, name: str, span: Span, node: object, members: tuple[Symbol, ...] = ()) -> Symbol:
        place = _word_span(span, name)
        symbol = Symbol(kind, name, place, node, members)
        self.occurrences.append(Occurrence(place, symbol))
        return symbol

    def _values(self, definition: Definition, outer: _Scope | None) -> _Scope:
        scope = _Scope(outer, tensors_of_parent=False)
        for parameter in definition.parameters:
            scope.values[parameter.name] = self._declare("argument", parameter.name, parameter.span, parameter)
        for let in definition.lets:
            self._expression(let.value, scope)
            scope.values[let.name] = self._declare("let", let.name, let.span, let)
        for parameter in definition.parameters:
            self._expression(parameter.default, scope)
        return scope

    def _definition(self, definition: Definition, scope: _Scope) -> None:
        declared = []
        for one in definition.inputs or ():
            symbol = self._declare("input", one.name, one.span, one)
            declared.append(symbol)
            scope.tensors.append((_pattern((one.name,)), symbol))
            for size in one.shape or ():
                self._expression(size, scope)
        for named in definition.shared:
            symbol = self._declare("shared", named.text, named.name_span, named)
            declared.append(symbol)
            scope.modules[named.text] = symbol
            self._statement(named.statement, scope)
        body = definition.net
        if isinstance(body, Body):
            declared += self._body(body, scope)
        elif body is not None:
            self._statement(body, scope)
        self.tops[id(definition)] = tuple(declared)
        for output in definition.outputs or ():
            self._declare("output", output.name, output.span, output)
            self._output(output.source, output.condition, output.loop, scope)
        for check in definition.checks:
            self._expression(check.that, scope)

    def _output(self, source: TensorRef, condition: Expr | None, loop: Loop | None, scope: _Scope) -> None:
        inner = scope
        if loop is not None:
            self._expression(loop.iterable, scope)
            inner = self._loop_scope(loop, scope)
        self._expression(condition, inner)
        self._reference(source, inner)

    def _body(self, body: Body, scope: _Scope) -> list[Symbol]:
        """Declares all statements first: a line may only read those above it, but an editor knows them all."""
        declared = []
        for named in body.statements:
            symbol = self._named(named)
            declared.append(symbol)
            scope.tensors.append((_pattern(named.name), symbol))
        for named in body.statements:
            for part in named.name:
                self._expression(part if isinstance(part, Expr) else None, _with_loop(named.statement, scope, self))
            self._statement(named.statement, scope)
        return declared

    def _named(self, named: Named) -> Symbol:
        inner = _inner_body(named.statement)
        members = tuple(_member(one) for one in inner.statements) if inner is not None else ()
        return self._declare("statement", named.text, named.name_span, named, members)

    def _statement(self, statement: Statement | None, scope: _Scope) -> None:
        match statement:
            case Line():
                self._line(statement, scope)
            case Alias():
                for ref in statement.refs:
                    self._reference(ref, scope)
            case Chain():
                for item in statement.items:
                    self._statement(item, scope)
            case Body():
                self._body(statement, _Scope(scope))
            case Conditional():
                self._expression(statement.condition, scope)
                self._statement(statement.then, scope)
                self._statement(statement.otherwise, scope)
            case Loop():
                self._expression(statement.iterable, scope)
                self._statement(statement.body, self._loop_scope(statement, scope))

    def _loop_scope(self, loop: Loop, scope: _Scope) -> _Scope:
        inner = _Scope(scope)
        text = loop.span.source.text
        for name in loop.names:
            found = re.compile(rf"\b{re.escape(name)}\b").search(text, loop.span.start, loop.span.end)
            at = loop.span.start if found is None else found.start()
            inner.values[name] = self._declare("loop variable", name, Span(loop.span.source, at, at + len(name)), loop)
        return inner

    def _line(self, line: Line, scope: _Scope) -> None:
        called = scope.module(line.op) or self.blocks.get(line.op) or self.imported.get(line.op) or scope.value(line.op)
        if called is not None:
            self.occurrences.append(Occurrence(line.op_span, called))
        definition = None if called is None else self.definition_of(called)
        self._named_values(line.arguments, definition, scope)
        for ref in line.inputs or ():
            self._reference(ref, scope)
        self._expression(line.repeat, scope)

    def _named_values(self, arguments: tuple[Argument, ...], callee: Definition | None, scope: _Scope) -> None:
        """Arguments of a call; a name is the callee's own argument."""
        known = {one.name: one for one in callee.parameters} if callee is not None else {}
        for argument in arguments:
            if argument.name in known and argument.name_span is not None:
                parameter = known[argument.name]
                symbol = Symbol("argument", parameter.name, _word_span(parameter.span, parameter.name), parameter)
                self.occurrences.append(Occurrence(_word_span(argument.name_span, parameter.name), symbol))
            self._expression(argument.value, scope)

    def definition_of(self, symbol: Symbol) -> Definition | None:
        """What a block, an import or a shared module is when it is called."""
        match symbol.node:
            case Import() as wanted:
                return self._imports(wanted, self.spec)
            case Definition() as definition:
                return definition
            case Named(statement=Line() as line):
                found = self.blocks.get(line.op) or self.imported.get(line.op)
                return None if found is None else self.definition_of(found)
        return None

    def _expression(self, expr: Expr | None, scope: _Scope) -> None:
        match expr:
            case None:
                return
            case TensorRef():
                self._reference(expr, scope)
            case Attribute():
                self._dotted(expr, scope)
            case Name():
                symbol = scope.value(expr.id)
                if symbol is not None:
                    self.occurrences.append(Occurrence(Span(self.source, expr.start, expr.end), symbol))
            case Comprehension():
                inner = _Scope(scope)
                for name in expr.names:
                    inner.values[name] = Symbol("loop variable", name, Span(self.source, expr.start, expr.start), expr)
                for part in parts_of(expr):
                    self._expression(part, inner)
            case _:
                for part in parts_of(expr):
                    self._expression(part, scope)

    def _dotted(self, expr: Attribute, scope: _Scope) -> None:
        """`conv1.H`: the sizes of a tensor."""
        words, base = [expr.field], expr.base
        while isinstance(base, Attribute):
            words.append(base.field)
            base = base.base
        if not isinstance(base, Name):
            self._expression(base, scope)
            return
        path = ".".join([base.id, *reversed(words)])
        if scope.value(base.id) is not None:
            self._expression(base, scope)
        else:
            self._path(path, expr.start, scope)

    def _reference(self, ref: TensorRef, scope: _Scope) -> None:
        text = self.source.text
        start = ref.start + text.startswith("@", ref.start)
        holes = [part for part in ref.parts if isinstance(part, Expr)]
        for hole in holes:
            self._expression(hole, scope)
        path = "".join(part if isinstance(part, str) else _HOLE for part in ref.parts)
        if not holes:
            self._path(path, start, scope)
            return
        found = scope.tensor(path)
        if found is not None:
            self.occurrences.append(Occurrence(Span(self.source, start, ref.end), found[0]))

    def _path(self, path: str, start: int, scope: _Scope) -> None:
        """A path without holes: each of its parts that names something is an occurrence."""
        found = scope.tensor(path)
        at, depth = 0, 0
        while found is not None and depth < _DEEPEST:
            symbol, length = found
            self.occurrences.append(Occurrence(Span(self.source, start + at, start + at + length), symbol))
            at, depth = at + length + 1, depth + 1
            found = _inside(list(self.inside(symbol)), path[at:]) if at < len(path) else None

    def inside(self, symbol: Symbol) -> Iterator[Symbol]:
        """What a path may go on with behind a statement: its members, or statements and outputs of what it calls."""
        yield from symbol.members
        for line in _called(symbol):
            called = self.blocks.get(line.op) or self.imported.get(line.op)
            definition = None if called is None else self.definition_of(called)
            if definition is not None:
                yield from outputs_and_statements(definition)


def outputs_and_statements(definition: Definition) -> Iterator[Symbol]:
    """What a caller can reach of a definition, whichever file it stands in."""
    for output in definition.outputs or ():
        yield Symbol("output", output.name, _word_span(output.span, output.name), output)
    if isinstance(definition.net, Body):
        for named in definition.net.statements:
            yield _member(named)


def same_symbol(one: Symbol, other: Symbol) -> bool:
    """Is it the same declaration, perhaps read twice?"""
    place = (one.span.source.path, one.span.start, one.name)
    return one is other or place == (other.span.source.path, other.span.start, other.name)


def _member(named: Named) -> Symbol:
    inner = _inner_body(named.statement)
    members = tuple(map(_member, inner.statements)) if inner is not None else ()
    return Symbol("statement", named.text, _word_span(named.name_span, named.text), named, members)


def _inner_body(statement: Statement | None) -> Body | None:
    match statement:
        case Body():
            return statement
        case Loop():
            return _inner_body(statement.body)
        case Conditional():
            return _inner_body(statement.then)
    return None


def _called(symbol: Symbol) -> Iterator[Line]:
    """The lines that a statement may be."""
    todo = [symbol.node.statement] if isinstance(symbol.node, Named) else []
    while todo:
        match todo.pop():
            case Line() as line:
                yield line
            case Loop() as loop:
                todo.append(loop.body)
            case Conditional() as choice:
                todo += [one for one in (choice.then, choice.otherwise) if one is not None]


def _inside(symbols: list[Symbol], path: str) -> tuple[Symbol, int] | None:
    found = []
    for symbol in symbols:
        parts = symbol.node.name if isinstance(symbol.node, Named) else (symbol.name,)
        match = _pattern(parts).match(path)
        found += [(match.end(1), symbol)] if match else []
    if not found:
        return None
    end, symbol = max(found, key=lambda pair: pair[0])
    return symbol, end


def _pattern(parts: tuple[str | Expr, ...]) -> re.Pattern[str]:
    r"""Matches references to a name: a hole is a hole, or anything that may stand for it."""
    text = "".join(re.escape(part) if isinstance(part, str) else rf"(?:{_HOLE}|[\w-]+)" for part in parts)
    return re.compile(rf"({text})(?=\.|$)")


def _with_loop(statement: Statement, scope: _Scope, symbols: Symbols) -> _Scope:
    """The scope of the holes in a statement's name: they are filled by its own loop, which declares the names."""
    inner = _Scope(scope)
    text = symbols.source.text
    while isinstance(statement, Loop | Conditional):
        if isinstance(statement, Conditional):
            statement = statement.then
            continue
        for name in statement.names:
            found = re.compile(rf"\b{re.escape(name)}\b").search(text, statement.span.start, statement.span.end)
            at = statement.span.start if found is None else found.start()
            inner.values[name] = Symbol("loop variable", name, Span(symbols.source, at, at + len(name)), statement)
        statement = statement.body
    return inner


def _word_span(span: Span, name: str) -> Span:
    """Where the name itself stands, without quotes around it or a value behind it."""
    at = span.source.text.find(name, span.start, max(span.end, span.start + len(name) + 1))
    start = span.start if at < 0 else at
    return Span(span.source, start, start + len(name))
