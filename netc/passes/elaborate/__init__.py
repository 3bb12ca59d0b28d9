"""Spec file → checked network: scopes, repeats, conditions, sizes and checks in one walk, interleaved because
conditions may look at sizes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from netc.budget import OPERATOR, OverBudget, budgeted, spend
from netc.diagnostics.model import Diagnostic, Label, Source, Span
from netc.ir.flat import Flat, flatten
from netc.ir.model import Network
from netc.lazy import LazyModule
from netc.ops.base import OPERATORS
from netc.passes.bounds import bounds
from netc.passes.elaborate.compiler import Compiler
from netc.passes.elaborate.drafts import BlockDraft, OutputDraft
from netc.passes.elaborate.finish import Finisher, leaves_of
from netc.passes.elaborate.levels import levelled
from netc.passes.elaborate.lints import check_lints
from netc.passes.elaborate.outside import Outside
from netc.passes.elaborate.paths import check_defaults, check_paths
from netc.passes.elaborate.report import Abandoned, Clue, Outcome
from netc.passes.elaborate.training import check_evaluation
from netc.passes.init_rules import fills
from netc.passes.training_sizes import training_sizes
from netc.syntax.ast import Parameter, SpecFile, Statement, Variant
from netc.syntax.idle import idle
from netc.syntax.read import read_source
from netc.types import NONE

if TYPE_CHECKING:
    from netc.passes.elaborate import trials
else:
    trials = LazyModule("netc.passes.elaborate.trials")


def elaborate_file(
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
    ask = partial(_checked, source, args or {}, variant, dict(bind or {}), dtype)
    with budgeted() as budget:
        network, outcome = ask({})
        trying = outcome.clues and budget.left >= 0
        found = trials.advised(outcome, lambda texts: ask(texts)[1]) if trying else [*outcome.found]
    if network is None or any(d.severity == "error" for d in found):
        return None, found
    return msgspec.structs.replace(network, warnings=tuple(found)), found


def _checked(
    source: Source,
    args: Mapping[str, Any],
    variant: str | None,
    bound: dict[str, int],
    dtype: str | None,
    texts: Mapping[str, Source],
) -> tuple[Network | None, Outcome]:
    """One check of a spec. texts: what is read in place of some files, by path. With them, raises OverBudget."""
    compiler = Compiler(dtype, texts)
    parsed = network = None
    with budgeted() as budget:
        try:
            parsed = compiler.files.parse(texts.get(source.path, source))
            if parsed is not None:
                network = checked_network(compiler, Finisher(), parsed, args, variant, bound)
        except Abandoned:
            pass
        except OverBudget:
            if texts:
                raise
            compiler.report.exceeded(budget.limit, compiler.at, source.path)
    found, clues = _levelled(compiler)
    return network, Outcome(found, clues, compiler.report.losses, parsed)


def checked_network(
    compiler: Compiler,
    finisher: Finisher,
    spec: SpecFile,
    args: Mapping[str, Any],
    variant: str | None,
    bound: dict[str, int],
    *,
    brief: bool = False,
) -> Network | None:
    """The network of a file that was read; what is wrong is reported. brief: without what only leads to warnings.

    Raises Abandoned, OverBudget.
    """
    _shadowed(compiler, spec)
    chosen = compiler.files.variant(spec, variant, None)
    if variant is not None and chosen is None:
        return None
    outside = Outside(compiler, spec)
    instance = compiler.files.instance(spec, chosen, outside.values(args))
    outside.belong_to(instance)
    inputs = compiler.inputs(spec, instance, bound)
    for file in compiler.files.specs.values():
        check_defaults(compiler.report, file)
    draft = compiler.elaborate(spec, instance, dict(instance.arguments), inputs)
    if draft is None:
        return None
    block = finisher.block(draft, {}, None)
    spend(OPERATOR * finisher.size(block))
    for output in draft.outputs:
        if output.enabled and output.value.type is NONE:
            _no_output(compiler, output)
    _unused(compiler, finisher, spec, draft)
    _pruned(compiler, finisher)
    for one, lacking in finisher.lacking:
        check_evaluation(compiler.report, one, lacking)
    name = _network_name(spec, chosen)
    network = Network(
        name=name, variant=None if chosen is None else chosen.name, file=spec, block=block, domain=compiler.domain
    )
    if not _has_errors(compiler):
        flat = flatten(network)
        if any(least > 1 for least in compiler.domain.bounds.values()):
            network = msgspec.structs.replace(network, domain=bounds(network, flat))
        if not brief:
            network = _trained(compiler, network, flat)
        if spec.checks:
            compiler.check_budgets(network, flat, draft.scope, instance)
        check_paths(compiler.report, network, flat)
        if not brief:
            check_lints(compiler.report, network, flat)
        if any(file.init for file in compiler.files.specs.values()):
            compiler.files.findings.extend(fills(network, flat)[1])
    return network


def _trained(compiler: Compiler, network: Network, flat: Flat) -> Network:
    """The network with the sizes that it trains from; those that are too small for it are reported."""
    found = training_sizes(network, flat)
    for size, (node, need) in found.items():
        if isinstance(size, int):
            wrong, span = need.problem, node.node.span
            compiler.report.add(
                wrong.code, wrong.message, span, notes=wrong.notes, helps=wrong.helps, severity="warning"
            )
    return msgspec.structs.replace(network, training=tuple((s, need.at_least) for s, (_, need) in found.items()))


def _network_name(spec: SpecFile, variant: Variant | None) -> str:
    return spec.name if variant is None else variant.name


def _no_output(compiler: Compiler, output: OutputDraft) -> None:
    secondary = (Label(output.value.span, "none comes from here"),)
    helps = ("`if` takes an output away: `{from: …, if: condition}`",)
    message = f"output `{output.name}` is none here"
    compiler.report.add("absent-tensor", message, output.span, secondary=secondary, helps=helps)


def _shadowed(compiler: Compiler, spec: SpecFile) -> None:
    for name, block in spec.blocks.items():
        if name in OPERATORS:
            compiler.report.add(
                "shadows-operator",
                f"block `{name}` hides the operator of the same name",
                block.span,
                severity="warning",
            )


def _unused(compiler: Compiler, finisher: Finisher, spec: SpecFile, draft: BlockDraft) -> None:
    """Lines that did no work in any use of their block, and other things declared in vain."""
    if _has_errors(compiler):
        return
    for statement, span in finisher.seen.items():
        if statement not in finisher.used:
            helps = ("remove it, read it with @, or list it under `outputs`",)
            compiler.report.add("unused-statement", "no output of the network depends on this", span, helps=helps)
    for span, message in _idle(spec, draft, finisher.seen.keys()):
        compiler.report.add("unused-statement", message, span)
    for one in idle(spec):
        code, what = ("unused-argument", "argument") if isinstance(one, Parameter) else ("unused-let", "`let`")
        message, helps = f"this {what} is never used", ("remove it, or use it",)
        compiler.report.add(code, message, one.span, helps=helps, severity="warning")


def _idle(spec: SpecFile, draft: BlockDraft, seen: Collection[Statement]) -> Iterator[tuple[Span, str]]:
    """Inputs nobody reads, shared modules nobody calls, and outputs when not one of them is left."""
    if not draft.enabled():
        yield from ((output.span, "none of the network's outputs is left") for output in spec.outputs or ())
        return
    lines = list(leaves_of(draft.items))
    read = {value for line in lines for value in line.inputs} | {output.value for output in draft.outputs}
    yield from ((value.span, "this input is never used") for value in draft.inputs if value not in read)
    called = {line.module for line in lines}
    idle = (shared for shared in spec.shared if not (_is_called(shared.text, called) or shared.statement in seen))
    yield from ((shared.name_span, "this shared module is never called") for shared in idle)


def _is_called(shared: str, modules: set[str]) -> bool:
    return any(module == shared or module.startswith(f"{shared}.") for module in modules)


def _pruned(compiler: Compiler, finisher: Finisher) -> None:
    for draft, gone in finisher.pruned:
        shown = ", ".join(gone[:6]) + (f" and {len(gone) - 6} more" if len(gone) > 6 else "")
        message = f"parts of `{draft.block.definition.name}` are not needed here and are left out: {shown}"
        compiler.report.add("pruned-import", message, draft.span, severity="warning")


def _has_errors(compiler: Compiler) -> bool:
    return any(d.severity == "error" for d in (*compiler.report.found, *compiler.files.findings))


def _levelled(compiler: Compiler) -> tuple[list[Diagnostic], dict[Diagnostic, Clue]]:
    """All findings with the severity their file asks for, ignored ones left out, and what is known of them besides."""
    specs = compiler.files.specs
    known = compiler.report.clues
    pairs = [(one, levelled(one, specs)) for one in (*compiler.files.findings, *compiler.report.found)]
    clues = {shown: known[one] for one, shown in pairs if one in known and shown is not None}
    return [shown for _, shown in pairs if shown is not None], clues
