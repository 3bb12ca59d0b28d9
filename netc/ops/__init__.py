"""All operators; importing this package fills `OPERATORS`."""

from __future__ import annotations

from netc.ops import activation, adaptive, conv, linear, merge, norm, parts, pool, reduce, resize, shape
from netc.ops.base import OPERATORS, Attr, BadValue, Family, Op, convert

__all__ = [
    "OPERATORS",
    "Attr",
    "BadValue",
    "Family",
    "Op",
    "activation",
    "adaptive",
    "conv",
    "convert",
    "linear",
    "merge",
    "norm",
    "parts",
    "pool",
    "reduce",
    "resize",
    "shape",
]
