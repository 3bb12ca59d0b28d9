"""Members of a sequence in a row that are one class and given the same, or numbers that count: a comprehension."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from netc.expr.tree import Expr, Literal

LEAST = 3
"""So many are a run."""


class Row(msgspec.Struct, frozen=True, eq=False):
    """One member: the number that its name ends with, None without a name, what its name begins with, the class that
    it is of, and what that is given."""

    number: int | None
    stem: str
    cls: object
    terms: tuple[Expr, ...]


class Run:
    """The first of some members, as far as they go on: how many they are (`size`), the number that counts on from one
    to the next (`first`; None where nothing differs), and which arguments it is (`varied`)."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows: list[Row] = []
        self.first: int | None = None
        self.varied: frozenset[int] = frozenset()
        for row in rows:
            if not self._goes_on(row):
                break
            self.rows.append(row)

    @property
    def size(self) -> int:
        return len(self.rows)

    def _goes_on(self, row: Row) -> bool:
        """Whether a member is what one more turn would make."""
        if not self.rows:
            return True
        first, last = self.rows[0], self.rows[-1]
        if row.cls is not first.cls or row.stem != first.stem:
            return False
        varied = frozenset(i for i, pair in enumerate(zip(first.terms, row.terms, strict=True)) if pair[0] != pair[1])
        starts = {_number(first.terms[i]) for i in varied} | ({first.number} if first.stem else set())
        counted = [(_number(last.terms[i]), _number(row.terms[i])) for i in varied]
        if first.stem:
            counted.append((last.number, row.number))
        if len(starts) > 1 or any(a is None or b is None or b - a != 1 for a, b in counted):
            return False
        if self.size > 1 and varied != self.varied:
            return False
        self.varied, self.first = varied, next(iter(starts), None)
        return True


def _number(term: Expr) -> int | None:
    return term.value if isinstance(term, Literal) and type(term.value) is int else None
