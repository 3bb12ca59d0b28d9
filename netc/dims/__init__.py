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
    value_source,
)
from netc.dims.decide import Domain, Verdict, at_least, compare, equal, exact_div, scale
from netc.dims.linear import Linear, is_whole_at, linear_in

__all__ = [
    "Dim",
    "Domain",
    "Linear",
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
    "is_whole_at",
    "linear_in",
    "product_text",
    "scale",
    "shape_text",
    "substitute",
    "symbol",
    "symbols",
    "value_source",
]
