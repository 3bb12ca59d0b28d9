"""What expressions come to, and the bounds every value keeps."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import msgspec

from netc.budget import ITEMS, spend
from netc.dims import Dim, Domain, Size
from netc.expr.scope import Scope
from netc.expr.tree import Expr
from netc.literals import literal

LARGEST = 2**62
LONGEST = 10_000
DEEPEST = 32
"""Lists in lists."""

MOST_TURNS = 1_000
"""Rows of a comprehension, times those of the ones around it."""


class ExprError(Exception):
    """An expression without a value: a code, a message, the characters it is about, and what to put in their place."""

    def __init__(
        self, code: str, message: str, at: Expr, help: str | None = None, replacement: str | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.start, self.end, self.help = code, message, at.start, at.end, help
        self.replacement = replacement


class Silenced(Exception):
    """The value hangs on something already reported."""


class OperatorValue(msgspec.Struct, frozen=True, eq=False):
    """An operator or block given as an argument: `act=relu`, `"group_norm 32"`. `text` is what was written."""

    text: str
    scope: Scope
    at: Expr

    @property
    def plain(self) -> bool:
        return self.text.isidentifier()


class Context(msgspec.Struct, frozen=True, eq=False):
    """What an expression may see. words: the words of the attribute it is for; operators: names of operators and blocks
    that may be given as values; symbols: unknown single letters become symbolic sizes; turns: how often an expression
    within comprehensions is read."""

    scope: Scope
    domain: Domain
    words: tuple[str, ...] = ()
    operators: Collection[str] = ()
    symbols: bool = False
    turns: int = 1


def is_int(value: Any) -> bool:
    """Whether a value is a whole number (`true` is none)."""
    return isinstance(value, int) and not isinstance(value, bool)


def number(value: Any, at: Expr) -> Any:
    """The value, if it is a number or a size; raises ExprError."""
    if isinstance(value, bool) or not isinstance(value, int | float | Dim):
        raise ExprError("bad-expression", f"{literal(value)} is not a number", at)
    return value


def short(value: tuple[Any, ...], at: Expr) -> tuple[Any, ...]:
    """The list, if it is within bounds, lists within it counted too; raises ExprError."""
    spend(_weighed(value, at) // ITEMS)
    return value


def _weighed(value: tuple[Any, ...], at: Expr) -> int:
    """The items of a list, with those of the lists in it; raises ExprError as soon as there are too many."""
    count, level = 0, [value]
    for _ in range(DEEPEST):
        inner = [item for items in level for item in items if isinstance(item, tuple)]
        count += sum(map(len, level)) - sum(map(bool, inner))
        if count > LONGEST:
            raise ExprError("too-large", f"a list of more than {LONGEST} items", at)
        if not inner:
            return count
        level = inner
    raise ExprError("too-complex", f"lists are nested more than {DEEPEST} deep", at)


def count_of(value: Any) -> int:
    """The items of a list, with those of the lists in it; a value that is not a list counts as one."""
    return sum(map(count_of, value)) if isinstance(value, tuple) else 1


def finite(value: Any, at: Expr) -> Any:
    """The value, if it is a number within bounds; raises ExprError."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ExprError("too-large", "the result is not a finite number", at)
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise ExprError("too-large", "the result is too large", at)
    return value


def bounded_range(expr: Expr, start: int, stop: int, step: int) -> tuple[int, ...]:
    """The whole numbers of a range; raises ExprError when there are too many."""
    numbers = range(start, stop, step)
    if len(numbers) > LONGEST:
        raise ExprError("too-large", f"a range of {len(numbers)} items; the limit is {LONGEST}", expr)
    spend(len(numbers) // ITEMS)
    return tuple(numbers)


def size_or_error(value: Any, at: Expr) -> Size:
    """A size given in an input's shape: a whole number of at least 0, or symbolic."""
    if isinstance(value, Dim):
        return value
    if is_int(value) and 0 <= value < 2**40:
        return int(value)
    raise ExprError("bad-argument", f"a size must be an integer or a symbol, not {literal(value)}", at)
