"""Commands that hand files to native code run in a child process, which can be ended whatever that code is doing.

ONNX Runtime looks at no signal while it loads or runs a model, so a model with a loop that does not end could be ended
by nothing but `kill -9`. The parent stays in Python: it hears signals, looks at the clock and at the child's memory.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from netc.artifacts import settle
from netc.cli.options import Real, byte_size
from netc.diagnostics.model import failure
from netc.processes import begin_child, held_signals

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

GRACE = 0.5
"""Seconds that a child has to end by itself after a signal."""

STEP = 0.05
"""Seconds between two looks at a child."""

isolating: ContextVar[bool] = ContextVar("isolating", default=False)
"""Does this process run one command and end? Only then may it become two."""


def guarded(wrapped: Decorated) -> Decorated:
    """Options --time-limit and --memory-limit; the command runs in a child process where the system can fork.

    Temporary files of the child lie in a folder of the parent's, and go with it however it ends. Ends with the child's
    exit code. Raises NetcError: `time-limit`, `memory-limit`, `crashed`.
    """

    @wraps(wrapped)
    def command(*args: Any, time_limit: float, memory_limit: int | None, **options: Any) -> Any:
        if not (isolating.get() and hasattr(os, "fork") and threading.active_count() == 1):
            return wrapped(*args, **options)
        sys.stdout.flush()
        sys.stderr.flush()
        parent, child, folder = os.getpid(), 0, ""
        try:
            with held_signals():
                folder = tempfile.mkdtemp(prefix="netc-")
                child = os.fork()
                if child == 0:
                    begin_child(parent, folder)
            if child == 0:
                return wrapped(*args, **options)
            code = _wait(child, time_limit, memory_limit)
        finally:
            if os.getpid() == parent:
                _tidy(child, folder, options)
        raise click.exceptions.Exit(code)

    words = "End the command after this many seconds."
    time_option = click.option(
        "--time-limit", type=Real(min=0, min_open=True), default=3600.0, show_default=True, help=words
    )
    words = "End the command when it takes more memory than this (Linux); nine tenths of the machine's by default."
    memory_option = click.option("--memory-limit", metavar="4GB", callback=byte_size, help=words)
    return time_option(memory_option(command))  # type: ignore[return-value]


def _tidy(child: int, folder: str, options: Mapping[str, Any]) -> None:
    """After a child: it ends if it has not, its temporary files go, and what it was moving into place is settled."""
    if child:
        _kill(child)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    for output in filter(None, (options.get("target"), options.get("output"), options.get("picture"))):
        settle(Path(output))


def _wait(child: int, time_limit: float, memory_limit: int | None) -> int:
    """The exit code of a child that ends by itself."""
    end = time.monotonic() + time_limit
    most = memory_limit or _machine_memory()
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            if code < 0:
                name = signal.Signals(-code).name
                raise failure("crashed", f"the process that ran the model was killed by {name}")
            return code
        if time.monotonic() > end:
            raise failure("time-limit", f"not finished after {time_limit:g} seconds")
        if most is not None and _memory(child) > most:
            raise failure("memory-limit", f"more than {most / 1e9:.3g} GB of memory needed")
        time.sleep(STEP)


def _kill(child: int) -> None:
    """Ask a child to end, then make it; one that has ended is no matter."""
    with suppress(ChildProcessError, ProcessLookupError):
        os.kill(child, signal.SIGTERM)
        end = time.monotonic() + GRACE
        while time.monotonic() < end:
            if os.waitpid(child, os.WNOHANG)[0]:
                return
            time.sleep(STEP)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _machine_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 9 // 10
    except (AttributeError, ValueError, OSError):
        return None


def _memory(child: int) -> int:
    """Bytes of memory that a process has to itself; files that are mapped are not counted. 0 where nobody says."""
    try:
        with open(f"/proc/{child}/status", encoding="ascii", errors="replace") as file:
            lines = [line.split() for line in file if line.startswith(("RssAnon:", "VmSwap:"))]
    except OSError:
        return 0
    return sum(int(line[1]) for line in lines) * 1024
