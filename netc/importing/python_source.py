"""`python:package.module:callable`: what a user's own code makes. It is run, with all that it may do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from netc.importing.graph import Gap
from netc.importing.run import Imported, Wishes
from netc.importing.torch_source import import_torch_module
from netc.libraries import torch
from netc.progress import Note
from netc.syntax.names import name_from_stem

PREFIX = "python:"


def import_python(source: str, arguments: Mapping[str, Any], wishes: Wishes, note: Note) -> Imported:
    """The network that a callable returns, a module of PyTorch or an exported program; modules may stand for
    themselves. Its inputs are random numbers of the shapes that are wished for, in that order. Raises NetcError
    (`cannot-import`)."""
    module, _, name = source.removeprefix(PREFIX).partition(":")
    try:
        if not module or not name:
            raise Gap("a callable is named as in python:torchvision.models:resnet18")
        note(f"running the code of {module}")
        module_ = _made(_found(module, name), name, arguments)
        if isinstance(module_, torch().nn.Module) and not wishes.shapes:
            raise Gap("the shape of its input is not known: add --input 1x3x224x224, once for each input")
        example = tuple(torch().randn(shape) for shape in wishes.shapes.values())
        return import_torch_module(module_, example, wishes, name_from_stem(name.rpartition(".")[2]), note)
    except Gap as gap:
        raise gap.error(source) from gap


def _found(module: str, name: str) -> Any:
    """What a module calls by a name. Modules of the folder that the command runs in are found as Python finds them."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        attribute: Any = import_module(module)
        for part in name.split("."):
            attribute = getattr(attribute, part)
    except Exception as error:
        raise Gap(f"cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(here)
    return attribute


def _made(value: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    kinds = torch().nn.Module, torch().export.ExportedProgram
    if not isinstance(value, kinds):
        if not callable(value):
            raise Gap(f"{name} cannot be called")
        try:
            value = value(**arguments)
        except Exception as error:
            raise Gap(f"{name} fails with {type(error).__name__}: {error}") from error
    if not isinstance(value, kinds):
        raise Gap(f"{name} gives {type(value).__name__}, not a module of PyTorch")
    return value
