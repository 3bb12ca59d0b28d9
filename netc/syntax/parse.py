"""A source → a SpecFile, or everything that is wrong with it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from netc.diagnostics.codes import LINTS
from netc.diagnostics.model import Diagnostic, Source
from netc.lazy import LazyModule
from netc.syntax.ast import Defaults, Import, InitRule, Line, SpecFile, Text, Training, Variant
from netc.syntax.definitions import FILE_KEYS, DefinitionReader, stray_statement
from netc.syntax.findings import SourceFindings
from netc.syntax.ignores import find_ignores
from netc.syntax.incremental import Parts
from netc.syntax.library import split_shipped
from netc.syntax.names import file_objection, name_from_stem
from netc.syntax.nodes import Mapping, Node, Scalar
from netc.syntax.statements import StatementReader
from netc.syntax.values import (
    arguments,
    entries_of,
    items_of,
    scalar_of,
    text_of,
    word_of,
    wrong_kind,
)
from netc.syntax.yaml import load_tree

if TYPE_CHECKING:
    from netc.syntax import training
else:
    training = LazyModule("netc.syntax.training")

EDITION = "1"

LEVELS = ("error", "warn", "ignore")

_VARIANT = re.compile(r"(.*):([A-Za-z_]\w*)", re.ASCII | re.DOTALL)


def _split(path: str) -> tuple[str, str | None]:
    """A file and the variant of it that an import names."""
    match = _VARIANT.fullmatch(path)
    return split_shipped(path) or ((match[1], match[2]) if match else (path, None))


def is_spec(source: Source) -> bool:
    """Is a YAML file meant as a spec? It says `netc:` at the margin."""
    return re.search(r"(?m)^netc[ ]*:", source.text) is not None


def parse_spec(source: Source, parts: Parts | None = None) -> tuple[SpecFile | None, list[Diagnostic]]:
    """Reads a whole file. The SpecFile is None as soon as one diagnostic is an error; all are collected.

    parts: those of the source as they were read before.
    """
    report = SourceFindings(source)
    root = load_tree(report)
    if root is None:
        return None, report.diagnostics
    if not isinstance(root, Mapping):
        report.at("bad-yaml", "a spec must be a mapping of keys", root, "a spec starts with `netc: 1`")
        return None, report.diagnostics
    spec = _FileReader(report, root, parts).read()
    ordered = sorted(report.diagnostics, key=lambda item: item.span.start if item.span else 0)
    return None if report.failed else spec, ordered


class _FileReader:
    def __init__(self, report: SourceFindings, root: Mapping, parts: Parts | None) -> None:
        self.report = report
        self.written = root
        self.root = root if parts is None else parts.apart(root)
        self.definitions = DefinitionReader(report, parts)
        self.definitions.stray = stray_statement(self.root)

    def read(self) -> SpecFile:
        self.check_root()
        source = self.report.source
        spec = SpecFile(
            name=self.name(),
            span=self.report.span(self.root.start, self.root.start),
            path=source.path,
            doc=self.doc(),
            variants=self.variants(),
            imports=self.imports(),
            defaults=self.defaults(),
            init=self.init(),
            freeze=self.freeze(),
            lint=self.lint(),
            train=self.train(),
            ignores=find_ignores(self.report, self.written),
        )
        self.definitions.fill(spec, self.root, is_file=True)
        spec.file = spec
        spec.blocks = {block.name: block for block in self.definitions.blocks(self.value("blocks"), spec)}
        self.check_callables(spec)
        return spec

    def value(self, key: str) -> Node:
        """The value of a key of the file, empty when it is absent."""
        absent = Scalar(start=self.root.start, end=self.root.start, text="", raw="", quoted=False)
        return self.root.get(key) or absent

    def check_root(self) -> None:
        for key, _ in self.root.entries:
            if key.text not in FILE_KEYS:
                self.report.unknown("unknown-key", "key", key.text, key, FILE_KEYS)
        edition = self.root.get("netc")
        if edition is None:
            start = self.root.start
            self.report.error("missing-key", "`netc: 1` is missing", start, start, help="start the file with `netc: 1`")
        elif not isinstance(edition, Scalar) or edition.text != EDITION:
            self.report.at("bad-edition", "the only edition is 1", edition, "write `netc: 1`")

    def name(self) -> str:
        scalar = None if self.root.get("name") is None else scalar_of(self.report, self.value("name"), "`name`")
        if scalar is None:
            return name_from_stem(os.path.splitext(os.path.basename(self.report.source.path))[0])
        reason = file_objection(scalar.text)
        if reason is not None:
            self.report.at("bad-name", f"`{scalar.text}` cannot name a network", scalar, reason)
        return scalar.text

    def doc(self) -> str:
        node = self.value("doc")
        if isinstance(node, Scalar):
            return node.text
        wrong_kind(self.report, node, "`doc`", "a string", "quote this")
        return ""

    def variants(self) -> tuple[Variant, ...]:
        variants = []
        for key, value in entries_of(self.report, self.value("variants"), "`variants`"):
            word_of(self.report, key, "variant")
            values = arguments(self.report, value, f"variant `{key.text}`")
            variants.append(Variant(key.text, values, self.report.span_of(key)))
        return tuple(variants)

    def imports(self) -> dict[str, Import]:
        imports = {}
        for key, value in entries_of(self.report, self.value("import"), "`import`"):
            word_of(self.report, key, "import", "an")
            path = text_of(self.report, value, f"the file of `{key.text}`")
            if path is not None:
                imports[key.text] = Import(key.text, *_split(path.value), path.span)
        return imports

    def defaults(self) -> tuple[Defaults, ...]:
        defaults = []
        for key, value in entries_of(self.report, self.value("defaults"), "`defaults`"):
            word_of(self.report, key, "variant", "an operator's")
            values = arguments(self.report, value, f"the defaults of `{key.text}`")
            defaults.append(Defaults(key.text, values, self.report.span_of(key)))
        return tuple(defaults)

    def init(self) -> tuple[InitRule, ...]:
        rules = []
        for key, value in entries_of(self.report, self.value("init"), "`init`"):
            line = StatementReader(self.report).statement(value, f"the rule of `{key.text}`")
            if isinstance(line, Line):
                rules.append(InitRule(key.text, line, self.report.span_of(key)))
            elif line is not None:
                self.report.at("wrong-kind", "an init rule must be a single line", value, "write `normal std=0.01`")
        return tuple(rules)

    def freeze(self) -> tuple[Text, ...]:
        texts = (text_of(self.report, item, "a path to freeze") for item in items_of(self.value("freeze")))
        return tuple(text for text in texts if text is not None)

    def lint(self) -> dict[str, Text]:
        levels: dict[str, Text] = {}
        for key, value in entries_of(self.report, self.value("lint"), "`lint`"):
            if key.text not in LINTS:
                self.report.unknown("unknown-lint", "lint", key.text, key, LINTS)
            level = text_of(self.report, value, f"the level of `{key.text}`")
            if level is not None and level.value not in LEVELS:
                self.report.unknown("bad-value", "level", level.value, value, LEVELS)
            elif level is not None:
                levels[key.text] = level
        return levels

    def train(self) -> Training | None:
        node = self.root.get("train")
        return None if node is None else training.TrainingReader(self.report).read(node)

    def check_callables(self, spec: SpecFile) -> None:
        """A block, an import and a shared module are called alike, so their names must differ."""
        kinds: dict[str, str] = {}
        named = [(item.name, item.span, "import") for item in spec.imports.values()]
        named += [(block.name, block.span, "block") for block in spec.blocks.values()]
        named += [(item.text, item.name_span, "shared module") for item in spec.shared]
        for name, span, kind in named:
            first = kinds.setdefault(name, kind)
            if first != kind:
                message = f"`{name}` names both a {kind} and a {first}"
                self.report.error("duplicate-name", message, span.start, span.end, help="rename one of them")
