"""Measures trials: what follows from the spec by the compiler alone, the rest by running the network."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from netc.budget import limited
from netc.collector import uncollected
from netc.diagnostics.model import Diagnostic, NetcError, Source, require
from netc.explore.condition import Asked, read_condition
from netc.explore.job import COMPILED, Cell, Job, TrialRow
from netc.expr.evaluate import ExprError, Silenced
from netc.files import allowed_imports
from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.lazy import LazyModule
from netc.ops.plugins import plugged
from netc.passes.cost import Work
from netc.passes.elaborate.budgets import Budgets
from netc.passes.family import SpecFamily

if TYPE_CHECKING:
    from netc.explore import running
else:
    running = LazyModule("netc.explore.running")

MOST_KNOWN = 200_000
"""Nodes whose work is remembered."""


class Compiled:
    """A network of the space and what follows from it."""

    def __init__(self, network: Network, cache: dict[Any, Work]) -> None:
        self.network, self.flat = network, flatten(network)
        self.budgets = Budgets(network, self.flat, network.block.scope, cache)

    def cell(self, measure: str) -> Cell:
        """A measure that follows from the spec; a symbolic one as text."""
        if measure == "field":
            return self._field()
        value = getattr(self.budgets.total, "memory" if measure == "activations" else measure)
        return value if value is None or isinstance(value, int) else str(value)

    def _field(self) -> int | None:
        """Of the last layer whose positions do not see the whole input, along its longest axis."""
        fields = (self.budgets.fields[node.outputs[0]] for node in reversed(self.flat.nodes))
        return next((max(one.size) for one in fields if one is not None and one.reach and not one.whole), None)


class Meter:
    """Makes rows of a sweep; remembers what its networks have in common."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.family = SpecFamily(Source(job.path, job.text), job.variant, job.bind)
        self.where: Asked | None = read_condition("--where", job.where) if job.where else None
        self._known: dict[Any, Work] = {}

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Inside, trials may be compiled: plugins, folders and the limit are those of the job."""
        with ExitStack() as stack:
            if self.job.plugins:
                stack.enter_context(plugged(self.job.plugins))
            stack.enter_context(allowed_imports(self.job.imports))
            stack.enter_context(limited(self.job.limit))
            yield

    def compiled(self, trial: int) -> Compiled:
        """The network of a trial. Raises NetcError with the errors in it."""
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        return Compiled(require(*self.family.network(self.job.space.point(trial))), self._known)

    def rows(self, trials: Sequence[int]) -> list[TrialRow]:
        """The rows of some trials, those that are to be run one beside the other."""
        with _collected_afterwards():
            rows = [self._row(trial) for trial in trials]
        return running.measured(self.job, rows) if self.job.runs else rows

    def _row(self, trial: int) -> TrialRow:
        try:
            compiled = self.compiled(trial)
        except NetcError as error:
            return TrialRow(trial, "invalid", _reason(error.diagnostics))
        cells: dict[str, Cell] = {
            measure: compiled.cell(measure) for measure in self.job.measures if measure in COMPILED
        }
        try:
            fits = self.where is None or self.where.holds(compiled.network, compiled.budgets)
        except ExprError as error:
            return TrialRow(trial, "failed", f"--where: {error.message}", cells)
        except Silenced:
            return TrialRow(trial, "failed", "--where has no value", cells)
        return TrialRow(trial, "ok", "", cells) if fits else TrialRow(trial, "excluded", "--where does not hold", cells)


@contextmanager
def _collected_afterwards() -> Iterator[None]:
    """Compile without the cyclic collector, which would look at all that networks have in common for each of them."""
    with uncollected():
        try:
            yield
        finally:
            gc.collect()


def _reason(diagnostics: Sequence[Diagnostic]) -> str:
    """The first error in one line: its code, its place and its message."""
    first = diagnostics[0]
    line = "" if first.span is None else f"line {first.span.lines[0]}: "
    return f"{first.code}: {line}{first.message}"
