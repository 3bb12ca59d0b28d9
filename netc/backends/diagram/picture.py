"""A picture of a network in one step, coarser where the finer one would take too long."""

from __future__ import annotations

import msgspec

from netc.backends.diagram.dot import Direction, Level, to_dot
from netc.backends.diagram.engine import EngineTimeout, Format, render
from netc.ir.model import Network

COARSER: dict[Level, Level] = {"ops": "blocks", "blocks": "overview"}


class Picture(msgspec.Struct, frozen=True, eq=False):
    """data: the file's bytes; dot: what they were drawn from; level: the level drawn; notes: what was given up."""

    data: bytes
    dot: str
    level: Level
    notes: tuple[str, ...] = ()


def draw(
    network: Network,
    level: Level = "blocks",
    direction: Direction = "tb",
    format: Format = "svg",
    timeout: float = 60.0,
) -> Picture:
    """Draw a network; a level whose layout takes longer than `timeout` seconds gives way to the next coarser one.

    Raises what `render` raises; EngineTimeout only when the coarsest level takes too long, too.
    """
    notes: list[str] = []
    while True:
        dot = to_dot(network, level, direction)
        try:
            return Picture(render(dot, format, timeout), dot, level, tuple(notes))
        except EngineTimeout:
            if level not in COARSER:
                raise
            notes.append(f"level {level} took longer than {timeout:g} s; drew {COARSER[level]} instead")
            level = COARSER[level]
