"""Statements whose results depend on sizes, at usual and at large uneven ones.

A window or a resize may be right at the small sizes at which whole networks are compared and wrong at larger ones.
These statements cost little, so they are taken out of the network, put side by side, and compared alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from netc.dims import symbols
from netc.ir.flat import FlatNode, Wire, flatten
from netc.ir.model import BlockOutput, Network, Node, Value
from netc.libraries import numpy
from netc.ops.base import Family, Op
from netc.passes.serve import BARE
from netc.passes.sizes import Binding, bound_shape, wide
from netc.run.backends import onnx_backend
from netc.run.eager import evaluate, evaluate_in_float64
from netc.run.inputs import random_input, usual_bound
from netc.run.interpreter import interpreted
from netc.run.model import Session, open_model
from netc.types import FLOATS
from netc.verify.compare import difference
from netc.verify.differences import CheckResult, Difference
from netc.verify.layers import judged, open_calls, place

if TYPE_CHECKING:
    from netc.backends.onnx import OnnxOptions

OF_SIZES = (Family.POOL, Family.UPSAMPLE, Family.RESHAPE)
"""Operators that read other places for other sizes."""

_PLACE = "what float32 rounds off a place between elements"

MOST = 2**25
"""Elements of all tensors at all sizes together; larger sizes are left out."""


class _Part(msgspec.Struct, frozen=True, eq=False):
    """Statements side by side: `network` reads what they read and puts out what they make, in the order of `nodes`."""

    network: Network
    nodes: tuple[FlatNode, ...]

    def sizes(self, bind: Binding) -> list[dict[str, int]]:
        """The smallest of the sizes there are, and more while they cost little."""
        shapes = [value.type.shape for value in self.network.block.inputs]
        points = sorted(wide(shapes, self.network.domain.bounds, bind), key=self._elements)
        sums = accumulate(map(self._elements, points))
        return [
            binding for i, (binding, elements) in enumerate(zip(points, sums, strict=True)) if not i or elements <= MOST
        ]

    def _elements(self, binding: Binding) -> int:
        values = (*self.network.block.inputs, *(output.value for output in self.network.block.outputs))
        return sum(prod(bound_shape(value.type.shape, binding)) for value in values)


def check_large(
    network: Network, folder: Path, bind: Binding, seed: int, options: OnnxOptions, tolerance: float | None
) -> Iterator[CheckResult]:
    """Compare each kind of statement that depends on sizes at many of them; nothing where there are none.

    folder: where files are written. bind: sizes that are not up for choice.
    """
    part = _part(network)
    if part is None:
        return
    sizes = part.sizes(bind)
    if not sizes:
        return
    module, session = _written(part.network, folder, seed, options)
    names = dict(zip(session.outputs, part.nodes, strict=True))
    worst: Difference | None = None
    for binding in sizes:
        for mismatch in _differences(part, module, session, binding, seed, tolerance):
            worst = mismatch if worst is None or mismatch.strain > worst.strain else worst
    assert worst is not None, "a part makes something"
    node = names[worst.output]
    where = f"{node.path} ({node.node.op.name}, {place(node.node.span)})"
    told = f"agree at {len(sizes)} larger sizes; nearest to its tolerance is {where}: {worst.amount()}"
    wrong = f"{where} differs by {worst.amount()}"
    yield CheckResult("large sizes", worst.ok, f"{len(part.nodes)} statements {told}" if worst.ok else wrong)


def _part(network: Network) -> _Part | None:
    """One statement of each kind; None where there is none."""
    opened = open_calls(network)
    kinds: dict[object, FlatNode] = {}
    for node in opened.nodes:
        if _depends_on_sizes(node):
            kinds.setdefault((node.node.op, tuple(wire.type for wire in node.inputs)), node)
    nodes = tuple(kinds.values())
    if not nodes:
        return None
    reads = dict.fromkeys((*opened.inputs, *(wire for node in nodes for wire in node.inputs)))
    span = network.block.inputs[0].span
    sources = {wire: Value(wire.type, f"read{i}", span) for i, wire in enumerate(reads)}
    items, outputs = [], []
    for i, node in enumerate(nodes):
        named = (f"made{i}.{j}" if j else f"made{i}" for j in range(len(node.outputs)))
        results = tuple(Value(wire.type, name, node.node.span) for name, wire in zip(named, node.outputs, strict=True))
        items.append(_alone(node, f"made{i}", sources, results))
        outputs.append(BlockOutput(f"made{i}", results[0]))
    whole = opened.network
    block = msgspec.structs.replace(
        whole.block, inputs=tuple(sources.values()), items=tuple(items), outputs=tuple(outputs)
    )
    return _Part(msgspec.structs.replace(whole, block=block), nodes)


def _depends_on_sizes(node: FlatNode) -> bool:
    """A statement without weights that reads one tensor of free sizes, and others for their sizes at most."""
    op, types = node.node.op, [wire.type for wire in node.inputs]
    cheap = op.family in OF_SIZES and op.arity == (1, 1) and not node.params and type(op).macs is Op.macs
    return cheap and all(t.dtype in FLOATS for t in types) and any(symbols(size) for t in types for size in t.shape)


def _alone(node: FlatNode, name: str, values: Mapping[Wire, Value], results: tuple[Value, ...]) -> Node:
    inputs = tuple(values[wire] for wire in node.inputs)
    return msgspec.structs.replace(
        node.node, path=name, module=name, outer=False, inputs=inputs, outputs=results, said={}
    )


def _written(network: Network, folder: Path, seed: int, options: OnnxOptions) -> tuple[Any, Session]:
    """The statements as a PyTorch module and as an ONNX file."""
    model = folder / "large.onnx"
    plain = msgspec.structs.replace(options, serving=BARE, functions=False, placement="single", shard_size=None)
    onnx_backend().write_onnx_fresh(network, model, seed, None, plain)
    flat = flatten(network)
    return interpreted(flat.nodes, flat.inputs, [output.wire for output in flat.outputs]), open_model(model, "cpu")


def _differences(
    part: _Part, module: Any, session: Session, binding: dict[str, int], seed: int, tolerance: float | None
) -> Iterator[Difference]:
    generator = numpy().random.default_rng(seed)
    kinds = [value.type for value in part.network.block.inputs]
    inputs = [random_input(generator, bound_shape(t.shape, binding), t.dtype, usual_bound(t)) for t in kinds]
    expected = evaluate(module, inputs)
    theirs = session.run(None, dict(zip(session.inputs, inputs, strict=True)))
    differences = [
        difference(n, binding, a, b, tolerance) for n, a, b in zip(session.outputs, expected, theirs, strict=True)
    ]
    if tolerance is None and not all(d.ok for d in differences):
        exact = evaluate_in_float64(module, inputs)
        differences = [judged(d, a, b) for d, a, b in zip(differences, expected, exact, strict=True)]
        differences = [d if d.ok else _between(d, node) for d, node in zip(differences, part.nodes, strict=True)]
    yield from differences


def _between(difference: Difference, node: FlatNode) -> Difference:
    """A resize reads between elements, at a place that float32 knows to half an ulp of the longest side; neighbours are
    up to twice the largest value apart."""
    if node.node.op.family is not Family.UPSAMPLE:
        return difference
    sides = [bound_shape(wire.type.shape[2:], difference.binding) for wire in (node.inputs[0], node.outputs[0])]
    rounding = 2 * max(map(max, sides)) * 2.0**-24
    return msgspec.structs.replace(difference, rounding=max(difference.rounding, rounding), measure=_PLACE)
