"""Conditions of statements that some modules of a class lack."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Any

import msgspec

from netc.importing.align import Column
from netc.importing.arguments import CHANNELS, FLAG, Argument, Arguments, Operand, SlotText, Vector
from netc.importing.slots import Slots

MOST_VALUES = 4
"""Values of an argument that are tried in a condition; with more it says nothing."""


class Test(msgspec.Struct, frozen=True):
    """A comparison, and what it is for every module; None where an argument has no value. `settle` gives the argument
    the value that makes it false, where that is possible."""

    text: str
    holds: Callable[[int], Any]
    settle: Callable[[int], None] | None = None


def condition(column: Column, present: Vector, slots: Slots, columns: list[Column]) -> str:
    """What is true exactly where the statement is present; a new argument where nothing known is."""
    tests = list(_tests(slots, columns))
    lead = column.members[0] if column.members else column
    if "out_channels" in lead.slots and ("in", 0, "") in column.refs:  # a projection of the block's input
        tests.sort(key=lambda test: not test.text.startswith("in."))
    for test in tests:
        if _fits(present, test):
            return test.text
    for a, b in combinations(tests, 2):
        if "!=" in a.text and "!=" in b.text and _both(present, a, b, all_false=True):
            return f"{a.text} or {b.text}"
        if "==" in a.text and "==" in b.text and _both(present, a, b, all_false=False):
            return f"{a.text} and {b.text}"
    return _flag(column, present, slots.arguments)


def _fits(present: Vector, test: Test) -> bool:
    """Whether a comparison holds exactly where it should; arguments without values are given those that make it so."""
    results = [test.holds(j) for j in range(len(present))]
    open_ = [j for j, wanted in enumerate(present) if wanted is False and results[j] is None]
    if open_ and test.settle is None:
        return False
    if any(wanted is not None and results[j] is not wanted for j, wanted in enumerate(present) if j not in open_):
        return False
    for j in open_:
        if test.settle is not None:
            test.settle(j)
    return True


def _both(present: Vector, a: Test, b: Test, *, all_false: bool) -> bool:
    for j, wanted in enumerate(present):
        if wanted is None:
            continue
        one, other = a.holds(j), b.holds(j)
        if one is None or other is None or ((one or other) if all_false else (one and other)) is not wanted:
            return False
    return True


def _flag(column: Column, present: Vector, arguments: Arguments) -> str:
    word = re.sub(r"\W", "_", (column.first.name or column.first.op).split(".")[-1]).strip("_")
    word = column.first.op if word.isdigit() or not word else word
    return arguments.take(list(present), FLAG, f"with_{re.sub(r'[^a-z0-9_]', '', word.lower()) or 'part'}")


def _tests(slots: Slots, columns: list[Column]) -> Iterator[Test]:
    for argument in slots.arguments.of_kind("stride"):
        v = argument.vector
        yield Test(f"{{{argument.key}}} != 1", lambda j, v=v: None if v[j] is None else v[j] != 1)  # type: ignore[misc]
        yield Test(f"{{{argument.key}}} == 1", lambda j, v=v: None if v[j] is None else v[j] == 1)  # type: ignore[misc]
    yield from _widths(slots, columns)
    for argument in slots.arguments:
        if argument.kind not in (CHANNELS, "stride"):
            yield from _values(argument.key, argument.vector)


def _widths(slots: Slots, columns: list[Column]) -> Iterator[Test]:
    """`in.C != width`, with all widths that statements of the block have."""
    inner = [atom for atom in slots.atoms() if atom.argument is None]
    if not inner:
        return
    source = inner[0]
    for atom in _outer(slots, columns):
        for sign, equal in (("!=", False), ("==", True)):
            argument = atom.argument if sign == "!=" else None
            yield Test(
                f"{source.text} {sign} {atom.text}",
                lambda j, v=atom.vector, u=source.vector, e=equal: (  # type: ignore[misc]
                    None if v[j] is None or u[j] is None else (u[j] == v[j]) is e
                ),
                None if argument is None else partial(_take, argument, source.vector),
            )


def _take(argument: Argument, values: Vector, at: int) -> None:
    argument.vector[at] = values[at]


def _outer(slots: Slots, columns: list[Column]) -> Iterator[Operand]:
    atoms = [atom for atom in slots.atoms() if atom.argument is not None and atom.kind == CHANNELS]
    yield from atoms
    vectors = {atom.text: atom.vector for atom in atoms}
    texts = set()
    for column in columns:
        expr = column.slots.get("out_channels")
        text = expr.text if isinstance(expr, SlotText) else ""
        match = re.fullmatch(r"(\d+)\*(\{a\d+\})", text)
        if match and text not in texts and match[2] in vectors:
            texts.add(text)
            times = int(match[1])
            yield Operand(text, CHANNELS, [None if v is None else times * v for v in vectors[match[2]]])


def _values(key: str, vector: Vector) -> Iterator[Test]:
    values = {repr(v): v for v in vector if v is not None}
    if len(values) > MOST_VALUES or not all(isinstance(v, int | str) for v in values.values()):
        return
    for _, value in sorted(values.items()):
        if isinstance(value, bool):
            yield Test(
                f"{{{key}}}" if value else f"not {{{key}}}",
                lambda j, v=value: None if vector[j] is None else vector[j] is v,  # type: ignore[misc]
            )
        elif isinstance(value, int) or re.fullmatch(r"\w+", value):
            yield Test(f"{{{key}}} == {value}", lambda j, v=value: None if vector[j] is None else vector[j] == v)  # type: ignore[misc]
            yield Test(f"{{{key}}} != {value}", lambda j, v=value: None if vector[j] is None else vector[j] != v)  # type: ignore[misc]
