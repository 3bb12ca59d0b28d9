"""Numbers that differ between the modules of a class: expressions over arguments and sizes that give them all.

An expression is taken only if it gives the number of every module. Kinds keep coincidences out: a stride is never said
by the number of groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any

from netc.dims import Dim
from netc.expr.terms import make_divisible
from netc.importing.align import Column
from netc.importing.arguments import CHANNELS, DEPTH, Arguments, Operand, SlotText, Vector, filled, matching, same
from netc.importing.bodies import COUNT, Cell, Refused

if TYPE_CHECKING:
    from netc.importing.parts import Part

FACTORS = (2, 3, 4, 6, 8, 16, 32, 64)
KINDS = {"out_channels": CHANNELS, "out_features": CHANNELS, "num_features": CHANNELS, COUNT: DEPTH}
"""Attribute → kind, where it is not the attribute itself."""

SOURCES = {
    CHANNELS: (CHANNELS,),
    "groups": ("groups", CHANNELS),
    "padding": ("padding",),
}
"""What atoms a kind of slot may be said by; its own otherwise."""

HINTS = {"kernel_size": "size", "num_heads": "heads", "unflattened_size": "parts", "negative_slope": "slope"}
LATE = {"padding": 1, COUNT: 2}
"""Slots that are filled after others, because they may follow from them."""


class Slots:
    """The slots of a block's columns. `arguments` grow as they are filled."""

    def __init__(self, modules: list[Part], arguments: Arguments) -> None:
        self.modules, self.arguments = modules, arguments
        self.sizes = [_sizes(module) for module in modules]

    def fill(self, column: Column) -> None:
        """All slots of a column. Raises Refused."""
        there = [cell for cell in column.cells if cell is not None]
        keys = dict.fromkeys(key for cell in there for key in cell.attrs if key != COUNT)
        for key in sorted(keys, key=lambda k: LATE.get(k, 0)):
            vector = [None if cell is None else _given(cell, key) for cell in column.cells]
            column.slots[key] = self.express(column, key, vector)

    def express(self, column: Column, key: str, vector: Vector) -> SlotText:
        """An expression for a slot. A value of NONE stands for `none`."""
        known = [value for value in vector if value is not None]
        if all(same(value, known[0]) for value in known):
            return self._constant(column, key, vector, known[0])
        if any(isinstance(value, tuple) for value in known):
            return self._listed(column, key, vector, known)
        if any(isinstance(value, Dim) or value is NONE for value in known):
            raise Refused(f"`{key}` is a size of the input in some")
        kind = self.kind(column, key)
        if all(isinstance(value, int) and not isinstance(value, bool) for value in known):
            text = self._number(column, key, kind, vector)
            if text:
                return SlotText(text=text)
        return SlotText(text=self.arguments.take(vector, kind, HINTS.get(kind, kind)))

    def kind(self, column: Column, key: str) -> str:
        template = column.first.template
        if template is not None:
            found = next((a.kind for a in template.arguments if a.key == key), None)
            if found is not None:
                return found
        return KINDS.get(key, key.rstrip("0123456789"))

    def _constant(self, column: Column, key: str, vector: Vector, value: Any) -> SlotText:
        """One value for all; a depthwise convolution is said as such."""
        if key == "groups" and isinstance(value, int) and value > 1 and _depthwise(column, vector):
            return SlotText(text="x.C")
        text = self._already(column, key, vector)
        return SlotText(text=text) if text else SlotText(value=value)

    def _already(self, column: Column, key: str, vector: Vector) -> str:
        """What a statement that only one of several modules has is given in words of the block, if there are any."""
        if sum(value is not None for value in vector) != 1 or len(vector) == 1:
            return ""
        kind = self.kind(column, key)
        if kind not in (CHANNELS, "stride"):
            return ""
        for argument in self.arguments.of_kind(kind):
            if matching(vector, lambda j, v=argument.vector: v[j]):  # type: ignore[misc]
                return f"{{{argument.key}}}"
        factors = ((k, a) for a in self.arguments.of_kind(CHANNELS) for k in FACTORS if kind == CHANNELS)
        for k, argument in factors:
            if matching(vector, lambda j, v=argument.vector, k=k: _times(v[j], k)):  # type: ignore[misc]
                return f"{k}*{{{argument.key}}}"
        return ""

    def _listed(self, column: Column, key: str, vector: Vector, known: list[Any]) -> SlotText:
        lengths = {len(value) for value in known if isinstance(value, tuple)}
        if len(lengths) != 1 or any(value is NONE for value in known):
            raise Refused(f"`{key}` has lists of several lengths")
        length = lengths.pop()
        rows = [None if v is None else v if isinstance(v, tuple) else (v,) * length for v in vector]
        items = [self.express(column, f"{key}{i}", [None if r is None else r[i] for r in rows]) for i in range(length)]
        return SlotText(items=tuple(items))

    def _number(self, column: Column, key: str, kind: str, vector: Vector) -> str:
        """An expression for whole numbers; empty where only a new argument will do."""
        if kind in (CHANNELS, "groups") and _depthwise(column, vector):
            return "x.C" if _rank(column) != 3 else ""
        atoms = [atom for atom in self.atoms() if atom.kind in SOURCES.get(kind, (kind,))]
        for atom in atoms:
            if self._is(atom, vector):
                return atom.text
        if kind == "padding":
            return self._padding(column, vector)
        if kind in (CHANNELS, "groups", "sizes", "shape", "unflattened_size"):
            return next(_computed(atoms, vector, sums=kind == CHANNELS), "")
        return ""

    def _is(self, atom: Operand, vector: Vector) -> bool:
        pairs = list(zip(atom.vector, vector, strict=True))
        if not any(a is not None and b is not None for a, b in pairs):
            return False
        if any(a is not None and b is not None and not same(a, b) for a, b in pairs):
            return False
        if atom.argument is None:
            return all(a is not None for a, b in pairs if b is not None)
        atom.argument.vector = filled(atom.argument.vector, vector)
        return True

    def _padding(self, column: Column, vector: Vector) -> str:
        """`size//2`, `dilation`, `dilation*(size//2)`"""
        kernels = [atom for atom in self.atoms() if atom.kind == "kernel_size"]
        dilations = [atom for atom in self.atoms() if atom.kind == "dilation"]
        for kernel in kernels:
            if matching(vector, lambda j, k=kernel: _half(k.vector[j])):  # type: ignore[misc]
                return f"{kernel.text}//2"
        fixed = column.slots.get("kernel_size")
        half = fixed.value // 2 if isinstance(fixed, SlotText) and isinstance(fixed.value, int) else 0
        for dilation in dilations:
            if half and matching(vector, lambda j, d=dilation: _times(d.vector[j], half)):  # type: ignore[misc]
                return dilation.text if half == 1 else f"{half}*{dilation.text}"
            for kernel in kernels:
                if matching(vector, lambda j, d=dilation, k=kernel: _times(d.vector[j], _half(k.vector[j]))):  # type: ignore[misc]
                    return f"{dilation.text}*({kernel.text}//2)"
        return ""

    def atoms(self) -> Iterator[Operand]:
        """Arguments first, then sizes of the block's input."""
        for argument in self.arguments:
            if all(v is None or (isinstance(v, int) and not isinstance(v, bool)) for v in argument.vector):
                yield Operand(f"{{{argument.key}}}", argument.kind, argument.vector, argument)
        for name in dict.fromkeys(name for sizes in self.sizes for name in sizes):
            yield Operand(name, CHANNELS, [sizes.get(name) for sizes in self.sizes])


class _None:
    """What `none` is as the value of a slot, where None stands for no value."""

    def __repr__(self) -> str:
        return "none"


NONE = _None()


def _given(cell: Cell, key: str) -> Any:
    found = cell.attrs.get(key)
    return NONE if found is None else found


def _sizes(module: Part) -> dict[str, int]:
    """Sizes of the first input that a block may name and that are channels."""
    if not module.inputs:
        return {}
    shape = module.inputs[0].type.shape
    at = {2: 1, 3: 2, 4: 1, 5: 1}.get(len(shape))
    names = {2: "in.C", 3: "in.shape[2]", 4: "in.C", 5: "in.C"}
    size = shape[at] if at is not None else None
    return {names[len(shape)]: size} if isinstance(size, int) else {}


def _rank(column: Column) -> int:
    value = column.first.reads
    return value.type.rank if value is not None else 0


def _depthwise(column: Column, vector: Vector) -> bool:
    """Whether the numbers are the channels that the statement reads."""
    cells = column.cells
    ranks = {cell.reads.type.rank for cell in cells if cell is not None and cell.reads is not None}
    if not ranks <= {4, 5}:
        return False
    return matching(vector, lambda j: cells[j].reads.type.shape[1] if cells[j] and cells[j].reads else None)  # type: ignore[union-attr]


def _half(value: Any) -> int | None:
    return value // 2 if isinstance(value, int) else None


def _times(a: Any, b: Any) -> int | None:
    return a * b if isinstance(a, int) and isinstance(b, int) else None


def _computed(atoms: list[Operand], vector: Vector, *, sums: bool) -> Iterator[str]:
    for atom in atoms:
        v = atom.vector
        for k in FACTORS:
            if matching(vector, lambda j, v=v, k=k: _times(v[j], k)):  # type: ignore[misc]
                yield f"{k}*{atom.text}"
            if matching(vector, lambda j, v=v, k=k: v[j] // k if v[j] is not None and v[j] % k == 0 else None):  # type: ignore[misc]
                yield f"{atom.text}//{k}"
        for k in (4, 8, 16):
            if matching(vector, lambda j, v=v, k=k: make_divisible(v[j] // k, 8) if v[j] is not None else None):  # type: ignore[misc]
                yield f"make_divisible({atom.text}//{k})"
    for a, b in permutations(atoms, 2):
        if not sums and matching(vector, lambda j, a=a, b=b: _quotient(a.vector[j], b.vector[j])):  # type: ignore[misc]
            yield f"{a.text}//{b.text}"
    for a, b in combinations(atoms, 2):
        if sums and matching(vector, lambda j, a=a, b=b: _sum(a.vector[j], b.vector[j])):  # type: ignore[misc]
            yield f"{a.text}+{b.text}"


def _quotient(a: Any, b: Any) -> int | None:
    return a // b if isinstance(a, int) and isinstance(b, int) and b and a % b == 0 else None


def _sum(a: Any, b: Any) -> int | None:
    return a + b if isinstance(a, int) and isinstance(b, int) else None
