"""Another ONNX file as the other side: weights taken from it, and two files compared with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netc.diagnostics.model import NetcError, failure
from netc.diagnostics.suggest import elided
from netc.ir.flat import flatten, join
from netc.ir.model import Network
from netc.libraries import numpy, onnx
from netc.passes.sizes import Binding, bound_shape, samples, wide
from netc.run.eager import Arrays
from netc.run.inputs import random_input, usual_bound
from netc.run.match import MatchedNames, match, solve
from netc.run.model import Session, bounds, open_model, read_model, refuse_unknown
from netc.types import FLOATS, TensorType
from netc.verify.compare import Pair, Side, compare
from netc.verify.differences import CheckResult, VerifyReport
from netc.verify.larger import check_larger
from netc.weights import WeightsIndex
from netc.weights.check import counted


def verify_files(
    first: str | Path,
    second: str | Path,
    seed: int = 0,
    bind: Mapping[str, int] | None = None,
    runs: int = 2,
    tolerance: float | None = None,
) -> VerifyReport:
    """Compare what two ONNX files compute in onnxruntime's CPU provider, on `runs` random inputs at several sizes, and
    once at each of some larger ones.

    Inputs and outputs are matched by name, else by order; sizes that one file fixes hold for both. Raises NetcError
    (`model-file`, `bad-input`, `unknown-symbol`) for what keeps them from running on the same inputs.
    """
    ours, theirs = open_model(first, "cpu"), open_model(second, "cpu")
    matched = match(ours.inputs, ours.outputs, theirs, str(second))
    shapes = [kind.shape for kind in ours.inputs.values()]
    refuse_unknown(shapes, bind or {})
    fixed = fixed_sizes(ours.inputs, theirs, matched, bind or {})
    bindings = samples(shapes, bounds(theirs) | bounds(ours), fixed)
    outputs = tuple(ours.outputs)
    same = MatchedNames(tuple(ours.inputs), {name: name for name in outputs})
    sides = side(str(first), ours, same, outputs), side(str(second), theirs, matched, outputs)
    pair = Pair(outputs, *sides, _maker(ours), tolerance=tolerance)
    agreement = compare(pair, bindings, seed, runs)
    larger = check_larger(pair, wide(shapes, bounds(theirs) | bounds(ours), fixed), seed)
    findings = (CheckResult("matched", True, str(matched)), agreement.shapes, *larger)
    names = (str(first), str(second))
    return VerifyReport(str(first), findings, agreement.differences, agreement.sensitivity, None, names)


def side(name: str, session: Session, matched: MatchedNames, outputs: Sequence[str]) -> Side:
    """A session that takes inputs in our order and gives `outputs`, None for those it lacks."""
    names = list(dict.fromkeys(matched.outputs.values()))

    def run(inputs: Arrays) -> Arrays:
        results = dict(zip(names, session.run(names, dict(zip(matched.inputs, inputs, strict=True))), strict=True))
        return [results.get(matched.outputs.get(output, "")) for output in outputs]

    return Side(name, run)


def _maker(session: Session) -> Any:
    def make(binding: Binding, seed: int) -> Arrays:
        generator = numpy().random.default_rng(seed)
        kinds = session.inputs.values()
        return [random_input(generator, bound_shape(t.shape, binding), t.dtype, usual_bound(t)) for t in kinds]

    return make


def fixed_sizes(
    inputs: Mapping[str, TensorType], theirs: Session, matched: MatchedNames, bind: Binding
) -> dict[str, int]:
    """Values of the symbols of `inputs`: `bind` ones, and those that the other file's fixed sizes force.

    Raises NetcError (`bad-input`) where these contradict each other.
    """
    shapes = [kind.shape for kind in inputs.values()]
    return solve(list(inputs), shapes, [theirs.inputs[there].shape for there in matched.inputs], bind)


def take_weights(network: Network, index: WeightsIndex, other: str | Path) -> CheckResult:
    """Write the initialisers of another ONNX file that are named as in the state_dict over those of `index`.

    Raises NetcError: `weights-missing` where it lacks one that eval mode computes with, `weights-shape`,
    `weights-dtype`.
    """
    held = {tensor.name: tensor for tensor in read_model(other).graph.initializer}
    needed = _needed(network)
    missing = [name for name in needed if name not in held]
    if missing:
        raise _cannot_take("weights-missing", other, missing)
    for name in needed:
        array = onnx().numpy_helper.to_array(held[name], base_dir=str(Path(other).parent))
        _write(index, name, array, other)
    return CheckResult("weights", True, f"{counted(len(needed))} taken from {other}")


def computed_in(path: str | Path) -> str | None:
    """The floating-point type that the metadata of a file name, where it is not float32. Raises NetcError."""
    named = {entry.value for entry in read_model(path).metadata_props if entry.key == "dtype"} & set(FLOATS)
    return named.pop() if named else None


def _needed(network: Network) -> list[str]:
    nodes = [node for node in flatten(network).nodes if not node.train_only]
    params = {join(node.module, param.name): param for node in nodes for param in node.params}
    return [name for name, param in params.items() if param.persistent and "float" in param.dtype]


def _cannot_take(code: str, other: str | Path, names: list[str]) -> NetcError:
    message = (
        f"{other} does not hold {elided(names)} of the network under these names: give the weights both have, --weights"
    )
    return failure(code, message)


def _write(index: WeightsIndex, name: str, array: Any, other: str | Path) -> None:
    entry = index.tensors[name]
    if array.shape != entry.shape:
        raise _cannot_take("weights-shape", other, [f"{name} {list(entry.shape)}"])
    if str(array.dtype) != entry.dtype:
        raise _cannot_take("weights-dtype", other, [f"{name} in {entry.dtype}"])
    with entry.file.open("r+b") as file:
        file.seek(entry.start)
        file.write(array.tobytes())
