"""All operators: `OPERATORS` has each by its name."""

from __future__ import annotations

from netc.ops.base import OPERATORS, Attr, BadValue, Family, Op
from netc.ops.conversion import convert

__all__ = ["OPERATORS", "Attr", "BadValue", "Family", "Op", "convert"]
