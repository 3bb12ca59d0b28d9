"""Sizes as text: mathematics for people, expressions for programs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netc.dims.algebra import Atom, Monomial, Size

_LONG = re.compile(r"\d{4,}")
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@lru_cache(1024)
def text_of(size: Size) -> str:
    """`32h`, `512·h·w`, `⌊(H+1)/2⌋`, `h²`."""
    return str(size) if isinstance(size, int) else _sum([_text_term(m, c) for m, c in size.terms], size.constant, "−")


def shape_of(sizes: Sequence[Size | str]) -> str:
    """`N×3×32h×(W−4)`: a sum stands in parentheses where there are several sizes. Texts stay as they are."""
    texts = [size if isinstance(size, str) else text_of(size) for size in sizes]
    sums = [len(sizes) > 1 and not isinstance(size, str) and _is_sum(size) for size in sizes]
    return "×".join(f"({text})" if is_sum else text for text, is_sum in zip(texts, sums, strict=True))


def product_of(sizes: Sequence[Size]) -> str:
    """`55·55·96`, `8h·(W−4)`: factors as they are, sums in parentheses where there are several."""
    texts = [f"({text_of(size)})" if len(sizes) > 1 and _is_sum(size) else text_of(size) for size in sizes]
    return "·".join(texts) or "1"


def count_of(size: Size) -> str:
    """`25,557,032`, `4,096·h·w`: long numbers in groups of three digits."""
    if isinstance(size, int):
        return f"{size:,}"
    return _LONG.sub(lambda digits: f"{int(digits[0]):,}", text_of(size))


def source_of(size: Size) -> str:
    """`32*h`, `512*h*w`, `(H+1)//2`, `h**2`: valid in Python with the same value."""
    return str(size) if isinstance(size, int) else _sum([_source_term(m, c) for m, c in size.terms], size.constant, "-")


def _sum(terms: list[tuple[int, int, str]], constant: int, minus: str) -> str:
    """Terms by falling degree, positive ones first, then by name, so that the text does not depend on history. What
    would begin with a minus begins with its first positive term."""
    if constant:
        terms.append((constant, 0, str(abs(constant))))
    terms.sort(key=lambda term: (-term[1], term[0] < 0, term[2].lstrip("0123456789·*"), term[2]))
    first = next((at for at, term in enumerate(terms) if term[0] > 0), 0)
    terms.insert(0, terms.pop(first))
    text = "".join((minus if sign < 0 else "+") + body for sign, _, body in terms)
    return text.removeprefix("+")


def _text_term(monomial: Monomial, coefficient: int) -> tuple[int, int, str]:
    factors = [_text_atom(a) + (str(n).translate(_SUPERSCRIPTS) if n > 1 else "") for a, n in _powers(monomial)]
    factors.sort()
    scale = abs(coefficient)
    if scale == 1:
        return coefficient, len(monomial), "·".join(factors)
    joint = "" if len(factors) == 1 and len(monomial[0].name) == 1 else "·"
    return coefficient, len(monomial), f"{scale}{joint}{'·'.join(factors)}"


def _text_atom(atom: Atom) -> str:
    if not atom.den:
        return atom.name
    num = text_of(atom.num)
    return f"⌊({num})/{atom.den}⌋" if _is_sum(atom.num) else f"⌊{num}/{atom.den}⌋"


def _source_term(monomial: Monomial, coefficient: int) -> tuple[int, int, str]:
    if coefficient == 1 and len(monomial) == 1:
        return 1, 1, _source_atom(monomial[0])
    factors = [_source_factor(a) + (f"**{n}" if n > 1 else "") for a, n in _powers(monomial)]
    factors.sort()
    scale = [str(abs(coefficient))] if abs(coefficient) > 1 else []
    return coefficient, len(monomial), "*".join(scale + factors)


def _source_factor(atom: Atom) -> str:
    return f"({_source_atom(atom)})" if atom.den else atom.name


def _source_atom(atom: Atom) -> str:
    if not atom.den:
        return atom.name
    num = source_of(atom.num)
    return f"({num})//{atom.den}" if _is_sum(atom.num) else f"{num}//{atom.den}"


def _is_sum(size: Size) -> bool:
    return not isinstance(size, int) and len(size.terms) + bool(size.constant) > 1


def _powers(monomial: Monomial) -> list[tuple[Atom, int]]:
    return [(atom, monomial.count(atom)) for atom in dict.fromkeys(monomial)]
