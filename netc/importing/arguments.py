"""Arguments of a block, and the expressions in which they and sizes of its input stand.

Arguments are called `{a0}`, `{a1}`, … until all are known and can be named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

Vector = list[Any]
"""A value for every module of a class, None where it has none."""

ABSENT = None
CHANNELS, DEPTH, ACTIVATION, FLAG = "channels", "depth", "act", "bool"
REQUIRED = (CHANNELS, DEPTH)
"""Kinds of arguments that are always given."""


class SlotText(msgspec.Struct, frozen=True):
    """What stands in a slot: a `value`, or `text` in which arguments are `{a0}`, or `items` of a list."""

    value: Any = None
    text: str = ""
    items: tuple[SlotText, ...] = ()

    @property
    def is_value(self) -> bool:
        return not self.text and not self.items


class Argument(msgspec.Struct):
    key: str
    kind: str
    hint: str
    vector: Vector
    name: str = ""
    default: Any = None
    required: bool = True


class Arguments:
    """What a block is given, in the order in which it was needed."""

    def __init__(self) -> None:
        self.all: list[Argument] = []

    def __iter__(self) -> Iterator[Argument]:
        return iter(self.all)

    def of_kind(self, *kinds: str) -> Iterator[Argument]:
        return (argument for argument in self.all if argument.kind in kinds)

    def take(self, vector: Vector, kind: str, hint: str) -> str:
        """The argument of this kind that has these values, or a new one; its key in braces."""
        for argument in self.of_kind(kind):
            if agrees(argument.vector, vector):
                argument.vector = filled(argument.vector, vector)
                return f"{{{argument.key}}}"
        self.all.append(Argument(f"a{len(self.all)}", kind, hint, list(vector)))
        return f"{{a{len(self.all) - 1}}}"

    def settle(self, used: frozenset[str]) -> list[dict[str, Any]]:
        """Defaults, and the values for every module; arguments that nothing uses go."""
        self.all = [argument for argument in self.all if argument.key in used]
        for argument in self.all:
            values = [value for value in argument.vector if value is not None]
            argument.default = commonest(values)
            argument.required = argument.kind in REQUIRED and None not in argument.vector
        self.all.sort(key=lambda argument: not argument.required)
        count = max((len(a.vector) for a in self.all), default=0)
        return [{a.key: a.default if a.vector[j] is None else a.vector[j] for a in self.all} for j in range(count)]


def commonest(values: Sequence[Any]) -> Any:
    """The value that stands most often, the first of equals; booleans are not numbers."""
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], Any] = {}
    for value in values:
        key = (type(value).__name__, repr(value))
        counts[key] += 1
        first.setdefault(key, value)
    return first[counts.most_common(1)[0][0]]


def same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def agrees(a: Vector, b: Vector) -> bool:
    return all(x is None or y is None or same(x, y) for x, y in zip(a, b, strict=True))


def filled(a: Vector, b: Vector) -> Vector:
    return [y if x is None else x for x, y in zip(a, b, strict=True)]


class Operand(msgspec.Struct, frozen=True):
    """Something an expression may be made from: an argument or a size, with what it is in every module."""

    text: str
    kind: str
    vector: Vector
    argument: Argument | None = None


def matching(vector: Vector, of: Callable[[int], Any]) -> bool:
    """Whether a function of the module gives the vector wherever that has values."""
    for j, value in enumerate(vector):
        if value is None:
            continue
        computed = of(j)
        if computed is None or not same(computed, value):
            return False
    return True


def render(text: str, names: Mapping[str, str]) -> str:
    """An expression with its arguments named."""
    for key, name in names.items():
        text = text.replace(f"{{{key}}}", name)
    return text


def mentioned(expr: SlotText) -> Iterator[str]:
    """Keys of the arguments in an expression."""
    for part in expr.text.split("{")[1:]:
        yield part.partition("}")[0]
    for item in expr.items:
        yield from mentioned(item)
