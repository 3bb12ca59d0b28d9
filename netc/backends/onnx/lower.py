"""The opened network as ONNX nodes, each of which onnxruntime has a kernel for."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from netc.diagnostics.model import Diagnostic, NetcError
from netc.ir.flat import Flat, FlatNode, flatten
from netc.ir.model import Network
from netc.kernels import OPSET, PROVIDERS, Placed, place
from netc.ops.records import OnnxNode, Unsupported


class Lowered(msgspec.Struct, frozen=True, eq=False):
    """A node of the network and the ONNX nodes that compute it."""

    source: FlatNode
    nodes: tuple[OnnxNode, ...]

    def without_kernel(self, provider: str) -> list[Placed]:
        """The ONNX nodes a provider (`cpu`, `cuda`) cannot run."""
        source = self.source
        dtypes = {f"x{i}": wire.type.dtype for i, wire in enumerate(source.inputs)}
        dtypes |= {f"y{i}": wire.type.dtype for i, wire in enumerate(source.outputs)}
        dtypes |= {param.name: param.dtype for param in source.params()}
        return [placed for placed in place(self.nodes, dtypes, OPSET) if not placed.runs_on(provider)]


def lower(flat: Flat, provider: str = "cpu") -> tuple[Lowered, ...]:
    """What is computed in eval mode, as ONNX nodes. Raises NetcError naming all that ONNX cannot say and all that the
    provider of onnxruntime has no kernels for (`onnx-unsupported`; for CUDA `cuda-fallback`)."""
    lowered: list[Lowered] = []
    problems = [problem for node in flat.nodes if not node.train_only for problem in _lower(node, provider, lowered)]
    if problems:
        raise NetcError(tuple(problems))
    return tuple(lowered)


def _lower(node: FlatNode, provider: str, lowered: list[Lowered]) -> Iterator[Diagnostic]:
    try:
        found = node.node.op.onnx(*(w.type for w in node.inputs))
    except Unsupported as error:
        message = f"{node.node.op.name} cannot be written as ONNX: {error}"
        yield Diagnostic("onnx-unsupported", message, node.node.span, path=node.path)
        return
    lowered.append(Lowered(node, found if isinstance(found, tuple) else (found,)))
    yield from _unplaced(lowered[-1], provider)


def _unplaced(item: Lowered, provider: str) -> Iterator[Diagnostic]:
    """A problem for a node of the network that the provider cannot run whole."""
    placed = item.without_kernel(provider)
    if not placed:
        return
    absent = ", ".join(dict.fromkeys(map(_absent, placed)))
    cured = all(p.as_float32("float64", "bfloat16").runs_on(provider) for p in placed)
    advice = ": use float32" if cured else ""
    message = f"{item.source.node.op.name}: ONNX Runtime has {absent} on {PROVIDERS[provider]}{advice}"
    code = "onnx-unsupported" if provider == "cpu" else "cuda-fallback"
    yield Diagnostic(code, message, item.source.node.span, path=item.source.path)


def _absent(placed: Placed) -> str:
    dtypes = " and ".join(dict.fromkeys(placed.dtypes.values()))
    return f"no {dtypes} kernel for {placed.node.op_type}"


def cpu_only(network: Network) -> tuple[str, ...]:
    """Paths of what CUDA has no kernels for, so that it runs on the CPU with copies there and back."""
    return tuple(item.source.path for item in lower(flatten(network)) if item.without_kernel("cuda"))
