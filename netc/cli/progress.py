"""Progress of long work, drawn only on a terminal's standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netc.lazy import LazyModule
from netc.progress import Note, Progress, no_note, no_progress

if TYPE_CHECKING:
    from rich import console as rich_console
    from rich import progress as rich_progress
else:
    rich_console = LazyModule("rich.console")
    rich_progress = LazyModule("rich.progress")


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """A bar that goes away when the work is done; nothing at all without a terminal."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    with rich_progress.Progress(console=rich_console.Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def steps() -> Iterator[Note]:
    """A spinner with a few words that change; nothing at all without a terminal."""
    if not sys.stderr.isatty():
        yield no_note
        return
    with rich_console.Console(stderr=True).status("") as status:
        yield status.update


@contextmanager
def stages() -> Iterator[tuple[Note, Progress]]:
    """A spinner with a few words, and a bar for the part that counts; nothing at all without a terminal."""
    if not sys.stderr.isatty():
        yield no_note, no_progress
        return
    with rich_progress.Progress(console=rich_console.Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield (
            lambda words: bar.update(task, description=words, completed=0, total=None),
            lambda done, total: bar.update(task, completed=done, total=total),
        )
