"""Checkpoints with more than tensors in them: everything else is read as an inert stand-in, and no code of it is run.

`torch.load(weights_only=True)` refuses a file with settings of a training script in it, an `argparse.Namespace` say.
Each name that it refuses is given a class made here, which takes whatever the file says of it and does nothing; what
the name means to its author is never imported.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from netc.libraries import torch

MOST = 200
"""Different names in one file."""

MOST_MODULES = 100_000
"""Modules inside each other, each counted wherever it is used: a file may say that one holds itself."""

_REFUSED = re.compile(r"GLOBAL (\S+) was not an allowed global")
_WANTS = {
    re.compile(r"Can only SETITEMS? for .* but got <class '([^']+)'>"): OrderedDict,
    re.compile(r"Can only (?:append|extend) (?:to )?lists, but got <class '([^']+)'>"): list,
}
"""What the unpickler says of an object that is filled like a mapping or a list, and what stands in for it."""


class StandIn:
    """What stands in for an object of a class that is not imported. It keeps what the file says it holds."""

    def __new__(cls, *args: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update((name, value) for name, value in state.items() if isinstance(name, str))


def load_inert(load: Callable[[], Any]) -> tuple[Any, tuple[str, ...]]:
    """What `load` makes of a file, and the names in it that stand-ins were read for.

    load: a call of `torch.load` with weights_only. Raises what it raises: for names that are never allowed (modules
    `os` and `sys`), and for more than `MOST` of them.
    """
    classes: dict[str, type[Any]] = {}
    while True:
        try:
            with _allowed(classes.values()):
                return load(), tuple(classes)
        except pickle.UnpicklingError as error:
            name, kind = _needed(str(error), classes)
            if name is None or len(classes) >= MOST:
                raise
            classes[name] = kind


def _needed(message: str, classes: Mapping[str, type[Any]]) -> tuple[str | None, type[Any]]:
    """The name that a stand-in has to be made for, and that; None where none would help."""
    refused = _REFUSED.search(message)
    if refused is not None:
        name = refused[1] if "." in refused[1] else f"builtins.{refused[1]}"
        return (None if name in classes else name), _stand_in(name, StandIn)
    for pattern, container in _WANTS.items():
        match = pattern.search(message)
        if match is not None and match[1] in classes and issubclass(classes[match[1]], StandIn):
            return match[1], _stand_in(match[1], container)
    return None, StandIn


def _stand_in(name: str, kind: type[Any]) -> type[Any]:
    """A class of that name. Calling it gives an inert object, or an empty container where `kind` is one."""
    module, _, own = name.rpartition(".")
    if kind is StandIn:
        return type(own, (StandIn,), {"__module__": module, "__qualname__": own})
    empty: Callable[..., Any] = lambda cls, *args: kind()  # noqa: E731
    return type(own, (), {"__module__": module, "__qualname__": own, "__new__": empty})


@contextmanager
def _allowed(classes: Any) -> Iterator[None]:
    """torch's unpickler takes these classes, and after it what it took before."""
    library = torch().serialization
    before = library.get_safe_globals()
    library.add_safe_globals(list(classes))
    try:
        yield
    finally:
        library.clear_safe_globals()
        library.add_safe_globals(before)


def state_of(loaded: Any) -> dict[str, Any] | None:
    """The state_dict of a module that was saved whole and read as stand-ins; None for anything else."""
    if not isinstance(loaded, StandIn) or not isinstance(vars(loaded).get("_modules"), Mapping):
        return None
    state: dict[str, Any] = {}
    todo: list[tuple[str, Any]] = [("", loaded)]
    for _ in range(MOST_MODULES):
        if not todo:
            break
        prefix, module = todo.pop()
        own = vars(module) if isinstance(module, StandIn) else {}
        state |= {f"{prefix}{name}": tensor for name, tensor in _held(own)}
        todo += reversed([(f"{prefix}{name}.", inner) for name, inner in _entries(own.get("_modules"))])
    return state


def _held(module: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The parameters and buffers of one module that its state_dict has."""
    left_out = module.get("_non_persistent_buffers_set", ())
    yield from _entries(module.get("_parameters"))
    yield from ((name, tensor) for name, tensor in _entries(module.get("_buffers")) if name not in left_out)


def _entries(value: Any) -> list[tuple[str, Any]]:
    """What is there by name; PyTorch keeps None for a bias that was left out."""
    return [(str(k), v) for k, v in value.items() if v is not None] if isinstance(value, Mapping) else []
