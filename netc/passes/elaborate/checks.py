"""The `checks` of blocks and files: which are looked at when, and what is said where one does not hold."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.expr.evaluate import Context, evaluate, refuted, truth
from netc.expr.scope import Scope
from netc.expr.tree import Binary, Expr, tensors_in
from netc.ir.flat import flatten
from netc.lazy import LazyModule
from netc.literals import literal
from netc.passes.compilation import Compilation
from netc.passes.elaborate.files import FileInstance
from netc.passes.elaborate.namespace import Namespace
from netc.passes.elaborate.session import CompileSession
from netc.syntax.ast import Check, Definition, SpecFile
from netc.types import ERROR

if TYPE_CHECKING:
    from netc.passes.elaborate import budgets
else:
    budgets = LazyModule("netc.passes.elaborate.budgets")


def by_need(definition: Definition, names: Namespace, scope: Scope) -> tuple[list[Check], list[Check]]:
    """Checks of arguments and inputs alone, and those of what the body computes. What a file asks of its network as a
    whole is looked at when that is complete (`check_budgets`)."""
    checks = definition.checks
    if checks and isinstance(definition, SpecFile):
        checks = tuple(check for check in checks if not budgets.is_budget(check.that, scope))
    early = [check for check in checks if tensors_in(check.that) <= names.inputs.keys()]
    return early, [check for check in checks if check not in early]


def check_budgets(compilation: Compilation) -> None:
    """Report the checks of a file that do not hold of its network as a whole."""
    session, network, instance = compilation.session, compilation.network, compilation.instance
    scope = network.block.scope
    asked = [check for check in network.file.checks if budgets.is_budget(check.that, scope)]
    if asked:
        answers = budgets.Budgets(network, flatten(network), scope)
        for check in asked:
            told = session.files.attempt(partial(answers.told, check), instance.source)
            if told is not ERROR:
                holds(session, told, instance, scope)


def holds(session: CompileSession, check: Check, instance: FileInstance, scope: Scope) -> bool:
    """Whether a check holds; one that does not is reported where the block or file that makes it is called."""
    files, report = session.files, session.report
    context = files.context(scope, instance)
    if files.attempt(partial(truth, check.that, context), instance.source) is not False:
        return True
    notes = (f"evaluates to {refuted(check.that, context)}",) if isinstance(check.that, Binary) else ()
    message = f"`{check.span.text}` does not hold"
    if check.message:
        parts = [part if isinstance(part, str) else _shown(session, part, context, instance) for part in check.message]
        message, notes = "".join(parts), ()
    if not report.trail:
        report.error("check-failed", message, check.span).note(*notes)
        return False
    caller = report.trail.pop()
    line, _ = check.span.source.position(check.span.start)
    where = f"`{caller.name}` needs `{check.span.text}` (line {line} of {check.span.source.path})"
    report.error("check-failed", f"{caller.name}: {message}", caller.span).note(*notes, where)
    report.trail.append(caller)
    return False


def _shown(session: CompileSession, expr: Expr, context: Context, instance: FileInstance) -> str:
    value = session.files.attempt(partial(evaluate, expr, context), instance.source)
    return "?" if value is ERROR else literal(value)
