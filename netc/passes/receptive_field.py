"""How much of the input one position of a tensor sees.

The recursion is that of Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks"
(Distill, 2019): through a window of extent e and stride s, a field of r elements with steps of j becomes
r + (e − 1)·j with steps of j·s. Upsampling by s makes steps of j/s, and a window of extent e that does so reaches
⌈e/s⌉ elements. Where branches meet, the largest field counts. Statistics that a normalisation takes over the whole map
do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil

import msgspec

from netc.dims import NotExact, Size, TooComplex, exact_div
from netc.geometry import Window
from netc.ir.flat import Flat, FlatNode, Wire
from netc.ops.base import Op, Sight
from netc.types import TensorType


class Field(msgspec.Struct, frozen=True):
    """reach and step per spatial axis, in elements of the input (parts of one after upsampling); `whole` when every
    element is seen."""

    reach: tuple[Fraction, ...] = ()
    step: tuple[Fraction, ...] = ()
    whole: bool = False

    @property
    def size(self) -> tuple[int, ...]:
        """Elements seen per axis."""
        return tuple(ceil(r) for r in self.reach)

    def __str__(self) -> str:
        if self.whole:
            return "all"
        return str(self.size[0]) if len(set(self.size)) == 1 else "×".join(map(str, self.size))

    @property
    def step_text(self) -> str:
        """Elements of the input from one position to the next (output stride); nothing where all of them are seen."""
        return "" if self.whole else _numbers(self.step) if self.step else ""


WHOLE = Field(whole=True)
NOWHERE = Field()
"""What a tensor without input sees."""
ONE = Fraction(1)


def receptive_fields(flat: Flat) -> dict[Wire, Field | None]:
    """The field of every tensor; None where there are no spatial axes or the rule does not reach."""
    fields: dict[Wire, Field | None] = {wire: _start(wire.type) for wire in flat.inputs}
    for node in flat.nodes:
        before = seen_before(node, fields)
        for wire in node.outputs:
            fields[wire] = _through(node, before, wire.type)
    return fields


def seen_before(node: FlatNode, fields: Mapping[Wire, Field | None]) -> Field | None:
    """What one position of a node's inputs sees."""
    return _merge([fields.get(wire) for wire in node.inputs])


def derivation(node: FlatNode, before: Field, after: Field) -> str:
    """How `after` follows from `before`, with its numbers, once where all axes have the same: `1 + (11−1)·1
    = 11, step 1·4 = 4`. Text for one that stays as it is, too."""
    if after.whole or before.whole:
        return "the whole input"
    if after.reach == before.reach and after.step == before.step:
        return f"{after}, as before; step {after.step_text}"
    windows = node.node.op.windows(*(wire.type for wire in node.inputs))
    spreads = _spreads(node.node.op)
    windows = windows or _resizing(node, node.outputs[0].type)
    axes = zip(windows, before.reach, before.step, after.reach, after.step, strict=True)
    return "; ".join(dict.fromkeys(_spread_text(*axis) if spreads else _slide_text(*axis) for axis in axes))


def _slide_text(window: Window, reach: Fraction, step: Fraction, reached: Fraction, now: Fraction) -> str:
    taps = f"{window.kernel}−1" if window.dilation == 1 else f"{window.extent}−1"
    return f"{reach} + ({taps})·{step} = {reached}, step {step}·{window.stride} = {now}"


def _spread_text(window: Window, reach: Fraction, step: Fraction, reached: Fraction, now: Fraction) -> str:
    return f"{reach} + (⌈{window.extent}/{window.stride}⌉−1)·{step} = {reached}, step {step}/{window.stride} = {now}"


def _numbers(values: tuple[Fraction, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "×".join(map(str, values))


def _start(type_: TensorType) -> Field | None:
    axes = type_.rank - 2
    return Field((ONE,) * axes, (ONE,) * axes) if axes > 0 else None


def _merge(fields: Sequence[Field | None]) -> Field | None:
    if None in fields:
        return None
    finite = [field for field in fields if field is not None and field is not NOWHERE]
    if not finite:
        return NOWHERE
    if any(field.whole for field in finite):
        return WHOLE
    if len({len(field.step) for field in finite}) > 1:
        return None
    return Field(_largest([f.reach for f in finite]), _largest([f.step for f in finite]))


def _largest(rows: Sequence[tuple[Fraction, ...]]) -> tuple[Fraction, ...]:
    return tuple(max(column) for column in zip(*rows, strict=True))


def _through(node: FlatNode, before: Field | None, out: TensorType) -> Field | None:
    if before is None or before.whole or before is NOWHERE:
        return before
    op, types = node.node.op, [wire.type for wire in node.inputs]
    windows, sight = op.windows(*types), op.sight(*types)
    if _spreads(op):
        return _upsample(before, windows or _resizing(node, out))
    if windows:
        return _slide(before, windows)
    if sight is Sight.WHOLE:
        return WHOLE
    kept = sight is Sight.MOVED or (sight is Sight.PLACE and _spatial(types[0]) == _spatial(out))
    return before if kept else None


def _spreads(op: Op) -> bool:
    """Do steps get smaller: by windows that spread, or by a new size?"""
    return op.transposed or op.sees is Sight.RESIZED


def _slide(before: Field, windows: Sequence[Window]) -> Field | None:
    if len(windows) != len(before.step):
        return None
    axes = list(zip(before.reach, before.step, windows, strict=True))
    return Field(tuple(r + (w.extent - 1) * j for r, j, w in axes), tuple(j * w.stride for _, j, w in axes))


def _upsample(before: Field, windows: Sequence[Window]) -> Field | None:
    if len(windows) != len(before.step):
        return None
    axes = list(zip(before.reach, before.step, windows, strict=True))
    reach = tuple(r + (ceil(Fraction(w.extent, w.stride)) - 1) * j for r, j, w in axes)
    return Field(reach, tuple(j / w.stride for _, j, w in axes))


def _resizing(node: FlatNode, out: TensorType) -> tuple[Window, ...]:
    """Interpolation by whole factors as windows; () for other factors."""
    before, after = _spatial(node.inputs[0].type), _spatial(out)
    factors = [_factor(a, b) for a, b in zip(before, after, strict=False)]
    taps = node.node.op.taps()
    scales = [factor for factor in factors if factor]
    return tuple(Window(taps * factor, factor) for factor in scales) if len(scales) == len(before) else ()


def _factor(before: Size, after: Size) -> int | None:
    try:
        factor = exact_div(after, before)
    except (NotExact, TooComplex):
        return None
    return factor if isinstance(factor, int) else None


def _spatial(type_: TensorType) -> tuple[Size, ...]:
    return type_.shape[2:]
