"""Everything an editor asks about one text, computed once per change."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property, lru_cache

from netc.diagnostics.model import Diagnostic, Source
from netc.editor.hints import Hint, hints
from netc.editor.measures import Measures
from netc.editor.positions import Encoding, Positions
from netc.editor.symbols import Symbols
from netc.ir.model import Network
from netc.passes import compile_spec
from netc.passes.explain import Explainer
from netc.passes.versions import Versions
from netc.syntax.ast import Import, SpecFile
from netc.syntax.findings import SourceFindings
from netc.syntax.library import is_shipped
from netc.syntax.nodes import Node
from netc.syntax.parse import is_spec, parse_spec
from netc.syntax.read import read_source
from netc.syntax.yaml import load_tree


class Analysis:
    """A text and what netc makes of it. `network` is None where there are errors, `spec` where they are of syntax.
    Nothing is found in a YAML file of another kind.

    args, variant, bind: which network of the file, as in `netc.load`; the first with its defaults otherwise.
    versions: the text as it was before; the analysis then holds until the next is made with them.
    """

    def __init__(
        self,
        source: Source,
        encoding: Encoding = "utf-16",
        *,
        args: Mapping[str, str] | None = None,
        variant: str | None = None,
        bind: Mapping[str, int] | None = None,
        versions: Versions | None = None,
    ) -> None:
        self.source = source
        self.encoding: Encoding = encoding
        self.network: Network | None = None
        self.found: list[Diagnostic] = []
        self.spec: SpecFile | None = None
        if not is_spec(source):
            return
        if versions is not None:
            self.network, self.found, self.spec = versions.check(source)
        else:
            self.network, self.found = compile_spec(source, args, variant, bind)
            self.spec = self.network.file if self.network is not None else parse_spec(source)[0]

    @cached_property
    def positions(self) -> Positions:
        return Positions(self.source.text, self.encoding)

    @cached_property
    def root(self) -> Node | None:
        return load_tree(SourceFindings(self.source)) if is_spec(self.source) else None

    @cached_property
    def symbols(self) -> Symbols | None:
        return None if self.spec is None else Symbols(self.spec, imported)

    @cached_property
    def measures(self) -> Measures | None:
        return None if self.network is None else Measures(self.network)

    @cached_property
    def hints(self) -> list[Hint]:
        return [] if self.spec is None else hints(self.spec, self.measures, self.positions)

    @cached_property
    def explainer(self) -> Explainer | None:
        return None if self.network is None else Explainer(self.network)


def imported(declared: Import, importer: SpecFile) -> SpecFile | None:
    """The file that an import names, as it was saved; None where it cannot be read."""
    shipped = is_shipped(declared.path)
    if not shipped and not declared.path.endswith((".yaml", ".yml")):
        return None
    source = read_source(declared.path if shipped else os.path.join(os.path.dirname(importer.path), declared.path))
    return None if isinstance(source, Diagnostic) else _parsed(source.path, source.text)


@lru_cache(maxsize=64)
def _parsed(path: str, text: str) -> SpecFile | None:
    """Imported files seldom change between two keystrokes."""
    return parse_spec(Source(path, text))[0]
