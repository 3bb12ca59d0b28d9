"""ONNX models as sessions of onnxruntime, on the device that was asked for and on no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import msgspec

from netc.artifacts import settle
from netc.diagnostics.model import NetcError, failure
from netc.diagnostics.suggest import elided
from netc.dims import Size
from netc.files import note_input
from netc.libraries import onnx, onnxruntime, protobuf_error
from netc.passes.sizes import Binding, Shape, names_in, parse_size
from netc.run import cuda
from netc.run.functions import check_size, is_made_up, open_functions
from netc.run.inputs import bad_input
from netc.run.texts import not_utf8
from netc.types import TensorType

Provider = Literal["auto", "cpu", "cuda", "tensorrt"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

TENSORRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
_FOLDER = "session.model_external_initializers_file_folder_path"
_FATAL_ONLY = 4
"""Of what onnxruntime logs; errors are raised too."""
_TITLES = {TENSORRT: "TensorRT", CUDA: "CUDA", CPU: "the CPU"}
_NAMED = 5

_DTYPES = {"float": "float32", "double": "float64"}
"""onnxruntime's names that are not PyTorch's."""


class Settings(msgspec.Struct, frozen=True):
    """threads: of the CPU within a node, 0 for onnxruntime's choice; cuda_graph: launch the whole model as one graph,
    which needs inputs and outputs that stay where they are (`netc.run.binding`); quiet_after_run: threads wait for
    no further run, which would slow whatever runs in between; unfused: compute node by node, as the file says; profile:
    how the file of a profile begins, if one is to be written; named: nodes have their names from the spec also where
    they stand in functions, which are opened before onnxruntime does it."""

    threads: int = 0
    cuda_graph: bool = False
    quiet_after_run: bool = False
    unfused: bool = False
    profile: str = ""
    named: bool = False


class Session(msgspec.Struct, frozen=True, eq=False):
    """A loaded model. `device` is `cpu`, `cuda` or `tensorrt`; `note` says why, where nobody asked for it, or what is
    worth knowing; `handle` is onnxruntime's own session."""

    run: Any
    handle: Any
    device: str
    note: str
    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]
    metadata: Mapping[str, str]


def open_model(path: str | Path, provider: Provider = "auto", settings: Settings | None = None) -> Session:
    """Load an ONNX file.

    `cuda` places every node on the GPU or fails; `tensorrt` likewise, and names those it leaves to CUDA; `auto` takes
    CUDA if that succeeds, else the CPU, and says which.
    Raises NetcError: `model-file` for a file onnxruntime does not take, `cuda-absent` and `tensorrt-absent` when these
    cannot be used, `cuda-fallback` naming the nodes they have no kernels for.
    """
    chosen = settings or Settings()
    settle(Path(path))
    if not Path(path).is_file():
        raise failure("model-file", f"{path}: no such file")
    if provider == "cpu":
        return _open_cpu(path, chosen, "")
    if provider == "tensorrt":
        return _open_tensorrt(path, chosen)
    try:
        return _open_cuda(path, chosen, "" if provider == "cuda" else "CUDA takes the whole model")
    except NetcError as error:
        if provider == "cuda":
            raise
        reason = error.diagnostics[0].message
    return _open_cpu(path, chosen, reason)


def open_exposed(path: str | Path, values: Sequence[str]) -> Session:
    """Load an ONNX file on the CPU with `values` from its inside as its outputs, in this order. Raises NetcError."""
    model = read_opened(path)
    del model.graph.output[:]
    for name in values:
        model.graph.output.add().name = name
    return open_bytes(model.SerializeToString(), Path(path).parent, str(path))


def save_rewritten(path: str | Path, target: Path) -> None:
    """Write an ONNX file as ONNX Runtime fuses its nodes for the CPU, its weights in a file beside it. Raises
    NetcError (`model-file`)."""
    options = _options(Settings(), _FATAL_ONLY)
    options.graph_optimization_level = onnxruntime().GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{target.name}.data")
    _load(path, _content(path, Settings(named=True), options), options, [CPU])


def open_bytes(content: bytes, folder: Path, name: str, *, as_it_is: bool = False) -> Session:
    """Load a model that is no file, on the CPU; tensors that it keeps in other files lie in `folder`. as_it_is: node by
    node, its weights where they lie, of which onnxruntime otherwise makes copies that suit it. Raises NetcError
    (`model-file`) calling it `name`."""
    options = _options(Settings(unfused=as_it_is), _FATAL_ONLY)
    options.add_session_config_entry(_FOLDER, str(folder))
    if as_it_is:
        options.add_session_config_entry("session.disable_prepacking", "1")
    return _session(_load(name, content, options, [CPU]), "cpu", "")


def read_model(path: str | Path) -> Any:
    """The ONNX file as onnx reads it, weights that lie in other files left there.

    Raises NetcError (`model-file`), also for places of weights that readers understand in different ways.
    """
    settle(Path(path))
    if not Path(path).is_file():
        raise failure("model-file", f"{path}: no such file")
    note_input(path)
    try:
        model = onnx().load(str(path), load_external_data=False)
    except protobuf_error() as error:
        raise failure("model-file", f"{path} is not an ONNX model") from error
    check_size(model, str(path))
    if (text := not_utf8(model)) is not None:
        raise failure("model-file", f"{path}: {text!r} in it is not UTF-8")
    for tensor in model.graph.initializer:
        if tensor.external_data and not _is_plain(tensor):
            raise failure("model-file", f"{path}: cannot tell where the data of {tensor.name} is")
    _protect_data(Path(path).parent, model)
    return model


def _protect_data(folder: Path, model: Any) -> None:
    """The files that hold the tensors of a model are inputs as it is itself."""
    items = (item for tensor in model.graph.initializer for item in tensor.external_data)
    for name in {item.value for item in items if item.key == "location"}:
        with suppress(OSError):  # told where the tensors are read
            note_input(folder / name)


def _is_plain(tensor: Any) -> bool:
    """Is it said once where the data lie, in a file with a name that can be shown, at offsets that are numbers?"""
    about = {item.key: item.value for item in tensor.external_data}
    numbers = [about[key] for key in ("offset", "length") if key in about]
    sound = all(text.isascii() and text.isdecimal() and len(text) < 19 for text in numbers)
    held = about.get("length") != "0" or 0 in tensor.dims
    return sound and held and len(about) == len(tensor.external_data) and about.get("location", "").isprintable()


def read_opened(path: str | Path) -> Any:
    """`read_model`, with its functions opened, so that everything in it has its name from the spec."""
    return open_functions(read_model(path))


def bounds(session: Session) -> dict[str, int]:
    """The least value of each symbol of a model's sizes, where it says so."""
    pairs = (item.partition("=") for item in session.metadata.get("bounds", "").split(","))
    return {name: int(value) for name, _, value in pairs if value.isdecimal()}


def refuse_unknown(shapes: Iterable[Shape], bind: Binding) -> None:
    """Raises NetcError (`unknown-symbol`) where `bind` names sizes that the shapes do not have."""
    names = {name for shape in shapes for name in names_in(shape)}
    if unknown := sorted(bind.keys() - names):
        there = f"it has {', '.join(sorted(names))}" if names else "all its sizes are fixed"
        raise failure("unknown-symbol", f"the model has no size {', '.join(unknown)}; {there}")


def _open_cpu(path: str | Path, settings: Settings, note: str) -> Session:
    options = _options(settings, _FATAL_ONLY)
    return _session(_load(path, _content(path, settings, options), options, [CPU]), "cpu", note)


def _open_cuda(path: str | Path, settings: Settings, note: str) -> Session:
    load = partial(_open_gpu, path, device=CUDA, providers=[_cuda(settings)], absent="cuda-absent")
    session = load(settings)
    _refuse_cpu_nodes(session, partial(load, _by_name(settings)))
    return _session(session, "cuda", note)


def _open_tensorrt(path: str | Path, settings: Settings) -> Session:
    graph = {"trt_cuda_graph_enable": "1"} if settings.cuda_graph else {}
    providers = [(TENSORRT, graph), _cuda(Settings())]
    load = partial(_open_gpu, path, device=TENSORRT, providers=providers, absent="tensorrt-absent")
    session, named = load(settings), partial(load, _by_name(settings))
    _refuse_cpu_nodes(session, named)
    left = _nodes(session, lambda provider: provider == CUDA, named)
    return _session(session, "tensorrt", f"{len(left)} nodes on CUDA: {elided(left, _NAMED)}" if left else "")


def _cuda(settings: Settings) -> tuple[str, dict[str, str]]:
    return CUDA, {"use_tf32": "0", **({"enable_cuda_graph": "1"} if settings.cuda_graph else {})}


def _options(settings: Settings, severity: int) -> Any:
    options = onnxruntime().SessionOptions()
    options.log_severity_level = severity
    options.intra_op_num_threads = settings.threads
    if settings.quiet_after_run:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if settings.unfused:
        options.graph_optimization_level = onnxruntime().GraphOptimizationLevel.ORT_DISABLE_ALL
    if settings.profile:
        options.enable_profiling, options.profile_file_prefix = True, settings.profile
    return options


def _open_gpu(path: str | Path, settings: Settings, device: str, providers: list[Any], absent: str) -> Any:
    """A session that has the provider `wanted`. Raises NetcError with the code `absent` where it cannot be used."""
    ort, title = onnxruntime(), _TITLES[device]
    if device not in ort.get_available_providers():
        raise _absent(absent, f"{title} cannot be used: this onnxruntime is built without it")
    problem = cuda.problem() or "no NVIDIA GPU with a suitable driver was found"
    options = _options(settings, _FATAL_ONLY)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    printed = StringIO()
    with redirect_stdout(printed):
        session = _load(path, _content(path, settings, options), options, providers)
    if device not in session.get_providers():
        raise _absent(absent, f"{title} cannot be used: {_complaint(printed.getvalue()) or problem}")
    return session


def _absent(code: str, message: str) -> NetcError:
    return failure(code, message, notes=cuda.notes(), fixes=cuda.remedies())


def _complaint(printed: str) -> str:
    """onnxruntime's own words where it prints that it goes on without a provider, without its file and function."""
    words = next((line for line in printed.splitlines() if line.startswith("EP Error /")), "")
    return words.rpartition("&) ")[2].strip()


def _refuse_cpu_nodes(session: Any, named: Callable[[], Any] | None = None) -> None:
    elsewhere = _nodes(session, lambda provider: provider not in (CUDA, TENSORRT), named)
    if elsewhere:
        raise failure(
            "cuda-fallback",
            f"CUDA cannot run all of this model; these nodes would run on the CPU: {', '.join(elsewhere)}",
        )


def _nodes(session: Any, chosen: Callable[[str], bool], named: Callable[[], Any] | None = None) -> list[str]:
    """The nodes that chosen providers run, by name, which begins with the spec path.

    named: the same session with names from the spec, for a file whose functions onnxruntime opened.
    """
    parts = [part for part in session.get_provider_graph_assignment_info() if chosen(part.ep_name)]
    nodes = [node for part in parts for node in part.get_nodes()]
    if named is not None and any(is_made_up(node.name) for node in nodes):
        return _nodes(named(), chosen)
    return [f"{node.name or node.op_type} ({node.op_type})" for node in nodes]


def _by_name(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, named=True)


def _content(path: str | Path, settings: Settings, options: Any) -> str | bytes:
    """What to load of a file: its path, or what it holds with its functions opened where that is asked for."""
    model = read_model(path)
    if not settings.named or not model.functions:
        return str(path)
    options.add_session_config_entry(_FOLDER, str(Path(path).parent))
    content: bytes = open_functions(model).SerializeToString()
    return content


def _load(path: str | Path, content: str | bytes, options: Any, providers: list[Any]) -> Any:
    ort = onnxruntime()
    try:
        return ort.InferenceSession(content, options, providers=providers)
    except failures(ort) as error:
        raise failure("model-file", f"{path}: onnxruntime cannot load it: {_first_line(error)}") from error


def failures(ort: Any) -> tuple[type[Exception], ...]:
    """What onnxruntime raises; its exceptions share no base class but Exception."""
    kinds = vars(ort.capi.onnxruntime_pybind11_state).values()
    own = (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception))
    return (RuntimeError, ValueError, *own)


def guarded(run: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`run`, answering inputs that the model cannot run on with a NetcError."""

    def safe(*args: Arguments.args, **named: Arguments.kwargs) -> Result:
        try:
            return run(*args, **named)
        except failures(onnxruntime()) as error:
            raise bad_input(f"the model does not run on these inputs: {str(error).strip()}") from error

    return safe


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def _session(session: Any, device: str, note: str) -> Session:
    meta = session.get_modelmeta()
    return Session(
        run=guarded(session.run),
        handle=session,
        device=device,
        note=note,
        inputs={value.name: _type(value) for value in session.get_inputs()},
        outputs={value.name: _type(value) for value in session.get_outputs()},
        metadata=meta.custom_metadata_map,
    )


def _type(value: Any) -> TensorType:
    """Raises NetcError (`model-file`) for a sequence, a map, or what may be absent: no tensor of PyTorch or NumPy."""
    kind, _, element = value.type.removesuffix(")").partition("(")
    if kind != "tensor":
        kinds = {"seq": "a sequence of tensors", "map": "a map", "optional": "a tensor that may be absent"}
        told = kinds.get(kind, value.type)
        raise failure("model-file", f"`{value.name}` of this model is {told}; netc only runs models of tensors")
    shape = tuple(_size(value.name, axis, size) for axis, size in enumerate(value.shape))
    return TensorType(shape, _DTYPES.get(element, element))


def _size(name: str, axis: int, size: int | str | None) -> Size:
    """An axis without number or name gets a name of its own."""
    return size if isinstance(size, int) else parse_size(size or f"{name}_{axis}")
