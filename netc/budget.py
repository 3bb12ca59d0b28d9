"""How much work one compile may do. It is counted in steps, so that no text can hold up a machine or fill its memory,
and the same text comes to the same count everywhere.

A step is worth about a microsecond on a machine of today, and a few hundred bytes at most where something is kept.
Whatever a text can make long, repeat or nest spends them: characters, values, statements, references, sizes compared,
operators of the opened network, findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LIMIT = 3_000_000
"""Steps of one compile, unless `limited` says otherwise."""

CHARACTERS = 32
"""Characters that are read in a step, comments too."""

NODE = 3
"""Steps that a scalar, a list or a mapping of a file takes, and each end of one."""

WORDS = 8
"""Steps that a line, an expression or a name takes, besides one for each of its characters."""

STATEMENT = 60
"""Steps that a line takes each time it is elaborated."""

TURN = 12
"""Steps that a turn of a loop takes, besides those of its statements."""

REFERENCE = 6
"""Steps that finding a tensor by its name takes."""

OPERATOR = 40
"""Steps that an operator of the opened network takes."""

LEAF = 8
"""Steps that a statement takes each time its block is looked through."""

GLOB = 10
"""Steps that each character of a glob takes before it is matched."""

ATTRIBUTE = 8
"""Steps that each attribute takes that an operator may have."""

TENSOR = 4
"""Steps that each tensor takes that an operator makes, besides one for each of its axes."""

PARAMETER = 1
"""Steps that each argument of a block takes when it is called, given or not."""

TERM = 1
"""Steps that a part of an expression takes each time it is evaluated."""

ITEMS = 2
"""Items of a list that are made or looked at in a step."""

FINDING = 500
"""Steps that a finding takes."""

ADVICE = 2_000
"""Steps that it takes besides to look for what would make tensors fit."""


class OverBudget(Exception):
    """The work of a compile came to more steps than it may take."""


class Budget:
    """Steps that may be taken, those of a compile by default, and those that are left."""

    __slots__ = ("left", "limit")

    def __init__(self, limit: int | None = None) -> None:
        self.limit = self.left = _LIMIT.get() if limit is None else limit

    @property
    def spent(self) -> int:
        return self.limit - self.left


_LIMIT: ContextVar[int] = ContextVar("limit", default=LIMIT)
_BUDGET: ContextVar[Budget | None] = ContextVar("budget", default=None)


def spend(steps: int) -> None:
    """Count work about to be done; raises OverBudget. Outside of a compile nothing is counted."""
    budget = _BUDGET.get()
    if budget is not None:
        budget.left -= steps
        if budget.left < 0:
            raise OverBudget


@contextmanager
def limited(limit: int | None) -> Iterator[None]:
    """Inside, a compile may take so many steps; None: as many as it may outside."""
    token = _LIMIT.set(_LIMIT.get() if limit is None else limit)
    try:
        yield
    finally:
        _LIMIT.reset(token)


@contextmanager
def budgeted(budget: Budget | None = None) -> Iterator[Budget]:
    """One budget for all that happens inside: the one given, that of the compile around, or a new one."""
    with _counted(budget or _BUDGET.get() or Budget()) as counted:
        yield counted


@contextmanager
def share(most: int | None = None) -> Iterator[Budget]:
    """A part of what is left, `most` steps of it. What was spent of it is for the caller to `spend`: it may be less, or
    what the same work came to once before."""
    around = _BUDGET.get()
    left = None if around is None else max(around.left, 0)
    limits = [steps for steps in (left, most) if steps is not None]
    with _counted(Budget(min(limits, default=1 << 62))) as budget:
        yield budget


@contextmanager
def _counted(budget: Budget) -> Iterator[Budget]:
    token = _BUDGET.set(budget)
    try:
        yield budget
    finally:
        _BUDGET.reset(token)
