"""Who is who in a spec: every name that a file declares, and every place that means it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from netc.diagnostics.model import Source, Span
from netc.editor.scopes import HOLE, Kind, Symbol, SymbolNames, SymbolScope
from netc.expr.tree import Attribute, Comprehension, Expr, Literal, Name, TensorRef, parts_of
from netc.ops.base import OPERATORS
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
    Output,
    SpecFile,
    Statement,
)

_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_DEEPEST = 20
"""Blocks inside blocks that a reference is followed through."""


class Occurrence(msgspec.Struct, frozen=True, eq=False):
    """Characters that mean a symbol, which may stand in another file."""

    span: Span
    symbol: Symbol


Imports = Callable[[Import, SpecFile], SpecFile | None]
"""Reads what a file imports."""


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
        self.patterned: set[tuple[str, int]] = set()
        """Where names are declared that a reference with holes, such as `@p$i`, may mean among others."""
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
        for declared in spec.imports.values():
            at = self.source.text.rfind(declared.name, 0, declared.span.start)
            place = Span(self.source, max(at, 0), max(at, 0) + len(declared.name))
            self.imported[declared.name] = self._declare("import", declared.name, place, declared)
        for block in spec.blocks.values():
            self.blocks[block.name] = self._declare("block", block.name, block.span, block)
        outer = self._values(spec, None)
        for variant in spec.variants:
            self._declare("variant", variant.name, variant.span, variant)
            self._named_values(variant.values, spec, outer)
        self._definition(spec, outer)
        self._paths(spec, outer)
        for block in spec.blocks.values():
            self._definition(block, self._values(block, outer))

    def _paths(self, spec: SpecFile, scope: SymbolScope) -> None:
        """Statements that `freeze` and the globs of `init` name by their paths; the values of `init` and `defaults`."""
        for frozen in spec.freeze:
            self._path(frozen.value, _word_span(frozen.span, frozen.value).start, scope)
        for rule in spec.init:
            if rule.pattern.partition(".")[0] not in OPERATORS:
                self._path(rule.pattern, _word_span(rule.span, rule.pattern).start, scope)
            self._named_values(rule.line.arguments, None, scope)
        for entry in spec.defaults:
            self._named_values(entry.values, None, scope)

    def _declare(self, kind: Kind, name: str, span: Span, node: object, members: tuple[Symbol, ...] = ()) -> Symbol:
        place = _word_span(span, name)
        symbol = Symbol(kind, name, place, node, members)
        self.occurrences.append(Occurrence(place, symbol))
        return symbol

    def _values(self, definition: Definition, outer: SymbolScope | None) -> SymbolScope:
        scope = SymbolScope(outer, tensors_of_parent=False)
        for parameter in definition.parameters:
            scope.values[parameter.name] = self._declare("argument", parameter.name, parameter.span, parameter)
        for let in definition.lets:
            self._expression(let.value, scope)
            scope.values[let.name] = self._declare("let", let.name, let.span, let)
        for parameter in definition.parameters:
            self._expression(parameter.default, scope)
        return scope

    def _definition(self, definition: Definition, scope: SymbolScope) -> None:
        declared = []
        for one in definition.inputs or ():
            symbol = self._declare("input", one.name, one.span, one)
            declared.append(symbol)
            scope.tensors.add(symbol)
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
            self._output(output, scope)
        for check in definition.checks:
            self._expression(check.that, scope)

    def _output(self, output: Output, scope: SymbolScope) -> None:
        inner = scope
        if output.loop is not None:
            self._expression(output.loop.iterable, scope)
            inner = self._loop_scope(output.loop, scope)
        for part in output.parts:
            self._expression(part if isinstance(part, Expr) else None, inner)
        self._expression(output.condition, inner)
        self._reference(output.source, inner)

    def _body(self, body: Body, scope: SymbolScope) -> list[Symbol]:
        """Declares all statements first: a line may only read those above it, but an editor knows them all."""
        declared = []
        for named in body.statements:
            symbol = self._named(named)
            declared.append(symbol)
            scope.tensors.add(symbol)
        for named in body.statements:
            for part in named.name:
                self._expression(part if isinstance(part, Expr) else None, _with_loop(named.statement, scope, self))
            self._statement(named.statement, scope)
        return declared

    def _named(self, named: Named) -> Symbol:
        inner = _inner_body(named.statement)
        members = tuple(_member(one) for one in inner.statements) if inner is not None else ()
        return self._declare("statement", named.text, named.name_span, named, members)

    def _statement(self, statement: Statement | None, scope: SymbolScope) -> None:
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
                self._body(statement, SymbolScope(scope))
            case Conditional():
                self._expression(statement.condition, scope)
                self._statement(statement.then, scope)
                self._statement(statement.otherwise, scope)
            case Loop():
                self._expression(statement.iterable, scope)
                self._statement(statement.body, self._loop_scope(statement, scope))

    def _loop_scope(self, loop: Loop, scope: SymbolScope) -> SymbolScope:
        inner = SymbolScope(scope)
        text = loop.span.source.text
        for name in loop.names:
            match = re.compile(rf"\b{re.escape(name)}\b").search(text, loop.span.start, loop.span.end)
            at = loop.span.start if match is None else match.start()
            inner.values[name] = self._declare("loop variable", name, Span(loop.span.source, at, at + len(name)), loop)
        return inner

    def _line(self, line: Line, scope: SymbolScope) -> None:
        called = scope.module(line.op) or self.blocks.get(line.op) or self.imported.get(line.op) or scope.value(line.op)
        if called is not None:
            self.occurrences.append(Occurrence(line.op_span, called))
        definition = None if called is None else self.definition_of(called)
        self._named_values(line.arguments, definition, scope)
        for ref in line.inputs or ():
            self._reference(ref, scope)
        self._expression(line.repeat, scope)

    def _named_values(self, arguments: tuple[Argument, ...], callee: Definition | None, scope: SymbolScope) -> None:
        """Arguments of a call; a name is the callee's own argument."""
        declared = {one.name: one for one in callee.parameters} if callee is not None else {}
        for argument in arguments:
            if argument.name in declared and argument.name_span is not None:
                parameter = declared[argument.name]
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
                target = self.blocks.get(line.op) or self.imported.get(line.op)
                return None if target is None else self.definition_of(target)
        return None

    def _expression(self, expr: Expr | None, scope: SymbolScope) -> None:
        match expr:
            case None:
                return
            case TensorRef():
                self._reference(expr, scope)
            case Attribute():
                self._dotted(expr, scope)
            case Name():
                self._word(expr.id, self.source.place(expr.start), scope)
            case Literal(value=str()):
                place = Span(self.source, expr.start, expr.end)
                for word in _WORD.finditer(self.source.text, place.start, place.end):
                    self._word(word[0], word.start(), scope)
            case Comprehension():
                inner = SymbolScope(scope)
                for name in expr.names:
                    inner.values[name] = Symbol("loop variable", name, Span(self.source, expr.start, expr.start), expr)
                for part in parts_of(expr):
                    self._expression(part, inner)
            case _:
                for part in parts_of(expr):
                    self._expression(part, scope)

    def _word(self, word: str, start: int, scope: SymbolScope) -> None:
        """A value, or a block that is handed on as one."""
        symbol = scope.value(word) or scope.module(word) or self.blocks.get(word) or self.imported.get(word)
        if symbol is not None:
            self.occurrences.append(Occurrence(Span(self.source, start, start + len(word)), symbol))

    def _dotted(self, expr: Attribute, scope: SymbolScope) -> None:
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
            self._path(path, self.source.place(expr.start), scope)

    def _reference(self, ref: TensorRef, scope: SymbolScope) -> None:
        place = Span(self.source, ref.start, ref.end)
        start = place.start + place.text.startswith("@")
        holes = [part for part in ref.parts if isinstance(part, Expr)]
        for hole in holes:
            self._expression(hole, scope)
        path = "".join(part if isinstance(part, str) else HOLE for part in ref.parts)
        self._path(path, start, scope, place.end)

    def _path(self, path: str, start: int, scope: SymbolScope, end: int | None = None) -> None:
        """Each part of a path that names something is an occurrence. end: where a path with holes ends in the text."""
        inner = scope.tensor(path)
        self._note_patterns(path, scope.all_tensors())
        at, depth = 0, 0
        while inner is not None and depth < _DEEPEST:
            symbol, length = inner
            left = path[at + length + 1 :]
            if HOLE in path[at : at + length] and end is not None:
                last = end - len(left) - bool(left)
                self.occurrences.append(Occurrence(Span(self.source, start + at, last), symbol))
                if HOLE in left:
                    return
                start = end - len(path)
            else:
                self.occurrences.append(Occurrence(Span(self.source, start + at, start + at + length), symbol))
            at, depth = at + length + 1, depth + 1
            members = list(self.inside(symbol)) if left else []
            self._note_patterns(left, members)
            inner = _inside(members, left) if left else None

    def _note_patterns(self, path: str, symbols: Iterable[Symbol]) -> None:
        """Names that a path with holes may come to, among others."""
        if HOLE not in path:
            return
        words = path.split(".")
        tops = [".".join(words[: count + 1]) for count in range(len(words))]
        patterns = [re.compile(re.escape(top).replace(re.escape(HOLE), r"[\w-]+")) for top in tops if HOLE in top]
        self.patterned |= {place_of(s) for s in symbols if any(one.fullmatch(s.name) for one in patterns)}

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


def place_of(symbol: Symbol) -> tuple[str, int]:
    """The file and the character where a symbol is declared."""
    return symbol.span.source.path, symbol.span.start


def same_symbol(one: Symbol, other: Symbol) -> bool:
    """Is it the same declaration, perhaps read twice?"""
    return one is other or (one.name == other.name and place_of(one) == place_of(other))


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
    names = SymbolNames()
    for symbol in symbols:
        names.add(symbol)
    return names.find(path)


def _with_loop(statement: Statement, scope: SymbolScope, symbols: Symbols) -> SymbolScope:
    """The scope of the holes in a statement's name: they are filled by its own loop, which declares the names."""
    inner = SymbolScope(scope)
    text = symbols.source.text
    while isinstance(statement, Loop | Conditional):
        if isinstance(statement, Conditional):
            statement = statement.then
            continue
        for name in statement.names:
            match = re.compile(rf"\b{re.escape(name)}\b").search(text, statement.span.start, statement.span.end)
            at = statement.span.start if match is None else match.start()
            inner.values[name] = Symbol("loop variable", name, Span(symbols.source, at, at + len(name)), statement)
        statement = statement.body
    return inner


def _word_span(span: Span, name: str) -> Span:
    """Where the name itself stands, without quotes around it or a value behind it."""
    at = span.source.text.find(name, span.start, max(span.end, span.start + len(name) + 1))
    start = span.start if at < 0 else at
    return Span(span.source, start, start + len(name))
