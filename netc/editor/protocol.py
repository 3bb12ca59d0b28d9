"""Between netc's words and those of the Language Server Protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lsprotocol import types as lsp
from pygls import uris

from netc.diagnostics.model import Diagnostic, Edit, Source, Span
from netc.editor.analysis import Analysis
from netc.editor.completing import Completion
from netc.editor.completing import Kind as CompletionKind
from netc.editor.positions import Positions
from netc.editor.scopes import Kind
from netc.editor.structure import TOKENS, OutlineEntry, SemanticToken
from netc.syntax.library import file_of, is_shipped

NAME = "netc"

_COMPLETIONS: dict[CompletionKind, lsp.CompletionItemKind] = {
    "key": lsp.CompletionItemKind.Keyword,
    "operator": lsp.CompletionItemKind.Function,
    "block": lsp.CompletionItemKind.Class,
    "attribute": lsp.CompletionItemKind.Property,
    "word": lsp.CompletionItemKind.EnumMember,
    "tensor": lsp.CompletionItemKind.Variable,
    "value": lsp.CompletionItemKind.Value,
    "code": lsp.CompletionItemKind.Constant,
}
_SYMBOLS: dict[Kind, lsp.SymbolKind] = {
    "block": lsp.SymbolKind.Class,
    "import": lsp.SymbolKind.Module,
    "argument": lsp.SymbolKind.Constant,
    "let": lsp.SymbolKind.Constant,
    "loop variable": lsp.SymbolKind.Constant,
    "input": lsp.SymbolKind.Interface,
    "statement": lsp.SymbolKind.Function,
    "shared": lsp.SymbolKind.Object,
    "output": lsp.SymbolKind.Interface,
    "variant": lsp.SymbolKind.Enum,
}


def uri_of(source: Source) -> str:
    """The address of a source: a block of netc's library is the file that it comes from."""
    path = source.path
    if is_shipped(path):
        file = file_of(path)
        path = file if isinstance(file, str) else path
    return uris.from_fs_path(path) or path


def range_of(positions: Positions, start: int, end: int) -> lsp.Range:
    """The characters `start:end` as a range."""
    return lsp.Range(lsp.Position(*positions.position(start)), lsp.Position(*positions.position(end)))


def location(span: Span, analysis: Analysis) -> lsp.Location:
    """Where a span stands, which may be another file than the one analysed."""
    home = span.source.text == analysis.source.text
    positions = analysis.positions if home else Positions(span.source.text, analysis.encoding)
    return lsp.Location(uri_of(span.source), range_of(positions, span.start, span.end))


def diagnostics(analysis: Analysis) -> list[lsp.Diagnostic]:
    """Everything found, at its place; what was found in an imported file stands at the file's beginning."""
    return [_diagnostic(one, analysis) for one in analysis.found]


def _diagnostic(one: Diagnostic, analysis: Analysis) -> lsp.Diagnostic:
    here = one.span is not None and one.span.source.path == analysis.source.path
    remedies = [f"help: {fix.title}" for fix in one.fixes]
    place = range_of(analysis.positions, one.span.start, one.span.end) if here and one.span else _beginning()
    elsewhere = "" if here or one.span is None else f"{one.span.source.path}:{one.span.lines[0]}: "
    severity = lsp.DiagnosticSeverity.Error if one.severity == "error" else lsp.DiagnosticSeverity.Warning
    labels = [(label.span, label.text or "here") for label in one.secondary]
    labels += [(frame.span, f"in `{frame.name}`, called here") for frame in one.trail]
    labels += [(one.span, one.message)] if one.span is not None and not here else []
    related = [lsp.DiagnosticRelatedInformation(location(span, analysis), text) for span, text in labels]
    return lsp.Diagnostic(
        range=place,
        message="\n".join((elsewhere + one.message, *one.notes, *remedies)),
        severity=severity,
        code=one.code,
        source=NAME,
        related_information=related or None,
    )


def _beginning() -> lsp.Range:
    return lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))


def workspace_edit(edits: Iterable[Edit], analysis: Analysis) -> lsp.WorkspaceEdit:
    """Changes of texts, file by file."""
    changes: dict[str, list[lsp.TextEdit]] = {}
    for edit in edits:
        place = location(edit.span, analysis)
        changes.setdefault(place.uri, []).append(lsp.TextEdit(place.range, edit.replacement))
    return lsp.WorkspaceEdit(changes=dict(changes))


def actions(analysis: Analysis, selection: lsp.Range) -> list[lsp.CodeAction]:
    """What findings in a range offer to change."""
    code_actions = []
    for one in analysis.found:
        told = _diagnostic(one, analysis)
        if told.range.start > selection.end or told.range.end < selection.start:
            continue
        offered = [fix for fix in one.fixes if fix.edits]
        code_actions += [
            lsp.CodeAction(
                title=fix.title,
                kind=lsp.CodeActionKind.QuickFix,
                diagnostics=[told],
                is_preferred=len(offered) == 1,
                edit=workspace_edit(fix.edits, analysis),
            )
            for fix in offered
        ]
    return code_actions


def completion(one: Completion, end: int, positions: Positions) -> lsp.CompletionItem:
    """A completion that replaces what is written up to the cursor at `end`."""
    place = range_of(positions, one.start, end)
    return lsp.CompletionItem(
        label=one.label,
        kind=_COMPLETIONS[one.kind],
        detail=one.detail or None,
        text_edit=lsp.TextEdit(place, one.text or one.label),
    )


def symbol(entry: OutlineEntry, positions: Positions) -> lsp.DocumentSymbol:
    """A line of the outline with those below it."""
    return lsp.DocumentSymbol(
        name=entry.name,
        kind=_SYMBOLS[entry.kind],
        detail=entry.detail or entry.kind,
        range=range_of(positions, entry.start, entry.end),
        selection_range=range_of(positions, entry.name_start, entry.name_end),
        children=[symbol(child, positions) for child in entry.children],
    )


def encoded(tokens: Sequence[SemanticToken], positions: Positions) -> list[int]:
    """Tokens as the protocol counts them: five numbers each, places relative to the one before."""
    data: list[int] = []
    line, unit = 0, 0
    for token in tokens:
        at, start = positions.position(token.start)
        until, end = positions.position(token.end)
        if until == at:
            data += [at - line, start - unit if at == line else start, end - start, TOKENS.index(token.kind), 0]
            line, unit = at, start
    return data
