"""Does the network compute the same everywhere? Its PyTorch module against its ONNX file, on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from netc.diagnostics.model import Diagnostic, NetcError
from netc.ir.flat import Flat, flatten
from netc.ir.model import Network, Value
from netc.runtime.graph import check_file, check_shapes
from netc.runtime.inputs import random_input
from netc.runtime.lazy import numpy, onnx_backend, pytorch_backend, torch
from netc.runtime.model import Session, open_model
from netc.runtime.module import as_tuple, import_network, load_strictly
from netc.runtime.report import Difference, Finding, VerifyReport
from netc.runtime.sizes import Binding, bound_shape, names_in, samples
from netc.runtime.training import check_training
from netc.weights import fitting_weights

Note = Callable[[str], None]
"""Called with a few words as each part begins."""

TINY = 1e-30


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
        model = _write_model(network, folder, weights_path, seed)
        module = _load_module(network, folder, model.with_suffix(".safetensors"))
        subject = Subject(network, module, open_model(model, "cpu"), _token_bounds(flatten(network)))
        bindings = _bindings(network, bind or {})
        findings = [Finding("weights", True, f"{len(module.state_dict())} tensors load strictly"), check_file(model)]
        findings += [check_shapes(model, binding) for binding in bindings[-1:]]
        tell("comparing outputs")
        found, differences = _compare_all(subject, bindings, seed)
        tell("taking a training step")
        torch().manual_seed(seed)
        inputs = [torch().from_numpy(a) for a in _inputs(subject, bindings[-1], seed)]
        findings += [*found, *check_training(network, module, inputs, bindings[-1])]
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


def _load_module(network: Network, folder: Path, weights: Path) -> Any:
    source = folder / "model.py"
    source.write_text(pytorch_backend().generate(network), "utf-8")
    module = import_network(source)
    load_strictly(module, fitting_weights(network, weights))
    return module


def _bindings(network: Network, given: Mapping[str, int]) -> list[dict[str, int]]:
    shapes = [value.type.shape for value in network.block.inputs]
    known = {name for shape in shapes for name in names_in(shape)}
    if unknown := sorted(given.keys() - known):
        raise NetcError((Diagnostic("unknown-symbol", f"{network.name} has no size {', '.join(unknown)}", None),))
    return samples(shapes, {name: network.domain.lower(name) for name in known}, given)


def _token_bounds(flat: Flat) -> dict[str, int]:
    """Inputs that index a table stay below its length."""
    found: dict[str, int] = {}
    for node in flat.nodes:
        rows: int = getattr(node.node.op, "num_embeddings", 0)
        for wire in node.inputs if rows else ():
            found[wire.path] = min(rows, found.get(wire.path, rows))
    return found


def _inputs(subject: Subject, binding: Binding, seed: int) -> list[Any]:
    generator = numpy().random.default_rng(seed)
    return [_input(value, subject, binding, generator) for value in subject.network.block.inputs]


def _input(value: Value, subject: Subject, binding: Binding, generator: Any) -> Any:
    shape = bound_shape(value.type.shape, binding)
    return random_input(generator, shape, value.type.dtype, subject.below.get(value.path, 2))


def _compare_all(
    subject: Subject, bindings: Sequence[dict[str, int]], seed: int
) -> tuple[list[Finding], list[Difference]]:
    runs = [(b, seed + i) for i, b in enumerate(bindings if len(bindings) > 1 else [*bindings, *bindings])]
    shapes: list[str] = []
    differences: list[Difference] = []
    for binding, each in runs:
        expected, found = _run_both(subject, _inputs(subject, binding, each))
        shapes.append(_output_shapes(subject.network, expected, found, binding))
        differences += _compare(subject.network, expected, found, binding)
    wrong = [text for text in shapes if text]
    sizes = f"equal netc's in PyTorch and onnxruntime, {len(runs)} runs"
    return [Finding("output shapes", not wrong, "; ".join(wrong) or sizes)], differences


def _run_both(subject: Subject, inputs: list[Any]) -> tuple[list[Any], list[Any]]:
    """Eval outputs of PyTorch and of onnxruntime, as arrays; None for an output that eval does not compute."""
    subject.module.eval()
    with torch().no_grad():
        results = as_tuple(subject.module(*(torch().from_numpy(a) for a in inputs)))
    names = [value.path for value in subject.network.block.inputs]
    computed = iter(subject.session.run(None, dict(zip(names, inputs, strict=True))))
    outputs = subject.network.block.outputs
    found = [None if o.train_only else next(computed) for o in outputs]
    return [None if r is None else r.numpy() for r in results], found


def _output_shapes(network: Network, expected: list[Any], found: list[Any], binding: Binding) -> str:
    """What is wrong with the outputs' shapes and dtypes, or nothing."""
    wanted = [
        None if o.train_only else (bound_shape(o.value.type.shape, binding), o.value.type.dtype)
        for o in network.block.outputs
    ]
    sides = {"PyTorch": expected, "onnxruntime": found}
    forms = {name: [None if r is None else (r.shape, str(r.dtype)) for r in side] for name, side in sides.items()}
    return "; ".join(f"{name} gives {form}, not {wanted}" for name, form in forms.items() if form != wanted)


def _compare(network: Network, expected: list[Any], found: list[Any], binding: dict[str, int]) -> Iterator[Difference]:
    for output, a, b in zip(network.block.outputs, expected, found, strict=True):
        if a is not None and b is not None and a.shape == b.shape:
            yield _difference(output.name, binding, a, b)


def _difference(name: str, binding: dict[str, int], a: Any, b: Any) -> Difference:
    dtype = str(a.dtype)
    wide_a, wide_b = a.astype("float64"), b.astype("float64")
    absolute = float(abs(wide_a - wide_b).max(initial=0.0))
    return Difference(name, binding, dtype, absolute, absolute / max(float(abs(wide_a).max(initial=0.0)), TINY))
