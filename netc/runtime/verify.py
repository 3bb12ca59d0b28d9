"""Does the network compute the same everywhere? Its PyTorch module against its ONNX file, on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from netc.diagnostics.model import Diagnostic, NetcError
from netc.ir.flat import Flat, flatten
from netc.ir.model import Network
from netc.runtime.calibrate import calibrate
from netc.runtime.graph import check_file, check_shapes
from netc.runtime.inputs import random_input
from netc.runtime.lazy import numpy, onnx_backend, pytorch_backend, torch
from netc.runtime.model import Session, open_model
from netc.runtime.module import as_tuple, import_network, load_strictly
from netc.runtime.report import TINY, Difference, Finding, VerifyReport
from netc.runtime.sizes import Binding, ample, bound_shape, names_in, samples
from netc.runtime.training import check_training
from netc.weights import WeightsIndex, fitting_weights

Note = Callable[[str], None]
"""Called with a few words as each part begins."""


class Subject(msgspec.Struct, frozen=True, eq=False):
    """Both faces of a network, ready to run, and the inputs' upper bounds where these are whole numbers."""

    network: Network
    module: Any
    session: Session
    below: Mapping[str, int]


def verify(
    network: Network,
    weights_path: str | Path | None = None,
    seed: int = 0,
    bind: Mapping[str, int] | None = None,
    note: Note | None = None,
) -> VerifyReport:
    """Compare the generated PyTorch module and the ONNX file of a network, at several sizes.

    weights_path: weights to load strictly into both; without it fresh ones from `seed`. bind: values of symbols.
    Outputs are compared in eval mode on random inputs; shapes with netc's; the module also takes a training step.
    Raises NetcError for what keeps it from running at all (weights that do not fit, operators ONNX lacks).
    """
    tell = note or _quiet
    with TemporaryDirectory(prefix="netc-") as name:
        folder = Path(name)
        tell("writing the module and the model")
        bindings, ample_sizes = _sizes(network, bind or {})
        model = _write_model(network, folder, weights_path, seed)
        index = fitting_weights(network, model.with_suffix(".safetensors"))
        module = _load_module(network, folder, index)
        below = _token_bounds(flatten(network))
        torch().manual_seed(seed)
        if weights_path is None:
            calibrate(module, _tensors(_inputs(network, below, ample_sizes, seed)), index)
        subject = Subject(network, module, open_model(model, "cpu"), below)
        findings = [Finding("weights", True, f"{len(module.state_dict())} tensors load strictly"), check_file(model)]
        findings.append(check_shapes(model, bindings[-1]))
        tell("comparing outputs")
        found, differences = _compare_all(subject, bindings, seed)
        tell("taking a training step")
        batch = _tensors(_inputs(network, below, bindings[-1], seed))
        findings += [*found, *check_training(network, module, batch, bindings[-1])]
    return VerifyReport(network.name, tuple(findings), tuple(differences))


def _quiet(words: str) -> None:
    pass


def _write_model(network: Network, folder: Path, weights_path: str | Path | None, seed: int) -> Path:
    model = folder / "model.onnx"
    if weights_path is None:
        onnx_backend().write_onnx_fresh(network, model, seed)
    else:
        onnx_backend().write_onnx(network, model, weights_path)
    return model


def _load_module(network: Network, folder: Path, index: WeightsIndex) -> Any:
    source = folder / "model.py"
    source.write_text(pytorch_backend().generate(network), "utf-8")
    module = import_network(source)
    load_strictly(module, index)
    return module


def _sizes(network: Network, given: Mapping[str, int]) -> tuple[list[dict[str, int]], dict[str, int]]:
    """The sizes to compare at, and those to measure statistics at."""
    shapes = [value.type.shape for value in network.block.inputs]
    known = {name for shape in shapes for name in names_in(shape)}
    if unknown := sorted(given.keys() - known):
        raise NetcError((Diagnostic("unknown-symbol", f"{network.name} has no size {', '.join(unknown)}", None),))
    lowers = {name: network.domain.lower(name) for name in known}
    return samples(shapes, lowers, given), ample(shapes, lowers, given)


def _token_bounds(flat: Flat) -> dict[str, int]:
    """Inputs that index a table stay below its length."""
    found: dict[str, int] = {}
    for node in flat.nodes:
        rows: int = getattr(node.node.op, "num_embeddings", 0)
        for wire in node.inputs if rows else ():
            found[wire.path] = min(rows, found.get(wire.path, rows))
    return found


def _inputs(network: Network, below: Mapping[str, int], binding: Binding, seed: int) -> list[Any]:
    generator = numpy().random.default_rng(seed)
    return [
        random_input(generator, bound_shape(v.type.shape, binding), v.type.dtype, below.get(v.path, 2))
        for v in network.block.inputs
    ]


def _tensors(arrays: Sequence[Any]) -> list[Any]:
    return [torch().from_numpy(array) for array in arrays]


def _compare_all(
    subject: Subject, bindings: Sequence[dict[str, int]], seed: int
) -> tuple[list[Finding], list[Difference]]:
    """Two random inputs at each size; that outputs move with the input shows that they were computed from it."""
    wrong: list[str] = []
    differences: list[Difference] = []
    moved: dict[str, float] = {}
    for binding in bindings:
        batches = [_inputs(subject.network, subject.below, binding, seed + i) for i in (1, 2)]
        results = []
        for inputs in batches:
            expected, found = _run_both(subject, inputs)
            wrong += _output_shapes(subject.network, expected, found, binding)
            differences += _compare(subject, inputs, expected, found, binding)
            results.append(expected)
        for name, share in _moves(subject.network, *results):
            moved[name] = max(share, moved.get(name, 0.0))
    sizes = f"equal netc's in PyTorch and onnxruntime, {2 * len(bindings)} runs"
    return [Finding("output shapes", not wrong, "; ".join(wrong) or sizes), _sensitivity(moved)], differences


def _moves(network: Network, first: list[Any], second: list[Any]) -> Iterator[tuple[str, float]]:
    """How far each output moves with the input, as a share of its largest value."""
    for output, a, b in zip(network.block.outputs, first, second, strict=True):
        if a is not None:
            yield output.name, _difference(output.name, {}, a, b).relative


def _sensitivity(moved: Mapping[str, float]) -> Finding:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in moved.items())
    still = [name for name, share in moved.items() if share == 0]
    note = f"; {', '.join(still)}: the same for every input, so little is shown" if still else ""
    return Finding("sensitivity", True, f"another input moves {shares} of the largest value{note}")


def _run_both(subject: Subject, inputs: list[Any]) -> tuple[list[Any], list[Any]]:
    """Eval outputs of PyTorch and of onnxruntime, as arrays; None for an output that eval does not compute."""
    subject.module.eval()
    try:
        with torch().no_grad():
            results = as_tuple(subject.module(*_tensors(inputs)))
    except (RuntimeError, IndexError) as error:
        message = f"PyTorch does not run the network on these inputs: {str(error).strip()}"
        raise NetcError((Diagnostic("bad-input", message, None),)) from error
    computed = iter(subject.session.run(None, dict(zip(subject.session.inputs, inputs, strict=True))))
    outputs = subject.network.block.outputs
    found = [None if o.train_only else next(computed) for o in outputs]
    return [None if r is None else r.detach().numpy() for r in results], found


def _output_shapes(network: Network, expected: list[Any], found: list[Any], binding: Binding) -> Iterator[str]:
    """What is wrong with the outputs' shapes and dtypes."""
    wanted = [
        None if o.train_only else (bound_shape(o.value.type.shape, binding), o.value.type.dtype)
        for o in network.block.outputs
    ]
    sides = {"PyTorch": expected, "onnxruntime": found}
    forms = {name: [None if r is None else (r.shape, str(r.dtype)) for r in side] for name, side in sides.items()}
    yield from (f"{name} gives {form}, not {wanted}" for name, form in forms.items() if form != wanted)


def _compare(
    subject: Subject, inputs: list[Any], expected: list[Any], found: list[Any], binding: dict[str, int]
) -> list[Difference]:
    differences = [
        _difference(output.name, binding, a, b)
        for output, a, b in zip(subject.network.block.outputs, expected, found, strict=True)
        if a is not None and b is not None and a.shape == b.shape
    ]
    if all(d.ok for d in differences):
        return differences
    exact = _run_exactly(subject, inputs)
    roundings = {
        output.name: _difference(output.name, binding, a, b).relative
        for output, a, b in zip(subject.network.block.outputs, expected, exact, strict=True)
        if a is not None
    }
    return [msgspec.structs.replace(d, rounding=roundings[d.output]) for d in differences]


def _run_exactly(subject: Subject, inputs: list[Any]) -> list[Any]:
    """PyTorch's eval outputs in float64, on the same weights."""
    module = deepcopy(subject.module).double().eval()
    wide = [x.double() if x.is_floating_point() else x for x in _tensors(inputs)]
    with torch().no_grad():
        return [None if r is None else r.detach().numpy() for r in as_tuple(module(*wide))]


def _difference(name: str, binding: dict[str, int], a: Any, b: Any) -> Difference:
    wide_a, wide_b = a.astype("float64"), b.astype("float64")
    absolute = float(abs(wide_a - wide_b).max(initial=0.0))
    relative = absolute / max(float(abs(wide_a).max(initial=0.0)), TINY)
    return Difference(name, binding, str(a.dtype), absolute, relative)
