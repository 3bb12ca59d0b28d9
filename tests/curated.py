"""The PyTorch modules of curated networks, for tests that compare networks with each other."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

import netc

SPECS = Path(__file__).parents[1] / "specs"


def model(spec: str, **args: Any) -> nn.Module:
    """The module, with fresh weights, of `name:variant` of specs/ with these arguments."""
    name, _, variant = spec.partition(":")
    code = netc.load(SPECS / f"{name}.yaml", variant=variant or None, args=args).to_torch()
    module = ModuleType("generated")
    exec(compile(code, name, "exec"), module.__dict__)
    classes = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == "generated"]
    network: nn.Module = classes[-1]()
    return network
