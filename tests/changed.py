"""A module that is changed between being read and being compared."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from netc.importing import torch_source


def change_source(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]) -> None:
    """Compare specs with programs whose graph was changed."""
    source = torch_source.TorchSource

    def of_another(program: Any, types: Any) -> Any:
        other = deepcopy(program)
        change(other.graph)
        other.graph_module.recompile()
        return source(other, types)

    monkeypatch.setattr(torch_source, "TorchSource", of_another)
