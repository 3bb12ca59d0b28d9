"""References of a block: for every argument of every statement one that is right in all of its modules.

Where a module lacks a statement, a reference to that means one of the statement's own inputs instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from netc.importing.align import Column
from netc.importing.bodies import Body, Ref, Refused


def wire(columns: Sequence[Column], bodies: Sequence[Body]) -> list[Ref]:
    """Give the columns their references; those of the outputs are returned. Raises Refused."""
    return _Wiring(columns, bodies).solve()


class _Wiring:
    def __init__(self, columns: Sequence[Column], bodies: Sequence[Body]) -> None:
        self.columns, self.bodies = columns, bodies
        self.places = [self._places_of(i) for i in range(len(bodies))]

    def _places_of(self, instance: int) -> dict[int, int]:
        """Statement of a module → its column."""
        known = {id(cell): at for at, cell in enumerate(self.bodies[instance].cells)}
        cells = ((column.cells[instance], at) for at, column in enumerate(self.columns))
        return {known[id(cell)]: at for cell, at in cells if cell is not None}

    def solve(self) -> list[Ref]:
        for at, column in enumerate(self.columns):
            self._wire(column, at)
        if len({len(body.outs) for body in self.bodies}) != 1:
            raise Refused("not the same number of outputs")
        outs = []
        for i in range(len(self.bodies[0].outs)):
            wanted = {j: self._moved(j, body.outs[i]) for j, body in enumerate(self.bodies)}
            outs.append(self._one(wanted, len(self.columns)))
        for column in self.columns:
            if column.optional and column.passes is None:
                if not column.refs:
                    raise Refused("an optional statement without input")
                column.passes = 0
        return outs

    def _wire(self, column: Column, at: int) -> None:
        there = {j: cell for j, cell in enumerate(column.cells) if cell is not None}
        counts = {len(cell.refs) for cell in there.values()}
        names = {tuple(cell.named) for cell in there.values()}
        if len(counts) != 1 or len(names) != 1:
            raise Refused("not the same number of inputs")
        for i in range(counts.pop()):
            column.refs.append(self._one({j: self._moved(j, cell.refs[i]) for j, cell in there.items()}, at))
        for name in names.pop():
            column.named[name] = self._one({j: self._moved(j, cell.named[name]) for j, cell in there.items()}, at)

    def _moved(self, instance: int, ref: Ref) -> Ref:
        return ref if ref[0] == "in" else ("at", self.places[instance][ref[1]], ref[2])

    def _one(self, wanted: Mapping[int, Ref], before: int) -> Ref:
        optional: Iterable[Ref] = (("at", k, "") for k in reversed(range(before)) if self.columns[k].optional)
        for ref in dict.fromkeys([*wanted.values(), *optional]):
            if all(self._means(j, ref, want) for j, want in wanted.items()):
                return ref
        raise Refused("no one reference is right for all")

    def _means(self, instance: int, ref: Ref, wanted: Ref) -> bool:
        """Whether a reference is `wanted` in a module; decides what an absent statement stands for where that is
        open."""
        while ref[0] == "at" and self.columns[ref[1]].cells[instance] is None:
            column = self.columns[ref[1]]
            if ref[2]:
                return False
            if column.passes is None:
                found = (i for i, r in enumerate(column.refs) if self._resolved(instance, r) == wanted)
                column.passes = next(found, None)
                if column.passes is None:
                    return False
            ref = column.refs[column.passes]
        return ref == wanted

    def _resolved(self, instance: int, ref: Ref) -> Ref | None:
        while ref[0] == "at" and self.columns[ref[1]].cells[instance] is None:
            column = self.columns[ref[1]]
            if ref[2] or column.passes is None:
                return None
            ref = column.refs[column.passes]
        return ref
