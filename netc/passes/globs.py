"""Globs over the paths of a network. `*` crosses dots."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache

from netc.budget import spend


def matches(path: str, glob: str) -> bool:
    """Does the glob match the whole path?"""
    spend(2 + (len(path) + len(glob)) // 64)
    return _compiled(glob)(path) is not None


@lru_cache(maxsize=1 << 16)
def _compiled(glob: str) -> Callable[[str], re.Match[str] | None]:
    """`fnmatch` keeps so few patterns that the rules of one file may not fit."""
    return re.compile(translate(glob)).match
