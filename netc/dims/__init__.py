"""Sizes: plain ints, or exact symbolic expressions (`Dim`) with decidable equality and bounds."""

from __future__ import annotations

from netc.dims.algebra import (
    Dim,
    NotExact,
    Size,
    TooComplex,
    bind,
    count_text,
    dim_source,
    dim_text,
    product_text,
    shape_text,
    substitute,
    symbol,
    symbols,
)
from netc.dims.decide import Domain, Verdict, at_least, compare, equal, exact_div, scale

__all__ = [
    "Dim",
    "Domain",
    "NotExact",
    "Size",
    "TooComplex",
    "Verdict",
    "at_least",
    "bind",
    "compare",
    "count_text",
    "dim_source",
    "dim_text",
    "equal",
    "exact_div",
    "product_text",
    "scale",
    "shape_text",
    "substitute",
    "symbol",
    "symbols",
]
