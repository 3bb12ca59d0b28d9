"""A view as fine as a page lets it be: text that cannot be read shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from netc.backends.diagram.fold import folded, kinds, stages
from netc.backends.diagram.scene import LEAST_TEXT, Scene, smallest_text
from netc.backends.diagram.shown import View
from netc.backends.diagram.units import boxes

TRIES, TRIED_BOXES = 6, 250
"""Kinds of blocks that are opened on trial, and boxes of a network up to which it is tried."""
OPENING = "--expand '*' opens everything"
Layout = Callable[[View], Scene]


def fitting(view: View, page: tuple[float, float], layout: Layout, kept: Sequence[str] = ()) -> tuple[Scene, View]:
    """The finest scene whose text can be read on a page, else the one with the largest text, and what it shows.

    kept: globs over paths of blocks that stay open. The scene's notes say what was closed, and how small text is where
    even so it cannot be read.
    """
    best = layout(view)
    size = smallest_text(best, *page)
    if size >= LEAST_TEXT:
        return best, view
    shown, shown_view, closed = _count(view), view, ""
    for coarse, note in _coarser(view, page, layout, kept):
        if _count(coarse) == shown:
            continue
        shown = _count(coarse)
        scene = layout(coarse)
        now = smallest_text(scene, *page)
        if now > size:
            best, size, shown_view, closed = scene, now, coarse, note
        if size >= LEAST_TEXT:
            best.notes = (f"{closed}, to keep text on the page at least {LEAST_TEXT:g} pt high; {OPENING}",)
            return best, shown_view
    best.notes = (f"{closed}; {OPENING}",) if closed else ()
    return with_size_said(best, page, "-o model.html writes a page to explore"), shown_view


def with_size_said(scene: Scene, page: tuple[float, float], instead: str) -> Scene:
    """The scene, which says how small its text is where it cannot be read on the page, and what can be done instead."""
    size = smallest_text(scene, *page)
    if size < LEAST_TEXT:
        told = f"{size:.1f} pt" if size >= 0.1 else "less than 0.1 pt"
        scene.notes = (*scene.notes, f"text on the page is {told} high; {instead}")
    return scene


def _coarser(view: View, page: tuple[float, float], layout: Layout, kept: Sequence[str]) -> Iterator[tuple[View, str]]:
    yield folded(view, kept=kept), "each kind of block is opened once"
    closed = folded(view, opened=(), kept=kept)
    if _count(closed) < _count(view) and _fits(layout(closed), page):
        yield _reopened(view, page, layout, kept), "some blocks are closed"
    yield folded(view, depth=1, kept=kept), "frames are opened one level deep"
    yield stages(view), "there is one box per stage"
    yield folded(view, opened=(), depth=0), "there is one box per part"


def _count(view: View) -> int:
    return sum(1 for _ in boxes(view.opened.units))


def _fits(scene: Scene, page: tuple[float, float]) -> bool:
    return smallest_text(scene, *page) >= LEAST_TEXT


def _reopened(view: View, page: tuple[float, float], layout: Layout, kept: Sequence[str]) -> View:
    """With those kinds of blocks open that the page has room for, the first ones first."""
    opened: list[object] = []
    small = _count(view) <= TRIED_BOXES
    for kind in kinds(view)[: TRIES if small else 0]:
        if _fits(layout(folded(view, opened=[*opened, kind], kept=kept)), page):
            opened.append(kind)
    return folded(view, opened=opened, kept=kept)
