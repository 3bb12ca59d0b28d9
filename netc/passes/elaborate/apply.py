"""Turns one line, applied to tensors, into a node or a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.ir.model import Value
from netc.ops.base import OPERATORS
from netc.passes.elaborate.calls import make_call
from netc.passes.elaborate.operators import NodeMaker
from netc.passes.elaborate.place import Applied, Place, failed
from netc.passes.elaborate.target import Target
from netc.syntax.ast import Line
from netc.types import ERROR

if TYPE_CHECKING:
    from netc.passes.elaborate.body import BodyBuilder


def apply(build: BodyBuilder, line: Line, place: Place, inputs: tuple[Value, ...] | None) -> Applied:
    """`inputs` are the tensors named with @ or the one that flows in; None after an unknown reference.

    Where an input is not known after an earlier error, the line's own arguments are still checked.
    """
    target = Target(build.report, build.files, place, line, inputs)
    callee = target.resolve()
    if callee is None:
        return failed(place, line)
    if inputs is None:
        inputs = (Value(ERROR, place.path, line.span),)
    if isinstance(callee, type):
        return NodeMaker(build, callee, target, inputs).make()
    return make_call(build, callee, target, inputs)


def takes_input(line: Line, place: Place) -> bool:
    """False for operators such as `constant`, and blocks, that have no input."""
    shared = place.names.shared.get(line.op)
    if shared is not None and isinstance(shared.statement, Line):
        line = shared.statement
    block = place.instance.spec.blocks.get(line.op)
    if block is not None:
        return block.inputs != ()
    cls = OPERATORS.get(line.op)
    return cls is None or cls.arity[1] != 0
