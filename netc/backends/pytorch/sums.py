"""Expressions as sums of multiples, in which terms are gathered."""

from __future__ import annotations

from netc.backends.pytorch.shadow import Bin, Lit, Shadow, Un, lit

Linear = dict[Shadow | None, int]


def linear(shadow: Shadow) -> Linear | None:
    """Integer coefficients per term (None is the constant), or None when it is not a sum of multiples."""
    match shadow:
        case Lit(value, "int"):
            return {None: value} if value else {}
        case Bin("+" | "-" as op, left, right):
            return combine(linear(left), linear(right), 1 if op == "+" else -1)
        case Bin("*", left, right):
            return _scaled(linear(left), linear(right))
        case Un("-", operand):
            return combine({}, linear(operand), -1)
        case Lit():
            return None
    return {shadow: 1}


def combine(a: Linear | None, b: Linear | None, sign: int) -> Linear | None:
    """`a + sign·b`"""
    if a is None or b is None:
        return None
    total = dict(a)
    for term, factor in b.items():
        total[term] = total.get(term, 0) + sign * factor
    return {term: factor for term, factor in total.items() if factor}


def _scaled(a: Linear | None, b: Linear | None) -> Linear | None:
    for one, other in ((a, b), (b, a)):
        if one is not None and other is not None and set(one) <= {None}:
            factor = one.get(None, 0)
            return {t: f * factor for t, f in other.items() if f * factor}
    return None


def from_linear(sum_of: Linear) -> Shadow:
    """`in_channels + 2 * growth - 1`: terms in order, the constant last."""
    result: Shadow | None = None
    for term, factor in sorted(sum_of.items(), key=lambda item: (item[0] is None, item[1] < 0)):
        size = abs(factor)
        one = lit(size) if term is None else term if size == 1 else Bin("*", lit(size), term)
        if result is None:
            result = one if factor > 0 else lit(factor) if term is None else Un("-", one)
        else:
            result = Bin("+" if factor > 0 else "-", result, one)
    return lit(0) if result is None else result
