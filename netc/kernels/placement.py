"""Which provider has a kernel for a node, given the dtypes of what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from netc.kernels.table import Form, form_of
from netc.ops.records import OnnxGraph, OnnxNode
from netc.types import DTYPES, OF_ONNX


class Placed(msgspec.Struct, frozen=True):
    """A node with the dtypes its type variables have."""

    node: OnnxNode
    form: Form | None
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


def _walk(nodes: Iterable[OnnxNode], known: dict[str, str], opset: int) -> Iterator[Placed]:
    for node in nodes:
        known.update((const.name, const.dtype) for const in node.consts)
        for _, body in node.attributes:
            if isinstance(body, OnnxGraph):
                yield from _walk_body(node, body, known, opset)
        form = form_of(node.op_type, opset)
        bound = _bound(node, form, known) if form else {}
        yield Placed(node, form, bound, opset)


def _walk_body(node: OnnxNode, body: OnnxGraph, known: dict[str, str], opset: int) -> Iterator[Placed]:
    """What a body is given are the node's inputs, and the node's outputs are what it makes last, in order."""
    given = zip(body.inputs, node.inputs, strict=False)
    inside = known | {inner: known[outer] for inner, outer in given if outer in known}
    yield from _walk(body.nodes, inside, opset)
    made = zip(node.outputs, body.outputs[-len(node.outputs) :], strict=False)
    known.update((outer, inside[inner]) for outer, inner in made if inner in inside)


def _bound(node: OnnxNode, form: Form, known: dict[str, str]) -> dict[str, str]:
    """The dtypes of the type variables; adds those of the node's outputs to what is known."""
    bound: dict[str, str] = {}
    for name, kind in (*_paired(node.inputs, form.inputs), *_paired(node.outputs, form.outputs)):
        if name in known and kind not in DTYPES and kind != "?":
            bound.setdefault(kind, known[name])
    for name, kind in _paired(node.outputs, form.outputs):
        found = kind if kind in DTYPES else bound.get(kind) or _stated(node)
        if found and kind != "?":
            known.setdefault(name, found)
            bound.setdefault(kind, found)
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
