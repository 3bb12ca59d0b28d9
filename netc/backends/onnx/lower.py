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


def lower(flat: Flat) -> tuple[Lowered, ...]:
    """What is computed in eval mode, as ONNX nodes. Raises NetcError (`onnx-unsupported`) naming all that cannot be,
    or that onnxruntime runs nowhere."""
    lowered, problems = [], []
    for node in flat.nodes:
        if node.train_only:
            continue
        try:
            lowered.append(_lowered(node))
        except Unsupported as error:
            message = f"{node.node.op.name} cannot be written as ONNX: {error}"
            problems.append(Diagnostic("onnx-unsupported", message, node.node.span, path=node.path))
    if problems:
        raise NetcError(tuple(problems))
    return tuple(lowered)


def _lowered(node: FlatNode) -> Lowered:
    found = node.node.op.onnx(*(w.type for w in node.inputs))
    lowered = Lowered(node, found if isinstance(found, tuple) else (found,))
    for placed in lowered.without_kernel("cpu"):
        cured = placed.as_float32("float64", "bfloat16").runs_on("cpu")
        raise Unsupported(f"ONNX Runtime has {_absent(placed, 'cpu')}{': use float32' if cured else ''}")
    return lowered


def _absent(placed: Placed, provider: str) -> str:
    dtypes = " and ".join(dict.fromkeys(placed.dtypes.values()))
    return f"no {dtypes} kernel for {placed.node.op_type} on {PROVIDERS[provider]}"


def cpu_only(network: Network) -> tuple[Diagnostic, ...]:
    """What CUDA has no kernels for, so that it runs on the CPU with copies there and back."""
    return tuple(_off_cuda(lower(flatten(network))))


def _off_cuda(lowered: tuple[Lowered, ...]) -> Iterator[Diagnostic]:
    for item in lowered:
        absent = dict.fromkeys(_absent(placed, "cuda") for placed in item.without_kernel("cuda"))
        if absent:
            message = f"{item.source.node.op.name} runs on the CPU: ONNX Runtime has {', '.join(absent)}"
            yield Diagnostic("cuda-fallback", message, item.source.node.span, path=item.source.path)
