"""From a file to a spec, weights and a report: everything is found and compared before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import import_module
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from netc import __version__
from netc.api import Network
from netc.artifacts import staged, temporary_folder
from netc.diagnostics.suggest import elided
from netc.importing.candidates import Candidate, NamesMode, best
from netc.importing.classes import classify
from netc.importing.graph import Gap, Graph
from netc.importing.lift import lift
from netc.importing.proof import OnnxSource, SourceModel, prove
from netc.importing.report import ImportReport
from netc.importing.sharing import share
from netc.importing.weights import Assigned, assign, unused, write
from netc.lazy import LazyModule
from netc.progress import Note, no_note
from netc.run.model import read_model
from netc.syntax.names import name_from_stem

if TYPE_CHECKING:
    from netc.importing import python_source, ultralytics_source
    from netc.importing.readers import onnx_files
else:
    python_source = LazyModule("netc.importing.python_source")
    ultralytics_source = LazyModule("netc.importing.ultralytics_source")
    onnx_files = LazyModule("netc.importing.readers.onnx_files")  # needs onnx, which other sources do not

SizesMode = Literal["symbolic", "fixed"]


class Wishes(msgspec.Struct, frozen=True):
    """What whoever imports may choose. names: keep those of the source, take the shorter spec, or ignore them; sizes:
    leave height and width open where that is possible; shapes: of inputs, by name, "" for the only one;
    partial: leave out nodes of an ONNX file that netc has no word for."""

    names: NamesMode = "keep"
    sizes: SizesMode = "symbolic"
    shapes: Mapping[str, tuple[int, ...]] = {}
    partial: bool = False


class Imported:
    """A network that was imported. `text` is its spec; nothing has been written yet."""

    def __init__(self, candidate: Candidate, weights: Mapping[str, Assigned], report: ImportReport) -> None:
        self.text = candidate.text
        self.network = Network(candidate.network)
        self.report = report
        self._weights = weights

    def __repr__(self) -> str:
        return f"<netc.Imported {self.report.name}: {self.report.operators} operators, {self.report.lines} lines>"

    @property
    def tensors(self) -> list[str]:
        """The keys of the weights, as in the module's state_dict."""
        return list(self._weights)

    def tensor(self, name: str) -> Any:
        """One tensor of the weights as a NumPy array, read from the source when it is asked for."""
        return self._weights[name].array()

    def write(self, folder: str | Path) -> tuple[Path, ...]:
        """Write `NAME.yaml`, `NAME.safetensors` if there are weights, and `NAME.import.json`, all or none of them.

        Raises NetcError (`output-file`).
        """
        stem = Path(folder) / self.report.name
        paths = [stem.with_suffix(".yaml"), stem.with_suffix(".import.json")]
        paths += [stem.with_suffix(".safetensors")] if self._weights else []
        with staged(paths) as (spec, report, *weights):
            spec.write_text(self.text, "utf-8", newline="\n")
            report.write_bytes(msgspec.json.format(msgspec.json.encode(self.report), indent=2) + b"\n")
            for path in weights:
                write(path, self._weights, metadata(), None)
        return tuple(paths)


def metadata() -> dict[str, str]:
    return {"format": "pt", "netc_version": __version__}


def import_onnx_file(path: str | Path, wishes: Wishes, note: Note = no_note) -> Imported:
    """The network of an ONNX file. Raises NetcError: `cannot-import`, `import-differs`, `model-file`."""
    path = Path(path)
    try:
        note("reading")
        graph = onnx_files.read_onnx(
            path, name_from_stem(path.stem), wishes.sizes, wishes.shapes, partial=wishes.partial
        )
        return finish(graph, OnnxSource(path), _names(path), str(path), wishes, note)
    except Gap as gap:
        raise gap.error(str(path)) from gap


def _names(path: Path) -> dict[str, int]:
    return {tensor.name: prod(tensor.dims) for tensor in read_model(path).graph.initializer}


def finish(
    graph: Graph, source: SourceModel | None, names: Mapping[str, int], told: str, wishes: Wishes, note: Note
) -> Imported:
    """Find structure, compare, and report. names: the tensors of the source. Raises NetcError, Gap."""
    lift(graph)
    graph.drop_idle()
    share(graph)
    classify(graph)
    candidate = _best(graph, wishes.names, note)
    weighty = graph.has_weights and any(node.params for node in graph.nodes)
    assigned = assign(candidate.network, candidate.places) if weighty else {}
    with temporary_folder() as folder:
        file = Path(folder) / "proof.safetensors"
        write(file, assigned, metadata(), None)
        shown = prove(candidate, graph, source, Path(folder), file, note)
    where = {key: _history(one) for key, one in assigned.items()}
    kept = sum(1 for key, one in assigned.items() if one.weight.held.name == key)
    report = ImportReport(
        source=told,
        name=graph.name,
        operators=len(graph.nodes),
        lines=candidate.lines,
        blocks=tuple(definition for definition in candidate.network.file.blocks),
        way=candidate.way,
        tensors=where,
        kept=kept,
        unused=unused(graph, assigned, names),
        shown=shown,
        gaps=tuple(graph.gaps()),
        notes=(*graph.notes, *_shared(assigned), *(f"warning: {w.message}" for w in candidate.warnings)),
    )
    return Imported(candidate, assigned, report)


def _best(graph: Graph, names: NamesMode, note: Note) -> Candidate:
    """With what is shared in the source shared, or else with copies. Raises Gap."""
    try:
        return best(graph, graph.name, names, note)
    except Gap:
        if not graph.shared:
            raise
    graph.shared = {}
    return best(graph, graph.name, names, note)


def _shared(assigned: Mapping[str, Assigned]) -> Iterator[str]:
    """A note where the source uses tensors several times, and each use here has its own."""
    uses = Counter((one.weight.held.name, one.weight.steps) for one in assigned.values() if one.weight.held.name)
    several = [name for (name, _), count in uses.items() if count > 1]
    if several:
        yield f"used more than once in the source, and in the weights once for each use: {elided(several)}"


def _history(one: Assigned) -> str:
    steps = one.weight.told()
    return one.weight.held.name + (f": {steps}" if steps else "")


def import_file(path: str, wishes: Wishes, note: Note = no_note, arguments: Mapping[str, Any] = {}) -> Imported:
    """The network of a file of any kind that can be read, by its name, or what a callable `python:package:callable`
    gives for arguments. Raises NetcError."""
    if path.startswith("python:"):
        return python_source.import_python(path, arguments, wishes, note)
    suffix = Path(path).suffix.lower()
    if suffix == ".onnx":
        return import_onnx_file(path, wishes, note)
    if suffix in (".yaml", ".yml"):
        return ultralytics_source.import_ultralytics(Path(path), wishes, note)
    if suffix in LISTED:
        return import_listed_file(Path(path), wishes, note)
    if suffix in REFUSED:
        raise Gap(REFUSED[suffix]).error(path)
    kinds = ", ".join((".onnx", ".yaml", *LISTED))
    raise Gap(f"the format of a file is recognised by its name, which should end in {kinds}").error(path)


PICKLES = (
    "holds pickled Python objects, and loading them may run any code: export the module to ONNX, or name the "
    "function that builds it, as in python:torchvision.models:resnet18"
)
REFUSED = dict.fromkeys((".pt", ".pth", ".ckpt", ".pkl", ".bin"), PICKLES)
REFUSED[".pt2"] = (
    "PyTorch may run code while it loads such an archive, so netc does not read it; if you trust it: "
    "netc import python:torch.export:load -a f=FILE"
)
"""How names of files end that are never read, and why."""

LISTED = {".cfg": "darknet", ".prototxt": "caffe"}
LISTED |= dict.fromkeys((".json", ".keras", ".h5", ".hdf5"), "keras_models")
"""How names of files end that list layers, and the reader for each."""


def import_listed_file(path: Path, wishes: Wishes, note: Note = no_note) -> Imported:
    """The network of a file that lists layers. There is nothing here to run it with: operators, sizes, parameters and
    wiring are compared. Raises NetcError (`cannot-import`)."""
    try:
        note("reading")
        reader = import_module(f"netc.importing.readers.{LISTED[path.suffix.lower()]}")
        graph = reader.read(path, name_from_stem(path.stem), wishes.sizes)
        held = {weight.held.name: prod(weight.held.shape) for _, _, weight in graph.weights()}
        return finish(graph, None, held, str(path), wishes, note)
    except Gap as gap:
        raise gap.error(str(path)) from gap
