"""Step by step from a file to a better one, compared with the first after each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from onnx import ModelProto

from netc.artifacts import output_error, staged, temporary_folder
from netc.backends.onnx.embed import MOST
from netc.diagnostics.model import failure
from netc.optimise.constants import fuse_constants
from netc.optimise.drop import drop_no_ops
from netc.optimise.fold import fold_batch_norm
from netc.optimise.graph import Graph
from netc.optimise.outcome import OptimiseReport, StepReport
from netc.optimise.parity import Original, still, trials, worst
from netc.optimise.plan import FLOAT_STEPS, OptimisePlan, Step
from netc.optimise.quantise import Finished, quantise
from netc.optimise.write import files_of, layout, size, weights_path, write
from netc.progress import Note, no_note
from netc.run.model import Session, open_bytes, open_model, read_model
from netc.run.valid import check_nodes
from netc.verify import Difference
from netc.verify.graph import check_file

Compare = Callable[[Session, str], Difference]
"""How far a model is from the file as it was, after the step that is named."""

OLDEST = 7

STEPS: dict[Step, Callable[[Graph], None]] = {
    "fuse-constants": fuse_constants,
    "drop-no-ops": drop_no_ops,
    "fold-batch-norm": fold_batch_norm,
}


def optimise(path: str | Path, out: str | Path, plan: OptimisePlan, note: Note | None = None) -> OptimiseReport:
    """Take the steps of a plan and write the model to `out`, its weights beside it with the suffix `.safetensors`.

    After each step all outputs are compared with those of the file as it was, and those of the written files again,
    before they are moved into place: all of them or none. Raises NetcError: `not-optimised` naming a step that changes
    what is computed, `cannot-quantise`, `model-file`, `bad-input`, `unknown-symbol`, `output-file`.
    """
    tell = note or no_note
    path, out = Path(path), Path(out)
    if out.exists() and path.exists() and out.samefile(path):
        raise failure("output-file", f"{out} is the input itself: choose another name with -o")
    tell("running the file as it is")
    original = Original(path)
    session = original.session
    cases, source = trials(session, plan), read_model(path)
    _refuse_old(source)
    check_nodes(source, str(path))
    graph = Graph(source, path.parent)

    def compare(other: Session, step: str) -> Difference:
        return worst(other, original, cases, plan, step)

    done = [_take(graph, name, compare, tell) for name in FLOAT_STEPS if name in plan.steps]
    spare = [*files_of(source, path.parent), *plan.spare]
    with temporary_folder() as folder:
        finished = Finished(graph.model(), path.parent)
        if plan.int8 is not None:
            tell("quantising")
            finished = quantise(graph, session, plan, plan.int8, Path(folder))
        tell("writing")
        inside = plan.single or not files_of(source, path.parent)
        files = _write(finished, out, None if inside else weights_path(out, spare), compare)
    sizes = (_bytes([path, *files_of(source, path.parent)]), _bytes(files))
    return OptimiseReport(str(path), tuple(map(str, files)), tuple(done), *sizes, finished.int8, still(cases))


def _refuse_old(model: ModelProto) -> None:
    """Before opset 7 operators broadcast and train in ways of their own."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), OLDEST)
    if opset < OLDEST:
        raise failure("not-optimised", f"the model is of opset {opset}; only opsets from {OLDEST} on are supported")


def _bytes(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _take(graph: Graph, name: Step, compare: Compare, tell: Note) -> StepReport:
    tell(name)
    before, old = len(graph), graph.model().SerializeToString(deterministic=True)
    STEPS[name](graph)
    graph.prune()
    graph.make_room()
    new = graph.model().SerializeToString(deterministic=True)
    if new == old:
        return StepReport(name, before, len(graph), None)
    graph.infer()
    return StepReport(name, before, len(graph), compare(open_bytes(new, graph.folder, f"the model after {name}"), name))


def _write(finished: Finished, out: Path, own: Path | None, compare: Compare) -> tuple[Path, ...]:
    planned = layout(finished.model, own) if own is not None else None
    if planned is None and size(finished.model) > MOST:
        problem = f"{size(finished.model) / 1e9:.1f} GB is too large for a single file: protobuf allows 2 GiB"
        raise output_error(out, problem)
    targets = (*(planned.paths if planned else ()), out)
    with staged(targets) as (*data, model):
        write(finished.model, finished.folder, planned, (model, *data))
        checked = check_file(model)
        if not checked.ok:
            raise failure("not-optimised", f"onnx's checker refuses the result: {checked.detail}")
        session = open_model(model, "cpu")
        if finished.int8 is None:
            compare(session, "writing")
    return (out, *targets[:-1])
