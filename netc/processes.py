"""Child processes: they end with their parent, and leave no files of theirs behind."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LOOK = 0.5
"""Seconds between two looks at whether the parent still runs."""

_ENDING = {number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None}


def begin_child(parent: int, folder: str) -> None:
    """What a child does first. Ctrl-C, which reaches all processes of a terminal, is its parent's matter; its temporary
    files, and those of what it starts, lie in a folder that the parent takes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    end_with(parent)


def end_with(parent: int) -> None:
    """Let this process end when its parent does, were it by `kill -9`."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def held_signals() -> Iterator[None]:
    """Inside, no signal that asks to end interrupts this thread, nor, until `hear_signals`, a process that it starts;
    those that come are heard at the end."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear_signals() -> None:
    """Hear signals again that whoever started this process held."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
