"""Draws docs/editor.svg: somebody types a spec, and what the language server says at each keystroke.

`python -m tools.recording` starts `netc lsp`, types by the protocol what `SCRIPT` has, and keeps each answer: hints
behind lines, what is wrong, completions, and the fix. Nothing in the picture is made up but the speed of the typing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

import msgspec
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs/editor.svg"
START = """netc: 1
name: digits
inputs: {image: [N, 3, 4*h, 4*w]}
net:
  stem: [conv2d 32 3 padding=1, relu]
"""
URI = "file:///digits.yaml"


class Type(msgspec.Struct, frozen=True):
    """Write a text at the end, a few characters in a frame."""

    text: str
    step: int = 3


class Complete(msgspec.Struct, frozen=True):
    """Ask what may stand at the end, and take one of the answers."""

    label: str


class Fix(msgspec.Struct, frozen=True):
    """Take the fix that is offered for the first finding."""


SCRIPT = (
    Type("  left: conv2d 64 3 padding=1 @stem\n"),
    Type("  right: conv2d 64 3 bi"),
    Complete("bias="),
    Type("false @stem\n"),
    Type("  sum: add @left @right\n"),
    Fix(),
    Type("  head: [adaptive_avg_pool2d 1, flatten, linear 10]\n", 4),
    Type("outputs: {logits: head}\n", 4),
)


class Frame(msgspec.Struct, frozen=True):
    """What stands on the screen for `seconds`."""

    text: str
    seconds: float
    hints: tuple[tuple[int, str], ...] = ()
    wrong: tuple[lsp.Range, ...] = ()
    told: str = ""
    offered: tuple[str, ...] = ()
    chosen: str = ""


class Recorder:
    """A client of `netc lsp` that keeps what is on its screen after each keystroke."""

    def __init__(self, client: LanguageClient) -> None:
        self.client, self.text, self.version = client, START, 1
        self.frames: list[Frame] = []
        self.told: asyncio.Queue[lsp.PublishDiagnosticsParams] = asyncio.Queue()
        self.document = lsp.TextDocumentIdentifier(URI)

        @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _on_diagnostics(params: lsp.PublishDiagnosticsParams) -> None:
            self.told.put_nowait(params)

    async def record(self) -> list[Frame]:
        """Carry out the script."""
        self.client.text_document_did_open(
            lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(URI, "yaml", 1, self.text))
        )
        await self._keep(1.5)
        for act in SCRIPT:
            if isinstance(act, Type):
                await self._type(act)
            elif isinstance(act, Complete):
                await self._complete(act.label)
            else:
                await self._fix()
        await self._keep(4)
        return self.frames

    async def _type(self, act: Type) -> None:
        for start in range(0, len(act.text), act.step):
            await self._change(self.text + act.text[start : start + act.step])
            await self._keep(0.16)
        await self._keep(0.9)

    async def _complete(self, label: str) -> None:
        asked = lsp.CompletionParams(self.document, self._end())
        answer = await self.client.text_document_completion_async(asked)
        assert isinstance(answer, lsp.CompletionList)
        begun = self.text[len(self.text.rstrip("abcdefghijklmnopqrstuvwxyz_")) :]
        fitting = [one for one in answer.items if one.label.startswith(begun)]
        (taken,) = (one for one in fitting if one.label == label)
        await self._keep(1.4, offered=tuple(one.label for one in fitting), chosen=label)
        await self._change(self.text[: -len(begun)] + taken.label)
        await self._keep(0.3)

    async def _fix(self) -> None:
        found = (await self._keep(2.2)).wrong[0]
        context = lsp.CodeActionContext([])
        actions = await self.client.text_document_code_action_async(lsp.CodeActionParams(self.document, found, context))
        offered = [one for one in actions or [] if isinstance(one, lsp.CodeAction) and one.edit and one.edit.changes]
        title = offered[0].title
        await self._keep(1.8, offered=tuple(one.title for one in offered), chosen=title)
        edit = offered[0].edit
        assert edit is not None
        assert edit.changes is not None
        text = self.text
        for change in sorted(edit.changes[URI], key=lambda one: self._offset(one.range.start), reverse=True):
            start, end = self._offset(change.range.start), self._offset(change.range.end)
            text = text[:start] + change.new_text + text[end:]
        await self._change(text)
        await self._keep(1.6)

    async def _change(self, text: str) -> None:
        self.text = text
        self.version += 1
        named = lsp.VersionedTextDocumentIdentifier(self.version, URI)
        whole = lsp.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(named, [whole]))

    async def _keep(self, seconds: float, offered: tuple[str, ...] = (), chosen: str = "") -> Frame:
        """What the server says of the text as it is."""
        if not self.frames or self.frames[-1].text != self.text:
            while (news := await asyncio.wait_for(self.told.get(), 30)).version != self.version:
                pass
            self.found = news.diagnostics
        whole = lsp.Range(lsp.Position(0, 0), self._end())
        hints = await self.client.text_document_inlay_hint_async(lsp.InlayHintParams(self.document, whole)) or []
        errors = [one for one in self.found if one.severity == lsp.DiagnosticSeverity.Error]
        frame = Frame(
            self.text,
            seconds,
            tuple((one.position.line, str(one.label)) for one in hints),
            tuple(one.range for one in errors),
            errors[0].message.partition("\n")[0] if errors else "",
            offered,
            chosen,
        )
        self.frames.append(frame)
        return frame

    def _end(self) -> lsp.Position:
        lines = self.text.split("\n")
        return lsp.Position(len(lines) - 1, len(lines[-1]))

    def _offset(self, place: lsp.Position) -> int:
        lines = self.text.split("\n")
        return sum(len(line) + 1 for line in lines[: place.line]) + place.character


async def record() -> list[Frame]:
    """Run the script against a server of this Python."""
    client = LanguageClient("recording", "1")
    recorder = Recorder(client)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    await client.start_io(sys.executable, "-m", "netc", "lsp", env=environment, cwd=str(ROOT))
    await client.initialize_async(lsp.InitializeParams(lsp.ClientCapabilities()))
    client.initialized(lsp.InitializedParams())
    frames = await recorder.record()
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    return frames


WIDTH, LEFT, TOP, LINE, SIGN = 760, 46, 44, 21, 8.0
ROWS = 13


def drawing(frames: list[Frame]) -> str:
    """The frames as one SVG that plays by itself, again and again."""
    total = sum(frame.seconds for frame in frames)
    height = TOP + ROWS * LINE + 40
    parts, at = [], 0.0
    for number, frame in enumerate(frames):
        share, end = at / total, (at + frame.seconds) / total
        at += frame.seconds
        times = f"0;{share:.5f};{min(end, 1):.5f}" if number else f"0;{end:.5f}"
        values = "none;inline;none" if number else "inline;none"
        play = (
            f'<animate attributeName="display" values="{values}" keyTimes="{times}" dur="{total:.2f}s" '
            'calcMode="discrete" repeatCount="indefinite"/>'
        )
        still = "inline" if number == len(frames) - 1 else "none"
        parts.append(f'<g display="{still}">{play}{"".join(_screen(frame))}</g>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-labelledby="t" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, '
        '\'Liberation Mono\', monospace" font-size="13.3">\n'
        '<title id="t">A spec is typed; sizes stand behind its lines, an error is marked and fixed</title>\n'
        "<style>text{white-space:pre;fill:#1a1a1a}.n{fill:#9aa3af}.h{fill:#7c8794}.k{fill:#1f4e8c}.e{fill:#b3261e}"
        ".c{fill:#fff}</style>\n"
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fff" stroke="#cdd3dc"/>\n'
        f'<path d="M0 28V8q0-8 8-8h{WIDTH - 16}q8 0 8 8v20z" fill="#eceff3"/>\n'
        '<text x="16" y="19" class="h">digits.yaml</text>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _screen(frame: Frame) -> Iterator[str]:
    lines = frame.text.split("\n")
    hints = dict(frame.hints)
    for number, line in enumerate(lines):
        y = TOP + number * LINE
        yield f'<text x="14" y="{y}" class="n">{number + 1:2}</text>'
        yield f'<text x="{LEFT}" y="{y}">{_coloured(line)}</text>' if line else ""
        if number in hints:
            yield f'<text x="{LEFT + (len(line) + 2) * SIGN:g}" y="{y}" class="h">{escape(hints[number])}</text>'
    for place in frame.wrong:
        x, width = LEFT + place.start.character * SIGN, (place.end.character - place.start.character) * SIGN
        y = TOP + place.start.line * LINE + 4
        waves = "q1 -3 2 0t2 0" * max(round(width / 4), 1)
        yield f'<path d="M{x:g} {y}{waves}" fill="none" stroke="#d03a2f" stroke-width="1.2"/>'
    row, column = len(lines) - 1, len(lines[-1])
    yield f'<rect x="{LEFT + column * SIGN:g}" y="{TOP + row * LINE - 13}" width="1.6" height="17" fill="#1f4e8c"/>'
    if frame.told:
        yield f'<text x="14" y="{TOP + ROWS * LINE + 22}" class="e">{escape(_cut(frame.told))}</text>'
    yield from _menu(frame, row, column)


def _coloured(line: str) -> str:
    key, colon, rest = line.partition(":")
    return f'<tspan class="k">{escape(key)}</tspan>{escape(colon + rest)}' if colon else escape(line)


def _menu(frame: Frame, row: int, column: int) -> Iterator[str]:
    """What may be chosen, below the cursor."""
    if not frame.offered:
        return
    offered = [_cut(one) for one in frame.offered[:5]]
    width = max(map(len, offered)) * SIGN + 20
    x = min(LEFT + column * SIGN, WIDTH - width - 10)
    y = TOP + row * LINE + 8
    yield f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{len(offered) * LINE + 8}" rx="4" fill="#f7f9fb" '
    yield 'stroke="#b9c0ca"/>'
    for number, one in enumerate(offered):
        at = y + 19 + number * LINE
        chosen = frame.offered[number] == frame.chosen
        if chosen:
            yield f'<rect x="{x + 3:g}" y="{at - 15}" width="{width - 6:g}" height="{LINE}" rx="3" fill="#1f4e8c"/>'
        look = ' class="c"' if chosen else ""
        yield f'<text x="{x + 10:g}" y="{at}"{look}>{escape(one)}</text>'


def _cut(text: str) -> str:
    return text if len(text) <= 88 else f"{text[:87]}…"


def main() -> None:
    """Record and write."""
    TARGET.write_text(drawing(asyncio.run(record())), "utf-8")


if __name__ == "__main__":
    main()
