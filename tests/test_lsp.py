"""`netc lsp` over the protocol: what an editor asks for, and that it answers at all times."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

import netc
from tests.editor import ROOT, Editor, run

TEXT = """netc: 1
name: small
args: {width: 8}
import: {se: netc:squeeze_excite, part: part.yaml}
inputs: {image: [N, 3, 32, 32]}
blocks:
  unit:
    args: c k=3
    net:
      conv: conv2d c k padding=k//2 @in
      act: relu
net:
  stem: [conv2d 16 3 padding=1, relu]
  body: unit width k=5 @stem
  again: unit 16
  part: part @again
  sum: add @part.deep @part
outputs: {out: sum}
"""
PART = """netc: 1
name: part
inputs: {map: [N, 16, h, w]}
net:
  deep: conv2d 16 1
  last: relu
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "part.yaml").write_text(PART, encoding="utf-8")
    (tmp_path / "small.yaml").write_text(TEXT, encoding="utf-8")
    return tmp_path


def at(uri: str) -> lsp.TextDocumentIdentifier:
    return lsp.TextDocumentIdentifier(uri)


def texts(one: Editor, uri: str, places: list[lsp.Location]) -> list[tuple[str, int]]:
    return [(Path(place.uri).name, place.range.start.line) for place in places]


def test_findings_as_you_type(folder: Path) -> None:
    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml")
        one.type(uri, "act: relu", "act: rele")
        (found,) = await one.found(uri)
        assert found.code == "unknown-op"
        assert found.severity == lsp.DiagnosticSeverity.Error
        assert found.range.start == one.place(uri, "act: |rele")
        assert found.range.end == one.place(uri, "act: rele|")
        assert "did you mean `relu`?" in found.message
        one.type(uri, "act: rele", "act: relu")
        assert await one.found(uri) == []

    run(folder, session)


def test_quick_fixes(folder: Path) -> None:
    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml", TEXT.replace("act: relu", "act: rele"))
        place = lsp.Range(one.place(uri, "act: |rele"), one.place(uri, "act: rele|"))
        params = lsp.CodeActionParams(at(uri), place, lsp.CodeActionContext([]))
        (action,) = await one.client.text_document_code_action_async(params) or []
        assert isinstance(action, lsp.CodeAction)
        assert action.edit is not None
        assert action.edit.changes is not None
        assert one.applied(uri, list(action.edit.changes[uri])) == TEXT
        elsewhere = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 1))
        params = lsp.CodeActionParams(at(uri), elsewhere, lsp.CodeActionContext([]))
        assert not await one.client.text_document_code_action_async(params)

    run(folder, session)


def test_sizes_and_parameters_behind_lines(folder: Path) -> None:
    async def hints(one: Editor, uri: str) -> dict[int, str]:
        whole = lsp.Range(lsp.Position(0, 0), lsp.Position(100, 0))
        found = await one.client.text_document_inlay_hint_async(lsp.InlayHintParams(at(uri), whole)) or []
        lines = one.texts[uri].split("\n")
        assert all(hint.position.character == len(lines[hint.position.line]) for hint in found)
        return {hint.position.line: str(hint.label) for hint in found}

    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml")
        before = await hints(one, uri)
        assert before == {
            9: "N×8×32×32 · 3.21k params …",
            10: "N×8×32×32 …",
            12: "N×16×32×32 · 448 params",
            13: "N×8×32×32 · 3.21k params",
            14: "N×16×32×32 · 1.17k params",
            15: "N×16×32×32 · 272 params",
            16: "N×16×32×32",
        }
        one.type(uri, "again: unit 16", "\n  again: uni 16")
        assert (await hints(one, uri)).keys() == {9, 10, 12, 13, 16, 17}, "those of unchanged lines stay"

    run(folder, session)


HOVERS = [
    ("stem: [con|v2d", ["**conv2d** · torch.nn.Conv2d", "N×3×32×32 → N×16×32×32", "parameters"]),
    ("again: un|it 16", ["**unit** · block"]),
    ("pad|ding=k//2", ["**padding** of conv2d", "default `0`"]),
    ("unit wi|dth k=5", ["**width** · argument = `8`, here `8`"]),
    ("wid|th: 8", ["**width** · argument = `8`, here `8`"]),
    ("body: un|it", ["**unit** · block", "`k` = `3`"]),
    ("k=5 @st|em", ["**stem** · statement", "N×16×32×32 · 448 params"]),
    ("import: {s|e", ["netc:squeeze_excite", "Channels weighted"]),
    ("@part.de|ep", ["**deep** · statement"]),
    ("inp|uts: {image", ["**inputs**", "Name → shape"]),
    ("ima|ge: [N", ["input N×3×32×32"]),
]


def test_hover(folder: Path) -> None:
    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml")
        for around, expected in HOVERS:
            found = await one.client.text_document_hover_async(lsp.HoverParams(at(uri), one.place(uri, around)))
            assert found is not None, around
            assert isinstance(found.contents, lsp.MarkupContent)
            for words in expected:
                assert words in found.contents.value, around

    run(folder, session)


COMPLETIONS = [
    ("  again: unit 16", "  x: conv2|", ["conv2d", "unit", "se", "part", "none"], ["width="]),
    ("  again: unit 16", "  x: conv2d 8 3 pad|", ["padding=", "padding_mode=", "width"], ["relu", "conv2d"]),
    ("  again: unit 16", "  x: conv2d 8 3 padding_mode=|", ["zeros", "reflect"], ["padding="]),
    ("  again: unit 16", "  x: conv2d 8 3 bias=|", ["true", "false"], []),
    ("  again: unit 16", "  x: unit 8 |", ["k=", "width"], ["stride="]),
    ("  again: unit 16", "  x: add @|", ["stem", "body", "image", "in"], ["sum", "conv"]),
    ("  again: unit 16", "  x: add @body.|", ["conv", "act"], ["stem"]),
    ("      act: relu", "      x: conv2d c @|", ["conv", "in"], ["stem"]),
    ("      act: relu", "    |", ["outputs: "], ["blocks: "]),
    ("outputs: {out: sum}", "outputs: {out: |", ["sum", "stem"], ["conv2d"]),
    ("outputs: {out: sum}", "in|", ["init: "], ["conv2d"]),
    ("outputs: {out: sum}", "lint: {lo|", ["lost-input: "], []),
    ("outputs: {out: sum}", "lint: {lost-input: |", ["error", "warn", "ignore"], []),
    ("outputs: {out: sum}", "init: {conv2d: ka|", ["kaiming_normal"], []),
    ("outputs: {out: sum}", "import: {a: netc:f|", ["netc:fpn"], []),
]


def test_completion(folder: Path) -> None:
    """A line is replaced by what is being written; what was known of the text before answers."""

    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml")
        for before, written, labels, others in COMPLETIONS:
            one.type(uri, before, written.replace("|", ""))
            cursor = one.place(uri, written)
            found = await one.client.text_document_completion_async(lsp.CompletionParams(at(uri), cursor))
            assert isinstance(found, lsp.CompletionList)
            edits = {item.text_edit.new_text: item for item in found.items if item.text_edit is not None}
            assert set(labels) <= set(edits), written
            assert not set(others) & set(edits), written
            assert len(edits) == len(found.items), written
            item = edits[labels[0]]
            assert isinstance(item.text_edit, lsp.TextEdit)
            assert item.text_edit.range.end == cursor
            line = one.texts[uri].split("\n")[cursor.line]
            assert labels[0].startswith(line[item.text_edit.range.start.character : cursor.character]), written
            resolved = await one.client.completion_item_resolve_async(item)
            assert labels[0] != "conv2d" or "Convolution" in str(resolved.documentation)
            one.type(uri, one.texts[uri], TEXT)

    run(folder, session)


DEFINITIONS = [
    ("body: un|it", "small.yaml", 6),
    ("unit wid|th k=5", "small.yaml", 2),
    ("width k|=5", "small.yaml", 7),
    ("@st|em", "small.yaml", 12),
    ("@part.de|ep", "part.yaml", 4),
    ("@pa|rt.deep", "small.yaml", 15),
    ("part: pa|rt @again", "small.yaml", 3),
    ("s|e: netc:", "squeeze_excite.yaml", 0),
    (", pa|rt: part.yaml", "part.yaml", 0),
    ("{out: su|m}", "small.yaml", 16),
]


def test_definitions(folder: Path) -> None:
    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml")
        for around, file, line in DEFINITIONS:
            params = lsp.DefinitionParams(at(uri), one.place(uri, around))
            found = await one.client.text_document_definition_async(params)
            assert isinstance(found, lsp.Location), around
            assert texts(one, uri, [found]) == [(file, line)], around

    run(folder, session)


def test_references_through_imports(folder: Path) -> None:
    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml")
        context = lsp.ReferenceContext(include_declaration=True)
        params = lsp.ReferenceParams(context, at(uri), one.place(uri, "args: |c k=3"))
        found = await one.client.text_document_references_async(params) or []
        assert texts(one, uri, list(found)) == [("small.yaml", 7), ("small.yaml", 9)]
        other = await one.open(folder / "part.yaml")
        params = lsp.ReferenceParams(context, at(other), one.place(other, "de|ep:"))
        found = await one.client.text_document_references_async(params) or []
        assert texts(one, other, list(found)) == [("part.yaml", 4), ("small.yaml", 16)]

    run(folder, session)


def test_renaming(folder: Path) -> None:
    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml")
        other = await one.open(folder / "part.yaml")
        params = lsp.RenameParams(at(other), one.place(other, "de|ep:"), "deeper")
        edit = await one.client.text_document_rename_async(params)
        assert edit is not None
        assert edit.changes is not None
        assert one.applied(other, list(edit.changes[other])) == PART.replace("deep", "deeper")
        assert one.applied(uri, list(edit.changes[uri])) == TEXT.replace("deep", "deeper")
        params = lsp.RenameParams(at(uri), one.place(uri, "{wi|dth: 8}"), "size")
        edit = await one.client.text_document_rename_async(params)
        assert edit is not None
        assert edit.changes is not None
        assert one.applied(uri, list(edit.changes[uri])) == TEXT.replace("width", "size")

    run(folder, session)


REFUSED = [
    ("bo|dy: unit", "again", "there is already a statement `again`"),
    ("bo|dy: unit", "forward", "cannot name a statement"),
    ("bo|dy: unit", "a b", "cannot name a statement"),
    ("conv|2d 16", "x", "nothing to rename"),
]


def test_names_that_are_refused(folder: Path) -> None:
    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml")
        for around, name, reason in REFUSED:
            with pytest.raises(JsonRpcException, match=reason):
                await one.client.text_document_rename_async(lsp.RenameParams(at(uri), one.place(uri, around), name))

    run(folder, session)


def test_outline_folding_and_colours(folder: Path) -> None:
    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml")
        found = await one.client.text_document_document_symbol_async(lsp.DocumentSymbolParams(at(uri))) or []
        named = {entry.name: entry for entry in found if isinstance(entry, lsp.DocumentSymbol)}
        assert [*named] == ["width", "se", "part", "image", "unit", "stem", "body", "again", "sum", "out"] or set(
            named
        ) >= {"unit", "sum"}
        assert [child.name for child in named["unit"].children or []] == ["conv", "act"]
        for entry in named.values():
            assert entry.range.start <= entry.selection_range.start
            assert entry.selection_range.end <= entry.range.end
        folds = await one.client.text_document_folding_range_async(lsp.FoldingRangeParams(at(uri))) or []
        assert {(fold.start_line, fold.end_line) for fold in folds} == {(5, 10), (6, 10), (8, 10), (11, 16)}
        colours = await one.client.text_document_semantic_tokens_full_async(lsp.SemanticTokensParams(at(uri)))
        assert colours is not None
        words = decoded(TEXT, list(colours.data))
        assert ("conv2d", 0) in words
        assert ("unit", 1) in words
        assert ("stem", 2) in words
        assert ("width", 3) in words
        assert ("padding", 4) in words
        assert ("net", 5) in words
        assert ("16", 6) in words

    run(folder, session)


def decoded(text: str, data: list[int]) -> list[tuple[str, int]]:
    """The words of semantic tokens with their kinds."""
    lines, line, start, found = text.split("\n"), 0, 0, []
    for at_ in range(0, len(data), 5):
        down, along, length, kind, _ = data[at_ : at_ + 5]
        line, start = line + down, along + (start if down == 0 else 0)
        found.append((lines[line][start : start + length], kind))
    return found


def test_formatting_and_the_picture(folder: Path) -> None:
    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml", TEXT.replace("args: c k=3", "args:   c   k=3"))
        params = lsp.DocumentFormattingParams(at(uri), lsp.FormattingOptions(2, True))
        edits = await one.client.text_document_formatting_async(params)
        assert edits is not None
        assert one.applied(uri, list(edits)) == TEXT
        command = lsp.ExecuteCommandParams("netc.picture", [uri])
        picture = await one.client.workspace_execute_command_async(command)
        assert isinstance(picture, str)
        assert picture.lstrip().startswith(("<svg", "<?xml"))
        one.type(uri, "act: relu", "act: [")
        assert await one.client.text_document_formatting_async(params) is None

    run(folder, session)


def test_wide_characters_do_not_shift_places(folder: Path) -> None:
    async def session(one: Editor) -> None:
        text = TEXT.replace("name: small", "name: small\ndoc: 𝒏 × 𝒏").replace("act: relu", "act: rele  # 𝒏")
        uri = await one.open(folder / "small.yaml", text)
        one.type(uri, "doc: 𝒏", "doc: 𝒏𝒏")
        (found,) = await one.found(uri)
        assert found.range == lsp.Range(one.place(uri, "act: |rele"), one.place(uri, "act: rele|"))

    run(folder, session)


def test_any_text_is_answered(folder: Path) -> None:
    """Every request at many places of texts that are cut anywhere: nothing raises, and the server lives."""

    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml")
        whole = TEXT
        for cut in range(0, len(whole), 23):
            one.type(uri, one.texts[uri], whole[:cut] + "@" * (cut % 3))
            place = one.position(uri, len(one.texts[uri]))
            await one.client.text_document_completion_async(lsp.CompletionParams(at(uri), place))
            await one.client.text_document_hover_async(lsp.HoverParams(at(uri), place))
            await one.client.text_document_definition_async(lsp.DefinitionParams(at(uri), place))
            await one.client.text_document_document_symbol_async(lsp.DocumentSymbolParams(at(uri)))
            await one.client.text_document_semantic_tokens_full_async(lsp.SemanticTokensParams(at(uri)))
            await one.client.text_document_folding_range_async(lsp.FoldingRangeParams(at(uri)))
            full = lsp.Range(lsp.Position(0, 0), lsp.Position(100, 0))
            await one.client.text_document_inlay_hint_async(lsp.InlayHintParams(at(uri), full))

    run(folder, session)


def test_saving_an_import_is_noticed(folder: Path) -> None:
    async def session(one: Editor) -> None:
        uri = await one.open(folder / "small.yaml")
        other = await one.open(folder / "part.yaml")
        (folder / "part.yaml").write_text(PART.replace("last: relu", "last: conv2d 8 1"), encoding="utf-8")
        one.client.text_document_did_save(lsp.DidSaveTextDocumentParams(at(other)))
        found = await one.found(uri)
        assert [one_.code for one_ in found] == ["shape-mismatch"]

    run(folder, session)


def test_other_files_are_left_alone(folder: Path) -> None:
    async def session(one: Editor) -> None:
        uri = await one.open(folder / "other.yaml", "on: [push]\njobs: {a: &x 1}\n")
        assert await one.found_again(uri) == []
        params = lsp.CompletionParams(at(uri), lsp.Position(0, 3))
        found = await one.client.text_document_completion_async(params)
        assert isinstance(found, lsp.CompletionList)
        assert not found.items
        assert (
            await one.client.text_document_formatting_async(
                lsp.DocumentFormattingParams(at(uri), lsp.FormattingOptions(2, True))
            )
            is None
        )

    run(folder, session)


def test_without_pygls_the_extra_is_named() -> None:
    script = (
        "import sys; sys.modules['pygls'] = None; from netc.cli.main import main; sys.argv = ['netc', 'lsp']; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert 'pip install "netc[editor]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="the extension's own tests need node")
def test_the_extension_for_vs_code() -> None:
    folder = ROOT / "editors/vscode"
    manifest = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    assert manifest["version"] == netc.__version__
    done = subprocess.run(["node", "--test"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_spec_is_served() -> None:
    async def session(one: Editor) -> None:
        for path in sorted((ROOT / "specs").glob("*.yaml"))[::6]:
            uri = await one.open(path)
            full = lsp.Range(lsp.Position(0, 0), lsp.Position(10_000, 0))
            assert await one.client.text_document_inlay_hint_async(lsp.InlayHintParams(at(uri), full))
            assert await one.client.text_document_document_symbol_async(lsp.DocumentSymbolParams(at(uri)))
            tokens = await one.client.text_document_semantic_tokens_full_async(lsp.SemanticTokensParams(at(uri)))
            assert tokens is not None
            assert all(number >= 0 for number in tokens.data)

    run(ROOT, session)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"Content-Length: -1\r\n\r\n{}", "'-1' is not the length of a message"),
        (b"Content-Length: 1" + 20 * b"0" + b"\r\n\r\n{}", "is not the length of a message"),
        (b"Content-Length: many\r\n\r\n{}", "'many' is not the length of a message"),
        (50_000_000 * b"x", "a message begins with `Content-Length:`"),
        (b"\r\n\r\n", "a message begins with `Content-Length:`"),
        (b"GET / HTTP/1.1\r\n\r\n", "a message begins with `Content-Length:`"),
    ],
)
def test_what_is_not_the_protocol_is_refused(said: bytes, why: str) -> None:
    command = [sys.executable, "-m", "netc", "lsp"]
    done = subprocess.run(command, input=said, capture_output=True, timeout=60, cwd=ROOT)
    assert done.returncode == 1
    assert done.stdout == b""
    assert "error[bad-input]: standard input does not speak" in done.stderr.decode()
    assert why in done.stderr.decode()


@pytest.mark.parametrize("said", [b"", b"Content-Length: 10\r\n\r\n{}", b"Content-Length: 5\r\n\r\nhello"])
def test_messages_that_are_none_end_nothing(said: bytes) -> None:
    """A server answers that it understood nothing, and leaves when its editor has gone."""
    command = [sys.executable, "-m", "netc", "lsp"]
    done = subprocess.run(command, input=said, capture_output=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
