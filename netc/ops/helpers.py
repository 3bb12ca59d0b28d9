"""Classes that PyTorch lacks, cut to the options in use: marks at the ends of their lines say where these stand.

# if size            some module is given this option
# if no size         none is
# if every size      every module is given a fixed number other than zero
# if not every size  not so
# if some size       some are given it, but not every one a fixed number
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

VARIED = object()
"""The value of an option that is not known before the module is made."""
Options = Mapping[str, Any]
"""What one module is given, without what it starts with anyway."""


def needed(helper: str, uses: Sequence[Options] | None = None) -> Iterator[str]:
    """The lines for modules that are given these options, or any."""
    for line in helper.splitlines():
        text, _, mark = line.partition("  # if ")
        word, _, option = mark.rpartition(" ")
        if not mark or word in _true(option, uses):
            yield text if mark else line


def _true(option: str, uses: Sequence[Options] | None) -> tuple[str, ...]:
    """The words for how many modules are given an option."""
    if uses is None:
        return "", "some", "not every"
    values = [given.get(option) for given in uses]
    if all(value is None for value in values):
        return "no", "not every"
    every = all(value is not VARIED and bool(value) for value in values)
    return ("", "every") if every else ("", "some", "not every")
