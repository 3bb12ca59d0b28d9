"""The steps of a network between the values that an ONNX file gives, each a PyTorch module of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from netc.ir.flat import FlatNode, Wire
from netc.run.eager import Arrays
from netc.run.interpreter import interpreted
from netc.run.model import Session, open_exposed
from netc.run.module import share_weights
from netc.verify.compare import Trial
from netc.verify.layers import OpenedNetwork

Values = dict[Wire, Any]


class Step(msgspec.Struct, frozen=True, eq=False):
    """The last of `nodes` and those before it whose values the file does not give. `module` takes what they read, and
    gives of what the last one makes the values that the file gives."""

    nodes: tuple[FlatNode, ...]
    reads: tuple[Wire, ...]
    makes: tuple[Wire, ...]
    module: Any

    @property
    def maker(self) -> FlatNode:
        return self.nodes[-1]

    def feed(self, values: Mapping[Wire, Any]) -> Arrays:
        return [values[wire] for wire in self.reads]


class Walk(msgspec.Struct, frozen=True, eq=False):
    """An ONNX file with some of its values as outputs, and the steps between these. `inputs` and `names`: what the
    file calls the network's inputs and those values."""

    session: Session
    inputs: Mapping[Wire, str]
    names: Mapping[Wire, str]
    steps: tuple[Step, ...]

    def given(self, trial: Trial) -> Values:
        """All that ONNX Runtime makes of an input, and the input."""
        start = self.start(trial.inputs)
        results = self.session.run(None, {name: start[wire] for wire, name in self.inputs.items()})
        arrays = dict(zip(self.session.outputs, results, strict=True))
        return start | {wire: arrays[name] for wire, name in self.names.items()}

    def start(self, inputs: Arrays) -> Values:
        return dict(zip(self.inputs, inputs, strict=True))

    def done_with(self) -> list[list[Wire]]:
        """Per step the values that no later one reads."""
        last = {wire: at for at, step in enumerate(self.steps) for wire in (*step.makes, *step.reads)}
        done: list[list[Wire]] = [[] for _ in self.steps]
        for wire, at in last.items():
            done[at].append(wire)
        return done


def open_walk(opened: OpenedNetwork, names: Mapping[Wire, str], whole: Any, model: Path, inputs: Sequence[str]) -> Walk:
    """The file `model` giving the values `names`, and the steps that share the weights of `whole`; `inputs` are the
    file's names."""
    session = open_exposed(model, tuple(dict.fromkeys(names.values())))
    steps = tuple(_steps(opened, names, whole))
    return Walk(session, dict(zip(opened.inputs, inputs, strict=True)), names, steps)


def sharing(opened: OpenedNetwork, module: Any) -> Any:
    """The statements of the network with the very tensors of a module that has all of their names."""
    whole = interpreted(opened.nodes, opened.inputs, ())
    share_weights(whole, module)
    return whole


def _steps(opened: OpenedNetwork, names: Mapping[Wire, str], whole: Any) -> Iterator[Step]:
    makers = {wire: node for node in opened.nodes for wire in node.outputs}
    for node in opened.nodes:
        makes = tuple(wire for wire in node.outputs if wire in names)
        if makes:
            nodes = _closure(node, opened, names, makers)
            reads = _reads(nodes, opened)
            yield Step(nodes, reads, makes, interpreted(nodes, reads, makes, whole).eval())


def _closure(
    last: FlatNode, opened: OpenedNetwork, names: Mapping[Wire, str], makers: Mapping[Wire, FlatNode]
) -> tuple[FlatNode, ...]:
    """The node and, in order, those before it that stand behind no value of the file."""
    reached, todo = {last}, [last]
    while todo:
        for wire in todo.pop().inputs:
            maker = makers.get(wire)
            if maker is not None and wire not in names and maker not in reached:
                reached.add(maker)
                todo.append(maker)
    return tuple(node for node in opened.nodes if node in reached)


def _reads(nodes: Sequence[FlatNode], opened: OpenedNetwork) -> tuple[Wire, ...]:
    """The network's inputs, which say the sizes, and what comes from other steps."""
    produced = {wire for node in nodes for wire in node.outputs}
    inner = (wire for node in nodes for wire in node.inputs if wire not in produced)
    return tuple(dict.fromkeys((*opened.inputs, *inner)))
