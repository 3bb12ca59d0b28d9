"""The steps of a network between the values that an ONNX file gives, each a PyTorch module of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from netc.ir.flat import FlatNode, Wire
from netc.ir.model import BlockOutput, Network
from netc.run.backends import pytorch_backend
from netc.run.eager import Arrays
from netc.run.model import Session, open_exposed
from netc.run.module import import_network, module_text, share_weights
from netc.verify.compare import Trial
from netc.verify.layers import Opened

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
        found = self.session.run(None, {name: start[wire] for wire, name in self.inputs.items()})
        arrays = dict(zip(self.session.outputs, found, strict=True))
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


def open_walk(
    opened: Opened, names: Mapping[Wire, str], folder: Path, module: Any, model: Path, inputs: Sequence[str]
) -> Walk:
    """The file `model` giving the values `names`, and the steps that share the weights of `module`; `inputs` are the
    file's names. Source of the steps goes into `folder`, which is made."""
    folder.mkdir()
    session = open_exposed(model, tuple(dict.fromkeys(names.values())))
    steps = tuple(_steps(opened, names, folder, module))
    return Walk(session, dict(zip(opened.inputs, inputs, strict=True)), names, steps)


def _steps(opened: Opened, names: Mapping[Wire, str], folder: Path, whole: Any) -> Iterator[Step]:
    makers = {wire: node for node in opened.nodes for wire in node.outputs}
    for at, node in enumerate(opened.nodes):
        makes = tuple(wire for wire in node.outputs if wire in names)
        if makes:
            nodes = _closure(node, opened, names, makers)
            reads = _reads(nodes, opened)
            module = import_network(_written(_part(opened, nodes, reads, makes), folder / f"step{at}.py"))
            share_weights(module, whole)
            yield Step(nodes, reads, makes, module.eval())


def _closure(
    last: FlatNode, opened: Opened, names: Mapping[Wire, str], makers: Mapping[Wire, FlatNode]
) -> tuple[FlatNode, ...]:
    """The node and, in order, those before it that stand behind no value of the file."""
    found, todo = {last}, [last]
    while todo:
        for wire in todo.pop().inputs:
            maker = makers.get(wire)
            if maker is not None and wire not in names and maker not in found:
                found.add(maker)
                todo.append(maker)
    return tuple(node for node in opened.nodes if node in found)


def _reads(nodes: Sequence[FlatNode], opened: Opened) -> tuple[Wire, ...]:
    """The network's inputs, which say the sizes, and what comes from other steps."""
    made = {wire for node in nodes for wire in node.outputs}
    inner = (wire for node in nodes for wire in node.inputs if wire not in made)
    return tuple(dict.fromkeys((*opened.inputs, *inner)))


def _part(opened: Opened, nodes: Sequence[FlatNode], reads: Sequence[Wire], makes: Sequence[Wire]) -> Network:
    block, items = opened.network.block, dict(zip(opened.nodes, opened.network.block.items, strict=True))
    values = dict(zip(opened.values, (output.value for output in block.outputs), strict=True))
    values |= zip(opened.inputs, block.inputs, strict=True)
    part = msgspec.structs.replace(
        block,
        inputs=tuple(values[wire] for wire in reads),
        items=tuple(items[node] for node in nodes),
        outputs=tuple(BlockOutput(f"v{i}", values[wire]) for i, wire in enumerate(makes)),
    )
    return msgspec.structs.replace(opened.network, block=part)


def _written(network: Network, source: Path) -> Path:
    source.write_text(module_text(pytorch_backend(), network), "utf-8")
    return source
