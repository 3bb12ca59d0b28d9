"""From a spec to its checked network, pass by pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from netc.budget import Budget, OverBudget, budgeted
from netc.collector import uncollected
from netc.diagnostics.model import Diagnostic, Source
from netc.ir.model import Network
from netc.lazy import LazyModule
from netc.passes.bounds import find_bounds
from netc.passes.compilation import Compilation
from netc.passes.dce import eliminate_dead_code
from netc.passes.elaborate.before import Before
from netc.passes.elaborate.blocks import Blocks
from netc.passes.elaborate.checks import check_budgets
from netc.passes.elaborate.collector import Abandoned, Outcome
from netc.passes.elaborate.network import elaborate
from netc.passes.elaborate.session import CompileSession
from netc.passes.evaluation import check_evaluation
from netc.passes.expose import expose
from netc.passes.init_rules import check_init_rules
from netc.passes.levels import levelled
from netc.passes.lints import check_lints
from netc.passes.outputs import check_outputs, check_pruned
from netc.passes.paths import check_paths
from netc.passes.shipped import at_the_caller
from netc.passes.training_sizes import check_training_sizes
from netc.passes.unused import check_unused
from netc.syntax.ast import SpecFile
from netc.syntax.read import read_source

if TYPE_CHECKING:
    from netc.passes import remedies
else:
    remedies = LazyModule("netc.passes.remedies")


def stop_at_errors(compilation: Compilation) -> None:
    """What follows is said of networks that are right."""
    if compilation.session.has_errors():
        raise Abandoned


PASSES: tuple[Callable[[Compilation], None], ...] = (
    expose,
    eliminate_dead_code,
    check_outputs,
    check_unused,
    check_pruned,
    check_evaluation,
    stop_at_errors,
    find_bounds,
    check_training_sizes,
    check_budgets,
    check_paths,
    check_lints,
    check_init_rules,
)
"""What happens to a network after its elaboration, in this order."""


@uncollected()
def compile_spec(
    spec: str | Source,
    args: Mapping[str, Any] | None = None,
    variant: str | None = None,
    bind: Mapping[str, int] | None = None,
    dtype: str | None = None,
) -> tuple[Network | None, list[Diagnostic]]:
    """Check a spec and compute everything that follows from it.

    spec: a path, or a Source. args: values for the file's arguments; texts are read as expressions (`"64"`, `"(1 2)"`,
    `"basic"`). bind: numbers for symbols of the input shapes. dtype: what floating-point inputs, and tensors that
    come from nowhere, are instead of what they are by default. The network is None when there are errors.
    """
    source = read_source(spec) if isinstance(spec, str) else spec
    if isinstance(source, Diagnostic):
        return None, [source]
    ask = partial(checked, source, args or {}, variant, dict(bind or {}), dtype)
    with budgeted() as budget:
        return advised(*ask({}), budget, ask)


def advised(
    network: Network | None, outcome: Outcome, budget: Budget, ask: Callable[..., tuple[Network | None, Outcome]]
) -> tuple[Network | None, list[Diagnostic]]:
    """What a check comes to with its remedies tried. ask: checks once more with other texts."""
    trying = outcome.clues and budget.left >= 0
    told = remedies.advised(outcome, lambda texts: ask(texts)[1]) if trying else outcome.found
    once: dict[object, Diagnostic] = {}
    for one in map(at_the_caller, told):
        once.setdefault((one.code, one.message, one.span or one), one)
    findings = [*once.values()]
    if network is None or any(d.severity == "error" for d in findings):
        return None, findings
    return replace(network, warnings=tuple(findings)), findings


def checked(
    source: Source,
    args: Mapping[str, Any],
    variant: str | None,
    bound: dict[str, int],
    dtype: str | None,
    texts: Mapping[str, Source],
    before: Before | None = None,
    made: Callable[[CompileSession, Budget], Blocks] = lambda session, budget: Blocks(session),
) -> tuple[Network | None, Outcome]:
    """One check of a spec. texts: what is read in place of some files, by path. With them, raises OverBudget.

    before, made: what is known of files and of blocks from checks before.
    """
    session = CompileSession(dtype, texts, before)
    parsed = compilation = None
    with budgeted() as budget:
        try:
            parsed = session.files.parse(texts.get(source.path, source))
            compilation = None if parsed is None else elaborate(made(session, budget), parsed, args, variant, bound)
            if compilation is not None:
                for run in PASSES:
                    run(compilation)
        except Abandoned:
            pass
        except OverBudget:
            if texts:
                raise
            session.report.exceeded(budget.limit, session.at, source.path)
    return None if compilation is None else compilation.network, _outcome(session, parsed)


def _outcome(session: CompileSession, parsed: SpecFile | None) -> Outcome:
    """All findings with the severity their file asks for, ignored ones left out, and what is known of them besides."""
    own = session.report.findings
    pairs = [(None, one) for one in session.files.findings] + [(one.hint, one.diagnostic) for one in own]
    shown = [(clue, finding) for clue, one in pairs if (finding := levelled(one, session.files.specs)) is not None]
    clues = {finding: clue for clue, finding in shown if clue is not None}
    return Outcome([finding for _, finding in shown], clues, session.report.losses, parsed)
