"""A spec that is looked at again each time it is saved, and what is then told of it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Literal

import msgspec

from netc.api import split_variant
from netc.collector import uncollected
from netc.diagnostics.model import Diagnostic, Source
from netc.diagnostics.render import full
from netc.editor.analysis import Analysis
from netc.editor.views import FindingView, View, failing, findings, view
from netc.passes.files import paths
from netc.syntax.library import is_shipped
from netc.syntax.read import read_source

Name = Literal["picture", "summary", "module"]
SHOWN: tuple[Name, ...] = ("picture", "summary", "module")
"""The views of a page, in the order they are made."""


class State(msgspec.Struct, frozen=True):
    """How the spec stands: `valid`, or what is wrong and which layers of the last picture that is about."""

    name: str
    file: str
    valid: bool
    found: tuple[FindingView, ...]
    failing: tuple[str, ...] = ()
    problem: str = ""
    """Why the file cannot be read."""


class ViewEvent(msgspec.Struct, frozen=True):
    """A view of the newest valid network, `took` milliseconds after the look began."""

    name: Name
    view: View
    took: float


Event = State | ViewEvent


class Followed:
    """One spec. What was told last is told again to whoever comes later: the newest state, and the views of the newest
    network that was valid."""

    def __init__(self, spec: str, args: Mapping[str, str], bind: Mapping[str, int]) -> None:
        self.path, self.variant = split_variant(spec)
        self.args, self.bind = args, bind
        self.last: dict[str, Event] = {}
        self.right: Analysis | None = None
        self.files = {os.path.abspath(self.path)}
        self.seen: dict[str, tuple[int, int, int]] = {}

    def folders(self) -> set[str]:
        """Where the spec and what it imports lie; the current folder, should they be gone."""
        folders = {os.path.dirname(file) for file in self.files}
        return {folder for folder in folders if os.path.isdir(folder)} or {os.getcwd()}

    def is_changed(self) -> bool:
        """Has a file changed since the last look?"""
        return self.seen != _stamps(self.files)

    def look(self) -> Iterator[Event]:
        """What there is to say now, piece by piece: the state first, then the views."""
        start = time.perf_counter()
        self.seen = _stamps(self.files)
        source = read_source(self.path, protect=False)
        if isinstance(source, Diagnostic):
            yield self._told("state", State(self._name(), self.path, False, (), problem=full(source)))
            return
        analysis = self._analysis(source)
        before = self.right or analysis
        marked = tuple(failing(analysis, before))
        valid = analysis.network is not None
        yield self._told("state", State(self._name(), self.path, valid, tuple(findings(analysis)), marked))
        if analysis.network is None:
            return
        self.right = analysis
        self.files = {os.path.abspath(path) for path in paths(analysis.network) if not is_shipped(path)}
        self.seen = _stamps(self.files) | self.seen
        for name in SHOWN:
            view_ = view(analysis, name)
            took = round(1000 * (time.perf_counter() - start), 1)
            yield self._told(name, ViewEvent(name, view_, took))

    def _name(self) -> str:
        return self.variant or os.path.basename(self.path)

    def _told(self, kind: str, event: Event) -> Event:
        self.last[kind] = event
        return event

    def _analysis(self, source: Source) -> Analysis:
        """An analysis makes a tree of live objects that the cyclic collector would walk again and again."""
        with uncollected():
            return Analysis(source, args=self.args, variant=self.variant, bind=self.bind)


def _stamps(files: set[str]) -> dict[str, tuple[int, int, int]]:
    """What tells versions of files apart; nothing for files that are not there."""
    stamps = {}
    for file in files:
        with suppress(OSError):
            about = os.stat(file)
            stamps[file] = (about.st_mtime_ns, about.st_size, about.st_ino)
    return stamps
