"""What a page in a browser shows of a text beside it: findings at their places, picture, summary, module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import SequenceMatcher

import msgspec

from netc.api import Network
from netc.backends.diagram.errors import PictureError
from netc.diagnostics.model import Diagnostic, Edit, NetcError, Severity
from netc.diagnostics.render import full
from netc.editor.analysis import Analysis
from netc.editor.hints import equal_ends
from netc.ir.flat import FlatNode, flatten

COMPARED = 400
"""Changed lines that are matched one by one; of more, those before and behind all changes are known."""

Place = tuple[int, int]
"""A line and a UTF-16 unit in it, both from 0, as CodeMirror and the Language Server Protocol count."""


class TextChange(msgspec.Struct, frozen=True):
    """A part of the text, and what takes its place."""

    start: Place
    end: Place
    text: str


class Remedy(msgspec.Struct, frozen=True):
    """What helps; without changes it is advice."""

    title: str
    changes: tuple[TextChange, ...] = ()


class FindingView(msgspec.Struct, frozen=True):
    """A diagnostic of the text. `report` is what `netc check` prints; a finding of an imported file stands at the
    beginning."""

    severity: Severity
    code: str
    message: str
    start: Place
    end: Place
    report: str
    remedies: tuple[Remedy, ...] = ()


def findings(analysis: Analysis) -> list[FindingView]:
    """Everything found, in the order of `netc check`."""
    return [_finding(one, analysis) for one in analysis.found]


def _finding(one: Diagnostic, analysis: Analysis) -> FindingView:
    here = one.span is not None and one.span.source.path == analysis.source.path
    start, end = (one.span.start, one.span.end) if here and one.span is not None else (0, 0)
    place = analysis.positions.position
    remedies = tuple(Remedy(fix.title, tuple(_changes(fix.edits, analysis))) for fix in one.fixes)
    return FindingView(one.severity, one.code, one.message, place(start), place(end), full(one), remedies)


def _changes(edits: tuple[Edit, ...], analysis: Analysis) -> Iterator[TextChange]:
    """Those of the text itself: a page changes no other file."""
    place = analysis.positions.position
    if all(edit.span.source.path == analysis.source.path for edit in edits):
        for edit in edits:
            yield TextChange(place(edit.span.start), place(edit.span.end), edit.replacement)


def failing(analysis: Analysis, before: Analysis) -> list[str]:
    """The layers of `before`, the last text without an error, that the errors of `analysis` are about.

    They are found by the line that an error stands on and by the block that it was found in.
    """
    if before.network is None:
        return []
    nodes = [node for node in flatten(before.network).nodes if node.node.span.source is before.source]
    old, new = before.source.text.split("\n"), analysis.source.text.split("\n")
    line_before = _lines_before(old, new)
    paths: dict[str, None] = {}
    for one in analysis.found:
        if one.severity == "error" and one.span is not None and one.span.source is analysis.source:
            line, column = one.span.source.position(one.span.start)
            block = next((f"{frame.path}." for frame in reversed(one.trail) if frame.path), "")
            within = [node for node in nodes if node.path.startswith(block)]
            paths |= dict.fromkeys(_at(line_before(line), column, within))
    return list(paths)


def _at(line: int, column: int, nodes: Iterable[FlatNode]) -> list[str]:
    """The layers of a line, counted from 1: those that stand at the column, where there are any."""
    here: list[str] = []
    near: list[str] = []
    for node in nodes:
        span = node.node.span
        first, start = span.source.position(span.start)
        if first == line:
            near.append(node.path)
            if start <= column <= start + span.end - span.start:
                here.append(node.path)
    return here or near


def _lines_before(old: list[str], new: list[str]) -> Callable[[int], int]:
    """Where a line of the new text, counted from 1, stood in the old one; for a new line, what it took the place of."""
    same, rest = equal_ends(old, new)
    between = old[same : len(old) - rest], new[same : len(new) - rest]
    few = max(map(len, between)) <= COMPARED
    steps = SequenceMatcher(None, *between, autojunk=False).get_opcodes() if few else []

    def before(line: int) -> int:
        at = line - 1 - same
        if at < 0:
            return line
        for _, first, end, start, stop in steps:
            if start <= at < stop:
                return 1 + same + min(first + at - start, max(first, end - 1))
        return max(line + len(old) - len(new), same + 1)

    return before


def _picture(network: Network) -> str:
    return network.diagram().svg


VIEWS: Mapping[str, Callable[[Network], str]] = {
    "picture": _picture,
    "summary": lambda network: str(network.summary()),
    "module": Network.to_torch,
    "dot": Network.to_dot,
}
"""What can be shown of a network, as text."""


class View(msgspec.Struct, frozen=True):
    """One of `VIEWS`, or why it cannot be made."""

    text: str = ""
    refusal: str = ""


def view(analysis: Analysis, name: str) -> View:
    """A view of the network; empty where there is none. Raises KeyError for an unknown name."""
    make = VIEWS[name]
    if analysis.network is None:
        return View()
    try:
        return View(make(Network(analysis.network)))
    except NetcError as error:
        return View(refusal="\n".join(full(one) for one in error.diagnostics))
    except PictureError as error:
        return View(refusal=str(error))
