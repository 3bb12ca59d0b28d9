"""Files of users that a command puts another text into, or only says what it would change."""

from __future__ import annotations

import shutil
from difflib import unified_diff

from netc.artifacts import staged


def rewrite(path: str, text: str) -> None:
    """Put another text into a file, whole or not at all; its permissions stay. Raises NetcError (`output-file`)."""
    with staged([path]) as (temporary,):
        temporary.write_text(text, encoding="utf-8", newline="")
        shutil.copymode(path, temporary)


def changes(name: str, before: str, after: str) -> str:
    """What sets two versions of a file apart, as `diff -u` has it and `patch -p1` takes it."""
    place = name.lstrip("/")
    told = unified_diff(_lines(before), _lines(after), f"a/{place}", f"b/{place}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in told)


def _lines(text: str) -> list[str]:
    """Lines with their ends: LF alone ends one here, as for `patch`."""
    *whole, last = text.split("\n")
    return [*(f"{line}\n" for line in whole), *([last] if last else [])]
