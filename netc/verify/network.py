"""Does the network compute the same everywhere? Its PyTorch module against an ONNX file, on the same weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from netc.artifacts import temporary_folder
from netc.ir.flat import Flat, flatten
from netc.ir.model import Network
from netc.libraries import numpy, torch
from netc.passes.cost import costs, total
from netc.passes.serve import BARE
from netc.passes.serve_metadata import read_serving
from netc.passes.sizes import Binding, Shape, ample, bound_shape, free_inside, names_in, samples, typical, wide
from netc.progress import Note, no_note
from netc.run.backends import onnx_backend, pytorch_backend
from netc.run.eager import Arrays, tensors
from netc.run.inputs import random_input, usual_bound
from netc.run.match import MatchedNames, match
from netc.run.model import Session, open_model, refuse_unknown
from netc.run.module import import_network, load_strictly, module_errors, module_text
from netc.types import TensorType
from netc.verify.against import fixed_sizes, side, take_weights
from netc.verify.calibrate import calibrate
from netc.verify.compare import Agreement, Forms, Pair, Side, Trial, compare
from netc.verify.differences import CheckResult, LayersReport, StepsReport, VerifyReport
from netc.verify.follow import check_steps
from netc.verify.fresh import stir_constants
from netc.verify.graph import check_file, check_shapes
from netc.verify.large import check_large
from netc.verify.larger import check_larger
from netc.verify.layers import compare_layers, lay_open
from netc.verify.service import Service, around
from netc.verify.training import check_training, trains_at
from netc.weights import WeightsIndex, fitting_weights, init_weights, read_index
from netc.weights.check import counted

if TYPE_CHECKING:
    from netc.backends.onnx import OnnxOptions

FAST = 10**9
"""Multiply-accumulates of a network that is compared at usual sizes too."""


class Order(msgspec.Struct, frozen=True, eq=False):
    """What is to be compared: a network, a folder to write into, given weights, the seed of others, values of symbols,
    and how the file is written."""

    network: Network
    folder: Path
    weights: str | Path | None
    seed: int
    given: Binding
    options: OnnxOptions

    @property
    def model(self) -> Path:
        return self.folder / "model.onnx"


class Subject(msgspec.Struct, frozen=True, eq=False):
    """Both faces of a network, ready to run. `service` is the network and what stands around it in the file, `matched`
    says what the file calls inputs and outputs, `below` which inputs have whole numbers as upper bounds, `sizes` what
    the file fixes or someone asked for."""

    service: Service
    index: WeightsIndex
    module: Any
    model: Path
    session: Session
    matched: MatchedNames
    below: Mapping[str, int]
    sizes: dict[str, int]

    def inputs(self, binding: Binding, seed: int) -> Arrays:
        """Random ones of the file, in the network's order."""
        return _inputs(self.service.whole, self.below, binding, seed)

    def bindings(self) -> list[dict[str, int]]:
        """Small sizes to compare at."""
        return self.service.sized(samples(*_shapes(self.service.whole), self.sizes), self.sizes)

    def compared(self) -> list[dict[str, int]]:
        """Those, and usual ones where the network is fast at them."""
        small = self.bindings()
        return [*small, *(each for each in self._usual() if each not in small)]

    def _usual(self) -> list[dict[str, int]]:
        shapes, lowers = _shapes(self.service.whole)
        return self._fast([typical(shapes, lowers, self.sizes)] if free_inside(shapes, self.sizes) else [])

    def larger(self) -> list[dict[str, int]]:
        """Uneven ones at which the network is fast."""
        return self._fast(wide(*_shapes(self.service.whole), self.sizes))

    def _fast(self, bindings: list[dict[str, int]]) -> list[dict[str, int]]:
        if self.service.serving.resize is not None or not bindings:
            return []
        macs = total(costs(self.service.network, flatten(self.service.network))).macs
        return [] if macs is None else [each for each in bindings if bound_shape((macs,), each)[0] <= FAST]


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
    options: OnnxOptions | None = None,
) -> VerifyReport:
    """Compare the generated PyTorch module and the ONNX file of a network, at several sizes.

    weights_path: weights to load strictly into both; without it fresh ones from `seed`, where those that start at a
    constant get small random values. bind: values of symbols. against: another ONNX file instead of the network's own;
    without `weights_path` its initialisers are the weights, by their names. layers: compare every value inside too.
    runs: random inputs at each size, at least 2. tolerance: largest difference allowed, as a share of an output's
    largest value, instead of `report.TOLERANCE`. options: how the file is written, or what the other file does: what
    stands around the network in it stands around the module too, in PyTorch's own functions. Where they say nothing of
    that, the other file's metadata do.
    Outputs are compared in eval mode on random inputs; shapes with netc's; the module also takes a training step.
    Raises NetcError for what keeps it from running at all (weights that do not fit, operators ONNX lacks, a file that
    takes other inputs).
    """
    tell = note or no_note
    with temporary_folder() as name:
        tell("writing the module and the model")
        written = msgspec.structs.replace(options or onnx_backend().OnnxOptions(), inner_sizes=True)
        order = Order(network, Path(name), weights_path, seed, bind or {}, written)
        subject, findings = _prepare_own(order) if against is None else _prepare_other(order, Path(against))
        tell("comparing outputs")
        pair = _pair(subject, tolerance)
        agreement = compare(pair, subject.compared(), seed, max(2, runs))
        inside = _compare_layers(subject, agreement, tolerance, tell) if layers else None
        steps = _check_steps(subject, Path(name), _doubtful(agreement, inside), tolerance, tell)
        tell("comparing at large sizes")
        if against is None:
            large = list(check_large(network, Path(name), order.given, seed, order.options, tolerance))
        else:
            large = list(check_larger(pair, subject.larger(), seed))
        tell("taking a training step")
        trained = _train(subject, seed)
    sides = ("PyTorch", "onnxruntime" if against is None else str(against))
    facts = (*findings, agreement.shapes, *large, *trained)
    return VerifyReport(network.name, facts, agreement.differences, agreement.sensitivity, inside, sides, steps)


def _doubtful(agreement: Agreement, inside: LayersReport | None) -> tuple[Trial, ...]:
    """The trials in which an output differs, or with layers a value inside."""
    if inside is None or inside.ok:
        return agreement.failed
    return (*agreement.failed, *(trial for trial in agreement.trials if trial not in agreement.failed))


def _compare_layers(subject: Subject, agreement: Agreement, tolerance: float | None, tell: Note) -> LayersReport:
    tell("comparing layers")
    opened = lay_open(subject.service.whole, subject.index, subject.model, subject.matched)
    return compare_layers(opened, agreement.trials, tolerance)


def _check_steps(
    subject: Subject, folder: Path, doubtful: Sequence[Trial], tolerance: float | None, tell: Note
) -> StepsReport | None:
    """None where no trial is in doubt."""
    if not doubtful:
        return None
    tell("comparing step by step")
    service = subject.service
    return check_steps(service.whole, folder, subject.module, subject.model, subject.matched, doubtful, tolerance)


def _prepare_own(order: Order) -> tuple[Subject, list[CheckResult]]:
    """With the ONNX file that netc writes; fresh weights are made fit for comparing."""
    network, seed = order.network, order.seed
    service = around(network, order.options.serving)
    refuse_unknown(_shapes(service.whole)[0], order.given)
    stirred = []
    if order.weights is None:
        index = fitting_weights(
            network, onnx_backend().write_onnx_fresh(network, order.model, seed, None, order.options)
        )
        stirred = [stir_constants(network, index, seed)]
        module = _load_module(order, index)
    else:
        index, module = _given(order, order.weights, written=True)
    below = _token_bounds(flatten(network))
    torch().manual_seed(seed)
    if order.weights is None:
        batch = _inputs(network, below, ample(*_shapes(network), order.given), seed)
        with module_errors("in train mode"):
            calibrate(module, tensors(batch), index)
    session = open_model(order.model, "cpu")
    names = dict(zip(_eval_outputs(service.whole), session.outputs, strict=True))
    matched = MatchedNames(tuple(session.inputs), names)
    subject = Subject(service, index, module, order.model, session, matched, below, dict(order.given))
    checks = [check_file(order.model), check_shapes(order.model, subject.bindings()[-1])]
    return subject, [_loaded(module), *stirred, *checks]


def _given(order: Order, weights: str | Path, *, written: bool) -> tuple[WeightsIndex, Any]:
    """Given weights, and the module with them. Those that are converted lie beside the file netc writes.

    PyTorch converts its own, so that the two conversions are compared too.
    """
    network, convert = order.network, order.options.convert
    if written or convert:
        onnx_backend().write_onnx(network, order.model, weights, order.options)
    index = fitting_weights(network, order.model.with_suffix(".safetensors") if convert else weights)
    return index, _load_module(order, read_index(weights) if convert else index)


def _prepare_other(order: Order, other: Path) -> tuple[Subject, list[CheckResult]]:
    """With another ONNX file, whose weights are taken where no others are given."""
    network, seed = order.network, order.seed
    session = open_model(other, "cpu")
    serving = order.options.serving
    service = around(network, read_serving(session.metadata, str(other)) if serving == BARE else serving)
    refuse_unknown(_shapes(service.whole)[0], order.given)
    inputs = {value.path: value.type for value in service.whole.block.inputs}
    matched = match(inputs, _eval_outputs(service.whole), session, str(other))
    taken = []
    if order.weights is None:
        index = init_weights(network, order.folder / "model.safetensors", seed)
        taken = [take_weights(network, index, other)]
        module = _load_module(order, index)
    else:
        index, module = _given(order, order.weights, written=False)
    torch().manual_seed(seed)
    sizes = fixed_sizes(inputs, session, matched, order.given)
    below = _token_bounds(flatten(network))
    subject = Subject(service, index, module, other, session, matched, below, sizes)
    return subject, [_loaded(module), *taken, CheckResult("matched", True, str(matched))]


def _loaded(module: Any) -> CheckResult:
    return CheckResult("weights", True, f"{counted(len(module.state_dict()))} load strictly")


def _load_module(order: Order, index: WeightsIndex) -> Any:
    source = order.folder / "model.py"
    source.write_text(module_text(pytorch_backend(), order.network), "utf-8")
    module = import_network(source, drawn=False)
    load_strictly(module, index)
    return module


def _shapes(network: Network) -> tuple[list[Shape], dict[str, int]]:
    """Those of the inputs, and the least value of each symbol."""
    shapes: list[Shape] = [value.type.shape for value in network.block.inputs]
    return shapes, {name: network.domain.lower(name) for shape in shapes for name in names_in(shape)}


def _token_bounds(flat: Flat) -> dict[str, int]:
    """Inputs that index a table stay below its length."""
    bounds: dict[str, int] = {}
    for node in flat.nodes:
        rows: int = getattr(node.node.op, "num_embeddings", 0)
        for wire in node.inputs if rows else ():
            bounds[wire.path] = min(rows, bounds.get(wire.path, rows))
    return bounds


def _inputs(network: Network, below: Mapping[str, int], binding: Binding, seed: int) -> Arrays:
    generator = numpy().random.default_rng(seed)
    return [
        random_input(
            generator, bound_shape(v.type.shape, binding), v.type.dtype, below.get(v.path, usual_bound(v.type))
        )
        for v in network.block.inputs
    ]


def _eval_outputs(network: Network) -> dict[str, TensorType]:
    return {output.name: output.value.type for output in network.block.outputs if not output.train_only}


def _pair(subject: Subject, tolerance: float | None) -> Pair:
    service, module = subject.service, subject.module
    outputs = tuple(output.name for output in service.whole.block.outputs)
    return Pair(
        outputs,
        Side("PyTorch", partial(service.evaluate, module)),
        side("onnxruntime", subject.session, subject.matched, outputs),
        subject.inputs,
        partial(_forms, service.whole),
        partial(service.evaluate_in_float64, module),
        tolerance,
        partial(service.settled, module=module, tolerance=tolerance),
    )


def _forms(network: Network, binding: Binding) -> Forms:
    """Shapes and dtypes of the outputs; None for one that eval does not compute."""
    return [
        None if output.train_only else (bound_shape(output.value.type.shape, binding), output.value.type.dtype)
        for output in network.block.outputs
    ]


def _train(subject: Subject, seed: int) -> list[CheckResult]:
    network, bindings = subject.service.network, subject.bindings()[::-1]
    binding = next((each for each in bindings if trains_at(network, each)), bindings[0])
    batch = tensors(_inputs(network, subject.below, binding, seed))
    with module_errors("in train mode"):
        return list(check_training(network, subject.module, batch, binding))
