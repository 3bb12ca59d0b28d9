"""Outputs that are none, and parts of imports that nothing needs."""

from __future__ import annotations

from netc.diagnostics.model import Label
from netc.diagnostics.suggest import few
from netc.passes.compilation import Compilation
from netc.types import NONE


def check_outputs(compilation: Compilation) -> None:
    """Report outputs of the network that are none."""
    for output in compilation.root.outputs:
        if output.enabled and output.value.type is NONE:
            message = f"output `{output.name}` is none here"
            compilation.session.report.error("absent-tensor", message, output.span).also(
                Label(output.value.span, "none comes from here")
            ).help("remove the output with `if`: `{from: …, if: condition}`")


def check_pruned(compilation: Compilation) -> None:
    """Report what imported networks have lost, unless an error is why."""
    if compilation.session.report.errors:
        return
    for call, lost in ((one.call, one.lost) for block in compilation.blocks for one in block.calls if one.lost):
        message = f"parts of `{call.block.name}` are not needed here and are left out: {few(lost, 6)}"
        compilation.session.report.warning("pruned-import", message, call.span)
