"""What is measured side by side: a network as an ONNX file, as a PyTorch module, compiled, and exported by PyTorch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec

from netc.diagnostics.model import failure
from netc.libraries import numpy, torch
from netc.passes.sizes import Binding
from netc.run.binding import bind_arrays
from netc.run.inputs import bad_input
from netc.run.match import match
from netc.run.model import Provider, Session, Settings, open_model
from netc.run.module import as_tuple, import_network, load_strictly
from netc.weights import read_index

Run = Callable[[], None]
Arrays = Mapping[str, Any]
"""Inputs by name, in the network's order."""

OURS = "netc"
MODULES = ("eager", "compile", "export")
"""What needs a spec: PyTorch as it is, through `torch.compile`, and through `torch.onnx.export`."""


class SubjectFiles(msgspec.Struct, frozen=True):
    """Where everything lies. module and weights are empty where there is only an ONNX file; `folder` takes what
    `torch.onnx.export` writes."""

    folder: str
    model: str
    module: str = ""
    weights: str = ""


class Device(msgspec.Struct, frozen=True):
    """Where to run. `provider`: one that `open_model` takes, but for `auto`; `threads`: 0 for the libraries' choice."""

    provider: Provider
    threads: int = 0


class Running(msgspec.Struct, frozen=True, eq=False):
    """Something ready to be run on inputs that lie on its device. `run` returns when the results are there."""

    run: Run
    results: Callable[[], list[Any]]


class Bench:
    """Opens what is measured, each once for all batch sizes where it can be."""

    def __init__(self, home: SubjectFiles, place: Device) -> None:
        self.home, self.place = home, place
        self._sessions: dict[str, Session] = {}
        self._modules: dict[str, Any] = {}

    def open(self, name: str, arrays: Arrays, binding: Binding) -> Running:
        """`netc`, one of MODULES, or the path of another ONNX file; the first run is still to come and may be long.

        Raises NetcError where the file cannot be loaded, does not take these inputs, or PyTorch does not do it.
        """
        if name in ("eager", "compile"):
            return self._module(name, arrays)
        if name == "export":
            return self._file(str(self._exported(arrays)), arrays, binding)
        return self._file(self.home.model if name == OURS else name, arrays, binding)

    def _file(self, path: str, arrays: Arrays, binding: Binding) -> Running:
        if path not in self._sessions:
            settings = Settings(self.place.threads, quiet_after_run=True)
            self._sessions[path] = open_model(path, self.place.provider, settings)
        session = self._sessions[path]
        if path != self.home.model:
            arrays = self._named_as_in(session, path, arrays)
        run, results = bind_arrays(session, arrays, binding, fixed=False)
        return Running(run, lambda: list(results().values()))

    def _named_as_in(self, session: Session, path: str, arrays: Arrays) -> Arrays:
        ours = open_model(self.home.model, "cpu")
        matched = match(ours.inputs, ours.outputs, session, path)
        return dict(zip(matched.inputs, arrays.values(), strict=True))

    def _module(self, name: str, arrays: Arrays) -> Running:
        if self.place.threads:
            torch().set_num_threads(self.place.threads)
        device = torch_device(self.place.provider)
        if name not in self._modules:
            module = self._built().to(device)
            self._modules[name] = torch().compile(module) if name == "compile" else module
        return running(self._modules[name], arrays, device)

    def _built(self) -> Any:
        module = import_network(Path(self.home.module), drawn=False)
        load_strictly(module, read_index(self.home.weights))
        return module.eval()

    def _exported(self, arrays: Arrays) -> Path:
        """Of exactly these sizes, which leaves the exporter nothing to be general about."""
        sizes = "_".join("x".join(map(str, array.shape)) for array in arrays.values())
        path = Path(self.home.folder) / f"exported_{sizes}.onnx"
        if not path.exists():
            export(self._built(), arrays, path)
        return path


def torch_device(provider: Provider) -> str:
    """Raises NetcError (`cuda-absent`) where PyTorch cannot follow onnxruntime onto the GPU."""
    if provider == "cpu":
        return "cpu"
    if not torch().cuda.is_available():
        raise failure("cuda-absent", "this PyTorch has no GPU to run on")
    return "cuda"


def running(module: Any, arrays: Arrays, device: str) -> Running:
    """A module in eval mode on inputs that lie on its device."""
    inputs = [torch().from_numpy(array).to(device) for array in arrays.values()]
    results: list[Any] = []

    def run() -> None:
        with torch().inference_mode():
            results[:] = as_tuple(module(*inputs))
        if device == "cuda":
            torch().cuda.synchronize()

    return Running(_guarded(run), lambda: [each.cpu().numpy() for each in results if each is not None])


def export(module: Any, arrays: Arrays, path: Path, free_batch: bool = False) -> None:
    """What `torch.onnx.export` writes by default, without a word; free_batch: the first axis of every input is free.

    Raises NetcError where it cannot.
    """
    inputs = tuple(torch().from_numpy(array) for array in arrays.values())
    free = tuple({0: torch().export.Dim.DYNAMIC} for _ in inputs) if free_batch else None

    def write() -> None:
        with _silent():
            torch().onnx.export(module, inputs, str(path), dynamo=True, dynamic_shapes=free)

    _guarded(write)()


@contextmanager
def _silent() -> Iterator[None]:
    """Without what PyTorch warns of, prints and logs."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _guarded(run: Run) -> Run:
    """`run`, answering what PyTorch refuses, or cannot do on this machine, with a NetcError."""

    def safe() -> None:
        try:
            run()
        except (RuntimeError, ImportError, OSError, NotImplementedError) as error:
            raise bad_input(_short(error)) from error

    return safe


def _short(error: BaseException) -> str:
    """The first line of what was at the root of it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def farthest(ours: list[Any], theirs: list[Any]) -> float:
    """Largest difference of any output, as a share of its largest value; 0 where there is nothing to compare."""
    shares = [_share(mine, other) for mine, other in zip(ours, theirs, strict=False) if mine.size]
    return max(shares, default=0.0)


def _share(ours: Any, theirs: Any) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    scale = float(numpy().abs(ours).max()) or 1.0
    return float(numpy().abs(ours.astype("float64") - theirs.astype("float64")).max()) / scale
