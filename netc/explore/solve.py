"""The best values of arguments and of input sizes under a condition, with what is known about them being the best.

Three ways, the first that applies:
- bisection, where one size is asked for and both sides of every comparison are polynomials in it whose difference only
  grows or only falls: no other size can be better;
- all values, where there are few enough;
- Optuna's search (TPE, Bergstra et al. 2011) else, which proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal

import msgspec

from netc.diagnostics.model import NetcError, Source, failure, require
from netc.dims import Dim, Size, bind, symbols
from netc.explore.condition import Asked
from netc.explore.meter import Compiled
from netc.explore.sizes import usual_sizes
from netc.explore.space import Axis, Space
from netc.expr.evaluate import Context, ExprError, Silenced, evaluate
from netc.expr.tree import Binary, Expr, Name
from netc.libraries import optuna
from netc.passes.family import SpecFamily
from netc.progress import Progress
from netc.syntax.parse import parse_spec

Way = Literal["bisection", "all values", "search"]

REACHING = {"<": True, "<=": True, "==": True, ">": False, ">=": False}
"""Comparisons that bound a growing difference from above."""


class Question(msgspec.Struct, frozen=True, eq=False):
    """What is asked of a spec. goal: what should be large, or small; trials: networks that may be looked at."""

    source: Source
    variant: str | None
    bind: dict[str, int]
    space: Space
    goal: Asked
    largest: bool
    where: Asked | None
    trials: int


class Answer(msgspec.Struct, frozen=True, eq=False):
    """The best point, its network, what the goal comes to there, how it was found and why nothing else is better; and
    how many networks were looked at."""

    point: dict[str, str]
    compiled: Compiled
    value: Any
    way: Way
    why: str
    looked: int


class Solver:
    """Looks at points of a space."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.looked = 0
        self._families: dict[tuple[tuple[str, int], ...], SpecFamily] = {}
        self._error: NetcError | None = None
        self._usual: dict[str, int] | None = None
        """Numbers for the sizes that nobody asked for."""
        spec = require(*parse_spec(question.source))
        arguments = {parameter.name for parameter in spec.parameters}
        axes = question.space.axes
        self.sizes = [axis for axis in axes if axis.name not in arguments and len(axis.name) == 1]

    def answer(self, told: Progress) -> Answer:
        """Raises NetcError: `unsolvable`, or that of the first point where none is valid."""
        answer = self._by_bisection()
        if answer is None:
            size, trials = self.question.space.size, self.question.trials
            answer = self._all(told) if size <= trials else self._searched(told)
        return answer

    def network(self, point: dict[str, str]) -> Compiled:
        """The network at a point. Raises NetcError."""
        sizes = {axis.name: _whole(point[axis.name]) for axis in self.sizes if axis.name in point}
        bound = {**(self._usual or {}), **self.question.bind, **sizes}
        key = tuple(sorted(bound.items()))
        if key not in self._families:
            if len(self._families) > 16:
                self._families.clear()
            self._families[key] = SpecFamily(self.question.source, self.question.variant, bound)
        args = {name: value for name, value in point.items() if name not in sizes}
        network = require(*self._families[key].network(args))
        if self._usual is None:
            asked = {axis.name for axis in self.sizes}
            self._usual = {name: size for name, size in usual_sizes(network).items() if name not in asked}
            return self.network(point)
        self.looked += 1
        return Compiled(network, {})

    def looked_at(self, trial: int) -> tuple[float, Any, Compiled] | None:
        """The cost of a point, what the goal comes to, and its network; None where it does not qualify."""
        point = self.question.space.point(trial)
        try:
            compiled = self.network(point)
        except NetcError as error:
            self._error = self._error or error
            return None
        network, budgets = compiled.network, compiled.budgets
        asked = self.question.where
        try:
            if asked is not None and not asked.holds(network, budgets):
                return None
            asked = self.question.goal
            value = asked.value(network, budgets)
        except ExprError as error:
            assert asked is not None
            raise asked.failure(error, network) from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise failure(
                "bad-input", f"`{asked.source.text}` is not a number: it is {value}; choose sizes with --size"
            )
        return (-value if self.question.largest else value), value, compiled

    def _all(self, told: Progress) -> Answer:
        best: tuple[float, int, Any, Compiled] | None = None
        size = self.question.space.size
        for trial in range(size):
            told(trial, size)
            figure = self.looked_at(trial)
            if figure is not None and (best is None or figure[0] < best[0]):
                best = (figure[0], trial, *figure[1:])
        values = f"all {size:,} combinations were" if len(self.question.space.axes) > 1 else f"all {size:,} values were"
        return self._answer(best and best[1:], "all values", f"exact: {values} looked at")

    def _searched(self, told: Progress) -> Answer:
        library = optuna()
        library.logging.set_verbosity(library.logging.ERROR)
        space, trials = self.question.space, self.question.trials
        study = library.create_study(sampler=library.samplers.TPESampler(seed=space.seed))
        results: dict[int, tuple[float, Any, Compiled] | None] = {}
        for done in range(trials):
            told(done, trials)
            trial = study.ask()
            place = _place(space, [trial.suggest_int(axis.name, 0, len(axis.values) - 1) for axis in space.axes])
            if place not in results:
                results[place] = self.looked_at(place)
            figure = results[place]
            if figure is None:
                study.tell(trial, state=library.trial.TrialState.FAIL)
            else:
                study.tell(trial, figure[0])
        right = [(figure[0], place, figure) for place, figure in results.items() if figure is not None]
        best = min(right, key=lambda one: one[:2], default=None)
        why = f"searched, not proven: {len(results):,} of {space.size:,} combinations were looked at, chosen by Optuna"
        return self._answer(None if best is None else (best[1], *best[2][1:]), "search", why)

    def _answer(self, best: tuple[int, Any, Compiled] | None, way: Way, why: str) -> Answer:
        if best is None:
            raise self._unsolved(why)
        trial, value, compiled = best
        return Answer(self.question.space.point(trial), compiled, value, way, why, self.looked)

    def _unsolved(self, why: str) -> NetcError:
        if self.question.where is None and self._error is not None:
            return self._error
        text = f" fulfils `{self.question.where.source.text}`" if self.question.where is not None else " is valid"
        return failure("unsolvable", f"no network of these{text}", notes=(why,))

    def _by_bisection(self) -> Answer | None:
        """Where one symbol of the inputs' sizes is asked for, and the condition says how far it may go."""
        goal, axes = self.question.goal.tree, self.question.space.axes
        axis, *others = self.sizes or [Axis("", ())]
        fixed = [one for one in axes if one is not axis]
        alone = not others and all(len(one.values) == 1 for one in fixed)
        if not alone or not isinstance(goal, Name) or goal.id != axis.name:
            return None
        values = [_whole(text) for text in axis.values]
        if values != list(range(values[0], values[-1] + 1)):
            return None
        point = {one.name: one.values[0] for one in fixed}
        symbolic = self._symbolic(point)
        if symbolic is None or symbolic.network.domain.lower(axis.name) > values[0]:
            return None
        differences = self._differences(symbolic, axis.name)
        if differences is None:
            return None
        limits = [one for one in differences if one.upper is self.question.largest]
        edges = [one.edge(axis.name, values[0], values[-1]) for one in limits]
        best = min(edges, default=values[-1]) if self.question.largest else max(edges, default=values[0])
        why = f"exact: bisection, {' and '.join(one.text for one in limits) or 'nothing bounds it'}"
        if not values[0] <= best <= values[-1]:
            raise self._unsolved(why)
        trial = best - values[0]
        figure = self.looked_at(trial)
        return self._answer(None if figure is None else (trial, *figure[1:]), "bisection", why)

    def _symbolic(self, point: dict[str, str]) -> Compiled | None:
        """The network with the symbol left open; None where it is not one for all values."""
        with suppress(NetcError):
            return self.network(point)
        return None

    def _differences(self, symbolic: Compiled, name: str) -> list[Inequality] | None:
        """The comparisons of the condition as differences that only grow or only fall; None where one is not."""
        where = self.question.where
        if where is None:
            return []
        context = Context(symbolic.network.block.scope, symbolic.network.domain)
        differences = []
        for part in _parts(where.tree):
            if not isinstance(part, Binary) or part.op not in REACHING:
                return None
            try:
                left, right = (evaluate(symbolic.budgets.filled(side), context) for side in (part.left, part.right))
                difference = _difference(left, right, part.op, name, where.source.text[part.start : part.end])
            except (ExprError, Silenced):
                return None
            if difference is None:
                return None
            differences += difference
        return differences


class Inequality(msgspec.Struct, frozen=True, eq=False):
    """A size that grows with a symbol and must stay below 0, or at 0, where `upper`; else reach above, or 0."""

    size: Dim
    upper: bool
    strict: bool
    text: str

    def holds(self, name: str, value: int) -> bool:
        at = bind(self.size, {name: value})
        assert isinstance(at, int), "there is one symbol"
        if self.upper:
            return at < 0 if self.strict else at <= 0
        return at > 0 if self.strict else at >= 0

    def edge(self, name: str, first: int, last: int) -> int:
        """The last value for which it holds where it is an upper bound, else the first; one outside where none is."""
        low, high = first, last + 1
        while low < high:
            middle = (low + high) // 2
            if self.holds(name, middle) is self.upper:
                low = middle + 1
            else:
                high = middle
        return low - 1 if self.upper else low


def _difference(left: Any, right: Any, op: str, name: str, text: str) -> list[Inequality] | None:
    """`left op right` as differences that grow; nothing where it is a constant, None where it is not monotone."""
    if isinstance(left, bool) or isinstance(right, bool) or not isinstance(left - right, Size):
        return None
    size: Size = left - right
    if isinstance(size, int):
        return []
    if symbols(size) != {name}:
        return None
    changing = [factor for monomial, factor in size.terms if monomial]
    grows = all(factor > 0 for factor in changing)
    if not grows and not all(factor < 0 for factor in changing):
        return None
    upper, strict = REACHING[op] is grows, op in ("<", ">")
    size = size if grows else -1 * size
    if isinstance(size, int):
        return None
    if op == "==":
        return [Inequality(size, side, False, text) for side in (True, False)]
    return [Inequality(size, upper, strict, text)]


def _parts(tree: Expr) -> Iterator[Expr]:
    """What `and` joins."""
    if isinstance(tree, Binary) and tree.op == "and":
        yield from _parts(tree.left)
        yield from _parts(tree.right)
    else:
        yield tree


def _whole(text: str) -> int:
    """The value of a symbol. Raises NetcError."""
    if not text.isdecimal() or int(text) < 1:
        raise failure("bad-input", f"`{text}` is not a size: sizes are positive integers")
    return int(text)


def _place(space: Space, places: list[int]) -> int:
    """The point of the grid with these values of the axes."""
    trial = 0
    for axis, place in zip(space.axes, places, strict=True):
        trial = trial * len(axis.values) + place
    return trial
