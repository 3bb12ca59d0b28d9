"""Conditions on networks in netc's expression language: `macs < 300e6 and parameters < 5e6 and head.H == 7`."""

from __future__ import annotations

from typing import Any

import msgspec

from netc.diagnostics.model import Diagnostic, Fix, NetcError, Source, Span
from netc.diagnostics.suggest import closest
from netc.dims import Dim
from netc.expr.evaluate import Context, ExprError, evaluate, truth
from netc.expr.lexer import SyntaxProblem
from netc.expr.parser import parse_expression
from netc.expr.tree import Attribute, Expr, Literal, Name, names_in, parts_of, with_parts
from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.passes.elaborate.budgets import COUNTS, Budgets
from netc.types import TensorType

ACTIVATIONS = "activations"
"""What the language calls `memory`, which here is what a run takes."""


EXACT = "exact"
"""Whether no strided window leaves a remainder."""


class Asked(msgspec.Struct, frozen=True, eq=False):
    """An expression about a network: its arguments, the sizes of its tensors, `parameters`, `trainable`, `macs`,
    `activations`, `exact`, and of a layer also `field` and `step`."""

    source: Source
    tree: Expr

    def holds(self, network: Network, budgets: Budgets) -> bool:
        """Whether it is true of a network. Raises ExprError."""
        return truth(budgets.filled(self._told(network)), Context(network.block.scope, network.domain))

    def value(self, network: Network, budgets: Budgets) -> Any:
        """What it comes to. Raises ExprError."""
        return evaluate(budgets.filled(self._told(network)), Context(network.block.scope, network.domain))

    def _told(self, network: Network) -> Expr:
        """The expression with whether all sizes are exact in the place of `exact`, unless an argument has that name."""
        if EXACT not in names_in(self.tree) or network.block.scope.find(EXACT) is not None:
            return self.tree
        return _with_literal(self.tree, EXACT, exact(network))

    def failure(self, error: ExprError, network: Network) -> NetcError:
        """What is wrong with it, to be shown."""
        help = error.help
        if error.code == "unknown-name":
            candidates = [*network.block.scope.names(), *COUNTS, ACTIVATIONS, EXACT]
            near = closest(self.source.text[error.start : error.end], [name for name in candidates if name != "memory"])
            help = f"did you mean `{near}`?" if near else f"{help}, {', '.join((*COUNTS[:3], ACTIVATIONS))}"
        return NetcError((_diagnostic(self.source, error.code, error.message, error.start, error.end, help),))


def read_condition(option: str, text: str) -> Asked:
    """Read an option's expression. Raises NetcError."""
    source = Source(option, text)
    try:
        tree = parse_expression(text)
    except SyntaxProblem as problem:
        diagnostic = _diagnostic(source, problem.code, problem.message, problem.start, problem.end, problem.help)
        raise NetcError((diagnostic,)) from None
    return Asked(source, _renamed(tree, source))


def exact(network: Network) -> bool:
    """Does no strided window of a network leave a remainder? Not known of symbolic sizes, which count as inexact where
    they are not the same for all values."""
    for node in flatten(network).nodes:
        op, x = node.node.op, node.inputs[0].type if node.inputs else TensorType(())
        windows = () if op.transposed else op.windows(*(wire.type for wire in node.inputs))
        for axis, window in enumerate(windows, x.rank - len(windows)):
            size = x.shape[axis]
            if not window.ceil_mode and (isinstance(size, Dim) or window.remainder(size) != 0):
                return False
    return True


def _with_literal(tree: Expr, name: str, value: bool) -> Expr:
    if isinstance(tree, Name) and tree.id == name:
        return Literal(value=value, start=tree.start, end=tree.end)
    return with_parts(tree, [_with_literal(part, name, value) for part in parts_of(tree)])


def _renamed(tree: Expr, source: Source) -> Expr:
    if isinstance(tree, Name):
        if tree.id == "memory":
            help = f"write `{ACTIVATIONS}` for the bytes of a sample's activations; what a run needs has to be measured"
            message = "`memory` cannot be computed, only measured"
            raise NetcError((_diagnostic(source, "unknown-name", message, tree.start, tree.end, help),))
        return msgspec.structs.replace(tree, id="memory") if tree.id == ACTIVATIONS else tree
    if isinstance(tree, Attribute):
        return msgspec.structs.replace(tree, field="memory") if tree.field == ACTIVATIONS else tree
    return with_parts(tree, [_renamed(part, source) for part in parts_of(tree)])


def _diagnostic(source: Source, code: str, message: str, start: int, end: int, help: str | None) -> Diagnostic:
    return Diagnostic(code, message, Span(source, start, end), fixes=(Fix(help),) if help else ())
