"""Lays trees of the same kind over each other: numbers become holes seen in every place, any other difference is a
conflict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, TypeVar

import msgspec

from netc.backends.pytorch.tree import (
    Apply,
    Branch,
    Either,
    Hole,
    Loop,
    Make,
    New,
    Node,
    Operator,
    Optional,
    Part,
    Read,
)

T = TypeVar("T")


class Conflict(Exception):
    """Two instances that one class cannot be."""


def unify(items: Sequence[T]) -> T:
    """One tree for several. Raises Conflict."""
    first = items[0]
    if len(items) == 1:
        return first
    alike = len(set(map(type, items))) == 1
    if isinstance(first, tuple):
        if not alike or any(len(item) != len(first) for item in items):  # type: ignore[arg-type]
            raise Conflict("the instances have different numbers of parts")
        return tuple(map(unify, zip(*items, strict=True)))  # type: ignore[return-value]
    if not isinstance(first, Node):
        if not alike or any(item != first for item in items):
            raise Conflict(f"{first!r} is another in some instances")
        return first
    if not alike:
        raise Conflict("the instances are built differently")
    rule = _RULES.get(type(first), _fields)
    return rule(items)  # type: ignore[no-any-return]


def _fields(items: Sequence[Any]) -> Any:
    fields = items[0].__struct_fields__
    return type(items[0])(**{name: unify([getattr(item, name) for item in items]) for name in fields})


def _hole(items: Sequence[Hole]) -> Hole:
    first = items[0]
    if any((item.name, item.keyword) != (first.name, first.keyword) for item in items):
        raise Conflict("the arguments differ")
    omit = first.omit if all(item.omit == first.omit for item in items) else ...
    seen = tuple(chain.from_iterable(item.seen for item in items))
    return Hole(first.path, first.name, seen, first.keyword, omit)


def _new(items: Sequence[New]) -> New:
    return New(items[0].path, tuple(chain.from_iterable(item.calls for item in items)))


def _make(items: Sequence[Make]) -> Make:
    """Different operators are one where an argument holds them and they are given the same at this place."""
    first = items[0]
    if all(item.form == first.form and len(item.holes) == len(first.holes) for item in items):
        return _fields(items)  # type: ignore[no-any-return]
    held = [item.operator for item in items if item.operator is not None]
    if len(held) < len(items):
        raise Conflict("the operators differ")
    full = [operator for operator in held if any(number.value is not None for _, number in operator.hole.seen)]
    site = unify([operator.site for operator in full]) if full else ()
    return Make(None, (), Operator(unify([operator.hole for operator in held]), site))


def _apply(items: Sequence[Apply]) -> Apply:
    """Expressions that differ give way to the modules that stand for them."""
    first = items[0]
    if any(item.call != first.call or len(item.holes) != len(first.holes) for item in items):
        if any(item.make is None for item in items):
            raise Conflict("the expressions differ")
        items = [msgspec.structs.replace(item, call=None, holes=()) for item in items]
    elif first.call is not None and _tried([item.make for item in items]) is None:
        items = [msgspec.structs.replace(item, make=None) for item in items]
    kept, heavy = any(item.kept for item in items), any(item.heavy for item in items)
    if not all(item.kept is kept and item.heavy is heavy for item in items):
        items = [msgspec.structs.replace(item, kept=kept, heavy=heavy) for item in items]
    return _fields(items)  # type: ignore[no-any-return]


def _read(items: Sequence[Read]) -> Read:
    names = tuple(name for name in items[0].names if all(name in item.names for item in items))
    if not names:
        raise Conflict("the instances read different tensors")
    return Read(names)


def _known(sides: Sequence[T | None]) -> T | None:
    """The side of a condition, from the instances that take it."""
    known = [side for side in sides if side is not None]
    return unify(known) if known else None


def _sides(items: Sequence[Any]) -> Any:
    """A condition: the instances take one side or the other."""
    rest = {
        name: unify([getattr(item, name) for item in items])
        for name in items[0].__struct_fields__
        if name not in ("then", "otherwise")
    }
    then, otherwise = (_known([getattr(item, side) for item in items]) for side in ("then", "otherwise"))
    return type(items[0])(**rest, then=then, otherwise=otherwise)


def _loop(items: Sequence[Loop]) -> Loop:
    """Turn by turn where instances have equally many, and all turns as one where they are alike."""
    first = items[0]
    if any((item.key, item.names) != (first.key, first.names) for item in items):
        raise Conflict("the loops differ")
    turns = _tried([item.turns for item in items])
    rolled, head, rest = (_alike([getattr(item, name) for item in items]) for name in ("rolled", "first", "rest"))
    if turns is None and rolled is None and (head is None or rest is None):
        raise Conflict("the turns of a loop differ")
    entry, exit = (unify([getattr(item, name) for item in items]) for name in ("entry", "exit"))
    iterable = unify([item.iterable for item in items])
    return Loop(first.key, first.path, first.names, iterable, turns, rolled, head, rest, entry, exit)


def _tried(items: Sequence[T | None]) -> T | None:
    if any(item is None for item in items):
        return None
    return tried([item for item in items if item is not None])


def _alike(items: Sequence[tuple[Any, ...] | None]) -> tuple[Any, ...] | None:
    """The same of loops some of which have no such turns."""
    known = [item for item in items if item != ()]
    return _tried(known) if known else ()


def looped(
    key: str,
    path: str,
    names: tuple[str, ...],
    iterable: Hole,
    turns: Sequence[tuple[Part, ...]],
    entry: tuple[Hole, ...] = (),
    exit: tuple[Hole, ...] = (),
) -> Loop:
    """A loop by what its turns make."""
    rolled, rest = (tried(some) if some else () for some in (turns, turns[1:]))
    return Loop(key, path, names, iterable, tuple(turns), rolled, turns[0] if turns else (), rest, entry, exit)


def tried(items: Sequence[T]) -> T | None:
    """One tree for several, or None where they conflict."""
    try:
        return unify(items)
    except Conflict:
        return None


_RULES: dict[type, Callable[[Sequence[Any]], Any]] = {
    Hole: _hole,
    New: _new,
    Make: _make,
    Apply: _apply,
    Read: _read,
    Either: _sides,
    Optional: _sides,
    Branch: _sides,
    Loop: _loop,
}
