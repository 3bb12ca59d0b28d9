"""What the page asks of netc: every answer is JSON. Runs in the browser, in Pyodide."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import msgspec

from netc.diagnostics.model import Source
from netc.editor.analysis import Analysis
from netc.editor.completing import completions, documentation
from netc.editor.formatting import format_source
from netc.editor.hovering import hover
from netc.editor.positions import Positions
from netc.editor.views import failing, findings, view
from netc.syntax.parse import is_spec

HOME = Path(__file__).parent
FOLDERS = ("examples", "specs")
os.chdir(HOME)  # paths in reports are those of the examples, and what these import lies beside them


class Text:
    """The text of the page. `right` is its newest analysis without an error, `readable` that without one of syntax."""

    def __init__(self) -> None:
        self.analysis = Analysis(Source("", ""))
        self.readable: Analysis | None = None
        self.right: Analysis | None = None

    def set(self, path: str, text: str, variant: str | None) -> None:
        gc.disable()  # an analysis is a tree of live objects that the cyclic collector would walk again and again
        try:
            self.analysis = Analysis(Source(path, text), variant=variant)
        finally:
            gc.enable()
        if self.analysis.spec is not None:
            self.readable = self.analysis
        if self.analysis.network is not None:
            self.right = self.analysis


NOW = Text()


def _json(answer: Any) -> str:
    return msgspec.json.encode(answer).decode()


def examples() -> str:
    """Path → text of the specs that the page offers."""
    found = {
        f"{folder}/{path.name}": path.read_text("utf-8")
        for folder in FOLDERS
        for path in sorted((HOME / folder).glob("*.yaml"))
    }
    return _json(found)


def look(path: str, text: str, variant: str) -> str:
    """What is wrong with a text, the variants it has, and the layers of the last valid one that are at fault."""
    before = NOW.right
    NOW.set(path, text, variant or None)
    analysis = NOW.analysis
    marked = [] if before is None else failing(analysis, before)
    names = [] if analysis.spec is None else [one.name for one in analysis.spec.variants]
    found = [] if is_spec(analysis.source) else ["a spec begins with the line `netc: 1`"]
    valid = analysis.network is not None
    return _json({"valid": valid, "found": findings(analysis), "failing": marked, "variants": names, "problem": found})


def show(name: str, line: int, unit: int) -> str:
    """A view of the newest valid network; `explain` is about the statement at a place, or else all of them."""
    if NOW.right is None:
        return _json({"text": "", "refusal": ""})
    if name == "explain":
        return _json({"text": _explained(NOW.right, line), "refusal": ""})
    return _json(view(NOW.right, name))


def _explained(analysis: Analysis, line: int) -> str:
    explainer = analysis.explainer
    assert explainer is not None, "it has a network"
    nodes = explainer.below("")
    here = [node for node in nodes if node.node.span.lines[0] == line + 1]
    return "\n".join(str(explainer.explain(node)) for node in here or nodes)


def complete(text: str, line: int, unit: int) -> str:
    """What may be written at a place: where it begins, its label, kind and what there is to say of it."""
    positions = Positions(text)
    found = completions(text, positions.offset(line, unit), NOW.readable)
    start = positions.position(found[0].start) if found else (line, unit)
    options = [{"label": one.label, "kind": one.kind, "detail": one.detail, "text": one.text} for one in found]
    return _json({"start": start, "options": options})


def about(label: str, detail: str) -> str:
    """What a completion stands for."""
    return _json(documentation(label, detail))


def told(line: int, unit: int) -> str:
    """What there is to say of a place in the text that was looked at last."""
    positions = NOW.analysis.positions
    found = hover(NOW.analysis, positions.offset(line, unit))
    if found is None:
        return _json(None)
    return _json({"start": positions.position(found.start), "end": positions.position(found.end), "text": found.text})


def formatted(text: str) -> str:
    """The text as `netc fmt` lays it out; the text itself where it cannot be read."""
    done = format_source(Source("spec.yaml", text))
    return _json(done if isinstance(done, str) else text)
