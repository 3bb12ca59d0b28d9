"""All operators; importing this package fills `OPERATORS`."""

from __future__ import annotations

from netc.ops import (
    activation,
    adaptive,
    arithmetic,
    conv,
    dropout,
    elementwise,
    functions,
    linear,
    local,
    merge,
    norm,
    parts,
    pool,
    reduce,
    resize,
    shape,
    source,
    unfold,
    unpool,
)
from netc.ops.base import OPERATORS, Attr, BadValue, Family, Op, convert

__all__ = [
    "OPERATORS",
    "Attr",
    "BadValue",
    "Family",
    "Op",
    "activation",
    "adaptive",
    "arithmetic",
    "conv",
    "convert",
    "dropout",
    "elementwise",
    "functions",
    "linear",
    "local",
    "merge",
    "norm",
    "parts",
    "pool",
    "reduce",
    "resize",
    "shape",
    "source",
    "unfold",
    "unpool",
]
