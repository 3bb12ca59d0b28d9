"""From a name to where it is declared, to all that mean it, and to other names for it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from itertools import dropwhile

from netc.diagnostics.model import Diagnostic, Edit, Source, Span
from netc.editor.analysis import Analysis, imported
from netc.editor.scopes import Kind, Symbol
from netc.editor.symbols import Symbols, place_of
from netc.syntax.ast import Import, Named, SpecFile
from netc.syntax.names import Role, objection, part_objection
from netc.syntax.parse import parse_spec
from netc.syntax.read import read_source

Read = Callable[[str], Source | Diagnostic]
"""The text of a file: the one that is open in an editor, where there is one."""

_ROLES: dict[Kind, Role] = {
    "statement": "statement",
    "argument": "argument",
    "let": "let",
    "loop variable": "loop variable",
    "input": "input",
    "block": "block",
    "import": "import",
    "shared": "shared module",
    "variant": "variant",
}
_MOST_FILES = 500


def definition(analysis: Analysis, offset: int) -> Span | None:
    """Where the name at `offset` is declared; behind the name of an import, the file it names."""
    occurrence = None if analysis.symbols is None else analysis.symbols.at(offset)
    if occurrence is None or analysis.spec is None:
        return None
    symbol = occurrence.symbol
    at_home = occurrence.span.start == symbol.span.start and occurrence.span.source is symbol.span.source
    if isinstance(symbol.node, Import) and at_home:
        file = imported(symbol.node, analysis.spec)
        return None if file is None else Span(file.span.source, 0, 0)
    return symbol.span


def references(analysis: Analysis, offset: int, read: Read = read_source) -> list[Span]:
    """Every place that means the name at `offset`, its declaration first; in files that import this one too."""
    occurrence = None if analysis.symbols is None else analysis.symbols.at(offset)
    if occurrence is None or analysis.symbols is None:
        return []
    return [
        span for symbols in _files(analysis, occurrence.symbol, read) for span in _spans(symbols, occurrence.symbol)
    ]


def _spans(symbols: Symbols, symbol: Symbol) -> list[Span]:
    return [one.span for one in symbols.of(symbol)]


def _files(analysis: Analysis, symbol: Symbol, read: Read) -> Iterable[Symbols]:
    """The file that declares a symbol, and those in its folder or below that import it."""
    assert analysis.symbols is not None
    home = symbol.span.source
    if home.path == analysis.source.path:
        yield analysis.symbols
    else:
        spec, _ = parse_spec(home)
        if spec is not None:
            yield Symbols(spec, imported)
        yield analysis.symbols
    if symbol.kind in ("statement", "argument", "output", "variant") and os.path.exists(home.path):
        for path in _beside(home.path):
            if os.path.realpath(path) not in (os.path.realpath(home.path), os.path.realpath(analysis.source.path)):
                source = read(path)
                if isinstance(source, Source) and os.path.basename(home.path) in source.text:
                    spec, _ = parse_spec(source)
                    if spec is not None:
                        yield Symbols(spec, imported)


def _beside(path: str) -> list[str]:
    folder = os.path.dirname(path) or "."
    names = sorted(name for name in os.listdir(folder) if name.endswith((".yaml", ".yml")))
    return [os.path.join(folder, name) for name in names[:_MOST_FILES]]


class RenameRefused(Exception):
    """Why a name cannot be changed, or not into that one."""


def renamable(analysis: Analysis, offset: int) -> Span:
    """The name at `offset`, if it can be changed. Raises Refused."""
    occurrence = None if analysis.symbols is None else analysis.symbols.at(offset)
    if occurrence is None:
        raise RenameRefused("there is nothing to rename here")
    if not occurrence.symbol.plain:
        raise RenameRefused(f"`{occurrence.symbol.name}` is a pattern for several names; change it by hand")
    if analysis.symbols is not None and place_of(occurrence.symbol) in analysis.symbols.patterned:
        raise RenameRefused(f"a name with `$` stands for `{occurrence.symbol.name}`, among others; change them by hand")
    if occurrence.symbol.span.source.path.startswith("netc:"):
        raise RenameRefused(f"`{occurrence.symbol.name}` is declared in netc's library")
    if analysis.symbols is not None and (glob := _glob(analysis.symbols.spec, occurrence.symbol)):
        raise RenameRefused(
            f"the pattern `{glob}` stands for `{occurrence.symbol.name}`, among others; change it by hand"
        )
    if occurrence.span.text != occurrence.symbol.name:
        raise RenameRefused(f"`{occurrence.span.text}` stands for `{occurrence.symbol.name}`, among others")
    return occurrence.span


def _glob(spec: SpecFile, symbol: Symbol) -> str | None:
    """The glob of `init` or `freeze` that says the name of a statement behind a `*`."""
    if symbol.kind not in ("statement", "shared"):
        return None
    for glob in (*(rule.pattern for rule in spec.init), *(frozen.value for frozen in spec.freeze)):
        if symbol.name in dropwhile(lambda word: "*" not in word, glob.split(".")):
            return glob
    return None


def rename(analysis: Analysis, offset: int, name: str, read: Read = read_source) -> list[Edit]:
    """The changes that give the name at `offset` another one, everywhere. Raises Refused."""
    renamable(analysis, offset)
    assert analysis.symbols is not None
    occurrence = analysis.symbols.at(offset)
    assert occurrence is not None
    symbol = occurrence.symbol
    role = _ROLES.get(symbol.kind, "statement")
    first, *others = name.split(".")
    dotted = isinstance(symbol.node, Named) and symbol.kind == "statement"
    reasons = [objection(first, role), *(part_objection(word) for word in others)]
    if (others and not dotted) or any(reasons) or not re.fullmatch(r"[\w.-]+", name):
        reason = next((reason for reason in reasons if reason), "names are words")
        raise RenameRefused(f"`{name}` cannot name {'an' if role[0] in 'aeiou' else 'a'} {role}: {reason}")
    taken = {other.symbol.name for other in analysis.symbols.occurrences if other.symbol.kind == symbol.kind}
    if name in taken and name != symbol.name:
        raise RenameRefused(f"there is already {'an' if role[0] in 'aeiou' else 'a'} {role} `{name}`")
    spans = references(analysis, offset, read)
    unique = {(span.source.path, span.start): span for span in spans if span.text == symbol.name}
    return [Edit(span, name) for span in unique.values()]
