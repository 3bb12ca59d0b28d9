"""How long work says where it stands, to whoever asked for it."""

from __future__ import annotations

from collections.abc import Callable

Note = Callable[[str], None]
"""Called with a few words on what is being done now."""

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do: bytes, runs, trials."""


def no_note(words: str) -> None:
    """Nobody listens."""


def no_progress(done: int, total: int) -> None:
    """Nobody counts."""
