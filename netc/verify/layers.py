"""Layer by layer: every value inside a network, in PyTorch and in an ONNX file, named by spec path.

PyTorch runs the network opened: statement by statement, every value an output. The ONNX file
hands out the values it names by spec path. What both have is compared in the order it is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from netc.diagnostics.model import Span
from netc.ir.flat import FlatNode, Wire, flatten
from netc.ir.model import BlockOutput, Network, Node, Value
from netc.libraries import numpy
from netc.ops.records import Unsupported
from netc.run.eager import Arrays, evaluate, evaluate_in_float64
from netc.run.interpreter import interpreted
from netc.run.match import MatchedNames
from netc.run.model import Session, open_exposed, read_opened
from netc.run.module import load_strictly
from netc.verify.compare import Trial, difference
from netc.verify.differences import Difference, LayerDifference, LayersReport
from netc.weights import WeightsIndex


class OpenedNetwork(msgspec.Struct, frozen=True, eq=False):
    """A network without calls: `network` has every value of eval mode as an output, `values` are these, in order, and
    `nodes` what its items stand for."""

    network: Network
    inputs: tuple[Wire, ...]
    nodes: tuple[FlatNode, ...]
    values: tuple[Wire, ...]
    results: Mapping[str, Wire]
    """What the network's own outputs stand for, by their names."""

    def maker(self, wire: Wire) -> FlatNode | None:
        """The node that makes a value; None for an input of the network."""
        return next((node for node in self.nodes if wire in node.outputs), None)

    def source(self, wire: Wire) -> Wire:
        """What is handed on as this value: ONNX has no node for dropout in eval, or a reshape to the same."""
        maker = self.maker(wire)
        return self.source(maker.inputs[0]) if maker and maker.inputs and is_identity(maker) else wire


def open_calls(network: Network) -> OpenedNetwork:
    """The network as one block of nodes, named and with parameters named by full path; nothing in it is frozen."""
    flat = flatten(network)
    nodes = tuple(node for node in flat.nodes if not node.train_only)
    produced = {wire: Value(wire.type, wire.path, node.node.span) for node in nodes for wire in node.outputs}
    sources = dict(zip(flat.inputs, network.block.inputs, strict=True)) | produced
    block = msgspec.structs.replace(
        network.block,
        definition=msgspec.structs.replace(network.file, freeze=()),
        items=tuple(_lifted(node, sources) for node in nodes),
        outputs=tuple(BlockOutput(f"v{i}", value) for i, value in enumerate(produced.values())),
    )
    results = {output.name: output.wire for output in flat.outputs if not output.train_only}
    return OpenedNetwork(msgspec.structs.replace(network, block=block), flat.inputs, nodes, tuple(produced), results)


def _lifted(node: FlatNode, values: Mapping[Wire, Value]) -> Node:
    inputs, outputs = (tuple(values[wire] for wire in wires) for wires in (node.inputs, node.outputs))
    return msgspec.structs.replace(
        node.node, path=node.path, module=node.module, outer=False, inputs=inputs, outputs=outputs, said={}
    )


class Inside(msgspec.Struct, frozen=True, eq=False):
    """Both sides with their values laid open. `names`: what the file calls a value, for those it has; `inputs`: what it
    calls the network's; `outputs`: all of the network."""

    opened: OpenedNetwork
    module: Any
    session: Session
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    names: Mapping[Wire, str]

    def expected(self, trial: Trial) -> dict[Wire, Any]:
        """PyTorch's values, statement by statement."""
        return self._computed(evaluate(self.module, trial.inputs))

    def differences(
        self, trial: Trial, expected: Mapping[Wire, Any], tolerance: float | None
    ) -> dict[Wire, Difference]:
        """Of every value both have, in the order they are computed; judged by PyTorch's own rounding where needed."""
        feed = dict(zip(self.inputs, trial.inputs, strict=True))
        results = dict(zip(self.session.outputs, self.session.run(None, feed), strict=True))
        apart = {w: self._apart(w, trial, expected, results[name], tolerance) for w, name in self.names.items()}
        if tolerance is not None or all(d.ok for d in apart.values()):
            return apart
        exact = self._computed(evaluate_in_float64(self.module, trial.inputs))
        alike = {wire: str(expected[wire].dtype) == d.dtype for wire, d in apart.items()}
        return {w: judged(d, expected[w], exact[w]) if alike[w] else d for w, d in apart.items()}

    def _apart(
        self, wire: Wire, trial: Trial, expected: Mapping[Wire, Any], other: Any, tolerance: float | None
    ) -> Difference:
        """Of a value of PyTorch's and another; of other places of the largest elements, what the elements differ by."""
        ours = expected[wire]
        plain, maker = difference(wire.path, trial.binding, ours, other, tolerance), self.opened.maker(wire)
        picks = maker and maker.node.op.picks(*(read.type for read in maker.inputs))
        if plain.ok or maker is None or not picks or maker.outputs[picks[0]] is not wire:
            return plain
        source = expected.get(maker.inputs[0])
        if source is None or not are_places(other, ours, source, picks[1]):
            return plain
        ours_there, actual = (numpy().take_along_axis(source, places, picks[1]) for places in (ours, other))
        return difference(wire.path, trial.binding, ours_there, actual, tolerance)

    def astray(self, trial: Trial, expected: Mapping[Wire, Any]) -> list[str]:
        """Outputs that the module as a whole computes otherwise than its statements one by one."""
        shown = {name: array for name, array in zip(self.outputs, trial.expected, strict=True) if array is not None}
        wires = {n: wire for n, wire in self.opened.results.items() if n in shown and wire in expected}
        return [n for n, wire in wires.items() if not self._apart(wire, trial, expected, shown[n], None).ok]

    def _computed(self, arrays: Arrays) -> dict[Wire, Any]:
        return dict(zip(self.opened.values, arrays, strict=True))

    def layer(self, wire: Wire, apart: Mapping[Wire, Difference]) -> LayerDifference:
        """What there is to say about a value."""
        maker = self.opened.maker(wire)
        if maker is None:
            raise ValueError(f"{wire.path} is an input")
        reads = {read.path: self._known(read, apart) for read in maker.inputs}
        return LayerDifference(wire.path, maker.node.op.name, place(maker.node.span), apart[wire], reads)

    def _known(self, wire: Wire, apart: Mapping[Wire, Difference]) -> float | None:
        """The difference of a value, or of that which is handed on as it; inputs of the network differ by 0."""
        source = self.opened.source(wire)
        if self.opened.maker(source) is None:
            return 0.0
        return apart[source].relative if source in apart else None

    def absent(self) -> tuple[str, ...]:
        """Paths of what the file has no value for, though it computes one."""
        nodes = (node for node in self.opened.nodes if node.inputs and not is_identity(node))
        return tuple(wire.path for node in nodes for wire in node.outputs if wire not in self.names)


def are_places(places: Any, like: Any, source: Any, axis: int) -> bool:
    """Are these places of elements of `source` along an axis, none of them twice, and as many as `like`?"""
    np = numpy()
    if places.shape != like.shape or (places < 0).any() or (places >= source.shape[axis]).any():
        return False
    return bool((np.diff(np.sort(places, axis), axis=axis) > 0).all())


def judged(apart: Difference, expected: Any, exact: Any) -> Difference:
    """With what PyTorch is from itself in float64 as its rounding."""
    return msgspec.structs.replace(apart, rounding=difference("", {}, expected, exact).relative)


def is_identity(node: FlatNode) -> bool:
    """Whether ONNX has no node for it: dropout in eval, a reshape to the same."""
    try:
        nodes = node.node.op.onnx(*(wire.type for wire in node.inputs))
    except Unsupported:
        return False
    return all(onnx_node.op_type == "Identity" for onnx_node in (nodes if isinstance(nodes, tuple) else (nodes,)))


def place(span: Span) -> str:
    """`specs/resnet.yaml:12`"""
    return f"{span.source.path}:{span.source.position(span.start)[0]}"


def lay_open(network: Network, index: WeightsIndex, model: Path, matched: MatchedNames) -> Inside:
    """The opened module with the weights of `index`, and the ONNX file `model` giving its inner values."""
    opened = open_calls(network)
    names = names_in_file(opened, model, matched)
    session = open_exposed(model, tuple(dict.fromkeys(names.values())))
    outputs = tuple(output.name for output in network.block.outputs)
    return Inside(opened, _module(opened, index), session, matched.inputs, outputs, names)


def _module(opened: OpenedNetwork, index: WeightsIndex) -> Any:
    module = interpreted(opened.nodes, opened.inputs, opened.values)
    kept = {name: index.tensors[name] for name in module.state_dict()}
    load_strictly(module, msgspec.structs.replace(index, tensors=kept))
    return module


def names_in_file(opened: OpenedNetwork, model: Path, matched: MatchedNames) -> dict[Wire, str]:
    """What the file calls each value that it computes: results by their outputs' names, all else by spec path."""
    graph = read_opened(model).graph
    computed = {name for node in graph.node for name in node.output}
    taken = {value.name for value in (*graph.input, *graph.output)}
    names = {wire: wire.path for wire in opened.values if wire.path not in taken}
    results = [(opened.source(opened.results[name]), there) for name, there in matched.outputs.items()]
    names |= dict(reversed(results))
    return {wire: names[wire] for wire in opened.values if names.get(wire) in computed}


def compare_layers(inside: Inside, trials: Sequence[Trial], tolerance: float | None) -> LayersReport:
    """Every value at every trial; the first that differs is the first in the order of computation."""
    measured, astray = [], []
    for trial in trials:
        expected = inside.expected(trial)
        measured.append(inside.differences(trial, expected, tolerance))
        astray += inside.astray(trial, expected)
    pairs = [(wire, apart) for wire in inside.names for apart in measured]
    first = next((inside.layer(wire, apart) for wire, apart in pairs if not apart[wire].ok), None)
    worst = max(pairs, key=lambda item: item[1][item[0]].strain, default=None)
    return LayersReport(
        compared=len(inside.names),
        absent=inside.absent(),
        first=first,
        worst=inside.layer(*worst) if worst else None,
        astray=tuple(dict.fromkeys(astray)),
    )
