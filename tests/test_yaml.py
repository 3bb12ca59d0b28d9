"""The located tree: exact places, YAML's traps, bounds."""

from __future__ import annotations

import time

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from netc.diagnostics.model import Diagnostic, Source
from netc.syntax import yaml
from netc.syntax.findings import SourceFindings
from netc.syntax.nodes import Broken, Mapping, Node, Scalar, Sequence
from netc.syntax.read import decode, read_source


@pytest.fixture(params=["libyaml", "python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers of events must agree."""
    chosen = pyyaml.CSafeLoader if request.param == "libyaml" else pyyaml.SafeLoader
    monkeypatch.setattr(yaml, "_LOADER", chosen)


def load(text: str) -> tuple[Node | None, list[Diagnostic]]:
    report = SourceFindings(Source("a.yaml", text))
    return yaml.load_tree(report), report.diagnostics


def plain(node: Node | None) -> object:
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    if isinstance(node, Mapping):
        return {key.text: plain(value) for key, value in node.entries}
    return node


def scalars(node: Node | None) -> list[Scalar]:
    if isinstance(node, Scalar):
        return [node]
    if isinstance(node, Sequence):
        return [found for item in node.items for found in scalars(item)]
    if isinstance(node, Mapping):
        return [found for entry in node.entries for part in entry for found in scalars(part)]
    return []


def place(scalar: Scalar, index: int) -> int:
    base, offsets = scalar.place()
    return base + index if offsets is None else offsets[index]


TEXTS = [
    "a: b c\nd: [e, 'f g', \"h\"]\n",
    "a: 'it''s'\nb: \"x\\ty\\u0041z\\\"w\"\n",
    "a: |\n  first\n   second\n\n  third\nb: >-\n  one\n  two\nc: |2-\n    x\n",
    "😀: 日本 x\n'é': \"ü v\"\n",
    "a:\r\n  b: c d\r\n  e: |\r\n    f\r\n    g\r\n",
    "\ufeffa: b\nc: d e\n",
    "a: b   # comment\nc: d#e f\n",
    "a: one\n  two\n  three\n",
    "a: 'one\n  two'\nb: \"three\n  four\"\n",
    "- a\n-   b c\n- [d, {e: f}]\n",
    "a: 'b\tc'\nd: e\n",
]


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("text", TEXTS)
def test_every_character_has_its_place(text: str) -> None:
    tree, found = load(text)
    assert not found
    assert plain(tree) == pyyaml.load(text, pyyaml.BaseLoader)
    for scalar in scalars(tree):
        for index, sign in enumerate(scalar.text):
            at = text[place(scalar, index)] if place(scalar, index) < len(text) else ""
            assert at in (sign, "\\") or sign.isspace(), (scalar.text, index, at)
        assert place(scalar, len(scalar.text)) <= len(text)


def test_escapes_point_at_the_backslash() -> None:
    text = 'a: "x\\u0041z"'
    tree, _ = load(text)
    value = scalars(tree)[1]
    assert value.text == "xAz"
    assert [place(value, i) for i in range(4)] == [4, 5, 11, 12]


@pytest.mark.parametrize("text", ["no", "on", "010", "1:30", "0x3", "~", "2001-01-01", "1e3", "=", ".inf"])
def test_nothing_is_resolved(text: str) -> None:
    tree, found = load(f"a: {text}")
    assert not found
    assert plain(tree) == {"a": text}


@pytest.mark.parametrize(
    ("text", "code", "place", "words"),
    [
        ("a: @in", "bad-yaml", "@in", 'quote this: `"@in"`'),
        ("a: @in # why", "bad-yaml", "@in", 'quote this: `"@in"`'),
        ("a: [relu, @in]", "bad-yaml", "@in", 'quote this: `"@in"`'),
        ("a: *b c", "bad-yaml", "*b c", "quote this"),
        ("a: *", "bad-yaml", "*", "quote this"),
        ("a: !b c", "bad-yaml", "!b c", "quote this"),
        ("a: &b c", "bad-yaml", "&b c", "quote this"),
        ("a: %b", "bad-yaml", "%b", "quote this"),
        ("a: [conv2d [1, 7]]", "bad-yaml", "[", "(1 7)"),
        ("a: b: c", "bad-yaml", ":", "quote this"),
        ("doc: A network: large", "bad-yaml", ":", "quote this"),
        ("a: {b: 1, b: 2}", "duplicate-key", "b", "another name"),
        ("a: {<<: 1}", "bad-yaml", "<<", "write the keys out"),
        ("? [a]\n: b", "bad-yaml", "[a]", "quote this"),
        ("a:\n\tb: 1", "bad-yaml", "\t", "spaces"),
        ("a: [b\nc: d", "bad-yaml", "[", "quote"),
        ("a: 'b\n", "bad-yaml", "'", "close the quote"),
        ("a: 1\n---\nb: 2", "bad-yaml", "---", "a file holds one spec"),
        ("a: \x00", "bad-yaml", "\x00", "remove"),
        ("a: \ud800", "bad-yaml", "\ud800", "remove"),
        ("a: b\rc", "bad-yaml", "\r", "LF"),
        ("a: b\u2028c", "bad-yaml", "\u2028", "LF"),
        ("", "bad-yaml", "", "netc: 1"),
        ("# only a comment\n", "bad-yaml", "", "netc: 1"),
        ("[" * 100_000, "too-complex", "[", ""),
        ("- " * 10_000, "too-complex", "-", ""),
        ("{a: " * 10_000, "too-complex", "{", ""),
    ],
)
def test_traps(text: str, code: str, place: str, words: str) -> None:
    _, found = load(text)
    assert [(item.code, item.span and item.span.text) for item in found] == [(code, place)]
    assert words in "\n".join(fix.title for fix in found[0].fixes)


def test_all_duplicates_are_reported() -> None:
    tree, found = load("a: {b: 1, b: 2}\na: 3\nc: 1\nc: 2\n")
    assert [item.code for item in found] == ["duplicate-key"] * 3
    assert plain(tree) == {"a": {"b": "1"}, "c": "1"}


def test_an_alias_leaves_a_broken_node() -> None:
    tree, found = load("a: *b\nc: d")
    assert isinstance(tree, Mapping)
    assert isinstance(tree.get("a"), Broken)
    assert len(found) == 1


def test_a_long_chain_takes_linear_time() -> None:
    def seconds(members: int) -> float:
        text = "net:\n" + "".join(f"  - conv2d {i} 3 padding=1\n" for i in range(members))
        start = time.process_time()
        tree, found = load(text)
        assert not found
        assert isinstance(tree, Mapping)
        return time.process_time() - start

    seconds(100)
    assert seconds(100_000) < 5


def test_invalid_utf8_is_located() -> None:
    found = decode("a.yaml", b"a: \xc3\xa9\nb: \xff\n")
    assert isinstance(found, Diagnostic)
    assert found.span is not None
    assert found.span.source.position(found.span.start) == (2, 4)
    assert "0xFF" in found.message


def test_a_byte_order_mark_takes_no_column() -> None:
    source = decode("a.yaml", b"\xef\xbb\xbfnetc: 1")
    assert isinstance(source, Source)
    assert source.text == "netc: 1"


@pytest.mark.parametrize("path", ["/nowhere/at/all.yaml", "/", "a\0b"])
def test_unreadable_files(path: str) -> None:
    found = read_source(path)
    assert isinstance(found, Diagnostic)
    assert found.code == "missing-file"


@given(st.text(max_size=60) | st.text(alphabet="ab:- \n[]{}'\"#&*!|>@%,\t\\", max_size=60))
def test_any_text_is_a_tree_or_a_located_finding(text: str) -> None:
    tree, found = load(text)
    assert tree is not None or found
    for item in found:
        assert item.span is not None
        assert 0 <= item.span.start <= item.span.end <= len(text)
    for scalar in scalars(tree):
        assert all(0 <= place(scalar, index) <= len(text) for index in range(len(scalar.text) + 1))
