"""Step by step: every statement in PyTorch from ONNX Runtime's own values of what it reads.

Where two elements are nearer to each other than rounding, two right programs choose otherwise, and all that follows
differs. From equal inputs each statement still makes the same. So at every statement PyTorch is given what ONNX Runtime
made of its inputs, and what it makes is compared with what ONNX Runtime made of the statement. Where all agree, the
values in the file fulfil the network's statements one after another, however its nodes are wired.

This is done twice: with every value as an output, so that each statement stands for itself; and with those alone that
are left when ONNX Runtime has fused nodes as it likes, because fused ones round otherwise. The second run has to give
the very outputs that were compared, and so is the run that is spoken of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from netc.ir.flat import Wire
from netc.ir.model import Network
from netc.libraries import numpy
from netc.run.eager import Arrays, evaluate, evaluate_in_float64, widened
from netc.run.match import MatchedNames
from netc.run.model import read_model, save_rewritten
from netc.verify.compare import Trial, difference
from netc.verify.differences import Difference, LayerDifference, StepsReport
from netc.verify.layers import OpenedNetwork, are_places, is_identity, judged, names_in_file, open_calls, place
from netc.verify.steps import Step, Values, Walk, open_walk, sharing


class _Seen(msgspec.Struct, eq=False):
    """What was found on the way; paths and names once each."""

    worst: LayerDifference | None = None
    culprit: LayerDifference | None = None
    parts: dict[str, LayerDifference] = {}
    equals: dict[str, None] = {}
    astray: dict[str, None] = {}
    unlike: dict[str, None] = {}

    def weigh(self, layer: LayerDifference) -> None:
        if not layer.difference.ok:
            self.culprit = self.culprit or layer
        if self.worst is None or layer.difference.strain > self.worst.difference.strain:
            self.worst = layer


class Follower(msgspec.Struct, frozen=True, eq=False):
    """`outputs`: the network's, in order; `results`: those that are a value of the file."""

    outputs: tuple[str, ...]
    results: Mapping[str, Wire]
    tolerance: float | None
    seen: _Seen

    def agree(self, walk: Walk, trial: Trial) -> None:
        """Every step from equal inputs, up to the first that does not agree."""
        inputs = walk.given(trial)
        for step, done in zip(walk.steps, walk.done_with(), strict=True):
            self._agrees(step, trial, inputs)
            if self.seen.culprit is not None:
                return
            for wire in done:
                del inputs[wire]

    def trace(self, walk: Walk, trial: Trial) -> None:
        """Every step from PyTorch's own values: where these leave the file's, and whether they end in the outputs that
        were compared."""
        inputs, own, exact = walk.given(trial), walk.start(trial.inputs), walk.start(widened(trial.inputs))
        self.seen.unlike |= dict.fromkeys(self._unlike(trial, trial.found, inputs))
        apart: dict[Wire, Difference] = {}
        for step, done in zip(walk.steps, walk.done_with(), strict=True):
            own |= zip(step.makes, evaluate(step.module, step.feed(own)), strict=True)
            exact |= zip(step.makes, evaluate_in_float64(step.module, step.feed(exact)), strict=True)
            for wire in step.makes:
                apart[wire] = judged(self._difference(wire, trial, own[wire], inputs[wire]), own[wire], exact[wire])
            self._note_parting(step, apart)
            results = {wire: own[wire] for wire in step.makes}
            self.seen.astray |= dict.fromkeys(self._unlike(trial, trial.expected, results))
            for wire in done:
                del own[wire], exact[wire], inputs[wire]

    def _agrees(self, step: Step, trial: Trial, inputs: Values) -> None:
        feed = step.feed(inputs)
        results = evaluate(step.module, feed)
        differences = [
            self._difference(wire, trial, a, inputs[wire]) for wire, a in zip(step.makes, results, strict=True)
        ]
        if self.tolerance is None and not all(d.ok for d in differences):
            exact = evaluate_in_float64(step.module, feed)
            differences = [judged(d, a, b) for d, a, b in zip(differences, results, exact, strict=True)]
        for wire, apart, array in zip(step.makes, differences, results, strict=True):
            if not apart.ok and _equals_picked(step, wire, inputs, array):
                self.seen.equals[wire.path] = None
                continue
            self.seen.weigh(_layer(step, wire, apart, {}))

    def _difference(self, wire: Wire, trial: Trial, a: Any, b: Any) -> Difference:
        return difference(wire.path, trial.binding, a, b, self.tolerance)

    def _note_parting(self, step: Step, apart: Mapping[Wire, Difference]) -> None:
        """Where inputs that are equal but for rounding make something else."""
        reads = {wire.path: apart[wire] for wire in step.reads if wire in apart}
        farthest = max((apart[wire] for wire in step.makes), key=lambda d: d.strain)
        if all(d.ok for d in reads.values()) and not farthest.ok:
            wire = next(wire for wire in step.makes if apart[wire] is farthest)
            shares: dict[str, float | None] = {path: d.relative for path, d in reads.items()}
            self.seen.parts.setdefault(wire.path, _layer(step, wire, farthest, shares))

    def _unlike(self, trial: Trial, expected: Arrays, values: Values) -> Iterator[str]:
        """Outputs that are something else than these values."""
        for name, array in zip(self.outputs, expected, strict=True):
            wire = self.results.get(name)
            if wire is None or wire not in values or array is None:
                continue
            if not difference(name, trial.binding, array, values[wire]).ok:
                yield name


def _equals_picked(step: Step, wire: Wire, values: Values, array: Any) -> bool:
    """Whether these are other places of equal elements, which the operator leaves open."""
    node = step.maker
    picks = node.node.op.picks(*(read.type for read in node.inputs))
    if picks is None or node.outputs[picks[0]] is not wire or node.inputs[0] not in values:
        return False
    np, axis = numpy(), picks[1]
    source, places = values[node.inputs[0]], values[wire]
    if not are_places(places, array, source, axis):
        return False
    chosen = (np.take_along_axis(source, each, axis) for each in (places, array))
    return bool(np.array_equal(*chosen))


def _layer(step: Step, wire: Wire, apart: Difference, reads: dict[str, float | None]) -> LayerDifference:
    maker, others = step.maker, [node.path for node in step.nodes[:-1] if not is_identity(node)]
    return LayerDifference(wire.path, maker.node.op.name, place(maker.node.span), apart, reads, tuple(others))


def check_steps(
    network: Network,
    folder: Path,
    module: Any,
    model: Path,
    matched: MatchedNames,
    trials: Sequence[Trial],
    tolerance: float | None,
) -> StepsReport:
    """Take the inputs of `trials` through PyTorch and the ONNX file, each statement from equal inputs.

    module: the network as a whole, in the state in which it was compared. Raises NetcError (`model-file`) where
    onnxruntime cannot give the values inside the file.
    """
    opened = open_calls(network)
    names = names_in_file(opened, model, matched)
    kept = _kept(model, folder / "rewritten")
    run = {wire: name for wire, name in names.items() if name in kept}
    sources = {name: opened.source(opened.results[name]) for name in matched.outputs}
    results = {name: wire for name, wire in sources.items() if wire in run}
    follower = Follower(tuple(o.name for o in network.block.outputs), results, tolerance, _Seen())

    statements = sharing(opened, module)
    single = open_walk(opened, names, statements, model, matched.inputs)
    _each(follower.agree, single, trials)
    joined = _joined(single)
    del single
    fused = open_walk(opened, run, statements, model, matched.inputs)
    _each(follower.agree, fused, trials)
    _each(follower.trace, fused, trials)
    return _report(opened, fused, follower, joined)


def _each(go: Callable[[Walk, Trial], None], walk: Walk, trials: Sequence[Trial]) -> None:
    for trial in trials:
        go(walk, trial)


def _joined(walk: Walk) -> tuple[str, ...]:
    """Statements whose value the file does not name."""
    others = (node for step in walk.steps for node in step.nodes[:-1] if node.inputs and not is_identity(node))
    return tuple(dict.fromkeys(node.path for node in others))


def _kept(model: Path, folder: Path) -> frozenset[str]:
    """The values that are left when ONNX Runtime has fused what it can."""
    folder.mkdir()
    target = folder / "model.onnx"
    save_rewritten(model, target)
    names = frozenset(name for node in read_model(target).graph.node for name in node.output)
    for file in folder.iterdir():
        file.unlink()
    return names


def _report(opened: OpenedNetwork, walk: Walk, follower: Follower, joined: tuple[str, ...]) -> StepsReport:
    covered = {node.path for step in walk.steps for node in step.nodes}
    shown = follower.seen
    return StepsReport(
        statements=len(covered),
        steps=len(walk.steps),
        joined=joined,
        missing=tuple(node.path for node in opened.nodes if node.path not in covered),
        outputs=tuple(follower.results),
        culprit=shown.culprit,
        worst=shown.worst,
        parts=tuple(shown.parts.values()),
        equals=tuple(shown.equals),
        astray=tuple(shown.astray),
        unlike=tuple(shown.unlike),
    )
