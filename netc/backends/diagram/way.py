"""The main way of a network: its longest one, from input to output, box by box."""

from __future__ import annotations

from collections.abc import Mapping

from netc.backends.diagram.errors import PictureError
from netc.backends.diagram.shown import View
from netc.backends.diagram.units import Box, Wire, boxes


def main_way(view: View) -> list[Box]:
    """The boxes on the longest way to the first lasting output."""
    every = list(boxes(view.opened.units))
    depth: dict[Wire, int] = {}
    for box in every:
        deep = 1 + max((depth.get(wire, 0) for wire in box.inputs), default=0)
        depth.update(dict.fromkeys(box.outputs, deep))
    lasting = [output for output in view.opened.outputs if not output.train_only] or list(view.opened.outputs)
    way: list[Box] = []
    wire = lasting[0].wire
    while wire in view.makers:
        box = view.makers[wire]
        way.append(box)
        if not box.inputs:
            break
        wire = max(box.inputs, key=lambda one: depth.get(one, 0))
    return way[::-1]


def sizes_of(view: View, wire: Wire) -> list[int]:
    """Sizes without the batch axis. Raises PictureError where they are not numbers."""
    shape = wire.type.shape[1:] if view.batch is not None else wire.type.shape
    numbers = [size for size in shape if isinstance(size, int)]
    if len(numbers) < len(shape):
        raise PictureError(
            "this style draws sizes to scale and needs numbers for them: --size 224x224, or --bind h=7,w=7"
        )
    return numbers


def origin(view: View, wire: Wire, on_way: Mapping[int, object]) -> Box | None:
    """Back through crops and the like to the box on the way that a tensor comes from."""
    box = view.makers.get(wire)
    while box is not None and id(box) not in on_way:
        box = view.makers.get(box.inputs[0]) if box.inputs else None
    return box
