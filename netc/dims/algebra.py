"""Exact integer sizes: canonical polynomials over symbols and floor-divisions.

A `Dim` is a sum of monomials with integer coefficients. An atom of a monomial is a symbol (`h`) or a
floor `⌊num/den⌋` whose numerator is reduced modulo its denominator, so equal forms get equal structure.
A `Dim` that is constant does not exist: such a value is a plain `int`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from math import gcd
from typing import TypeAlias

from netc.budget import spend
from netc.dims.text import count_of, product_of, shape_of, source_of, text_of

MAX_TERMS = 32
MAX_NESTING = 6
MAX_WEIGHT = 256
MAX_DEGREE = 16


class TooComplex(ValueError):
    """An expression grew past what can be decided in reasonable time; binding a symbol helps."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"too complex to decide: {reason}")


class NotExact(ValueError):
    """A division by a symbolic size left a remainder."""


class Atom:
    """A symbol (`den` is 0) or a floor `⌊num/den⌋`; interned, so identity is equality."""

    __slots__ = ("den", "depth", "name", "num", "order", "weight")

    def __init__(self, name: str, num: Size, den: int, depth: int, weight: int) -> None:
        self.name, self.num, self.den = name, num, den
        self.depth, self.weight = depth, weight
        self.order = next(_orders)

    def __lt__(self, other: Atom) -> bool:
        return self.order < other.order

    def __reduce__(self) -> tuple[object, ...]:
        return (_floor_atom, (self.num, self.den)) if self.den else (_symbol_atom, (self.name,))


Monomial: TypeAlias = tuple[Atom, ...]
Terms: TypeAlias = tuple[tuple[Monomial, int], ...]

_atoms: dict[object, Atom] = {}
_orders = count()


class Dim:
    """A size that is not constant: sorted `(monomial, coefficient)` terms and a constant."""

    __slots__ = ("_hash", "constant", "terms")

    def __init__(self, terms: Terms, constant: int) -> None:
        self.terms = terms
        self.constant = constant
        self._hash = hash((terms, constant))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Dim):
            return NotImplemented if not isinstance(other, int) else False
        return self._hash == other._hash and self.constant == other.constant and self.terms == other.terms

    def __add__(self, other: Size) -> Size:
        if isinstance(other, int):
            return Dim(self.terms, self.constant + other)
        if not isinstance(other, Dim):
            return NotImplemented
        total = dict(self.terms)
        for monomial, coefficient in other.terms:
            total[monomial] = total.get(monomial, 0) + coefficient
        return _collect(total, self.constant + other.constant)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return Dim(tuple([(m, -c) for m, c in self.terms]), -self.constant)

    def __pos__(self) -> Dim:
        return self

    def __sub__(self, other: Size) -> Size:
        return self + -other if isinstance(other, int | Dim) else NotImplemented

    def __rsub__(self, other: Size) -> Size:
        return -self + other if isinstance(other, int) else NotImplemented

    def __mul__(self, other: Size) -> Size:
        if isinstance(other, int):
            return Dim(tuple([(m, c * other) for m, c in self.terms]), self.constant * other) if other else 0
        return _product(self, other) if isinstance(other, Dim) else NotImplemented

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Size:
        if not isinstance(exponent, int):
            return NotImplemented
        if not 0 <= exponent <= MAX_DEGREE:
            raise TooComplex(f"the power {exponent} of a symbolic size")
        result: Size = 1
        for _ in range(exponent):
            result = self * result
        return result

    def __floordiv__(self, other: Size) -> Size:
        if isinstance(other, int):
            return _floordiv(self, other)
        return _whole(self, other) if isinstance(other, Dim) else NotImplemented

    def __rfloordiv__(self, other: int) -> Size:
        return _whole(other, self) if isinstance(other, int) else NotImplemented

    def __mod__(self, other: Size) -> Size:
        return self - other * (self // other) if isinstance(other, int | Dim) else NotImplemented

    def __rmod__(self, other: int) -> Size:
        return other - self * (other // self) if isinstance(other, int) else NotImplemented

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.terms, self.constant)

    def __str__(self) -> str:
        return text_of(self)

    def __repr__(self) -> str:
        return f"Dim({source_of(self)!r})"


Size: TypeAlias = int | Dim


def symbol(name: str) -> Dim:
    """The size called `name`, an identifier; at least 1 unless a `Domain` knows more."""
    return Dim((((_symbol_atom(name),), 1),), 0)


def _symbol_atom(name: str) -> Atom:
    atom = _atoms.get(name)
    return atom or _atoms.setdefault(name, Atom(name, 0, 0, 0, 1))


def _floor_atom(num: Dim, den: int) -> Atom:
    key = (num, den)
    return _atoms.get(key) or _atoms.setdefault(key, _new_floor(num, den))


def _new_floor(num: Dim, den: int) -> Atom:
    inner = [atom for monomial, _ in num.terms for atom in monomial]
    depth = 1 + max(atom.depth for atom in inner)
    weight = 1 + sum(atom.weight for atom in inner)
    if depth > MAX_NESTING:
        raise TooComplex(f"more than {MAX_NESTING} floor-divisions inside each other")
    if weight > MAX_WEIGHT:
        raise TooComplex(f"more than {MAX_WEIGHT} factors in one expression")
    return Atom("", num, den, depth, weight)


def _rebuild(terms: Terms, constant: int) -> Size:
    return _collect({tuple(sorted(monomial)): c for monomial, c in terms}, constant)


def _collect(total: Mapping[Monomial, int], constant: int) -> Size:
    terms = [term for term in total.items() if term[1]]
    if len(terms) > 1:
        if len(terms) > MAX_TERMS:
            raise TooComplex(f"more than {MAX_TERMS} terms")
        terms.sort()
    return Dim(tuple(terms), constant) if terms else constant


def _product(a: Dim, b: Dim) -> Size:
    spend(len(a.terms) * len(b.terms))
    total: dict[Monomial, int] = {}
    for left, c in (*a.terms, ((), a.constant)):
        for right, d in (*b.terms, ((), b.constant)):
            monomial = tuple(sorted(left + right))
            total[monomial] = total.get(monomial, 0) + c * d
            if len(monomial) > MAX_DEGREE:
                raise TooComplex(f"a product of more than {MAX_DEGREE} symbolic sizes")
    return _collect(total, total.pop((), 0))


def _floordiv(size: Size, den: int) -> Size:
    """`⌊size/den⌋` with the whole multiples of `den` taken out of the floor."""
    if isinstance(size, int):
        return size // den
    if den <= 0:
        return _floordiv(-size, -den) if den else size.constant // den
    whole = tuple([(m, c // den) for m, c in size.terms if c >= den or c < 0])
    rest = tuple([(m, c % den) for m, c in size.terms if c % den])
    constant, left = divmod(size.constant, den)
    if not rest:
        return Dim(whole, constant)
    floor = _reduced_floor(Dim(rest, left), den)
    return floor + (Dim(whole, constant) if whole else constant)


def _reduced_floor(num: Dim, den: int) -> Size:
    """`⌊num/den⌋` for `num` already reduced modulo `den`: common factors out, inner floors joined."""
    common = gcd(den, *[c for _, c in num.terms])
    if common > 1:
        num = Dim(tuple([(m, c // common) for m, c in num.terms]), num.constant // common)
        den //= common
    for monomial, coefficient in num.terms:
        if coefficient == 1 and len(monomial) == 1 and monomial[0].den:
            inner = monomial[0]
            rest = num - Dim(((monomial, 1),), 0)
            return _floordiv(inner.num + inner.den * rest, inner.den * den)
    return Dim((((_floor_atom(num, den),), 1),), 0)


def _whole(a: Size, b: Dim) -> Size:
    quotient = exact_polynomial_div(a, b)
    if quotient is None:
        raise NotExact(f"{dim_text(a)} is not a multiple of {dim_text(b)}")
    return quotient


def exact_polynomial_div(a: Size, b: Dim) -> Size | None:
    """The polynomial `q` with `a == b*q`, by long division, or None when there is none."""
    quotient: Size = 0
    head, lead = _leading(b)
    for _ in range(2 * MAX_TERMS):
        if a == 0:
            return quotient
        monomial, coefficient = _leading(a)
        factors = _cancel(monomial, head)
        if factors is None or coefficient % lead:
            return None
        step = Dim(((factors, coefficient // lead),), 0) if factors else coefficient // lead
        quotient = quotient + step
        a = a - b * step
    return None


def _leading(size: Size) -> tuple[Monomial, int]:
    """The leading term in graded lexicographic order."""
    if isinstance(size, int):
        return (), size
    return min(size.terms, key=lambda term: (-len(term[0]), term[0]))


def _cancel(monomial: Monomial, factors: Monomial) -> Monomial | None:
    left = list(monomial)
    for factor in factors:
        if factor not in left:
            return None
        left.remove(factor)
    return tuple(left)


def replace(size: Size, value: Callable[[str], Size]) -> Size:
    """`size` with every symbol replaced by `value(name)`, rebuilt canonically."""
    if isinstance(size, int):
        return size
    spend(2 + 5 * len(size.terms))
    total: Size = size.constant
    for monomial, coefficient in size.terms:
        term: Size = coefficient
        for atom in monomial:
            term = term * (replace(atom.num, value) // atom.den if atom.den else value(atom.name))
        total = total + term
    return total


def substitute(size: Size, sizes: Mapping[str, Size]) -> Size:
    """`size` with the named symbols replaced by sizes; the others stay."""
    return replace(size, lambda name: sizes[name] if name in sizes else symbol(name))


def bind(size: Size, values: Mapping[str, int]) -> Size:
    """`size` with the named symbols bound to integers; an int once all are bound."""
    return substitute(size, values)


def symbols(size: Size) -> frozenset[str]:
    """The names of the symbols in `size`, those inside floors included."""
    return frozenset(_names(size))


def _names(size: Size) -> Iterable[str]:
    for monomial, _ in () if isinstance(size, int) else size.terms:
        for atom in monomial:
            if atom.den:
                yield from _names(atom.num)
            else:
                yield atom.name


def dim_text(size: Size) -> str:
    """`size` for people: `32h`, `512·h·w`, `⌊(H+1)/2⌋`."""
    return text_of(size)


def shape_text(sizes: Sequence[Size | str]) -> str:
    """A shape for people: `N×3×32h×(W−4)`; texts among the sizes stay as they are."""
    return shape_of(sizes)


def product_text(sizes: Sequence[Size]) -> str:
    """Factors for people: `55·55·96`, `8h·(W−4)`."""
    return product_of(sizes)


def count_text(size: Size) -> str:
    """A count for people: `25,557,032`, `4,096·h·w`."""
    return count_of(size)


def dim_source(size: Size) -> str:
    """`size` as a netc, Python and ONNX `dim_param` expression: `32*h`, `(H+1)//2`."""
    return source_of(size)


def value_source(value: object) -> str:
    """A value as Python has it, sizes as expressions."""
    if isinstance(value, Dim):
        return dim_source(value)
    if isinstance(value, tuple) and any(isinstance(item, Dim) for item in value):
        return f"({', '.join(map(value_source, value))})"
    return repr(value)
