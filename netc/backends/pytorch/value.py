"""A number together with how it was said. Runs through an operator's size rules like any number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from netc.backends.pytorch.shadow import Bin, Lit, Shadow, cost, lit
from netc.backends.pytorch.sums import combine, from_linear, linear

NOTHING: frozenset[str] = frozenset()
MAX_DERIVED = 15


class Val(msgspec.Struct, frozen=True, eq=False):
    """A value, the expression over constructor names that gives it (None: no telling), and all names it depends on.

    Arithmetic keeps the three together; comparisons look at the value alone.
    """

    value: Any
    shadow: Shadow | None = None
    depends: frozenset[str] = NOTHING
    by_author: bool = False

    def __add__(self, other: Any) -> Val:
        return _combined(self, of(other), lambda a, b: a + b, lambda a, b: _sum(a, b, 1))

    def __radd__(self, other: Any) -> Val:
        return of(other) + self

    def __sub__(self, other: Any) -> Val:
        return _combined(self, of(other), lambda a, b: a - b, lambda a, b: _sum(a, b, -1))

    def __rsub__(self, other: Any) -> Val:
        return of(other) - self

    def __neg__(self) -> Val:
        return of(0) - self

    def __mul__(self, other: Any) -> Val:
        return _combined(self, of(other), lambda a, b: a * b, _product)

    def __rmul__(self, other: Any) -> Val:
        return of(other) * self

    def __floordiv__(self, other: Any) -> Val:
        return _combined(self, of(other), lambda a, b: a // b, _quotient)

    def __rfloordiv__(self, other: Any) -> Val:
        return of(other) // self

    def __mod__(self, other: Any) -> Val:
        return _combined(self, of(other), lambda a, b: a % b, lambda a, b: None)

    def __rmod__(self, other: Any) -> Val:
        return of(other) % self

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Val) else other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.value)

    def __lt__(self, other: Any) -> bool:
        return bool(self.value < of(other).value)

    def __le__(self, other: Any) -> bool:
        return bool(self.value <= of(other).value)

    def __gt__(self, other: Any) -> bool:
        return bool(self.value > of(other).value)

    def __ge__(self, other: Any) -> bool:
        return bool(self.value >= of(other).value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __index__(self) -> int:
        if not isinstance(self.value, int):
            raise TypeError("a symbolic size is no index")
        return self.value


def of(value: Any) -> Val:
    """A plain number as a literal, a symbolic size as one that cannot be said."""
    if isinstance(value, Val):
        return value
    return Val(value, lit(value) if isinstance(value, int) else None)


def opaque(value: Any, depends: frozenset[str]) -> Val:
    """A number whose derivation is not followed; without dependencies it is simply a literal."""
    return Val(value, None, depends) if depends else of(value)


def _combined(
    a: Val, b: Val, values: Callable[[Any, Any], Any], shadows: Callable[[Shadow, Shadow], Shadow | None]
) -> Val:
    value = values(a.value, b.value)
    depends = a.depends | b.depends
    if not depends:
        return of(value)
    shadow = None if a.shadow is None or b.shadow is None else shadows(a.shadow, b.shadow)
    if shadow is not None and cost(shadow) > MAX_DERIVED:
        shadow = None
    return Val(value, shadow, depends)


def _sum(a: Shadow, b: Shadow, sign: int) -> Shadow | None:
    if isinstance(b, Lit) and b.value == 0:
        return a
    total = combine(linear(a), linear(b), sign)
    return None if total is None else from_linear(total)


def _product(a: Shadow, b: Shadow) -> Shadow | None:
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Lit) and one.value == 1:
            return other
    total = linear(Bin("*", a, b))
    return Bin("*", a, b) if total is None else from_linear(total)


def _quotient(a: Shadow, b: Shadow) -> Shadow | None:
    """Exact multiples divide; a single term keeps its `//`; the floor of a sum is not followed."""
    if isinstance(b, Lit) and b.value == 1:
        return a
    total = linear(a)
    if total is None or not (isinstance(b, Lit) and isinstance(b.value, int) and b.value > 0):
        return None
    if all(factor % b.value == 0 for factor in total.values()):
        return from_linear({term: factor // b.value for term, factor in total.items()})
    return Bin("//", a, b) if len(total) == 1 else None
