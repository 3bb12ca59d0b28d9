"""What may be written at a place: keys, operators, blocks, attributes, words, tensors, values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from netc.diagnostics.codes import CODES, LINTS
from netc.diagnostics.model import Span
from netc.editor.analysis import Analysis
from netc.editor.context import CursorContext, context
from netc.editor.scopes import Symbol
from netc.editor.symbols import Symbols
from netc.ops.base import OPERATORS, Op
from netc.ops.fill import INITIALISERS
from netc.ops.reference import attributes, headline
from netc.syntax.ast import Definition, SpecFile
from netc.syntax.definitions import BLOCK_KEYS, FILE_KEYS
from netc.syntax.library import PREFIX, names
from netc.syntax.parse import LEVELS
from netc.syntax.training import TRAIN_KEYS
from netc.syntax.training import WORDS as TRAIN_WORDS
from netc.types import DTYPES

Kind = Literal["key", "operator", "block", "attribute", "word", "tensor", "value", "code"]

_WORD = re.compile(r"[\w.$-]*$")
_STATEMENT_KEYS = ("do", "if", "else", "for", "op", "args", "inputs", "repeat")


class Completion(msgspec.Struct, frozen=True):
    """What may stand at `start` up to the cursor, what it is, and what there is to say of it."""

    label: str
    kind: Kind
    start: int
    detail: str = ""
    text: str | None = None
    """What is written, where that is not the label."""


def completions(text: str, offset: int, last: Analysis | None) -> list[Completion]:
    """Everything that may be written at `offset`; editors choose by what is written already.

    last: the newest analysis of the text that could be read, which may be older than the text.
    """
    at = context(text, offset)
    symbols = None if last is None else last.symbols
    begun = _WORD.search(at.cell)
    start = offset - len(begun[0] if begun else "")
    return list(dict.fromkeys(_Completer(at, symbols, offset, start).all()))


class _Completer:
    def __init__(self, at: CursorContext, symbols: Symbols | None, offset: int, start: int) -> None:
        self.at, self.symbols, self.offset, self.start = at, symbols, offset, start
        self.spec: SpecFile | None = None if symbols is None else symbols.spec

    def all(self) -> Iterator[Completion]:
        if self.at.role == "statement":
            yield from self._statement()
        elif self.at.role == "key":
            yield from self._keys()
        else:
            yield from self._values()

    def _make(self, labels: Iterable[str], kind: Kind, detail: str = "") -> Iterator[Completion]:
        return (Completion(label, kind, self.start, detail) for label in labels)

    @property
    def definition(self) -> Definition | None:
        """The block, or the file, that the cursor is in."""
        if self.spec is None or self.at.block is None:
            return self.spec
        return self.spec.blocks.get(self.at.block)

    def _statement(self) -> Iterator[Completion]:
        words = self.at.cell.split(" ")
        last = words[-1]
        name, equals, value = last.rpartition("=")
        if (value if equals else last).startswith("@"):
            yield from self._tensors((value if equals else last)[1:])
        elif len(words) == 1:
            yield from self._callables()
            yield from self._make(("none",), "word", "no tensor")
        elif equals:
            yield from self._attribute_values(words[0], name)
            yield from self._names()
        else:
            yield from self._arguments(words[0], words[1:-1])
            yield from self._names()

    def _callables(self) -> Iterator[Completion]:
        definition, spec = self.definition, self.spec
        if definition is not None and spec is not None:
            yield from self._make((named.text for named in definition.shared), "block", "shared module")
            yield from (Completion(b.name, "block", self.start, "block") for b in spec.blocks.values())
            yield from self._make(iter(spec.imports), "block", "import")
        for name in OPERATORS:
            yield Completion(name, "operator", self.start)

    def _callee(self, word: str) -> Definition | type[Op] | None:
        symbols = self.symbols
        called = None if symbols is None else symbols.blocks.get(word) or symbols.imported.get(word)
        if symbols is not None and called is not None:
            return symbols.definition_of(called)
        return OPERATORS.get(word)

    def _arguments(self, word: str, written: list[str]) -> Iterator[Completion]:
        """The names that a line may still give, and the words of the attribute whose turn it is."""
        callee = self._callee(word)
        named = {one.partition("=")[0] for one in written if "=" in one}
        if isinstance(callee, Definition):
            for parameter in callee.parameters:
                if parameter.name not in named:
                    default = "" if parameter.default is None else self._text(callee, parameter.default)
                    yield Completion(f"{parameter.name}=", "attribute", self.start, default or "required")
        elif callee is not None:
            rows = {row.name: row for row in attributes(callee)}
            for row in rows.values():
                if row.name not in named:
                    yield Completion(f"{row.name}=", "attribute", self.start, f"{row.kind}, {row.default}: {row.doc}")
            for name in callee.references:
                if name not in rows and name not in named:
                    yield Completion(f"{name}=", "attribute", self.start, "a tensor", f"{name}=@")
            position = sum("=" not in one and not one.startswith("@") for one in written)
            turn = list(callee.attributes.values())[position : position + 1]
            yield from (c for declared in turn for c in self._make(declared.words, "word", declared.name))

    @staticmethod
    def _text(definition: Definition, default: object) -> str:
        start, end = getattr(default, "start", 0), getattr(default, "end", 0)
        return Span(definition.span.source, start, end).text

    def _attribute_values(self, word: str, name: str) -> Iterator[Completion]:
        callee = self._callee(word)
        declared = callee.attributes.get(name) if isinstance(callee, type) else None
        if declared is not None:
            yield from self._make(declared.words, "word", declared.doc)
            if declared.kind == "bool":
                yield from self._make(("true", "false"), "word")
            if "None" in declared.kind:
                yield from self._make(("none",), "word")
        if isinstance(callee, type) and name in callee.references:
            yield from (Completion(f"@{one.name}", "tensor", self.start) for one in self._statements())

    def _names(self) -> Iterator[Completion]:
        """Arguments, lets and loop variables."""
        definitions = {id(one): one for one in (self.definition, self.spec) if one is not None}
        for one in definitions.values():
            yield from self._make((p.name for p in one.parameters), "value", "argument")
            yield from self._make((let.name for let in one.lets), "value", "let")
        for occurrence in self.symbols.occurrences if self.symbols is not None else ():
            if occurrence.symbol.kind == "loop variable" and occurrence.span.start < self.offset:
                yield Completion(occurrence.symbol.name, "value", self.start, "loop variable")

    def _statements(self) -> list[Symbol]:
        """Tensors that may be read here, the nearest first: of the definition and of the bodies around the cursor."""
        if self.symbols is None or self.definition is None:
            return []
        tops = [s for s in self.symbols.visible(self.definition) if s.kind != "shared"]
        statements: list[Symbol] = []
        for key in self.at.inner[1:]:
            around = next((s for s in tops if s.name == key and s.members), None)
            if around is not None:
                statements += [s for s in around.members if s.span.start < self.offset]
        statements += [s for s in tops if s.span.start < self.offset or s.kind == "input"]
        return sorted(statements, key=lambda s: -s.span.start)

    def _tensors(self, begun: str) -> Iterator[Completion]:
        path, dot, _ = begun.rpartition(".")
        if dot and self.symbols is not None:
            inner = self._at_path(path.split("."))
            start = self.offset - len(begun) + len(path) + 1
            yield from (Completion(s.name, "tensor", start, s.kind) for s in inner)
            return
        start = self.offset - len(begun)
        yield Completion("in", "tensor", start, "the first input")
        yield from (Completion(s.name, "tensor", start, s.kind) for s in self._statements())

    def _at_path(self, path: list[str]) -> list[Symbol]:
        symbols = self._statements()
        for word in path:
            one = next((s for s in symbols if s.name == word), None)
            symbols = [] if one is None or self.symbols is None else list(self.symbols.inside(one))
        return symbols

    def _keys(self) -> Iterator[Completion]:
        inner = self.at.inner
        if not self.at.path:
            yield from self._keyed(FILE_KEYS)
        elif self.at.block is not None and not inner:
            yield from self._keyed(BLOCK_KEYS)
        elif inner[0] in ("net", "shared"):
            yield from self._keyed(_STATEMENT_KEYS if len(inner) > 1 else ())
            if inner[-1] == "args":
                yield from self._make((name for name in OPERATORS), "operator")
        elif inner[0] in ("init", "defaults") and len(inner) == 1:
            yield from (Completion(name, "operator", self.start, "", f"{name}: ") for name in OPERATORS)
        elif inner[0] == "defaults" and inner[1] in OPERATORS:
            yield from self._keyed(OPERATORS[inner[1]].attributes)
        elif inner[0] == "train" and len(inner) == 1:
            yield from self._keyed(TRAIN_KEYS)
        elif inner[0] == "lint":
            yield from (Completion(code, "code", self.start, CODES[code].title, f"{code}: ") for code in LINTS)
        elif inner[0] == "inputs" and len(inner) == 2:
            yield from self._keyed(("shape", "dtype"))
        elif inner[0] == "outputs" and len(inner) == 2:
            yield from self._keyed(("from", "when", "if", "for"))
        elif inner[0] == "variants" and len(inner) == 2 and self.spec is not None:
            yield from self._keyed(p.name for p in self.spec.parameters)

    def _keyed(self, keys: Iterable[str]) -> Iterator[Completion]:
        return (Completion(key, "key", self.start, "", f"{key}: ") for key in keys)

    def _values(self) -> Iterator[Completion]:
        inner = self.at.inner
        match inner[:1]:
            case ("init",):
                yield from self._make(INITIALISERS, "word")
            case ("lint",):
                yield from self._make(LEVELS, "word")
            case ("train",) if inner[-1] in TRAIN_WORDS:
                yield from self._make(TRAIN_WORDS[inner[-1]], "word")
            case ("import",):
                yield from (Completion(PREFIX + name, "block", self.at.start) for name in names())
            case ("inputs",) if inner[-1:] == ("dtype",):
                yield from self._make(DTYPES, "word")
            case ("outputs",) if inner[-1:] == ("when",):
                yield from self._make(("train",), "word")
            case ("outputs",) | ("freeze",):
                path, dot, _ = self.at.cell.rpartition(".")
                symbols = self._at_path(path.split(".")) if dot else self._statements()
                start = self.offset - len(self.at.cell.rpartition(".")[2])
                yield from (Completion(s.name, "tensor", start, s.kind) for s in symbols)
            case _:
                yield from self._names()
                if inner[:1] == ("net",) or inner[:1] == ("checks",):
                    yield from (Completion(s.name, "tensor", self.start, s.kind) for s in self._statements())


def documentation(label: str, detail: str) -> str:
    """What is said of a completion when it is looked at: of an operator, what it computes."""
    return headline(OPERATORS[label]) if label in OPERATORS and not detail else detail
