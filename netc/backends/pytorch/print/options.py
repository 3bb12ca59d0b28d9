"""Classes that torch lacks, as a file has them: for the options that it uses, laid out anew where some are gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from netc.backends.pytorch.print.document import layout
from netc.ops.helpers import Options, needed

EMPTY = ["    def __init__(self) -> None:", "        super().__init__()", ""]


def cut(helper: str, uses: Sequence[Options]) -> str:
    """The source of a class for these modules of it."""
    lines = list(_signatures(needed(helper, uses)))
    for i in reversed([i for i in range(len(lines)) if lines[i : i + 3] == EMPTY]):
        del lines[i : i + 3]
    return "\n".join(lines)


def _signatures(lines: Iterable[str]) -> Iterator[str]:
    open_: list[str] = []
    for line in lines:
        bare = line.lstrip()
        if open_ or (bare.startswith("def ") and bare.endswith("(")):
            open_.append(line)
        else:
            yield line
        if open_ and bare.startswith(")"):
            first, *arguments, last = open_
            text = " ".join(argument.strip() for argument in arguments).removesuffix(",")
            yield from layout(f"{first.lstrip()}{text}{last.lstrip()}", len(first) - len(first.lstrip()))
            open_ = []
