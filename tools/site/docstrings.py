"""Docstrings as the page about Python shows them: what they say of arguments, as a list."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import griffe

_AFTER = re.compile(r"(?<=[.:])\s(?=Raises )")


class Arguments(griffe.Extension):
    """Docstrings here tell of arguments in prose, `name: what it is.`, one after the other."""

    def on_function(self, *, func: griffe.Function, **kwargs: Any) -> None:
        if func.docstring is not None:
            func.docstring.value = listed(func.docstring.value, [one.name for one in func.parameters])

    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        if cls.docstring is not None:
            cls.docstring.value = listed(cls.docstring.value, cls.members)


def listed(text: str, names: Iterable[str]) -> str:
    """The text with an item of a list for each of the names that it tells of."""
    known = "|".join(re.escape(name) for name in names)
    if not known:
        return text
    told = re.compile(rf"(?:^\s*|(?<=\.)\s)((?:{known})(?:, (?:{known}))*):\s")
    parts = [told.sub(r"\n- `\1`: ", part) for part in text.split("\n\n")]
    return "\n\n".join(_AFTER.sub("\n\n", part) if part.startswith("\n- ") else part for part in parts)
