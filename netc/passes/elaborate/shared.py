"""Shared modules: which one a line calls, where its weights live, and what such a call cannot be."""

from __future__ import annotations

from netc.ops.base import OPERATORS
from netc.passes.elaborate.collector import Report
from netc.passes.elaborate.place import Place
from netc.passes.elaborate.target import held_value
from netc.syntax.ast import Body, Chain, Conditional, Line, Loop, Named, SpecFile, Statement


def shared_module(word: str, place: Place) -> Named | None:
    """The shared module that the operator's word of a line calls: one of the definition, else one of its file."""
    own = place.names.shared.get(word)
    if own is not None or isinstance(place.names.definition, SpecFile) or held_value(word, place.scope) is not None:
        return own
    return next((shared for shared in place.instance.shared if shared.text == word), None)


def module_place(shared: Named, place: Place) -> Place:
    """Where the weights of a shared module live: beside the statement, or in the file around its block."""
    if shared.text in place.names.shared:
        return place.moved(place.path, shared.text)
    return place.borrowing(shared.text)


def takes_input(line: Line, place: Place) -> bool:
    """False for operators such as `constant`, and blocks, that have no input."""
    shared = shared_module(line.op, place)
    if shared is not None and isinstance(shared.statement, Line):
        line = shared.statement
    block = place.instance.spec.blocks.get(line.op)
    if block is not None:
        return block.inputs != ()
    return line.op not in OPERATORS or OPERATORS[line.op].arity[1] != 0


def can_call(report: Report, shared: Named, line: Line, place: Place) -> bool:
    """Report what a call of a shared module says too much of; False where it cannot be called from here at all."""
    name, statement = shared.text, shared.statement
    if line.arguments:
        report.error("bad-argument", f"`{name}` is shared: give its arguments where it is declared", line.span)
    if not isinstance(statement, Body) and names_inputs(statement):
        message = f"`{name}` is shared: give its inputs where it is called"
        report.error("bad-argument", message, statement.span)
    if name in place.names.shared:
        return True
    if isinstance(statement, Line) and statement.op in OPERATORS and OPERATORS[statement.op].arity[1] == 0:
        message = f"`{name}` is a tensor of the file, so blocks cannot call it"
        report.error("bad-argument", message, line.op_span).help("pass it to the block as an input")
        return False
    return True


def names_inputs(statement: Statement) -> bool:
    """Whether any line of a statement names a tensor with @."""
    if isinstance(statement, Line):
        return statement.inputs is not None
    if isinstance(statement, Chain):
        return any(map(names_inputs, statement.items))
    if isinstance(statement, Body):
        return any(names_inputs(n.statement) for n in statement.statements)
    if isinstance(statement, Loop):
        return names_inputs(statement.body)
    if isinstance(statement, Conditional):
        return names_inputs(statement.then) or (statement.otherwise is not None and names_inputs(statement.otherwise))
    return True
