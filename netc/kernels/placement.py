"""Which provider has a kernel for a node, given the dtypes of what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from netc.kernels.table import OperatorVersion, form_of
from netc.ops.records import OnnxGraph, OnnxNode
from netc.types import DTYPES, OF_ONNX


class Placed(msgspec.Struct, frozen=True):
    """A node with the dtypes its type variables have."""

    node: OnnxNode
    form: OperatorVersion | None
    dtypes: dict[str, str]
    opset: int

    def runs_on(self, provider: str) -> bool:
        """Does onnxruntime run it there? On the CPU it computes float16 as float32 where it must; an operator the
        table does not know is not judged."""
        if self.form is None or self._accepts(provider):
            return True
        return provider == "cpu" and self.as_float32("float16")._accepts("cpu")

    def as_float32(self, *replaced: str) -> Placed:
        """The same node with float32 in place of some dtypes."""
        dtypes = {name: "float32" if dtype in replaced else dtype for name, dtype in self.dtypes.items()}
        return Placed(self.node, self.form, dtypes, self.opset)

    def _accepts(self, provider: str) -> bool:
        return self.form is not None and self.form.accepts(provider, self.dtypes, self.opset)


def place(nodes: Iterable[OnnxNode], dtypes: Mapping[str, str], opset: int) -> Iterator[Placed]:
    """Each node, those in bodies too, with its dtypes, from those of inputs, parameters and outputs by local names."""
    return _walk(nodes, dict(dtypes), opset)


def _walk(nodes: Iterable[OnnxNode], dtypes: dict[str, str], opset: int) -> Iterator[Placed]:
    for node in nodes:
        dtypes.update((const.name, const.dtype) for const in node.consts)
        for _, body in node.attributes:
            if isinstance(body, OnnxGraph):
                yield from _walk_body(node, body, dtypes, opset)
        form = form_of(node.op_type, opset)
        bound = _bound(node, form, dtypes) if form else {}
        yield Placed(node, form, bound, opset)


def _walk_body(node: OnnxNode, body: OnnxGraph, dtypes: dict[str, str], opset: int) -> Iterator[Placed]:
    """What a body is given are the node's inputs, and the node's outputs are what it makes last, in order."""
    arguments = zip(body.inputs, node.inputs, strict=False)
    inside = dtypes | {inner: dtypes[outer] for inner, outer in arguments if outer in dtypes}
    yield from _walk(body.nodes, inside, opset)
    results = zip(node.outputs, body.outputs[-len(node.outputs) :], strict=False)
    dtypes.update((outer, inside[inner]) for outer, inner in results if inner in inside)


def _bound(node: OnnxNode, form: OperatorVersion, dtypes: dict[str, str]) -> dict[str, str]:
    """The dtypes of the type variables; adds those of the node's outputs to what is known."""
    bound: dict[str, str] = {}
    for name, kind in (*_paired(node.inputs, form.inputs), *_paired(node.outputs, form.outputs)):
        if name in dtypes and kind not in DTYPES and kind != "?":
            bound.setdefault(kind, dtypes[name])
    for name, kind in _paired(node.outputs, form.outputs):
        dtype = kind if kind in DTYPES else bound.get(kind) or _stated(node)
        if dtype and kind != "?":
            dtypes.setdefault(name, dtype)
            bound.setdefault(kind, dtype)
    return bound


def _stated(node: OnnxNode) -> str | None:
    """The dtype a node makes because an attribute says so."""
    for name, value in node.attributes:
        if name in ("to", "dtype"):
            return OF_ONNX.get(value)
    return None


def _paired(names: tuple[str, ...], kinds: str) -> Iterator[tuple[str, str]]:
    """Each name with its kind; the last kind repeats."""
    listed = kinds.split()
    for i, name in enumerate(names):
        if name:
            yield name, listed[min(i, len(listed) - 1)]
