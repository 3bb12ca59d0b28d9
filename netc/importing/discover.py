"""Structure without names."""

from __future__ import annotations

from netc.importing.graph import Graph
from netc.importing.parts import Part, flat


def discover(graph: Graph) -> Part:
    return flat(graph)
