"""YAML text → located tree, from parser events: linear, bounded, every trap an error that says what to do.

Nothing is resolved here (`no`, `010` and `1:30` are words): what a text means is decided where it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.reader import Reader

from netc.budget import CHARACTERS, NODE, spend
from netc.syntax.findings import SourceFindings
from netc.syntax.nodes import Broken, Mapping, Node, Scalar, Sequence
from netc.syntax.yaml_errors import report_character, report_quote, report_yaml

MAX_DEPTH = 40
"""Collections inside collections."""

AT_ONCE = 16
"""Events that are counted together."""

MAX_TEXT = 32_000_000
"""Characters of one file."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_REFUSED = (Reader.NON_PRINTABLE, re.compile("[\x85\u2028\u2029\ufeff]|\r(?!\n)"))
"""What YAML refuses anywhere, and what looks like a space or a line's end and is none to every program."""


class _Stop(Exception):
    """The rest cannot be read; the reason is in the report."""


class _Open:
    """A collection whose end has not come yet."""

    __slots__ = ("children", "event", "keys")

    def __init__(self, event: Any) -> None:
        self.event = event
        self.children: list[Node] = []
        self.keys: dict[str, Scalar] = {}


def load_tree(report: SourceFindings) -> Node | None:
    """The root of the source's only document; None when it cannot be read (the report says why)."""
    text = report.source.text
    spend(len(text) // CHARACTERS)
    base = 1 if text.startswith("\ufeff") else 0
    refused = [match.start() for pattern in _REFUSED if (match := pattern.search(text, base))]
    if refused:
        report_character(report, min(refused))
        return None
    if len(text) > MAX_TEXT:
        report.error("too-large", f"this file has {len(text)} characters; the limit is {MAX_TEXT}", 0, 0)
        return None
    try:
        return _Builder(report, base).build(_events(text[base:] if base else text))
    except _Stop:
        return None
    except yaml.MarkedYAMLError as error:
        report_yaml(report, error, base)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        report.error("bad-yaml", f"invalid YAML: {error}", 0, 0)
    return None


def _events(text: str) -> Iterator[Any]:
    loader = _LOADER(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


class _Builder:
    """Builds the tree with an explicit stack, so that no nesting can exhaust Python's."""

    def __init__(self, report: SourceFindings, base: int) -> None:
        self.report = report
        self.base = base
        self.text = report.source.text
        self.stack: list[_Open] = []
        self.root: Node | None = None

    def build(self, events: Iterator[Any]) -> Node | None:
        for count, event in enumerate(events):
            if count % AT_ONCE == 0:
                spend(AT_ONCE * NODE)
            kind = type(event)
            if kind is yaml.ScalarEvent:
                if event.tag is not None or event.anchor is not None:
                    self.refuse_marks(event)
                self.add(self.scalar(event))
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if event.tag is not None or event.anchor is not None:
                    self.refuse_marks(event)
                self.open(event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.add(self.close(event))
            elif kind is yaml.AliasEvent:
                self.add(self.alias(event))
            elif kind is yaml.DocumentStartEvent and self.root is not None:
                self.refuse_second(event)
        if self.root is None:
            self.report.error("bad-yaml", "this file is empty", 0, 0, help="a spec starts with `netc: 1`")
        return self.root

    def refuse_second(self, event: Any) -> None:
        start = event.start_mark.index + self.base
        self.report.error("bad-yaml", "a second document begins here", start, start + 3, help="a file holds one spec")
        raise _Stop

    def scalar(self, event: Any) -> Scalar:
        start, end = event.start_mark.index + self.base, event.end_mark.index + self.base
        return Scalar(start=start, end=end, text=event.value, raw=self.text[start:end], quoted=bool(event.style))

    def refuse_marks(self, event: Any) -> None:
        """Tags (`!x`) and anchors (`&x`)."""
        start = event.start_mark.index + self.base
        sign = "!" if self.text[start : start + 1] == "!" else "&"
        report_quote(self.report, start, f"YAML reads `{sign}` as {'a tag' if sign == '!' else 'an anchor'}")

    def alias(self, event: Any) -> Node:
        start, end = event.start_mark.index + self.base, event.end_mark.index + self.base
        report_quote(self.report, start, "YAML reads `*` as an alias")
        return Broken(start=start, end=end)

    def open(self, event: Any) -> None:
        if len(self.stack) >= MAX_DEPTH:
            start = event.start_mark.index + self.base
            self.report.error(
                "too-complex", f"more than {MAX_DEPTH} lists or mappings nested in each other", start, start + 1
            )
            raise _Stop
        self.stack.append(_Open(event))

    def close(self, event: Any) -> Node:
        opened = self.stack.pop()
        start, end = opened.event.start_mark.index + self.base, event.end_mark.index + self.base
        if not opened.event.flow_style:
            end = opened.children[-1].end if opened.children else start
        if type(event) is yaml.SequenceEndEvent:
            return Sequence(start=start, end=end, items=tuple(opened.children))
        entries = self.entries(opened)
        return Mapping(start=start, end=end, entries=entries, damaged=2 * len(entries) < len(opened.children))

    def entries(self, opened: _Open) -> tuple[tuple[Scalar, Node], ...]:
        pairs = zip(opened.children[::2], opened.children[1::2], strict=True)
        kept: dict[str, tuple[Scalar, Node]] = {}
        for key, value in pairs:
            if not isinstance(key, Scalar):
                self.refuse_key(key)
            elif key.text == "<<" and not key.quoted:
                self.report.at("bad-yaml", "merge keys are not part of the language", key, "write the keys out")
            elif key.text in kept:
                self.refuse_duplicate(kept[key.text][0], key)
            else:
                kept[key.text] = (key, value)
        return tuple(kept.values())

    def refuse_key(self, key: Node) -> None:
        if not isinstance(key, Broken):
            self.report.at("bad-yaml", "a key must be a word", key, "quote this if it should be text")

    def refuse_duplicate(self, first: Scalar, key: Scalar) -> None:
        line, _ = self.report.source.position(first.start)
        message = f"`{key.text}` appears twice in this mapping; the first is on line {line}"
        self.report.at("duplicate-key", message, key, "give one of them another name")

    def add(self, node: Node) -> None:
        if self.stack:
            self.stack[-1].children.append(node)
        else:
            self.root = node
