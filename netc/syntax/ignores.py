"""`# netc: ignore[code, …]` comments."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict

from netc.budget import WORDS, spend
from netc.diagnostics.codes import LINTS
from netc.syntax.findings import SourceFindings
from netc.syntax.nodes import Mapping, Node, Scalar, Sequence

_COMMENT = re.compile(r"(?:(?<=\s)|^)#[ \t]*netc:[ \t]*ignore\[([^\]\n]{0,400})\]", re.MULTILINE)
_CODE = re.compile(r"[^\s,]+")


def find_ignores(report: SourceFindings, root: Node) -> dict[int, set[str]]:
    """Line number → the codes ignored there. A code that does not exist is reported."""
    text = report.source.text
    if "netc:" not in text or "ignore[" not in text:
        return {}
    quotes = sorted(quoted_spans(root))
    ignores: defaultdict[int, set[str]] = defaultdict(set)
    for comment in _COMMENT.finditer(text):
        if not within(quotes, comment.start()):
            line, _ = report.source.position(comment.start())
            spend(WORDS)
            codes = [code.span() for code in _CODE.finditer(text, *comment.span(1))]
            ignores[line].update(text[start:end] for start, end in codes)
            for start, end in codes:
                _check_code(report, text[start:end], start, end)
    return ignores


def _check_code(report: SourceFindings, code: str, start: int, end: int) -> None:
    if code not in LINTS:
        place = Scalar(start=start, end=end, text=code, raw=code, quoted=False)
        report.unknown("unknown-lint", "lint", code, place, LINTS)


def quoted_spans(node: Node) -> list[tuple[int, int]]:
    """The spans of all quoted and block texts: a `#` in them begins no comment."""
    spans: list[tuple[int, int]] = []
    todo = [node]
    while todo:
        node = todo.pop()
        if isinstance(node, Scalar) and node.quoted:
            spans.append((node.start, node.end))
        elif isinstance(node, Sequence):
            todo.extend(node.items)
        elif isinstance(node, Mapping):
            todo.extend(part for entry in node.entries for part in entry)
    return spans


def within(spans: list[tuple[int, int]], at: int) -> bool:
    """Does `at` lie in one of the sorted spans?"""
    before = bisect_right(spans, (at, 1 << 60)) - 1
    return before >= 0 and spans[before][0] <= at < spans[before][1]
