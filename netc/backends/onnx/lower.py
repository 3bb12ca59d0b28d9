"""The opened network as ONNX nodes of one opset, each of which onnxruntime has a kernel for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from netc.backends.onnx.versions import check_types, spelled
from netc.diagnostics.model import Diagnostic, NetcError
from netc.ir.flat import Flat, FlatNode
from netc.kernels import OPSET, PROVIDERS, Placed, place
from netc.ops.narrow import misfit, shown
from netc.ops.records import OnnxNode, Unsupported
from netc.passes.refusals import refusal

NATIVE = 23
"""The first opset with operators of ONNX's own for what earlier ones say in several nodes."""


class Lowered(msgspec.Struct, frozen=True, eq=False):
    """A node of the network and the ONNX nodes that compute it."""

    source: FlatNode
    nodes: tuple[OnnxNode, ...]
    opset: int = OPSET

    def placed(self) -> Iterator[Placed]:
        """The ONNX nodes with the dtypes they meet."""
        source = self.source
        dtypes = {f"x{i}": wire.type.dtype for i, wire in enumerate(source.inputs)}
        dtypes |= {f"y{i}": wire.type.dtype for i, wire in enumerate(source.outputs)}
        dtypes |= {param.name: param.dtype for param in source.params}
        return place(self.nodes, dtypes, self.opset)

    def without_kernel(self, provider: str) -> list[Placed]:
        """The ONNX nodes a provider (`cpu`, `cuda`) cannot run."""
        return [placed for placed in self.placed() if not placed.runs_on(provider)]


def lower(flat: Flat, provider: str = "cpu", opset: int = OPSET) -> tuple[Lowered, ...]:
    """What is computed in eval mode, as ONNX nodes. Raises NetcError naming all that the opset cannot say and all that
    the provider of onnxruntime has no kernels for (`onnx-unsupported`; for CUDA `cuda-fallback`)."""
    lowered: list[Lowered] = []
    step = partial(_lower, provider=provider, opset=opset, lowered=lowered)
    problems = [problem for node in flat.nodes if not node.train_only for problem in step(node)]
    if problems:
        raise NetcError(tuple(problems))
    return tuple(lowered)


def _lower(node: FlatNode, provider: str, opset: int, lowered: list[Lowered]) -> Iterator[Diagnostic]:
    try:
        item = _said(node, provider, opset)
    except Unsupported as error:
        yield refusal(node, "onnx-unsupported", f"cannot be written to ONNX: {error}")
        return
    lowered.append(item)
    yield from _unplaced(item, provider)


def _said(node: FlatNode, provider: str, opset: int) -> Lowered:
    """The nodes in the words of the opset. Raises Unsupported."""
    types = [wire.type for wire in node.inputs]
    native = Lowered(node, node.node.op.onnx_native(*types) if opset >= NATIVE else (), opset)
    if native.nodes and not native.without_kernel(provider):
        return native
    answer = node.node.op.onnx(*types)
    nodes = answer if isinstance(answer, tuple) else (answer,)
    for lowered in nodes:
        _check_numbers(lowered)
    if opset == OPSET:
        return Lowered(node, nodes)
    first = (*node.inputs, *node.outputs)[0].type
    item = Lowered(node, spelled(nodes, opset, first.dtype, first.rank), opset)
    for placed in item.placed():
        check_types(placed)
    return item


def _check_numbers(node: OnnxNode) -> None:
    """Raises Unsupported where a number that an operator computed does not fit its type."""
    for const in node.consts:
        for value in const.values:
            reason = misfit(value, const.dtype)
            if reason:
                raise Unsupported(f"{shown(value)}, a constant it computes with, does not fit {const.dtype}, {reason}")
    for name, value in node.attributes:
        if isinstance(value, float) and misfit(value, "float32"):
            raise Unsupported(f"{name} {shown(value)} does not fit float32, the type of ONNX's attributes")


def _unplaced(item: Lowered, provider: str) -> Iterator[Diagnostic]:
    """A problem for a node of the network that the provider cannot run whole."""
    placed = item.without_kernel(provider)
    if not placed:
        return
    absent = ", ".join(dict.fromkeys(map(_absent, placed)))
    cured = all(p.as_float32("float64", "bfloat16").runs_on(provider) for p in placed)
    advice = ": use float32" if cured else ""
    if item.opset > OPSET and not cured:
        advice = f" in opset {item.opset}; it may have one in opset {OPSET}"
    code = "onnx-unsupported" if provider == "cpu" else "cuda-fallback"
    yield refusal(item.source, code, f"cannot run: ONNX Runtime has {absent} on {PROVIDERS[provider]}{advice}")


def _absent(placed: Placed) -> str:
    dtypes = " and ".join(dict.fromkeys(placed.dtypes.values()))
    return f"no {dtypes} kernel for {placed.node.op_type}"
