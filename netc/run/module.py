"""The generated PyTorch module, alive: made from its text as a user's import would, and given weights strictly."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from hashlib import blake2b
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from netc.diagnostics.model import NetcError, failure
from netc.ir.model import Network
from netc.libraries import torch
from netc.ops.records import Unsupported
from netc.passes.refusals import torch_refusals
from netc.weights import TensorEntry, TensorSpec, WeightsIndex, fitting_weights, fresh_tensors, tensors
from netc.weights.check import differences, summarised

MODULE_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, RuntimeError, SyntaxError),
    *(TypeError, ValueError),
)
"""What the code of a module may raise."""

_PREFIX = "netc_module_"

_DRAWS = ("normal_", "uniform_", "kaiming_uniform_")
"""What draws random numbers: methods of tensors, and functions of `torch.nn.init` that modes are asked about."""


def live_module(network: Network, source: str, weights: str | Path | Mapping[str, Any] | None, seed: int) -> Any:
    """The network's class in `source`, built without arguments and given weights.

    weights: a safetensors file, a mapping from names to tensors or arrays, or None for fresh ones from `seed`, those of
    `netc weights init`. Raises NetcError for weights that do not fit.
    """
    module = network_of(source, network.name)
    if weights is None:
        drawn = fresh_tensors(network, seed)
        state = {spec.name: _from_bytes(b"".join(chunks), spec.dtype, spec.shape) for spec, chunks in drawn}
    elif isinstance(weights, Mapping):
        state = _fitting(network, {name: torch().as_tensor(value) for name, value in weights.items()})
    else:
        state = _read(fitting_weights(network, weights))
    module.load_state_dict(state)
    return module


def module_text(backend: Any, network: Network) -> str:
    """The module that the PyTorch backend writes; raises NetcError with the line of what PyTorch has no form for."""
    try:
        return str(backend.generate(network))
    except Unsupported as error:
        raise NetcError(torch_refusals(network, error)) from error


def import_network(path: Path, *, drawn: bool = True) -> Any:
    """An instance of the last class in a generated file, built without arguments; `drawn` as for `network_of`."""
    return network_of(path.read_text("utf-8"), path.stem, drawn=drawn)


def network_of(source: str, name: str, *, drawn: bool = True) -> Any:
    """An instance of the last class in the text of a module, built without arguments. drawn: with parameters that have
    random values; without they have none until weights are loaded, which takes half the time.

    The text is kept for tracebacks, `inspect` and `torch.jit.script`, its Python module for pickle: equal texts are one
    module. Raises NetcError: `module-error` where the code fails, `missing-library` without torch.
    """
    key = f"{name}_{blake2b(source.encode(), digest_size=6).hexdigest()}"
    module = sys.modules.get(_PREFIX + key)
    torch()  # where it is missing, that is no fault of the module
    with module_errors("when it is built"):
        if module is None:
            module = _executed(source, _PREFIX + key, f"<{key}.py>")
        *_, last = (value for value in vars(module).values() if _is_class_of(value, module))
        with nullcontext() if drawn else undrawn():
            return last()


def undrawn() -> Any:
    """A mode in which parameters are not drawn at random: they hold whatever memory did, until weights are loaded."""

    class Undrawn(torch().overrides.TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            settings = kwargs or {}
            target = args[0] if args else settings.get("tensor")
            if getattr(func, "__name__", "") in _DRAWS and isinstance(target, torch().nn.Parameter):
                return target
            return func(*args, **settings)

    return Undrawn()


def _executed(source: str, name: str, path: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = path
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    sys.modules[name] = module
    try:
        # Without the `annotations` of this file: they are types, as they are to who imports the module.
        exec(compile(source, path, "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_class_of(value: Any, module: ModuleType) -> bool:
    return isinstance(value, type) and value.__module__ == module.__name__


@contextmanager
def module_errors(when: str) -> Iterator[None]:
    """What a generated module raises becomes a NetcError (`module-error`) with the line of the module that failed."""
    try:
        yield
    except MODULE_ERRORS as error:
        raise module_error(error, when) from error


def module_error(error: Exception, when: str) -> NetcError:
    """The diagnostic for what a generated module raised."""
    message = f"the PyTorch module fails {when}: {type(error).__name__}: {str(error).strip()}{_place(error)}"
    return failure("module-error", message)


def _place(error: Exception) -> str:
    """The last line of generated code on the way to the error."""
    own = {module.__file__ for name, module in list(sys.modules.items()) if name.startswith(_PREFIX)}
    lines = [frame for frame in extract_tb(error.__traceback__) if frame.filename in own]
    return f" (line {lines[-1].lineno} of the module: `{lines[-1].line}`)" if lines else ""


def share_weights(part: Any, whole: Any) -> None:
    """Give a module the very tensors of another that has all of its names."""
    state = whole.state_dict()
    part.load_state_dict({name: state[name] for name in part.state_dict()}, strict=True, assign=True)


def load_strictly(module: Any, index: WeightsIndex) -> None:
    """Fill every parameter and buffer as `load_state_dict` does; raises NetcError (`module-error`) for any that is
    missing, added or of another shape."""
    with module_errors("to load its weights"):
        module.load_state_dict(_read(index))


def _fitting(network: Network, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors that have the network's names and shapes; loading converts their types."""
    specs = tensors(network)
    dtypes = {spec.name: spec.dtype for spec in specs}
    forms = {name: TensorSpec(name, dtypes.get(name, str(t.dtype)), tuple(t.shape)) for name, t in arrays.items()}
    if problems := tuple(differences(specs, forms, "the mapping of weights")):
        raise NetcError(summarised(problems))
    return dict(arrays)


def _read(index: WeightsIndex) -> dict[str, Any]:
    return {name: _tensor(entry) for name, entry in index.tensors.items()}


def _tensor(entry: TensorEntry) -> Any:
    data = bytearray(entry.size)
    with entry.file.open("rb") as file:
        file.seek(entry.start)
        file.readinto(data)
    return _from_bytes(data, entry.dtype, entry.shape)


def _from_bytes(data: bytes | bytearray, name: str, shape: tuple[int, ...]) -> Any:
    dtype = getattr(torch(), name)
    if not data:
        return torch().empty(shape, dtype=dtype)
    return torch().frombuffer(bytearray(data) if isinstance(data, bytes) else data, dtype=dtype).reshape(shape)


def as_tuple(result: Any) -> tuple[Any, ...]:
    """What forward returned, one item per output that it computes."""
    return tuple(result) if isinstance(result, tuple) else (result,)
