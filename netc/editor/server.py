"""The language server: what editors ask is answered by the pure functions beside this module."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, TextIO

from lsprotocol import types as lsp
from pygls import uris
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.io_ import StdinAsyncReader, StdoutWriter, run_async
from pygls.lsp.server import LanguageServer

from netc import __version__
from netc.api import Network
from netc.collector import uncollected
from netc.diagnostics.model import Diagnostic, NetcError, Source, failure
from netc.editor import protocol
from netc.editor.analysis import Analysis
from netc.editor.completing import completions, documentation
from netc.editor.formatting import format_source
from netc.editor.hints import Hint, moved
from netc.editor.hovering import hover
from netc.editor.navigating import RenameRefused, definition, references, renamable, rename
from netc.editor.positions import Encoding, Positions, encoding_of
from netc.editor.structure import TOKENS, folds, outline, tokens
from netc.passes.versions import Versions
from netc.syntax.parse import is_spec
from netc.syntax.read import read_source

PAUSE, QUICK, LONGEST = 0.005, 0.15, 0.3
"""Seconds without a keystroke after which a text is looked at, where that takes at most so long; and otherwise."""

LONGEST_HEADER, LARGEST_MESSAGE = 1 << 12, 1 << 26
"""Bytes of a line before a message, and of a message."""

PICTURE = "netc.picture"
"""The command that draws the network of a document: its address → the SVG, or none where there are errors."""


class Document:
    """An open text, what is known of it, and what was known when it last made sense."""

    def __init__(self, path: str, encoding: Encoding) -> None:
        self.path, self.encoding = path, encoding
        self.text = ""
        self.readable: Analysis | None = None
        self.right: Analysis | None = None
        self.took = 0.0
        """Seconds of the last look."""
        self._analysis: Analysis | None = None
        self._versions = Versions(path)
        self.waiting: asyncio.Task[None] | None = None

    @property
    def positions(self) -> Positions:
        return self.analysis.positions

    @property
    def is_new(self) -> bool:
        """Was the text changed since it was looked at?"""
        return self._analysis is None or self._analysis.source.text != self.text

    @property
    def analysis(self) -> Analysis:
        """Of the text as it is."""
        if self._analysis is None or self._analysis.source.text != self.text:
            start = time.perf_counter()
            if self.right is not None:
                self.right.hints  # noqa: B018 - their places are known until the next text is looked at
            self._analysis = _analysed(Source(self.path, self.text), self.encoding, self._versions)
            self.took = time.perf_counter() - start
            if self._analysis.spec is not None:
                self.readable = self._analysis
            if self._analysis.network is not None:
                self.right = self._analysis
        return self._analysis

    def hints(self) -> list[Hint]:
        """Sizes behind lines; where there are errors, those of the lines that stayed as they were."""
        self.analysis  # noqa: B018 - the newest text counts
        return [] if self.right is None else moved(self.right.hints, self.right.source.text, self.text)

    def pause(self) -> float:
        """Seconds to wait for another keystroke: short, unless a look takes long."""
        return PAUSE if self.took < QUICK else min(self.took / 2, LONGEST)

    def forget(self) -> None:
        """Look again, although the text is the same: a file that it imports may not be."""
        self._analysis = None


def _analysed(source: Source, encoding: Encoding, versions: Versions) -> Analysis:
    """An analysis makes a tree of live objects that the cyclic collector would walk again and again."""
    with uncollected():
        return Analysis(source, encoding, versions=versions)


class Server(LanguageServer):
    """A server and the documents that are open."""

    def __init__(self) -> None:
        super().__init__(protocol.NAME, __version__)
        self.documents: dict[str, Document] = {}

    def document(self, uri: str) -> Document:
        """The document with its text as the editor has it."""
        document = self.documents.get(uri)
        if document is None:
            encoding = encoding_of(str(getattr(self.workspace.position_encoding, "value", "utf-16")))
            document = self.documents[uri] = Document(uris.to_fs_path(uri) or uri, encoding)
        document.text = self.workspace.get_text_document(uri).source
        return document

    def read(self, path: str) -> Source | Diagnostic:
        """A file's text, as an editor has it open or as it was saved."""
        for document in self.documents.values():
            if document.path == path:
                return Source(path, document.text)
        return read_source(path)

    def look(self, uri: str) -> None:
        """Tell what is wrong with a document."""
        findings = protocol.diagnostics(self.document(uri).analysis)
        version = self.workspace.get_text_document(uri).version
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, findings, version))

    def look_soon(self, uri: str) -> None:
        """The same, once nothing was typed for a moment."""
        document = self.document(uri)
        if document.waiting is not None:
            document.waiting.cancel()
        document.waiting = asyncio.get_running_loop().create_task(self._look_later(uri, document.pause()))

    async def _look_later(self, uri: str, pause: float) -> None:
        await asyncio.sleep(pause)
        self.look(uri)


class _Reader(StdinAsyncReader):
    """What an editor says, in bounds: lines of headers first, one of which says how long the message after them is."""

    def __init__(self, stdin: BinaryIO, executor: ThreadPoolExecutor) -> None:
        super().__init__(stdin, executor)
        self.has_length = False

    async def readline(self) -> bytes:
        """A header, or the end of them. Raises NetcError (`bad-input`) for what is neither."""
        line: bytes = await self.loop.run_in_executor(self.executor, self.stdin.readline, LONGEST_HEADER)
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        if name.lower() == b"content-length":
            if not value.strip().isdigit() or int(value) > LARGEST_MESSAGE:
                told = value.strip().decode("utf-8", "replace")
                raise _not_the_protocol(f"{told[:20]!r} is not the length of a message")
            self.has_length = True
        elif line and not (line == b"\r\n" and self.has_length) and not (value and line.endswith(b"\n")):
            raise _not_the_protocol("a message begins with `Content-Length:`")
        return line

    async def readexactly(self, n: int) -> bytes:
        self.has_length = False
        return await super().readexactly(n)


def _not_the_protocol(what: str) -> NetcError:
    return failure("bad-input", f"standard input does not speak the Language Server Protocol: {what}")


class _Log(logging.StreamHandler[TextIO]):
    """What pygls logs, on standard error: in a line where it is about what an editor said, in full where netc fails."""

    def format(self, record: logging.LogRecord) -> str:
        told, error = record.getMessage().partition("\n")[0], record.exc_info[1] if record.exc_info else None
        if error is None or isinstance(error, JsonRpcException) or record.name == run_async.__module__:
            return told if error is None else f"{told}: {error}"
        return super().format(record)


def serve(server: Server, stdin: BinaryIO, stdout: BinaryIO) -> None:
    """Answer an editor until it leaves.

    Raises SystemExit with the code that it asks for, KeyboardInterrupt, and NetcError (`bad-input`) for what is not the
    protocol.
    """
    logging.getLogger("pygls").addHandler(_Log())
    server.protocol.set_writer(StdoutWriter(stdout))
    reader = _Reader(stdin, server.thread_pool)
    asyncio.run(run_async(threading.Event(), reader, server.protocol, error_handler=server.report_server_error))


def make_server() -> Server:
    """A server with all that it can do."""
    server = Server()
    _follow_texts(server)
    _tell(server)
    _lead(server)
    _shape(server)
    _change(server)
    return server


def _follow_texts(server: Server) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    async def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        server.look(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        server.look_soon(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    async def saved(params: lsp.DidSaveTextDocumentParams) -> None:
        for uri, document in server.documents.items():
            if uri != params.text_document.uri:
                document.forget()
                server.look(uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    async def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        document = server.documents.pop(uri, None)
        if document is not None and document.waiting is not None:
            document.waiting.cancel()
        server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, []))


def _tell(server: Server) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def on_hover(params: lsp.HoverParams) -> lsp.Hover | None:
        document, offset = _at(server, params)
        answer = hover(document.analysis, offset)
        if answer is None:
            return None
        text = lsp.MarkupContent(lsp.MarkupKind.Markdown, answer.text)
        return lsp.Hover(text, protocol.range_of(document.positions, answer.start, answer.end))

    @server.feature(lsp.TEXT_DOCUMENT_INLAY_HINT)
    def on_hints(params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
        document = server.document(params.text_document.uri)
        positions = document.positions
        items = document.hints()
        told = [
            lsp.InlayHint(
                lsp.Position(*positions.position(one.offset)), one.label, tooltip=one.tooltip, padding_left=True
            )
            for one in items
        ]
        return [hint for hint in told if params.range.start <= hint.position <= params.range.end]

    options = lsp.CompletionOptions(trigger_characters=["@", " ", "=", ".", ":", "[", "{"], resolve_provider=True)

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, options)
    def on_completion(params: lsp.CompletionParams) -> lsp.CompletionList:
        document = server.document(params.text_document.uri)
        positions = Positions(document.text, document.encoding)
        offset = positions.offset(params.position.line, params.position.character)
        is_ours = is_spec(Source(document.path, document.text)) or not document.text.strip()
        items = completions(document.text, offset, document.readable) if is_ours else []
        return lsp.CompletionList(False, [protocol.completion(one, offset, positions) for one in items])

    @server.feature(lsp.COMPLETION_ITEM_RESOLVE)
    def on_resolve(item: lsp.CompletionItem) -> lsp.CompletionItem:
        item.documentation = documentation(item.label, item.detail or "")
        return item


def _lead(server: Server) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def on_definition(params: lsp.DefinitionParams) -> lsp.Location | None:
        document, offset = _at(server, params)
        place = definition(document.analysis, offset)
        return None if place is None else protocol.location(place, document.analysis)

    @server.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    def on_references(params: lsp.ReferenceParams) -> list[lsp.Location]:
        document, offset = _at(server, params)
        return [
            protocol.location(span, document.analysis) for span in references(document.analysis, offset, server.read)
        ]

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    def on_highlight(params: lsp.DocumentHighlightParams) -> list[lsp.DocumentHighlight]:
        document, offset = _at(server, params)
        symbols = document.analysis.symbols
        occurrence = None if symbols is None else symbols.at(offset)
        spans = [] if symbols is None or occurrence is None else [one.span for one in symbols.of(occurrence.symbol)]
        return [lsp.DocumentHighlight(protocol.range_of(document.positions, s.start, s.end)) for s in spans]

    @server.feature(lsp.TEXT_DOCUMENT_PREPARE_RENAME)
    def on_prepare(params: lsp.PrepareRenameParams) -> lsp.Range:
        document, offset = _at(server, params)
        try:
            span = renamable(document.analysis, offset)
        except RenameRefused as reason:
            raise JsonRpcInvalidParams(message=str(reason)) from reason
        return protocol.range_of(document.positions, span.start, span.end)

    @server.feature(lsp.TEXT_DOCUMENT_RENAME, lsp.RenameOptions(prepare_provider=True))
    def on_rename(params: lsp.RenameParams) -> lsp.WorkspaceEdit:
        document, offset = _at(server, params)
        try:
            edits = rename(document.analysis, offset, params.new_name, server.read)
        except RenameRefused as reason:
            raise JsonRpcInvalidParams(message=str(reason)) from reason
        return protocol.workspace_edit(edits, document.analysis)


def _shape(server: Server) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def on_outline(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        document = server.document(params.text_document.uri)
        return [protocol.symbol(entry, document.positions) for entry in outline(document.analysis)]

    @server.feature(lsp.TEXT_DOCUMENT_FOLDING_RANGE)
    def on_folds(params: lsp.FoldingRangeParams) -> list[lsp.FoldingRange]:
        document = server.document(params.text_document.uri)
        return [lsp.FoldingRange(first, last) for first, last in folds(document.analysis)]

    @server.feature(lsp.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, lsp.SemanticTokensLegend([*TOKENS], []))
    def on_tokens(params: lsp.SemanticTokensParams) -> lsp.SemanticTokens:
        document = server.document(params.text_document.uri)
        return lsp.SemanticTokens(protocol.encoded(tokens(document.analysis), document.positions))


def _change(server: Server) -> None:
    kinds = lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix])

    @server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION, kinds)
    def on_actions(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        return protocol.actions(server.document(params.text_document.uri).analysis, params.range)

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def on_format(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        document = server.document(params.text_document.uri)
        done = format_source(Source(document.path, document.text))
        if not isinstance(done, str) or done == document.text:
            return None
        return [lsp.TextEdit(protocol.range_of(document.positions, 0, len(document.text)), done)]

    @server.command(PICTURE)
    def on_picture(uri: str) -> str | None:
        network = server.document(uri).analysis.network
        try:
            return None if network is None else Network(network).diagram().svg
        except NetcError as error:
            raise JsonRpcInvalidParams(message=str(error)) from error


_Placed = (
    lsp.HoverParams
    | lsp.DefinitionParams
    | lsp.ReferenceParams
    | lsp.DocumentHighlightParams
    | lsp.PrepareRenameParams
    | lsp.RenameParams
)


def _at(server: Server, params: _Placed) -> tuple[Document, int]:
    """The document and the character that a request is about."""
    document = server.document(params.text_document.uri)
    return document, document.positions.offset(params.position.line, params.position.character)
