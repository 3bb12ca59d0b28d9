"""Does the network compute the same everywhere? Its PyTorch module against an ONNX file, on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from netc.ir.flat import Flat, flatten
from netc.ir.model import Network
from netc.runtime.against import fixed_sizes, side, take_weights
from netc.runtime.calibrate import calibrate
from netc.runtime.compare import Forms, Pair, Side, compare
from netc.runtime.eager import Arrays, evaluate, evaluate_in_float64, tensors
from netc.runtime.fresh import stir_constants
from netc.runtime.graph import check_file, check_shapes
from netc.runtime.inputs import random_input
from netc.runtime.layers import compare_layers, lay_open
from netc.runtime.lazy import numpy, onnx_backend, pytorch_backend, torch
from netc.runtime.match import Matched, match
from netc.runtime.model import Session, open_model, refuse_unknown
from netc.runtime.module import import_network, load_strictly
from netc.runtime.report import Finding, VerifyReport
from netc.runtime.sizes import Binding, Shape, ample, bound_shape, names_in, samples
from netc.runtime.training import check_training
from netc.types import TensorType
from netc.weights import WeightsIndex, fitting_weights, init_weights

Note = Callable[[str], None]
"""Called with a few words as each part begins."""


class Subject(msgspec.Struct, frozen=True, eq=False):
    """Both faces of a network, ready to run. `matched` says what the file calls inputs and outputs, `below` which
    inputs have whole numbers as upper bounds, `sizes` what the file fixes or someone asked for."""

    network: Network
    index: WeightsIndex
    module: Any
    model: Path
    session: Session
    matched: Matched
    below: Mapping[str, int]
    sizes: dict[str, int]

    def inputs(self, binding: Binding, seed: int) -> Arrays:
        """Random ones, in the network's order."""
        return _inputs(self.network, self.below, binding, seed)

    def bindings(self) -> list[dict[str, int]]:
        """The sizes to compare at."""
        return samples(*_shapes(self.network), self.sizes)


def verify(
    network: Network,
    weights_path: str | Path | None = None,
    seed: int = 0,
    bind: Mapping[str, int] | None = None,
    note: Note | None = None,
    *,
    against: str | Path | None = None,
    layers: bool = False,
    runs: int = 2,
    tolerance: float | None = None,
) -> VerifyReport:
    """Compare the generated PyTorch module and the ONNX file of a network, at several sizes.

    weights_path: weights to load strictly into both; without it fresh ones from `seed`, where those that start at a
    constant get small random values. bind: values of symbols. against: another ONNX file instead of the network's own;
    without `weights_path` its initialisers are the weights, by their names. layers: compare every value inside too.
    runs: random inputs at each size, at least 2. tolerance: largest difference allowed, as a share of an output's
    largest value, instead of `report.TOLERANCE`.
    Outputs are compared in eval mode on random inputs; shapes with netc's; the module also takes a training step.
    Raises NetcError for what keeps it from running at all (weights that do not fit, operators ONNX lacks, a file that
    takes other inputs).
    """
    tell = note or _quiet
    with TemporaryDirectory(prefix="netc-") as name:
        tell("writing the module and the model")
        prepare = _prepare_own if against is None else partial(_prepare_other, other=Path(against))
        subject, findings = prepare(network, Path(name), weights_path, seed, bind or {})
        tell("comparing outputs")
        found = compare(_pair(subject, tolerance), subject.bindings(), seed, max(2, runs))
        inside = None
        if layers:
            tell("comparing layers")
            opened = lay_open(network, Path(name), subject.index, subject.model, subject.matched)
            inside = compare_layers(opened, found.trials, tolerance)
        tell("taking a training step")
        trained = _train(subject, seed)
    sides = ("PyTorch", "onnxruntime" if against is None else str(against))
    facts = (*findings, found.shapes, *trained)
    return VerifyReport(network.name, facts, found.differences, found.sensitivity, inside, sides)


def _quiet(words: str) -> None:
    pass


def _prepare_own(
    network: Network, folder: Path, weights: str | Path | None, seed: int, given: Binding
) -> tuple[Subject, list[Finding]]:
    """With the ONNX file that netc writes; fresh weights are made fit for comparing."""
    refuse_unknown(_shapes(network)[0], given)
    model, source, stirred = folder / "model.onnx", weights, []
    if source is None:
        source = onnx_backend().write_onnx_fresh(network, model, seed)
        stirred = [stir_constants(network, fitting_weights(network, source), seed)]
    else:
        onnx_backend().write_onnx(network, model, source)
    index = fitting_weights(network, source)
    module, below = _load_module(network, folder, index), _token_bounds(flatten(network))
    torch().manual_seed(seed)
    if weights is None:
        batch = _inputs(network, below, ample(*_shapes(network), given), seed)
        calibrate(module, tensors(batch), index)
    session = open_model(model, "cpu")
    names = dict(zip(_eval_outputs(network), session.outputs, strict=True))
    matched = Matched(tuple(session.inputs), names)
    subject = Subject(network, index, module, model, session, matched, below, dict(given))
    checks = [check_file(model), check_shapes(model, subject.bindings()[-1])]
    return subject, [_loaded(module), *stirred, *checks]


def _prepare_other(
    network: Network, folder: Path, weights: str | Path | None, seed: int, given: Binding, other: Path
) -> tuple[Subject, list[Finding]]:
    """With another ONNX file, whose weights are taken where no others are given."""
    refuse_unknown(_shapes(network)[0], given)
    session = open_model(other, "cpu")
    inputs = {value.path: value.type for value in network.block.inputs}
    matched = match(inputs, _eval_outputs(network), session, str(other))
    taken = []
    if weights is None:
        index = init_weights(network, folder / "model.safetensors", seed)
        taken = [take_weights(network, index, other)]
    else:
        index = fitting_weights(network, weights)
    module = _load_module(network, folder, index)
    torch().manual_seed(seed)
    sizes = fixed_sizes(inputs, session, matched, given)
    below = _token_bounds(flatten(network))
    subject = Subject(network, index, module, other, session, matched, below, sizes)
    return subject, [_loaded(module), *taken, Finding("matched", True, str(matched))]


def _loaded(module: Any) -> Finding:
    return Finding("weights", True, f"{len(module.state_dict())} tensors load strictly")


def _load_module(network: Network, folder: Path, index: WeightsIndex) -> Any:
    source = folder / "model.py"
    source.write_text(pytorch_backend().generate(network), "utf-8")
    module = import_network(source)
    load_strictly(module, index)
    return module


def _shapes(network: Network) -> tuple[list[Shape], dict[str, int]]:
    """Those of the inputs, and the least value of each symbol."""
    shapes: list[Shape] = [value.type.shape for value in network.block.inputs]
    return shapes, {name: network.domain.lower(name) for shape in shapes for name in names_in(shape)}


def _token_bounds(flat: Flat) -> dict[str, int]:
    """Inputs that index a table stay below its length."""
    found: dict[str, int] = {}
    for node in flat.nodes:
        rows: int = getattr(node.node.op, "num_embeddings", 0)
        for wire in node.inputs if rows else ():
            found[wire.path] = min(rows, found.get(wire.path, rows))
    return found


def _inputs(network: Network, below: Mapping[str, int], binding: Binding, seed: int) -> Arrays:
    generator = numpy().random.default_rng(seed)
    return [
        random_input(generator, bound_shape(v.type.shape, binding), v.type.dtype, below.get(v.path, 2))
        for v in network.block.inputs
    ]


def _eval_outputs(network: Network) -> dict[str, TensorType]:
    return {output.name: output.value.type for output in network.block.outputs if not output.train_only}


def _pair(subject: Subject, tolerance: float | None) -> Pair:
    outputs = tuple(output.name for output in subject.network.block.outputs)
    return Pair(
        outputs,
        Side("PyTorch", partial(evaluate, subject.module)),
        side("onnxruntime", subject.session, subject.matched, outputs),
        subject.inputs,
        partial(_forms, subject.network),
        partial(evaluate_in_float64, subject.module),
        tolerance,
    )


def _forms(network: Network, binding: Binding) -> Forms:
    """Shapes and dtypes of the outputs; None for one that eval does not compute."""
    return [
        None if output.train_only else (bound_shape(output.value.type.shape, binding), output.value.type.dtype)
        for output in network.block.outputs
    ]


def _train(subject: Subject, seed: int) -> list[Finding]:
    binding = subject.bindings()[-1]
    batch = tensors(subject.inputs(binding, seed))
    return list(check_training(subject.network, subject.module, batch, binding))
