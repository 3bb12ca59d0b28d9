"""Bodies laid beside one another: which statement of one is which of the other.

Needleman and Wunsch's alignment, the longest body first. That two statements agree in kernel, stride and in whether
they are depthwise counts too, else a missing expansion would be taken for the projection behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

from netc.importing.bodies import CHAIN, Cell


class Column:
    """A statement of all modules of a class: a cell for each, None where one lacks it."""

    __slots__ = ("cells", "condition", "members", "named", "operator", "passes", "refs", "slots", "text")

    def __init__(self, count: int) -> None:
        self.cells: list[Cell | None] = [None] * count
        self.members: list[Column] | None = None
        self.refs: list[tuple[str, int, str]] = []
        self.named: dict[str, tuple[str, int, str]] = {}
        self.passes: int | None = None
        """Which of its references an absent cell stands for."""
        self.slots: dict[str, object] = {}
        self.condition = ""
        self.operator = ""
        """The argument that holds the operator, where it is not the same for all."""
        self.text = ""

    @property
    def first(self) -> Cell:
        return next(cell for cell in self.cells if cell is not None)

    @property
    def optional(self) -> bool:
        return any(cell is None for cell in self.cells)


def align(bodies: Sequence[Sequence[Cell]]) -> list[Column]:
    """Columns in an order that every body keeps."""
    columns: list[Column] = []
    for at in sorted(range(len(bodies)), key=lambda i: -len(bodies[i])):
        columns = _merged(columns, bodies[at], at, len(bodies))
    for column in columns:
        if column.first.op == CHAIN:
            column.members = align([cell.members or [] if cell else [] for cell in column.cells])
    return columns


def _merged(columns: list[Column], body: Sequence[Cell], at: int, count: int) -> list[Column]:
    scores = [[similarity(column.first, cell) for cell in body] for column in columns]
    best = [[0.0] * (len(body) + 1) for _ in range(len(columns) + 1)]
    for i in range(len(columns) - 1, -1, -1):
        for j in range(len(body) - 1, -1, -1):
            both = best[i + 1][j + 1] + scores[i][j] if scores[i][j] else -1.0
            best[i][j] = max(best[i + 1][j], best[i][j + 1], both)
    merged: list[Column] = []
    i = j = 0
    while i < len(columns) or j < len(body):
        if i < len(columns) and j < len(body):
            if scores[i][j] and best[i][j] == best[i + 1][j + 1] + scores[i][j]:
                columns[i].cells[at] = body[j]
                merged.append(columns[i])
                i, j = i + 1, j + 1
                continue
            if best[i][j] == best[i + 1][j]:
                merged.append(columns[i])
                i += 1
                continue
        if j < len(body):
            column = Column(count)
            column.cells[at] = body[j]
            merged.append(column)
            j += 1
        else:
            merged.append(columns[i])
            i += 1
    return merged


def similarity(a: Cell, b: Cell) -> float:
    """How much speaks for two statements being one; 0 where they cannot be."""
    named = 3.0 if a.name and a.name == b.name and not a.name.isdigit() else 0.0
    if (a.members is None) != (b.members is None):
        return 0.0
    if a.members is not None and b.members is not None:
        first, other = a.members[:1], b.members[:1]
        same = [m.op for m in first] == [m.op for m in other]
        return 2.0 + named + (_settings(first[0], other[0]) if first and same else 0.0) if same or named else 0.0
    if a.op == b.op:
        return 2.0 + named + _settings(a, b)
    return 1.0 + named if a.is_activation and b.is_activation else 0.0


def _settings(a: Cell, b: Cell) -> float:
    ours, theirs = a.settings(), b.settings()
    score = sum(0.3 for key in ("kernel_size", "stride") if key in ours and ours[key] == theirs.get(key))
    if "groups" in ours and "groups" in theirs:
        score += 0.7 * ((ours["groups"] == 1) == (theirs["groups"] == 1))
    return score
