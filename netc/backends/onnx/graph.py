"""The opened network as an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import GraphProto, ModelProto

from netc.backends.onnx.functions import Trail, outline
from netc.backends.onnx.lower import Lowered, lower
from netc.backends.onnx.names import Names
from netc.backends.onnx.options import OnnxOptions
from netc.backends.onnx.proto import add_attribute, add_graph, set_constant, set_external, set_value_info
from netc.ir.flat import Flat, FlatNode, Wire, join
from netc.ops.records import OnnxGraph, OnnxNode
from netc.weights import WeightsIndex


def build_graph(
    model: ModelProto, flat: Flat, weights: WeightsIndex, location: str | None, options: OnnxOptions
) -> dict[str, str]:
    """Fill the model's graph: what the network computes in eval mode, weights left in the file `location` or their own.

    In ONNX weights, inputs and outputs share one set of names. Weights keep theirs, then inputs; returns the new names
    of inputs and outputs that had to give way, with those of the spec.
    """
    builder = _Builder(model.graph, flat, weights, location, options.inner_sizes)
    builder.build(lower(flat, options.provider, options.opset))
    if options.functions:
        outline(model, builder.trails)
    return builder.renamed


class _Builder:
    def __init__(
        self, graph: GraphProto, flat: Flat, weights: WeightsIndex, location: str | None, inner_sizes: bool
    ) -> None:
        self.graph, self.flat, self.weights, self.location = graph, flat, weights, location
        self.inner_sizes = inner_sizes
        self.outputs = [output for output in flat.outputs if not output.train_only]
        self.names = Names(weights.tensors, (wire.path for node in flat.nodes for wire in node.outputs))
        self.renamed: dict[str, str] = {}
        inputs = [self._claim(wire.path) for wire in flat.inputs]
        self.results = [self._claim(output.name) for output in self.outputs]
        self.node_names = Names()
        self.wire_names: dict[Wire, str] = dict(zip(flat.inputs, inputs, strict=True))
        self.written: set[str] = set()
        self.meant: dict[Wire, Wire] = {}
        self.trails: list[Trail] = []
        """Per node of the graph the calls around it."""

    def _claim(self, stem: str) -> str:
        name = self.names.fresh(stem)
        if name != stem:
            self.renamed[name] = stem
        return name

    def build(self, lowered: tuple[Lowered, ...]) -> None:
        for wire, name in self.wire_names.items():
            set_value_info(self.graph.input.add(), name, wire.type)
        computed = [item for item in lowered if not self._passes_on(item)]
        copies = list(self._name_outputs())
        for item in computed:
            self._add(item)
            self.trails += [item.source.trail] * len(item.nodes)
        for name, wire in copies:
            node = self.graph.node.add(op_type="Identity", name=self.node_names.fresh(name))
            node.input.append(self._operand(self._name(wire)))
            node.output.append(name)
            self.trails.append(())

    def _passes_on(self, item: Lowered) -> bool:
        """Nodes that only hand a tensor on (dropout in eval) leave no trace; tensors without input are initialisers."""
        if any(node.op_type != "Identity" for node in item.nodes):
            return False
        if item.source.inputs:
            self.meant[item.source.outputs[0]] = self._source(item.source.inputs[0])
        else:
            self.wire_names[item.source.outputs[0]] = self._held(item)
        return True

    def _held(self, item: Lowered) -> str:
        """The initialiser that a parameter or a constant is."""
        for param in item.source.params:
            return join(item.source.module, param.name)
        name = self.names.fresh(item.source.path)
        set_constant(self.graph.initializer.add(), name, item.nodes[0].consts[0])
        return name

    def _source(self, wire: Wire) -> Wire:
        return self.meant.get(wire, wire)

    def _name_outputs(self) -> Iterator[tuple[str, Wire]]:
        """Results take the names of the outputs; yields those that need a copy: of an input or of another output."""
        for output, name in zip(self.outputs, self.results, strict=True):
            set_value_info(self.graph.output.add(), name, output.wire.type)
            source = self._source(output.wire)
            if source in self.wire_names:
                yield name, source
            else:
                self.wire_names[source] = name

    def _name(self, wire: Wire) -> str:
        wire = self._source(wire)
        if wire not in self.wire_names:
            name = self.wire_names[wire] = self.names.fresh(wire.path)
            set_value_info(self.graph.value_info.add(), name, wire.type, symbolic=self.inner_sizes)
        return self.wire_names[wire]

    def _add(self, item: Lowered) -> None:
        local = self._local_names(item.source)
        single = len(item.nodes) == 1
        for node in item.nodes:
            name = item.source.path if single else f"{item.source.path}/{node.op_type}"
            self._add_node(self.graph, node, name, item.source.path, local)

    def _add_node(self, graph: GraphProto, node: OnnxNode, stem: str, path: str, local: dict[str, str]) -> None:
        self._add_constants(node, path, local)
        message = graph.node.add(op_type=node.op_type, name=self.node_names.fresh(stem))
        message.input.extend(self._operand(local[name]) for name in node.inputs)
        for name, value in node.attributes:
            if isinstance(value, OnnxGraph):
                self._add_body(add_graph(message, name), value, stem, path, local)
            else:
                add_attribute(message, name, value)
        message.output.extend(self._result(name, path, local) for name in node.outputs)

    def _add_body(self, graph: GraphProto, body: OnnxGraph, stem: str, path: str, local: dict[str, str]) -> None:
        """Constants and weights that it reads stand in the graph around it."""
        graph.name = stem
        for name in body.inputs:
            graph.input.add().name = self._result(name, path, local)
        for node in body.nodes:
            self._add_node(graph, node, f"{stem}/{node.op_type}", path, local)
        for name in body.outputs:
            graph.output.add().name = local[name]

    def _local_names(self, node: FlatNode) -> dict[str, str]:
        local = {"": ""}
        local.update((f"x{i}", self._name(wire)) for i, wire in enumerate(node.inputs))
        local.update((f"y{i}", self._name(wire)) for i, wire in enumerate(node.outputs))
        local.update((param.name, join(node.module, param.name)) for param in node.params)
        return local

    def _result(self, name: str, path: str, local: dict[str, str]) -> str:
        if name not in local:
            local[name] = self.names.fresh(f"{path}/{name}")
        return local[name]

    def _operand(self, name: str) -> str:
        """Weights become initialisers when first read, so those only training needs stay out."""
        if name in self.weights.tensors and name not in self.written:
            self.written.add(name)
            entry = self.weights.tensors[name]
            set_external(self.graph.initializer.add(), entry, self.location or entry.file.name)
        return name

    def _add_constants(self, node: OnnxNode, path: str, local: dict[str, str]) -> None:
        for const in node.consts:
            if const.name not in local:
                local[const.name] = self.names.fresh(f"{path}/{const.name}")
                set_constant(self.graph.initializer.add(), local[const.name], const)
