"""Runs the checked IR itself with torch, operator by operator: what generated code is compared with."""

from __future__ import annotations

from typing import Any

from torch import nn

from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.run.interpreter import interpreted


def interpreter(network: Network) -> nn.Module:
    """The opened network, which gives its outputs by name; parameters live under the IR's own paths."""
    flat = flatten(network)
    module: nn.Module = interpreted(flat.nodes, flat.inputs, [output.wire for output in flat.outputs])

    def named(module: nn.Module, inputs: Any, values: Any) -> dict[str, Any]:
        found = zip(flat.outputs, values, strict=True)
        return {output.name: value for output, value in found if module.training or not output.train_only}

    module.register_forward_hook(named)
    return module
