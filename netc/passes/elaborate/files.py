"""Spec files as they are used: read, given their arguments, and ready to answer what a name of theirs means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec

from netc.diagnostics.model import Diagnostic, Edit, Fix, Source, Span
from netc.diagnostics.suggest import did_you_mean, listed
from netc.dims import Domain
from netc.expr.evaluate import Context, ExprError, Silenced, evaluate
from netc.expr.scope import Binding, Scope, how_said
from netc.files import may_import
from netc.ops.base import OPERATORS
from netc.passes.elaborate.arguments import is_plain, value_key
from netc.passes.elaborate.before import Before
from netc.passes.elaborate.collector import Clue, Report
from netc.syntax.ast import Argument, Definition, Import, Named, SpecFile, Variant
from netc.syntax.library import is_shipped
from netc.syntax.read import read_source
from netc.syntax.shared import blocks_of_shared, calling
from netc.types import ERROR as ERROR_VALUE
from netc.types import TensorType

MAX_IMPORTS = 64
"""Files one spec may be made of."""


class OperatorNames:
    """Every word that may stand where an operator stands in a file."""

    __slots__ = ("spec",)

    def __init__(self, spec: SpecFile) -> None:
        self.spec = spec

    def __contains__(self, word: object) -> bool:
        return word in self.spec.blocks or word in OPERATORS or word in self.spec.imports

    def __iter__(self) -> Iterator[str]:
        return chain(self.spec.blocks, self.spec.imports, OPERATORS)

    def __len__(self) -> int:
        return len(self.spec.blocks) + len(self.spec.imports) + len(OPERATORS)


class FileInstance(msgspec.Struct, frozen=True, eq=False):
    """A file with its arguments chosen. `scope` holds them and the file's `let`s. `blocks`: its own, and those of the
    chains that it shares with them."""

    spec: SpecFile
    scope: Scope
    arguments: Mapping[str, Any]
    names: OperatorNames
    defaults: Mapping[str, tuple[Argument, ...]]
    source: Source
    blocks: Mapping[str, Definition]
    shared: tuple[Named, ...]


class Files:
    """Reads each file once and keeps the instances made of it."""

    def __init__(self, report: Report, domain: Domain, texts: Mapping[str, Source], before: Before | None) -> None:
        self.report = report
        self.before = before or Before()
        self.texts = texts
        self.domain = domain
        self._parsed: dict[str, SpecFile | None] = {}
        self._instances: dict[Any, FileInstance] = {}
        self._by_scope: dict[Scope, FileInstance] = {}
        self.sources: dict[Scope, Source] = {}
        """Where expressions stand that are in no file, by the scope they are read in."""
        self.findings: list[Diagnostic] = []
        self.specs: dict[str, SpecFile] = {}
        self._root: str | None = None
        """The folder of the file that is compiled; imports lie in it or below."""
        self.characters = 0

    def parse(self, source: Source) -> SpecFile | None:
        if self._root is None:
            self._root = os.path.dirname(source.path)
        self.characters += len(source.text)
        spec, diagnostics = self.before.parsed(source)
        self.findings.extend(diagnostics)
        if spec is not None:
            self.specs[source.path] = spec
            self._check_variants(spec)
            for declared in spec.imports.values():
                self._check_import(declared, spec)
        return spec

    def share(self, other: Files) -> None:
        """Take over the files that another compile has read, without what was found in them."""
        self._root, self._parsed, self.specs, self.characters = (
            other._root,
            other._parsed,
            other.specs,
            other.characters,
        )

    def _check_import(self, declared: Import, spec: SpecFile) -> None:
        """Read an imported file although nobody may call it: what is wrong with it is wrong."""
        file = self.imported(declared, spec)
        if file is not None and declared.variant is not None:
            self.variant(file, declared.variant, declared.span)

    def imported(self, declared: Import, importer: SpecFile) -> SpecFile | None:
        """The file an import names: `netc:NAME`, or a path relative to the file it stands in."""
        path = declared.path if is_shipped(declared.path) else _beside(importer.path, declared.path)
        if path is None:
            self.report.error(
                "missing-file", f"`{declared.path}` is not a relative path to a .yaml file", declared.span
            )
            return None
        if path not in self._parsed:
            if len(self._parsed) >= MAX_IMPORTS:
                self.report.error("too-large", f"more than {MAX_IMPORTS} imported files", declared.span)
                return None
            self._parsed[path] = None
            if self._is_inside(path, declared):
                self._parsed[path] = self._read(path, declared.span)
        return self._parsed[path]

    def _is_inside(self, path: str, declared: Import) -> bool:
        """A spec that somebody sent must not have other files of this machine read, and parts of them shown."""
        root = self._root or "."
        if is_shipped(path) or may_import(path, root):
            return True
        folder = os.path.dirname(os.path.relpath(os.path.realpath(path))) or "."
        self.report.error(
            "import-outside", f"`{declared.path}` lies outside the folder of the spec", declared.span
        ).note("imports are read from the folder of the spec that is compiled, and from folders below it").help(
            f"if you trust this spec, allow it with `--allow-imports {folder}`"
        )
        return False

    def _read(self, path: str, span: Span) -> SpecFile | None:
        source = self.texts.get(path) or read_source(path)
        if isinstance(source, Diagnostic):
            self.report.error(source.code, source.message, span).note(*source.notes).fix(*source.fixes)
            return None
        return self.parse(source)

    def variant(self, spec: SpecFile, name: str | None, span: Span | None) -> Variant | None:
        """The named variant, or the first; reports a name that is none."""
        if name is None:
            return spec.variants[0] if spec.variants else None
        for variant in spec.variants:
            if variant.name == name:
                return variant
        names = [v.name for v in spec.variants]
        message = f"`{os.path.basename(spec.path)}` has no variant `{name}`"
        self.report.error("unknown-variant", message, span, path=spec.path).note(
            f"it has {listed(names)}" if names else "it has no variants"
        ).fix(*did_you_mean(name, names))
        return None

    def instance(
        self, spec: SpecFile, variant: Variant | None, args: Mapping[str, Any], types: tuple[TensorType, ...] = ()
    ) -> FileInstance:
        """The file with defaults, then the variant's values, then the given ones (already evaluated).

        types: those of its inputs where it is imported; its symbols hold the sizes of that use.
        """
        key = (id(spec), variant and variant.name, tuple((k, value_key(v)) for k, v in sorted(args.items())), types)
        if key in self._instances:
            return self._instances[key]
        scope = self.before.scope(spec, key)
        shared_blocks = blocks_of_shared(spec)
        instance = FileInstance(
            spec, scope, {}, OperatorNames(spec), {d.op: d.values for d in spec.defaults}, spec.span.source,
            blocks={**spec.blocks, **shared_blocks},
            shared=tuple([calling(named) if named.text in shared_blocks else named for named in spec.shared]),
        )  # fmt: skip
        self._by_scope[scope] = instance
        arguments = self._arguments(instance, variant, args)
        scope.bindings.update({k: Binding("argument", v) for k, v in arguments.items()})
        self.add_lets(spec, scope, instance)
        instance = msgspec.structs.replace(instance, arguments=arguments)
        self._by_scope[scope] = instance
        self._instances[key] = instance
        return instance

    def _arguments(
        self, instance: FileInstance, variant: Variant | None, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        chosen = {p.name: p.default for p in instance.spec.parameters}
        if variant is not None:
            chosen.update({a.name: a.value for a in variant.values if a.name in chosen})
        values = {}
        for name, expr in chosen.items():
            if name in arguments:
                values[name] = arguments[name]
            elif expr is not None:
                values[name] = self.value(expr, instance, instance.scope)
        return values

    def _check_variants(self, spec: SpecFile) -> None:
        names = [p.name for p in spec.parameters]
        for argument in (a for variant in spec.variants for a in variant.values if a.name not in names):
            self._unknown(spec, argument.name or "", argument.name_span or argument.span, names)

    def _unknown(self, spec: SpecFile, name: str, span: Span, names: list[str]) -> None:
        message = f"`{spec.name}` has no argument `{name}`"
        self.report.error("unknown-argument", message, span).fix(*did_you_mean(span, names))

    def value(self, expr: Any, instance: FileInstance, scope: Scope) -> Any:
        """An expression's value, or the error type after reporting why it has none."""
        try:
            return evaluate(expr, self.context(scope, instance))
        except Silenced:
            return ERROR_VALUE
        except ExprError as error:
            source = self.source_of(scope)
            if error.code == "unknown-name" and _is_word(Span(source, error.start, error.end).text):
                self._ask_for_quotes(error, Span(source, error.start, error.end))
            else:
                self.report_expression(error, source)
            return ERROR_VALUE

    def _ask_for_quotes(self, error: ExprError, span: Span) -> None:
        """Where the word is all that YAML has here, its own quotes stand around those of the language."""
        alone = span.source.text[: span.start].rstrip()[-1:] in tuple(":,[{-")
        word = f"""'"{span.text}"'""" if alone else f'"{span.text}"'
        finding = self.report.error(error.code, error.message, span)
        if error.replacement is None and error.help:
            finding.note(error.help)
        finding.clue(Clue((Fix(f"put the word in quotes: `{word}`", (Edit(span, word),)),)))

    def attempt(self, run: Callable[[], Any], source: Source) -> Any:
        """The result of `run`, or ERROR when an expression in it, of that source, has no value."""
        try:
            return run()
        except Silenced:
            return ERROR_VALUE
        except ExprError as error:
            self.report_expression(error, source)
            return ERROR_VALUE

    def report_expression(self, error: ExprError, source: Source) -> None:
        span = Span(source, error.start, error.end)
        edits = () if error.replacement is None else (Edit(span, error.replacement),)
        fixes = (Fix(error.help, edits),) if error.help else ()
        self.report.error(error.code, error.message, span).fix(*fixes)

    def context(
        self, scope: Scope, instance: FileInstance, words: tuple[str, ...] = (), symbols: bool = False
    ) -> Context:
        return Context(scope, self.domain, words, instance.names, symbols)

    def add_lets(self, definition: Definition, scope: Scope, instance: FileInstance) -> None:
        """Evaluate `let`s in order; each sees those before it."""
        for let in definition.lets:
            if let.name in scope.bindings:
                self.report.error("ambiguous-name", f"`{let.name}` is an argument and a `let`", let.span)
            value = self.value(let.value, instance, scope)
            said = None if is_plain(let.value) else how_said(let.value, scope)
            scope.bindings[let.name] = Binding("let", value, said)

    def of_scope(self, scope: Scope) -> FileInstance:
        """The file instance a scope lies in."""
        while scope.parent is not None:
            scope = scope.parent
        return self._by_scope[scope]

    def source_of(self, scope: Scope) -> Source:
        """The text in which the expressions of a scope stand."""
        while scope.parent is not None and scope not in self.sources:
            scope = scope.parent
        return self.sources[scope] if scope in self.sources else self._by_scope[scope].source


def _is_word(name: str) -> bool:
    """Whether an operator has an argument that takes this word, such as `nearest`."""
    return any(name in declared.words for op in OPERATORS.values() for declared in op.attributes.values())


def _beside(importer: str, path: str) -> str | None:
    """The path of a .yaml file relative to the file that imports it. A file of the library has none beside it."""
    if os.path.isabs(path) or "\\" in path or not path.endswith((".yaml", ".yml")) or is_shipped(importer):
        return None
    return os.path.normpath(os.path.join(os.path.dirname(importer), path))
