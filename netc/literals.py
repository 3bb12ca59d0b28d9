"""Values as the language writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netc.dims import Dim, dim_text


def literal(
    value: Any,
    *,
    size: Callable[[Dim], str] = dim_text,
    real: Callable[[float], str] = str,
    word: Callable[[str], str] = str,
    brackets: str = "()",
    once: bool = False,
) -> str:
    """`none`, `true`, `3`, `same`, `(1 2)`. size, real, word: how symbolic sizes, floats and texts are written; once: a
    list of equal values as that value."""
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    if isinstance(value, tuple | list):
        if once and value and all(item == value[0] for item in value):
            value = value[:1]
        items = [literal(item, size=size, real=real, word=word, brackets=brackets, once=once) for item in value]
        return items[0] if once and len(items) == 1 else f"{brackets[0]}{' '.join(items)}{brackets[1]}"
    if isinstance(value, Dim):
        return size(value)
    if isinstance(value, float):
        return real(value)
    return word(value) if isinstance(value, str) else str(getattr(value, "text", value))


def scaled(count: int) -> str:
    """Three figures and a prefix: `4.09 G`, `2.41 M`, `12`."""
    power = min((len(str(count)) - 1) // 3, 4)
    return f"{count / 1000**power:.3g} {' kMGT'[power]}".strip()
