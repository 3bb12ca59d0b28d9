"""Turns one line, applied to tensors, into a node or a call."""

from __future__ import annotations

from netc.diagnostics.model import Label, Span
from netc.ir.model import Value
from netc.ops.base import Op
from netc.passes.elaborate.calls import Elaborate, make_call
from netc.passes.elaborate.collector import Report
from netc.passes.elaborate.namespace import NameEntry
from netc.passes.elaborate.operators import NodeMaker
from netc.passes.elaborate.place import Applied, Place, failed
from netc.passes.elaborate.reading import Resolver
from netc.passes.elaborate.target import Target
from netc.syntax.ast import Definition, Import, Line
from netc.types import ERROR, NONE


def apply(
    resolver: Resolver, elaborate: Elaborate, line: Line, place: Place, inputs: tuple[Value, ...] | None
) -> Applied:
    """`inputs` are the tensors named with @ or the one that flows in; None after an unknown reference.

    Where an input is not known after an earlier error, the line's own arguments are still checked.
    """
    target = Target(resolver.report, resolver.files, place, line, inputs)
    callee = target.resolve()
    if callee is None:
        return failed(place, line)
    if inputs is None:
        inputs = (Value(ERROR, place.path, line.span),)
    present = tuple([value for value in inputs if value.type is not NONE])
    if len(present) < len(inputs):
        if not present:
            return Applied(None, NameEntry(inputs[0]))
        if not _skips(callee, inputs):
            _refuse_none(resolver.report, line, inputs)
            return failed(place, line)
    if isinstance(callee, type):
        fewer = len(present) < len(inputs) or _may_be_any_number(line)
        return NodeMaker(resolver, callee, target, present, open=fewer).make()
    return make_call(resolver.session, elaborate, callee, target, present)


def _skips(callee: type[Op] | Definition | Import, inputs: tuple[Value, ...]) -> bool:
    """Whether what is none can be left out: from a merge, and from the last inputs of a block that takes any number."""
    if isinstance(callee, type):
        return callee.skips
    if isinstance(callee, Import) or not callee.inputs or not callee.inputs[-1].many:
        return False
    return all(value.type is not NONE for value in inputs[: len(callee.inputs) - 1])


def _may_be_any_number(line: Line) -> bool:
    """Whether a reference of the line has holes or stands for all members: it may come to one tensor."""
    if line.inputs is None:
        return False
    return any(not isinstance(part, str) or part.endswith(".*") for ref in line.inputs for part in ref.parts)


def _refuse_none(report: Report, line: Line, inputs: tuple[Value, ...]) -> None:
    """One of several inputs is none, and what reads them needs them all."""
    at, none = next((at, value) for at, value in enumerate(inputs) if value.type is NONE)
    refs = line.inputs or ()
    exact = len(refs) == len(inputs)
    span = Span(line.span.source, refs[at].start, refs[at].end) if exact else line.span
    message = f"`{'@' * exact}{span.text.removeprefix('@')}` is none here, and `{line.op}` needs all of its inputs"
    secondary = (Label(none.span, "none comes from here"),) if none.span.source is span.source else ()
    report.error("absent-tensor", message, span).also(*secondary).help(
        "an `if` around this statement can leave it out, too"
    )
