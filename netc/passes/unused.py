"""Lines that did no work in any use of their block, and other things declared in vain."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from netc.diagnostics.model import Span
from netc.ir.flat import is_within
from netc.ir.model import Call, Node
from netc.passes.compilation import Compilation
from netc.passes.dce import live
from netc.syntax.ast import Parameter, Statement
from netc.syntax.idle import idle
from netc.types import NONE


def check_unused(compilation: Compilation) -> None:
    """Report `unused-statement`, `unused-argument` and `unused-let`, of a network that has no errors."""
    session, spec = compilation.session, compilation.network.file
    if session.has_errors():
        return
    lines: dict[Statement, Node | Call] = {}
    used: set[Statement] = set()
    read: dict[Statement, set[Statement]] = {}
    for block in dict.fromkeys(one.before for one in compilation.blocks):
        computed = live(block, (*(o.value for o in block.outputs), *block.removed)).leaves
        makers = {value: leaf.statement for leaf in block.leaves() for value in leaf.outputs}
        for leaf in block.leaves():
            lines.setdefault(leaf.statement, leaf)
            read.setdefault(leaf.statement, set()).update(makers[value] for value in leaf.inputs if value in makers)
            none = isinstance(leaf, Call) and not leaf.outputs and any(v.type is NONE for v in leaf.block.removed)
            if leaf in computed or none:
                used.add(leaf.statement)
    vain = {statement: read[statement] - used - {statement} for statement in lines if statement not in used}
    told: set[Statement] = set()
    for statement in _ends_first(vain):
        if statement not in told:
            leaf, before = lines[statement], _behind(statement, vain) - {statement}
            told |= {statement, *before}
            finding = session.report.error("unused-statement", "no output of the network depends on this", leaf.span)
            finding.note(
                *_only_by_name(leaf), *([f"nor on {_counted(len(before))} that only it reads"] if before else [])
            )
            finding.help("remove it, read it with @, or list it under `outputs`")
    for span, message in _unread(compilation, lines.keys()):
        session.report.error("unused-statement", message, span)
    for one in idle(spec):
        code, what = ("unused-argument", "argument") if isinstance(one, Parameter) else ("unused-let", "`let`")
        session.report.warning(code, f"this {what} is never used", one.span).help("remove it, or use it")


def _ends_first(vain: Mapping[Statement, Collection[Statement]]) -> Iterator[Statement]:
    """Those that nothing reads, then those that read each other in turn, in a loop."""
    read = {before for befores in vain.values() for before in befores}
    yield from (statement for statement in vain if statement not in read)
    yield from (statement for statement in vain if statement in read)


def _behind(statement: Statement, vain: Mapping[Statement, Collection[Statement]]) -> set[Statement]:
    """The statements that are computed for one alone, which is computed in vain."""
    found: set[Statement] = set()
    left = [*vain[statement]]
    while left:
        if (one := left.pop()) not in found:
            found.add(one)
            left += vain[one]
    return found


def _counted(number: int) -> str:
    return "the statement" if number == 1 else f"the {number} statements"


def _only_by_name(leaf: Node | Call) -> Iterator[str]:
    """What to know of a tensor that comes from nowhere."""
    if isinstance(leaf, Node) and not leaf.inputs:
        yield f"`{leaf.op.name}` has no input and never feeds the next statement, which reads what is above it"


def _unread(compilation: Compilation, lines: Collection[Statement]) -> Iterator[tuple[Span, str]]:
    """Inputs nobody reads, shared modules nobody calls, and outputs when not one of them is left."""
    spec, block = compilation.network.file, compilation.blocks[0].before
    if not block.outputs:
        yield from ((output.span, "none of the network's outputs is left") for output in spec.outputs or ())
        return
    leaves = list(block.leaves())
    read = {value for leaf in leaves for value in leaf.inputs} | {o.value for o in block.outputs} | {*block.removed}
    yield from ((value.span, "this input is never used") for value in block.inputs if value not in read)
    called = {leaf.module for leaf in leaves}
    for one in compilation.instance.shared:
        if not (any(is_within(module, one.text) for module in called) or one.statement in lines):
            yield one.name_span, "this shared module is never called"
