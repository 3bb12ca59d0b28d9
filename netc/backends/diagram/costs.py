"""What the parts of a picture cost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from netc.backends.diagram.units import Box
from netc.dims import Size
from netc.ir.model import Network
from netc.literals import scaled
from netc.passes.cost import NOTHING, Cost, total
from netc.passes.summary import summarise
from netc.passes.table import number

_LARGE = re.compile(r"\d[\d,]{3,}")
Costs = Mapping[str, Cost]
"""By the path of the statement."""


def costs_of(network: Network) -> tuple[Costs, Cost]:
    """The cost of every statement, and of all."""
    summary = summarise(network)
    return {layer.path: layer.cost for layer in summary.layers}, summary.totals


def cost_of(boxes: Iterable[Box], costs: Costs) -> Cost:
    """What some boxes cost together, all copies counted."""
    return total(costs.get(path, NOTHING) for box in boxes for path in box.nodes)


def human(size: Size | None) -> str:
    """`9.54 k`, `1.09 G`, `2.41 M·h·w`; nothing for 0."""
    return _LARGE.sub(lambda digits: scaled(int(digits[0].replace(",", ""))), number(size))
