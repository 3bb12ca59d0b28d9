"""Loops of the spec: what they run over, the names of their variables, and sizes before, within and after them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from netc.backends.pytorch.trace.read import Reader
from netc.backends.pytorch.tree import Hole
from netc.backends.pytorch.tree.instance import Instance
from netc.backends.pytorch.tree.names import loop_of
from netc.backends.pytorch.tree.number import Number, length_of, of, opaque
from netc.expr.terms import combined, from_linear, is_plain, linear, lit, substitute
from netc.expr.tree import Binary, Function, Literal, Name
from netc.ir.model import Group, Item, Value, leaves


class Loops:
    """Enters and leaves the loops of one block."""

    def __init__(self, instance: Instance, reader: Reader) -> None:
        self.instance, self.reader = instance, reader

    def head(self, group: Group) -> tuple[str, tuple[str, ...], Hole]:
        """The key of a loop, the names of its variables, and what it runs over."""
        key = f"{group.statement.span.start}"
        bindings = [item.bindings for item in group.items if isinstance(item, Group) and item.kind == "iteration"]
        names = tuple(bindings[0]) if bindings else ("",)
        rows: tuple[Any, ...] = tuple(tuple(b.values()) if len(b) > 1 else next(iter(b.values())) for b in bindings)
        said = group.said.get("iterable") or group.said.get("count")
        found = of(None) if said is None else self.reader.read(said)
        self.instance.whole |= found.depends
        term = found.term
        if group.kind == "repeat":
            rows = tuple(range(len(group.items)))
            term = Function(name="range", arguments=(lit(len(rows)) if term is None else term,))
        value = rows if all(map(is_plain, rows)) else None
        number = Number(value, term, found.depends, True) if term is not None else opaque(value, found.depends)
        self.instance.iterables[key] = found.depends
        return key, names, Hole(self.instance.local(group.path), "iterable", ((self.instance.here(), number),))

    def enter(self, key: str, item: Item, i: int, entry: tuple[Number, ...] = ()) -> None:
        bindings: Mapping[str, Any] = {"": i}
        if isinstance(item, Group) and item.kind == "iteration":
            bindings = item.bindings
        self.instance.active.append({name: f"${key}.{name}" for name in bindings})
        carried = {f"~{key}.{axis}": n.value for axis, n in zip((1, -1), entry, strict=False) if type(n.value) is int}
        counted = {f"${key}.{name}": value for name, value in bindings.items()}
        self.instance.turns = {**self.instance.turns, **counted, **carried}

    def turns(self, key: str, group: Group) -> Iterator[Sequence[Item]]:
        """What stands in each turn, within it."""
        for i, item in enumerate(group.items):
            self.enter(key, item, i)
            yield inside(item)
            self.leave(key, item)

    def leave(self, key: str, item: Item) -> None:
        """The sizes made in a turn no longer know its variables, but what these hang on."""
        sizes = self.instance.sizes
        for leaf in leaves((item,)):
            for value in leaf.outputs:
                sizes[value] = tuple(self._without(size, key) for size in sizes.get(value, ()))
        self.instance.active.pop()
        turns = self.instance.turns.items()
        self.instance.turns = {name: value for name, value in turns if loop_of(name) != key}

    def _without(self, size: Number, key: str) -> Number:
        """A size after its turn: the variables of the loop are numbers."""
        turns = self.instance.turns
        own = [name for name in size.depends if name[0] in "$~" and loop_of(name) == key]
        if not own:
            return size
        depends, term = size.depends.difference(own), size.term
        if term is not None:
            depends |= frozenset(self.instance.bases(own))
            term = substitute(term, lambda n: lit(turns[n]) if n in own else Name(id=n))
        return Number(size.value, term, depends, size.author) if depends or term is None else of(size.value)

    def progress(self, group: Group, iterable: Hole) -> None:
        """After copies that each add the same, a size is `base + count * step`."""
        known = self.instance.sizes
        if group.result is None or group.source is None or group.source not in known:
            return
        over = iterable.seen[0][1]
        count = _count(over, len(group.items))
        results = [result_of(item) for item in group.items]
        varies = any(True for _ in self.instance.bases(count.depends))
        if not varies or not results or any(r is None or r not in known for r in results):
            return
        sizes = [known[group.source], *(known[r] for r in results if r is not None)]
        if len({len(one) for one in sizes}) == 1:
            said = frozenset() if _is_counted(over) else over.depends.union(self.instance.bases(over.depends))
            known[group.result] = tuple(_progressed(list(column), count, said) for column in zip(*sizes, strict=True))

    def ends(self, value: Value | None) -> tuple[Number, ...]:
        """The sizes that layers ask for: of axis 1 and of the last axis."""
        sizes = () if value is None else self.instance.sizes.get(value, ())
        return (sizes[1], sizes[-1]) if len(sizes) > 1 else (Number(None), Number(None))

    def end_holes(self, name: str, numbers: tuple[Number, ...]) -> tuple[Hole, ...]:
        return tuple(Hole("", name, ((self.instance.here(), number),)) for number in numbers)


def inside(turn: Item) -> Sequence[Item]:
    """What a turn of a loop, or a copy, consists of."""
    return turn.items if isinstance(turn, Group) and turn.kind == "iteration" else (turn,)


def result_of(item: Item) -> Value | None:
    return item.result if isinstance(item, Group) else item.outputs[0]


def source_of(item: Item) -> Value | None:
    return item.source if isinstance(item, Group) else item.inputs[0] if item.inputs else None


def _count(iterable: Number, size: int) -> Number:
    """How many turns a loop takes."""
    if iterable.term is None:
        return opaque(size, iterable.depends)
    return Number(size, length_of(iterable.term), iterable.depends)


def _is_counted(iterable: Number) -> bool:
    """Whether the turns of a loop are numbered from a fixed start by a fixed step."""
    match iterable.term:
        case Function(name="range", arguments=(_,)):
            return True
        case Function(name="range", arguments=(start, _, *step)):
            return all(isinstance(one, Literal) for one in (start, *step))
    return False


def _progressed(sizes: list[Number], count: Number, said: frozenset[str]) -> Number:
    """A size after all turns. said: names of what a list has in it, from which sizes that make a series do so by
    chance."""
    last = sizes[-1]
    terms = [None if s.term is None else linear(s.term) for s in sizes]
    steps = [combined(b, a, -1) for a, b in pairwise(terms)]
    step = steps[0]
    if not any(steps) and None not in terms and all(s.depends <= sizes[0].depends for s in sizes):
        return sizes[0]
    chance = any(s.depends & said for s in sizes[1:])
    if chance or len(steps) < 2 or not step or terms[0] is None or count.term is None or any(s != step for s in steps):
        return opaque(last.value, sizes[0].depends | last.depends | count.depends)
    walked = Binary(op="*", left=count.term, right=from_linear(step))
    return Number(last.value, Binary(op="+", left=from_linear(terms[0]), right=walked), last.depends | count.depends)
