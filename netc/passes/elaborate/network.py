"""A file with its arguments and inputs becomes a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netc.ir.model import Network
from netc.ops.base import OPERATORS
from netc.passes.compilation import Compilation
from netc.passes.elaborate.blocks import Blocks
from netc.passes.elaborate.collector import Report
from netc.passes.elaborate.inputs import Inputs
from netc.passes.elaborate.outside import Outside
from netc.passes.paths import check_defaults
from netc.syntax.ast import SpecFile


def elaborate(
    blocks: Blocks, spec: SpecFile, args: Mapping[str, Any], variant: str | None, bound: dict[str, int]
) -> Compilation | None:
    """The network of a file, as it is written; None where there can be none (reported)."""
    session = blocks.session
    _report_hidden_operators(session.report, spec)
    chosen = session.files.variant(spec, variant, None)
    if variant is not None and chosen is None:
        return None
    outside = Outside(session, spec)
    instance = session.files.instance(spec, chosen, outside.values(args))
    outside.belong_to(instance)
    inputs = Inputs(session, instance).values(bound)
    for file in session.files.specs.values():
        check_defaults(session.report, file)
    root = blocks.elaborate(spec, instance, dict(instance.arguments), inputs)
    if root is None:
        return None
    name, own = (spec.name, None) if chosen is None else (chosen.name, chosen.name)
    network = Network(name=name, variant=own, file=spec, block=root.block, domain=session.domain)
    return Compilation(session=session, network=network, root=root, instance=instance)


def _report_hidden_operators(report: Report, spec: SpecFile) -> None:
    for name, block in spec.blocks.items():
        if name in OPERATORS:
            message = f"block `{name}` hides the operator of the same name"
            report.warning("shadows-operator", message, block.span)
