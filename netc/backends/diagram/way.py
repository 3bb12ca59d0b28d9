"""The main way of a network: its longest one, from input to output, box by box."""

from __future__ import annotations

from collections.abc import Mapping

from netc.backends.diagram.errors import PictureError
from netc.backends.diagram.scene import Primitive, Scene
from netc.backends.diagram.shown import View
from netc.backends.diagram.units import Box, Output, Wire, boxes
from netc.backends.diagram.words import plain
from netc.diagnostics.suggest import few
from netc.dims import Size, bind
from netc.passes.sizes import names_in, typical

NAMED = 3
"""Parts that a note names."""


def main_way(view: View) -> list[Box]:
    """The boxes on the longest way to the first lasting output."""
    every = list(boxes(view.opened.units))
    depth: dict[Wire, int] = {}
    for box in every:
        deep = 1 + max((depth.get(wire, 0) for wire in box.inputs), default=0)
        depth.update(dict.fromkeys(box.outputs, deep))
    way: list[Box] = []
    wire = main_output(view).wire
    while wire in view.makers:
        box = view.makers[wire]
        way.append(box)
        if not box.inputs:
            break
        wire = max(box.inputs, key=lambda one: depth.get(one, 0))
    return way[::-1]


def main_output(view: View) -> Output:
    """The first that is not for training alone."""
    return min(view.opened.outputs, key=lambda output: output.train_only)


def left_out(view: View) -> list[str]:
    """What a style that draws the main way has no place for: parts with parameters beside it, and outputs but the one
    it leads to."""
    on_way = set(map(id, main_way(view)))
    beside = [box.path for box in boxes(view.opened.units) if box.learned and id(box) not in on_way]
    return [*beside, *(output.name for output in view.opened.outputs if output is not main_output(view))]


def left_out_note(view: View) -> tuple[str, ...]:
    """What is not drawn, where something is not."""
    names = left_out(view)
    told = plain(few(names, NAMED))
    return (f"this style draws the main path only, without {told}; --style columns shows everything",) if names else ()


def usual_sizes(view: View) -> dict[str, int]:
    """Numbers for the sizes of the inputs that are open, for styles that draw to scale: images of 224×224 or so."""
    wires = [wire for _, wire in view.opened.inputs]
    lowers = {name: view.network.domain.lower(name) for wire in wires for name in names_in(wire.type.shape)}
    chosen = typical([wire.type.shape for wire in wires], lowers, {})
    drawn = {name for wire in wires for name in names_in(_without_batch(view, wire))}
    return {name: chosen[name] for name in sorted(drawn)}


def scene_of(view: View, width: float, height: float, items: list[Primitive]) -> Scene:
    """A drawing to scale of the main path, with notes of what was chosen and left out for it."""
    file, notes = view.network.file, usual_note(usual_sizes(view)) + left_out_note(view)
    title, doc = view.network.name, file.doc or ""
    return Scene(width=width, height=height, title=title, description=doc, items=items, notes=notes)


def usual_note(usual: Mapping[str, int]) -> tuple[str, ...]:
    """Which numbers were taken, where some had to be."""
    chosen = ",".join(f"{name}={number}" for name, number in usual.items())
    return (f"drawn to scale at {chosen}; --bind sets other sizes",) if usual else ()


def sizes_of(view: View, wire: Wire, usual: Mapping[str, int]) -> list[int]:
    """Sizes without the batch axis, at `usual` values. Raises PictureError where they are no numbers even so."""
    numbers = [bind(size, usual) for size in _without_batch(view, wire)]
    sizes = [number for number in numbers if isinstance(number, int)]
    if len(sizes) < len(numbers):
        raise PictureError(
            "this style draws sizes to scale, but some sizes of this network do not follow from its inputs"
        )
    return sizes


def _without_batch(view: View, wire: Wire) -> tuple[Size, ...]:
    return wire.type.shape[1:] if view.batch is not None else wire.type.shape


def origin(view: View, wire: Wire, on_way: Mapping[int, object]) -> Box | None:
    """Back through crops and the like to the box on the way that a tensor comes from."""
    box = view.makers.get(wire)
    while box is not None and id(box) not in on_way:
        box = view.makers.get(box.inputs[0]) if box.inputs else None
    return box
