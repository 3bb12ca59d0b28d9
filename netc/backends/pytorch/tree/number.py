"""A number together with how it is said. Runs through an operator's size rules like any number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from netc.expr.terms import combined, cost, folded, from_linear, is_plain, linear, lit
from netc.expr.tree import Binary, Expr, Function, Literal, Name

NOTHING: frozenset[str] = frozenset()
LONGEST_DERIVED = 15
"""Terms that follow from the operators' own rules are kept up to this cost, those of the author up to `LONGEST`."""
LONGEST = 40


class Number(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A value, the term over the names of its class that gives it (None: no telling), and all names it depends on.

    Arithmetic keeps the three together; comparisons look at the value alone. `author` tells that a person wrote the
    term.
    """

    value: Any
    term: Expr | None = None
    depends: frozenset[str] = NOTHING
    author: bool = False

    def behind(self, guard: str) -> Number:
        """The same, said so only while a condition is what it is."""
        return Number(self.value, self.term, self.depends | {guard}, self.author)

    def __add__(self, other: Any) -> Number:
        return _of_two(self, of(other), lambda a, b: a + b, lambda a, b: _sum(a, b, 1))

    def __radd__(self, other: Any) -> Number:
        return of(other) + self

    def __sub__(self, other: Any) -> Number:
        return _of_two(self, of(other), lambda a, b: a - b, lambda a, b: _sum(a, b, -1))

    def __rsub__(self, other: Any) -> Number:
        return of(other) - self

    def __neg__(self) -> Number:
        return of(0) - self

    def __mul__(self, other: Any) -> Number:
        return _of_two(self, of(other), lambda a, b: a * b, _product)

    def __rmul__(self, other: Any) -> Number:
        return of(other) * self

    def __floordiv__(self, other: Any) -> Number:
        return _of_two(self, of(other), lambda a, b: a // b, _quotient)

    def __rfloordiv__(self, other: Any) -> Number:
        return of(other) // self

    def __mod__(self, other: Any) -> Number:
        return _of_two(self, of(other), lambda a, b: a % b, lambda a, b: None)

    def __rmod__(self, other: Any) -> Number:
        return of(other) % self

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Number) else other))

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


def of(value: Any) -> Number:
    """A plain value as a literal, anything else as a number that cannot be said."""
    if isinstance(value, Number):
        return value
    return Number(value, lit(value) if is_plain(value) else None)


def given(value: Any) -> Number:
    """A value that an author wrote."""
    return Number(value, lit(value) if is_plain(value) else None, NOTHING, True)


def opaque(value: Any, depends: frozenset[str]) -> Number:
    """A number whose derivation is not followed; without dependencies it is simply a literal."""
    return Number(value, None, depends) if depends else of(value)


def depends_of(*numbers: Number) -> frozenset[str]:
    """All names that numbers depend on."""
    return NOTHING.union(*[n.depends for n in numbers if n.depends])


def is_like(a: Number, b: Number) -> bool:
    """Whether two numbers are one, or said by the same term."""
    return a is b or (a.term is not None and a.term == b.term and a.value == b.value)


def _of_two(
    a: Number, b: Number, values: Callable[[Any, Any], Any], terms: Callable[[Expr, Expr], Expr | None]
) -> Number:
    value = values(a.value, b.value)
    depends = a.depends | b.depends
    if not depends:
        return of(value)
    term = None if a.term is None or b.term is None else terms(a.term, b.term)
    return Number(value, None if term is not None and cost(term) > LONGEST_DERIVED else term, depends)


def _sum(a: Expr, b: Expr, sign: int) -> Expr | None:
    if b == lit(0):
        return a
    total = combined(linear(a), linear(b), sign)
    return None if total is None else from_linear(total)


def _product(a: Expr, b: Expr) -> Expr | None:
    for one, other in ((a, b), (b, a)):
        if one == lit(1):
            return other
    total = linear(Binary(op="*", left=a, right=b))
    return Binary(op="*", left=a, right=b) if total is None else from_linear(total)


def _quotient(a: Expr, b: Expr) -> Expr | None:
    """Exact multiples divide; a single term keeps its `//`; the floor of a sum is not followed."""
    if b == lit(1):
        return a
    total = linear(a)
    if total is not None and set(total) == {b}:
        return lit(total[b])
    if total is None or not isinstance(b, Literal) or not isinstance(b.value, int) or b.value <= 0:
        return None
    if all(factor % b.value == 0 for factor in total.values()):
        return from_linear({term: factor // b.value for term, factor in total.items()})
    return Binary(op="//", left=a, right=b) if len(total) == 1 else None


def counted_name(name: str, turns: Mapping[str, Any], loops: Sequence[str]) -> tuple[str, Number] | None:
    """A name that ends in a number as its beginning and that number, said by the innermost of some loops' variables."""
    stem = name.rstrip("0123456789")
    own = [key for key in loops if isinstance(turns.get(key), int)]
    if stem == name or not own or str(int(name[len(stem) :])) != name[len(stem) :]:
        return None
    key, number = own[-1], int(name[len(stem) :])
    term = from_linear(combined({Name(id=key): 1}, {None: number - turns[key]}, 1) or {})
    return stem, Number(number, term, frozenset((key,)))


def length_of(iterable: Expr) -> Expr:
    """How many turns a loop over this takes."""
    match iterable:
        case Function(name="range", arguments=(count,)):
            return count
        case Function(name="range", arguments=(first, stop)):
            length = combined(linear(stop), linear(first), -1)
            if length is not None:
                return from_linear(length)
    return folded(Function(name="len", arguments=(iterable,)))


def translated(names: frozenset[str] | set[str], bound: Mapping[str, Number]) -> frozenset[str]:
    """Names of a callee in the caller's."""
    return NOTHING.union(*(bound[n].depends for n in names if n in bound))
