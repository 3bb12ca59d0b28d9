"""That spec and source are equal: parameters, work, and the value of every statement that the source has one for.

Final outputs are weak evidence: in a network with fresh weights two swapped tensors may move them less than rounding
does. So the values inside are compared, each with what the source has there, at several sizes where these are open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from netc.diagnostics.model import NetcError, failure
from netc.dims import bind as bind_size
from netc.dims import exact_div, symbol
from netc.importing.beside import SpecInOnnx, SpecModel
from netc.importing.candidates import Candidate
from netc.importing.graph import Graph, Value
from netc.importing.looking import Probe, ProbedSession, ProbedValue, steps
from netc.importing.report import Proof
from netc.importing.sameness import Parting, matched
from netc.ir.flat import Wire, flatten
from netc.ir.model import Network
from netc.ops.base import Op
from netc.passes.sizes import Binding, Shape, bound_shape, free_inside, names_in, samples
from netc.passes.summary import summarise
from netc.progress import Note
from netc.run.inputs import random_input, usual_bound
from netc.run.match import solve
from netc.run.model import read_model
from netc.types import TensorType
from netc.verify.compare import difference
from netc.verify.differences import Difference
from netc.verify.layers import OpenedNetwork, open_calls

AT_ONCE = 1 << 24
"""Elements that are looked at of each side in a run."""

GROWTH = 8
"""How far sizes to compare at are raised above the least until the source accepts them."""

ROOMY = {3: 8, 4: 32, 5: 16}
"""Elements of an open axis to compare at, by the rank of the input: on fewer, windows see little but padding."""

HEAVY = 100_000_000_000
"""Multiply-accumulates from which on a network is compared on fewer samples."""

Arrays = dict[str, Any]


class NoSizes(NetcError):
    """There are no sizes of inputs that both spec and source take, as far as they were tried."""


class Run(Protocol):
    """`is_shaken`: with values moved in their last digit, which shows how far rounding goes in this network; `is_wide`:
    in float64, where that is less far."""

    def __call__(self, arrays: Arrays, is_shaken: bool = False, is_wide: bool = False) -> list[ProbedValue]: ...


class SourceModel(Protocol):
    """What can run the network as its source has it. `inputs`: their types by name; `widens`: whether it can do so in
    float64, and the spec too; `moved`: which values move in their last digit in a run that is shaken."""

    name: str
    inputs: dict[str, TensorType]
    widens: bool
    moved: str

    def accepts(self, shapes: Sequence[Sequence[int]]) -> bool:
        """Whether the network takes inputs of these sizes, in the order of `inputs`."""
        ...

    def open(self, looks: Sequence[Probe]) -> Run:
        """What gives the values that are looked at for inputs by name."""
        ...

    def beside(self, network: Network, opened: OpenedNetwork, weights: Path, folder: Path) -> SpecModel:
        """The spec with its weights, run by the same library. folder: for files that this takes."""
        ...


class OnnxSource:
    """An ONNX file in onnxruntime."""

    widens, moved = False, "the inputs"

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, "onnxruntime"
        graph = read_model(path).graph
        held = {tensor.name for tensor in graph.initializer}
        self.inputs = {value.name: _type(value) for value in graph.input if value.name not in held}

    def accepts(self, shapes: Sequence[Sequence[int]]) -> bool:
        return True

    def open(self, looks: Sequence[Probe]) -> Run:
        session = ProbedSession(self.path, looks)

        def run(arrays: Arrays, is_shaken: bool = False, is_wide: bool = False) -> list[ProbedValue]:
            given = shaken([*arrays.values()]) if is_shaken else arrays.values()
            return session.run(dict(zip(arrays, given, strict=True)))

        return run

    def beside(self, network: Network, opened: OpenedNetwork, weights: Path, folder: Path) -> SpecModel:
        return SpecInOnnx(network, opened, weights, folder)


def _type(value: Any) -> TensorType:
    """Of an input of an ONNX file; sizes it leaves open are symbols of no meaning."""
    dims = value.type.tensor_type.shape.dim
    return TensorType(tuple(d.dim_value if d.dim_value > 0 else symbol(f"open{i}") for i, d in enumerate(dims)))


class _Compared(msgspec.Struct, frozen=True, eq=False):
    """A tensor of the spec, and what the source calls it; whether it is an output."""

    wire: Wire
    theirs: str
    is_output: bool

    def has_type(self, ours: Any, theirs: Any) -> bool:
        """Whole numbers inside may be of another width, as no value shows it."""
        return bool(ours == theirs if self.is_output else ours.kind == theirs.kind)


def prove(
    candidate: Candidate, graph: Graph, source: SourceModel | None, folder: Path, weights: Path, note: Note
) -> Proof:
    """Raises NetcError (`import-differs`) naming the first statement whose value is another one.

    folder: where netc may write files; weights: the tensors under the spec's names.
    """
    parameters, macs = _counts(candidate, graph)
    if source is None:
        return Proof(parameters, macs, 0, len(graph.nodes), (), None, "")
    opened = open_calls(candidate.network)
    spec = source.beside(candidate.network, opened, weights, folder)
    known = matched(opened.inputs, opened.nodes, graph, candidate.places)
    assert not isinstance(known, Parting), "the candidate was compared before"
    compared = _pairs(opened, known, spec)
    worst: Difference | None = None
    bindings = _bindings(candidate, graph, source)
    note(f"comparing the values of {len(compared)} statements")
    shapes = [bound_shape(one.wire.type.shape, bindings[-1]) for one in compared]
    taken = {one.theirs: step for one, step in zip(compared, steps(shapes, AT_ONCE), strict=True)}
    for mismatch in _differences(compared, taken, graph, source, spec, bindings) if compared else ():
        if not mismatch.ok:
            raise _differs(mismatch, candidate)
        worst = mismatch if worst is None or mismatch.strain > worst.strain else worst
    sampled = sum(taken[one.theirs] > 1 for one in compared)
    statements = len(graph.nodes)
    return Proof(parameters, macs, len(compared), statements, tuple(bindings), worst, source.name, sampled=sampled)


def _counts(candidate: Candidate, graph: Graph) -> tuple[int, str]:
    """Parameters and work of the spec, which are those of the graph. Raises NetcError (`import-differs`)."""
    flat = flatten(candidate.network).nodes
    statements = [(s.node.op, [wire.type for wire in s.inputs]) for s in flat]
    nodes = [(node.op, [value.type for value in node.operands]) for node in graph.nodes]
    ours, theirs = _work(statements), _work(nodes)
    if ours != theirs:
        raise _error(f"the spec takes {ours} multiply-accumulates, the source {theirs}")
    once = {s.module: made for s, made in zip(flat, statements, strict=True)}
    known = {graph.shared.get(node, node): made for node, made in zip(graph.nodes, nodes, strict=True)}
    own, there = _elements(once.values()), _elements(known.values())
    if own != there:
        raise _error(f"the spec has {own:,} parameters, the source {there:,}")
    return own, str(summarise(candidate.network).macs)


def _work(nodes: list[tuple[Op, list[TensorType]]]) -> Any:
    return sum(op.macs(*types) for op, types in nodes)


def _elements(nodes: Iterable[tuple[Op, list[TensorType]]]) -> int:
    params = [param for op, types in nodes for param in op.params(*types)]
    return sum(prod(param.shape) for param in params if param.trainable)


def _pairs(opened: OpenedNetwork, sources: Mapping[Wire, Value], spec: SpecModel) -> list[_Compared]:
    ends = set(opened.results.values())
    pairs = []
    for wire in spec.values:
        value = sources.get(wire)
        if value is not None and value.source and value.maker is not None and value.maker.reads:
            pairs.append(_Compared(wire, value.source, wire in ends))
    return pairs


def _bindings(candidate: Candidate, graph: Graph, source: SourceModel) -> list[dict[str, int]]:
    """Sizes to compare at: those the source can run at, two where it leaves that open. Where no more than the batch is
    open, or where they take long, one sample and two do. Raises NetcError where it accepts none."""
    inputs = _given(graph, source)
    names = [value.name for value in inputs]
    shapes = [value.type.shape for value in inputs]
    shapes_there = [source.inputs[value.source].shape for value in inputs]
    fixed = solve(names, shapes, shapes_there, {})
    least = candidate.network.domain.bounds
    bindings = [s for s in _growing(shapes, least, fixed) if source.accepts([bound_shape(x, s) for x in shapes])][:2]
    if not bindings:
        raise NoSizes(_error("the source accepts none of the sizes tried for comparing it").diagnostics)
    if free_inside(shapes, fixed) and not _takes_long(candidate, bindings[-1]):
        return bindings
    smaller = [
        {k: n if k in fixed else max(n - 1, least.get(k, 1)) for k, n in binding.items()} for binding in bindings
    ]
    return smaller if all(source.accepts([bound_shape(x, s) for x in shapes]) for s in smaller) else bindings


def _given(graph: Graph, source: SourceModel) -> list[Value]:
    """The inputs of the source in its order, those that nothing reads included."""
    known = {value.source: value for value in (*graph.inputs, *graph.idle)}
    return [known[name] for name in source.inputs if name in known]


def _takes_long(candidate: Candidate, binding: Binding) -> bool:
    macs = bind_size(summarise(candidate.network).macs or 0, binding)
    return isinstance(macs, int) and macs > HEAVY


def _growing(shapes: Sequence[Shape], least: Binding, fixed: Binding) -> Iterator[dict[str, int]]:
    """Sizes with room for windows, then larger ones, then small ones, each once: a source may have no use for some."""
    free = {name for shape in shapes for name in names_in(shape)}
    points: list[dict[str, int]] = []
    for start in (_roomy(shapes, least), least):
        for more in range(GROWTH):
            raised = {name: start.get(name, 1) + more for name in free}
            for binding in samples(shapes, raised, fixed):
                if binding not in points:
                    points.append(binding)
                    yield binding


def _roomy(shapes: Sequence[Shape], least: Binding) -> dict[str, int]:
    """Bounds for symbols that axes of pictures, sequences and volumes are multiples of."""
    found = dict(least)
    for size, room in ((size, ROOMY[len(shape)]) for shape in shapes if len(shape) in ROOMY for size in shape[1:]):
        for name in names_in((size,)):
            times = exact_div(size, symbol(name))
            if isinstance(times, int) and times > 0:
                found[name] = max(found.get(name, 1), -(-room // times))
    return found


def _differences(
    compared: Sequence[_Compared],
    taken: Mapping[str, int],
    graph: Graph,
    source: SourceModel,
    spec: SpecModel,
    bindings: Sequence[dict[str, int]],
) -> Iterator[Difference]:
    """Of every tensor at all sizes. taken: how many elements further the next is that is compared, by source name."""
    watch = spec.open({one.wire: taken[one.theirs] for one in compared})
    run = source.open([Probe(name, step) for name, step in taken.items()])

    def there(arrays: Arrays, is_shaken: bool = False, is_wide: bool = False) -> list[ProbedValue]:
        seen = dict(zip(taken, run(arrays, is_shaken, is_wide), strict=True))
        return [seen[one.theirs] for one in compared]

    for binding in bindings:
        generator = np.random.default_rng(1)
        arrays = {
            v.source: random_input(generator, bound_shape(v.type.shape, binding), v.type.dtype, usual_bound(v.type))
            for v in _given(graph, source)
        }
        feed = _fed(graph, source, arrays)
        ours, theirs = watch(feed), there(arrays)
        for one, *pair in zip(compared, ours, theirs, strict=True):
            _check_form(one, *pair)
        found = _found(compared, binding, ours, theirs)
        if not all(one.ok for one in found):
            if source.widens:
                ours, theirs = watch(feed, is_wide=True), there(arrays, is_wide=True)
                found = _found(compared, binding, ours, theirs)
            moved = there(arrays, is_shaken=True, is_wide=source.widens)
            found = [_judged(d, source.moved, *pair) for d, *pair in zip(found, theirs, moved, strict=True)]
        yield from found


def _found(
    compared: Sequence[_Compared], binding: Binding, ours: Sequence[ProbedValue], theirs: Sequence[ProbedValue]
) -> list[Difference]:
    sides = zip(compared, theirs, ours, strict=True)
    return [difference(one.wire.path, dict(binding), there.values, here.values) for one, there, here in sides]


def _check_form(one: _Compared, ours: ProbedValue, theirs: ProbedValue) -> None:
    """Raises NetcError where two tensors are of different types or shapes."""
    if not one.has_type(ours.values.dtype, theirs.values.dtype):
        raise _error(f"{one.wire.path} is {ours.values.dtype}, and {theirs.values.dtype} in the source")
    if ours.shape != theirs.shape:
        raise _error(f"{one.wire.path} is {_sized(ours)}, and {_sized(theirs)} in the source")


def _sized(value: ProbedValue) -> str:
    return "×".join(map(str, value.shape)) or "a number"


def _fed(graph: Graph, source: SourceModel, arrays: Arrays) -> list[Any]:
    """Values for the inputs of the graph; for what a gap gives, those that the source has there."""
    inner = [value.source for value in graph.inputs if value.source not in source.inputs]
    seen = source.open(list(map(Probe, inner)))(arrays) if inner else []
    known = arrays | {name: one.values for name, one in zip(inner, seen, strict=True)}
    return [known[value.source] for value in graph.inputs]


def _judged(found: Difference, what: str, expected: ProbedValue, moved: ProbedValue) -> Difference:
    """With what the source itself changes by where values move in their last digit. what: these values."""
    rounding = difference("", {}, expected.values, moved.values).relative
    return msgspec.structs.replace(found, rounding=rounding, measure=f"its change with the last digit of {what}")


def shaken(arrays: Sequence[Any]) -> list[Any]:
    """Floating-point numbers up or down in their last digit."""
    generator = np.random.default_rng(0)
    return [
        np.asarray(np.nextafter(a, np.asarray(generator.choice([-np.inf, np.inf], a.shape), a.dtype)))
        if a.dtype.kind == "f"
        else a
        for a in arrays
    ]


def _differs(difference: Difference, candidate: Candidate) -> NetcError:
    node = candidate.places.get(difference.output)
    where = f" ({node.origin} of the source)" if node is not None else ""
    return _error(f"{difference.output}{where} differs by {difference.amount()}")


def _error(message: str) -> NetcError:
    return failure("import-differs", message)
