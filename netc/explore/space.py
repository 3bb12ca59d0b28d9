"""The values that arguments take, and the trials that they make: a grid, or a sample of one."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from random import Random

import msgspec

MOST_VALUES = 100_000
"""Values of one argument."""

MOST_TRIALS = 1 << 62

_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)(?::(\d+(?:\.\d+)?))?")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class Axis(msgspec.Struct, frozen=True):
    """An argument and its values, as texts that the language reads."""

    name: str
    values: tuple[str, ...]


class Space(msgspec.Struct, frozen=True):
    """All combinations of the values of some arguments, or `sample` of them, drawn without repetition from `seed`.

    The last axis varies fastest, so that neighbours have most in common. A trial is known by its place in the grid.
    """

    axes: tuple[Axis, ...]
    sample: int | None = None
    seed: int = 0

    @property
    def size(self) -> int:
        """Points of the whole grid."""
        return math.prod(len(axis.values) for axis in self.axes)

    def trials(self) -> Sequence[int]:
        """The points to be tried, in order."""
        if self.sample is None or self.sample >= self.size:
            return range(self.size)
        return sorted(Random(self.seed).sample(range(self.size), self.sample))

    def point(self, trial: int) -> dict[str, str]:
        """The argument values at a point of the grid."""
        point = {}
        for axis in reversed(self.axes):
            trial, place = divmod(trial, len(axis.values))
            point[axis.name] = axis.values[place]
        return {axis.name: point[axis.name] for axis in self.axes}


def read_axis(name: str, text: str) -> Axis:
    """`32..256:32`, `2,3,4`, `[3, 4, 6, 3],[2, 2, 2, 2]`, `relu,gelu`, or ranges among values; both ends belong to a
    range. Raises ValueError that says what is wrong."""
    values = [value for part in _parts(text) for value in _values(part)]
    if len(values) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values")
    twice = next((value for i, value in enumerate(values) if value in values[:i]), None) if len(values) < 1000 else None
    if twice is not None:
        raise ValueError(f"`{twice}` is given twice")
    return Axis(name, tuple(values))


def _values(part: str) -> list[str]:
    if not part:
        raise ValueError("a value is missing between two commas")
    match = _RANGE.fullmatch(part)
    if match is None:
        if ".." in part and '"' not in part:
            raise ValueError(f"`{part}` is not a range; ranges are written `32..256` or `32..256:32`")
        return [part]
    first, last, step = (Decimal(text) for text in (match[1], match[2], match[3] or "1"))
    if step == 0:
        raise ValueError(f"the step of `{part}` is 0")
    if last < first:
        raise ValueError(f"`{part}` is empty: {last} is less than {first}")
    try:
        count = int((last - first) / step) + 1
    except (InvalidOperation, OverflowError):
        count = MOST_VALUES + 1
    if count > MOST_VALUES:
        raise ValueError(f"`{part}` has more than {MOST_VALUES:,} values")
    whole = all("." not in text for text in match.groups() if text)
    return [str(int(first + i * step)) if whole else repr(float(first + i * step)) for i in range(count)]


def _parts(text: str) -> list[str]:
    """What commas separate that stand in no brackets and no quotes."""
    parts, open_, start = [], list[str](), 0
    for i, sign in enumerate(text):
        if open_ and sign == open_[-1]:
            open_.pop()
        elif open_ and open_[-1] in "'\"":
            continue
        elif sign in "'\"":
            open_.append(sign)
        elif sign in _CLOSING:
            open_.append(_CLOSING[sign])
        elif sign == "," and not open_:
            parts.append(text[start:i].strip())
            start = i + 1
    if open_:
        raise ValueError(f"`{open_[-1]}` is missing")
    return [*parts, text[start:].strip()]
