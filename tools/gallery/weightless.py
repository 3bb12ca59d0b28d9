"""Modules built without memory for their weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_OF_WEIGHTS = (torch.empty, torch.zeros, torch.ones, torch.full)


class Weightless(TorchFunctionMode):
    """What constructors allocate by its size is on the meta device; numbers they compute with, as RegNet does its
    widths, have values."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        settings = dict(kwargs or {})
        if func in _OF_WEIGHTS and settings.get("device") is None:
            settings["device"] = "meta"
        return func(*args, **settings)
