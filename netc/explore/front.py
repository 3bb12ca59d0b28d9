"""Which trials are worth looking at: those that nothing beats in all objectives, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from netc.explore.job import TrialRow


class Objective(msgspec.Struct, frozen=True):
    """A column that should be small, or large."""

    column: str
    largest: bool = False

    def cost(self, cells: Mapping[str, object]) -> float | None:
        """What is to be small; None where it was not measured."""
        value = cells.get(self.column)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return -value if self.largest else value


class Front:
    """The Pareto front of the rows that were added: of those with equal costs the first."""

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.objectives = objectives
        self._best: dict[int, tuple[float, ...]] = {}
        self.lines: dict[int, Mapping[str, object]] = {}

    def add(self, row: TrialRow, cells: Mapping[str, object]) -> None:
        """Consider a row that is ok and has all objectives."""
        point = [objective.cost(cells) for objective in self.objectives]
        costs = tuple(cost for cost in point if cost is not None)
        if row.status != "ok" or len(costs) < len(point):
            return
        if any(all(a <= b for a, b in zip(other, costs, strict=True)) for other in self._best.values()):
            return
        beaten = [t for t, other in self._best.items() if all(a <= b for a, b in zip(costs, other, strict=True))]
        for trial in beaten:
            del self._best[trial], self.lines[trial]
        self._best[row.trial], self.lines[row.trial] = costs, cells

    @property
    def trials(self) -> frozenset[int]:
        return frozenset(self._best)

    def ranked(self) -> list[int]:
        """The trials, by their objectives in order."""
        return sorted(self._best, key=lambda trial: (self._best[trial], trial))
