"""The `netc` program, also as `python -m netc`."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING

from netc.cli import INTERRUPTED
from netc.lazy import LazyModule

if TYPE_CHECKING:
    from netc.cli import checking
    from netc.cli import main as command_line
else:
    checking = LazyModule("netc.cli.checking")
    command_line = LazyModule("netc.cli.main")


def main() -> None:
    """Run the command line and exit: 0 all is well, 1 a diagnostic was printed, 2 a wrong command line.

    A process that compiles one spec and ends wins a fifth of its time by not looking for cyclic garbage while modules
    load, and by leaving at once instead of taking every module apart.
    """
    try:
        gc.disable()
        _load_msgspec()
        _open_streams()
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        _say("interrupted")
    _leave(code)


def _open_streams() -> None:
    if sys.stdout is None or sys.stderr is None:  # a caller closed them: what is said goes nowhere
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _load_msgspec() -> None:
    """Load msgspec without typing_extensions, as where it is not installed: it takes a tenth of the time to start, and
    from Python 3.11 on `typing` has all that msgspec looks for in it."""
    if "typing_extensions" in sys.modules:
        return
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]  # for `import`: there is none
    try:
        import_module("msgspec")
    finally:
        del sys.modules["typing_extensions"]


def _run(arguments: list[str]) -> int:
    try:
        if _is_plain_check(arguments):
            return checking.check_specs(arguments[1:], {}, {}, "full")
        command_line.main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BrokenPipeError:
        return 1
    except OSError as problem:
        return _unsayable(problem)
    return 0


def _is_plain_check(arguments: list[str]) -> bool:
    """`netc check SPEC…` without options: there is nothing for an option parser to do, and loading it takes longer
    than checking. `-` and `-:VARIANT` are standard input."""
    specs = arguments[1:]
    return arguments[:1] == ["check"] and bool(specs) and all(a[:1] != "-" or a == "-" or a[:2] == "-:" for a in specs)


def _leave(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BrokenPipeError:
            code = code or 1
        except OSError as problem:
            code = code or _unsayable(problem)
    os._exit(code)


def _unsayable(problem: OSError) -> int:
    """Standard output took no more; says so where standard error still does."""
    _say(f"error[output-file]: cannot write to standard output: {problem.strerror}")
    return 1


def _say(text: str) -> None:
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
