"""A client of `netc lsp` over the real protocol: pygls's, with what it was told."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls import uris
from pygls.lsp.client import LanguageClient

ROOT = Path(__file__).parent.parent


class Editor:
    """One editor with its server."""

    def __init__(self, client: LanguageClient) -> None:
        self.client = client
        self.versions: dict[str, int] = {}
        self.texts: dict[str, str] = {}
        self.told: dict[str, asyncio.Queue[lsp.PublishDiagnosticsParams]] = {}

        @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _on_diagnostics(params: lsp.PublishDiagnosticsParams) -> None:
            self.told.setdefault(params.uri, asyncio.Queue()).put_nowait(params)

    async def open(self, path: Path, text: str | None = None) -> str:
        """Open a file and wait for what is found in it; the address."""
        uri = uris.from_fs_path(str(path))
        assert uri is not None
        self.texts[uri] = text if text is not None else path.read_text(encoding="utf-8")
        self.versions[uri] = 1
        item = lsp.TextDocumentItem(uri, "yaml", 1, self.texts[uri])
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        await self.found(uri)
        return uri

    async def found(self, uri: str) -> list[lsp.Diagnostic]:
        """What the server says of the newest text."""
        queue = self.told.setdefault(uri, asyncio.Queue())
        while True:
            params = await asyncio.wait_for(queue.get(), 20)
            if params.version is None or params.version >= self.versions[uri]:
                return list(params.diagnostics)

    async def found_again(self, uri: str) -> list[lsp.Diagnostic]:
        """What the server says after a blank line at the end."""
        self.type(uri, self.texts[uri], self.texts[uri] + "\n")
        return await self.found(uri)

    def type(self, uri: str, before: str, after: str) -> None:
        """Replace the first `before` by `after`, as one keystroke."""
        text = self.texts[uri]
        start = text.index(before)
        place = lsp.Range(self.position(uri, start), self.position(uri, start + len(before)))
        self.texts[uri] = text[:start] + after + text[start + len(before) :]
        self.versions[uri] += 1
        change = lsp.TextDocumentContentChangePartial(text=after, range=place)
        named = lsp.VersionedTextDocumentIdentifier(version=self.versions[uri], uri=uri)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(named, [change]))

    def position(self, uri: str, offset: int) -> lsp.Position:
        before = self.texts[uri][:offset]
        return lsp.Position(before.count("\n"), len(before.rpartition("\n")[2].encode("utf-16-le")) // 2)

    def place(self, uri: str, around: str) -> lsp.Position:
        """The place that `|` marks in a part of the text."""
        first, _, second = around.partition("|")
        return self.position(uri, self.texts[uri].index(first + second) + len(first))

    def applied(self, uri: str, edits: list[lsp.TextEdit]) -> str:
        """The text after edits."""
        text = self.texts[uri]
        lines = text.split("\n")

        def offset(at: lsp.Position) -> int:
            line = lines[at.line] if at.line < len(lines) else ""
            units = line.encode("utf-16-le")[: 2 * at.character].decode("utf-16-le")
            return sum(len(one) + 1 for one in lines[: at.line]) + len(units)

        for edit in sorted(edits, key=lambda one: (one.range.start.line, one.range.start.character), reverse=True):
            text = text[: offset(edit.range.start)] + edit.new_text + text[offset(edit.range.end) :]
        return text


@asynccontextmanager
async def editor(folder: Path) -> AsyncIterator[Editor]:
    """An editor whose server runs as `netc lsp`."""
    client = LanguageClient("tests", "1")
    found = Editor(client)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    await client.start_io(sys.executable, "-m", "netc", "lsp", "--stdio", env=environment, cwd=str(folder))
    workspace = uris.from_fs_path(str(folder))
    capabilities = lsp.ClientCapabilities()
    await client.initialize_async(lsp.InitializeParams(capabilities=capabilities, root_uri=workspace))
    client.initialized(lsp.InitializedParams())
    try:
        yield found
    finally:
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()


def run(folder: Path, session: Callable[[Editor], Coroutine[Any, Any, None]]) -> None:
    """Run a session with an editor, whose server must end well."""

    async def whole() -> None:
        async with editor(folder) as one:
            await asyncio.wait_for(session(one), 60)

    asyncio.run(whole())
