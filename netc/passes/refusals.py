"""Where a backend cannot write an operator: the line, and what the operator takes."""

from __future__ import annotations

from collections.abc import Iterator

from netc.diagnostics.model import Diagnostic, Frame
from netc.ir.flat import FlatNode, flatten, is_within
from netc.ir.model import Network
from netc.ops.records import Unsupported


def refusal(node: FlatNode, code: str, message: str) -> Diagnostic:
    """A finding at the line of an operator, with the way there and what the operator takes. message: what it cannot."""
    op = node.node.op
    takes = ", ".join([f"`{name}`" for name in dict.fromkeys((*op.attributes, *op.references))])
    notes = (f"{op.name} takes {takes or 'no arguments'}: `netc ops {op.name}`",)
    trail = tuple(Frame(call.block.name, call.span, path) for path, call in node.trail)
    return Diagnostic(code, f"{op.name} {message}", node.node.span, notes=notes, trail=trail, path=node.path)


def torch_refusals(network: Network, error: Unsupported) -> tuple[Diagnostic, ...]:
    """What PyTorch has no form for, operator by operator; `error` is what the generator said."""
    refusals = tuple(_unwritten(network))
    if refusals:
        return refusals
    below = (node for node in flatten(network).nodes if error.path and is_within(node.path, error.path))
    node = next(below, None)
    if node is None:
        return (Diagnostic("torch-unsupported", str(error), network.file.span, path=network.file.path),)
    return (_at(node, error),)


def _at(node: FlatNode, error: Unsupported) -> Diagnostic:
    """A finding about a statement that is not one operator: at the line of the operator, or of the call around it."""
    trail = tuple(Frame(call.block.name, call.span, path) for path, call in node.trail)
    outside = next((i for i, frame in enumerate(trail) if is_within(frame.path, error.path)), len(trail))
    span = trail[outside].span if outside < len(trail) else node.node.span
    return Diagnostic("torch-unsupported", str(error), span, trail=trail[:outside], path=error.path)


def _unwritten(network: Network) -> Iterator[Diagnostic]:
    for node in flatten(network).nodes:
        try:
            node.node.op.torch(*[wire.type for wire in node.inputs])
        except Unsupported as error:
            yield refusal(node, "torch-unsupported", f"cannot be written for PyTorch: {error}")
