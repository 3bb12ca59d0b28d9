"""The spec as it is compared with its source: run by what runs the source, so that equal networks are equal to the
last bits and no rounding of another library hides a difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

from netc.backends.onnx import OnnxOptions, write_onnx
from netc.diagnostics.model import NetcError
from netc.importing.looking import Probe, ProbedSession, ProbedValue, taken
from netc.ir.flat import Wire
from netc.ir.model import Network
from netc.libraries import torch
from netc.ops.records import Unsupported
from netc.passes.refusals import torch_refusals
from netc.passes.serve import BARE
from netc.run.eager import tensors, widened, widening
from netc.run.interpreter import interpreted
from netc.run.match import MatchedNames
from netc.run.model import read_model
from netc.run.module import load_strictly
from netc.verify.layers import OpenedNetwork, names_in_file
from netc.weights import read_index


class SpecModel(Protocol):
    """What can run the network as the spec has it. `values`: those that can be looked at, in order."""

    values: tuple[Wire, ...]

    def open(self, looks: Mapping[Wire, int]) -> SpecRun:
        """What gives the values that are looked at, every so many elements of each, for the inputs in order."""
        ...


class SpecRun(Protocol):
    """`is_wide`: in float64."""

    def __call__(self, arrays: Sequence[Any], is_wide: bool = False) -> list[ProbedValue]: ...


class SpecInOnnx:
    """The ONNX file that netc writes, in onnxruntime."""

    def __init__(self, network: Network, opened: OpenedNetwork, weights: Path, folder: Path) -> None:
        self.model = folder / "proof.onnx"
        write_onnx(network, self.model, weights, OnnxOptions(serving=BARE, inner_sizes=False))
        outputs = [value.name for value in read_model(self.model).graph.output]
        named = dict(zip((o.name for o in opened.network.block.outputs), outputs, strict=False))
        results = dict(zip(opened.results, outputs, strict=True)) or named
        self.names = names_in_file(opened, self.model, MatchedNames((), results))
        self.values = tuple(self.names)

    def open(self, looks: Mapping[Wire, int]) -> SpecRun:
        watch = ProbedSession(self.model, [Probe(self.names[wire], step) for wire, step in looks.items()])
        return lambda arrays, is_wide=False: watch.run(dict(zip(watch.session.inputs, arrays, strict=True)))


class SpecInTorch:
    """The statements of the spec in PyTorch, one after another."""

    def __init__(self, network: Network, opened: OpenedNetwork, weights: Path) -> None:
        try:
            self.module = interpreted(opened.nodes, opened.inputs, ())
        except Unsupported as error:
            raise NetcError(torch_refusals(network, error)) from error
        if self.module.state_dict():
            load_strictly(self.module, read_index(weights))
        self.values = opened.values

    def open(self, looks: Mapping[Wire, int]) -> SpecRun:
        def seen(module: Any, arrays: Sequence[Any]) -> list[ProbedValue]:
            values = {}
            with torch().no_grad():
                for wire, value in module.steps(*tensors([array.copy() for array in arrays])):
                    if wire in looks:
                        values[wire] = taken(value.detach().numpy(), looks[wire])
            return [values[wire] for wire in looks]

        def run(arrays: Sequence[Any], is_wide: bool = False) -> list[ProbedValue]:
            if not is_wide:
                return seen(self.module, arrays)
            with widening():
                return seen(deepcopy(self.module).double(), widened(arrays))

        return run
