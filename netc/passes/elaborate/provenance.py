"""Where tensors come from, and why two branches disagree on a size: the windows on the way, with their formulas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from netc.diagnostics.model import Source
from netc.dims import Size, dim_text, symbols
from netc.geometry import Window
from netc.ir.model import Node, Value
from netc.ops.records import Clash
from netc.passes.elaborate.namespace import CallSite
from netc.types import AXES

MAX_STEPS = 60
MAX_SHOWN = 6


class Provenance(msgspec.Struct, frozen=True, eq=False):
    """What makes each tensor: an operator, or the call of a block that hands it out."""

    nodes: dict[Value, Node] = {}
    sites: dict[Value, CallSite] = {}


class Ancestor(msgspec.Struct, frozen=True, eq=False):
    """An operator on the way to a tensor, and its path as the statement at the end of the way would say it."""

    node: Node
    path: str
    inside: bool
    """Whether it stands in a block that is called on the way."""


def steps(value: Value, provenance: Provenance) -> Iterator[Ancestor]:
    """The way to a tensor, last operator first, along first inputs and through the blocks called."""
    sites: list[CallSite] = []
    for _ in range(MAX_STEPS):
        node, site = provenance.nodes.get(value), provenance.sites.get(value)
        if node is not None:
            if not node.inputs:
                return
            yield Ancestor(node, ".".join([*[s.call.path for s in sites], node.path]), bool(sites))
            value = node.inputs[0]
        elif site is not None and (inner := site.inside(value)) is not None:
            sites.append(site)
            value = inner
        elif sites and value in sites[-1].callee.block.inputs:
            site = sites.pop()
            value = site.call.inputs[site.callee.block.inputs.index(value)]
        else:
            return


def explain(inputs: Sequence[Value], clash: Clash, provenance: Provenance, source: Source) -> tuple[str, ...]:
    """How the spatial sizes of two inputs came to differ: every rounding on the way to either. Lines of other files
    than `source` are told with their file."""
    if clash.inputs is None:
        return ()
    lines: list[str] = []
    for at in clash.inputs:
        steps = _way(inputs[at], [axis for axis in clash.axes if axis > 1], provenance, source)
        lines += [line for line in steps if line not in lines]
    if not lines:
        return ()
    rest = [f"  and {len(lines) - MAX_SHOWN} more"] if len(lines) > MAX_SHOWN else []
    return ("\n".join(["where the sizes diverge", *(f"  {line}" for line in lines[:MAX_SHOWN]), *rest]),)


def _way(value: Value, axes: Sequence[int], provenance: Provenance, source: Source) -> Iterator[str]:
    """The roundings on the way to a tensor, last first; axes with the same formula on one line."""
    for step in steps(value, provenance):
        node = step.node
        x = node.inputs[0].type
        windows = node.op.windows(x)
        line, _ = node.span.source.position(node.span.start)
        file = "" if node.span.source.path == source.path else f" of {node.span.source.path}"
        shown: dict[str, list[int]] = {}
        for axis in axes if windows and x.rank in AXES else ():
            window = windows[axis - (x.rank - len(windows))] if axis < x.rank else None
            if window is not None and _rounds(node, window, axis):
                shown.setdefault(_unnamed(_formula(node, window, axis), x.shape[axis]), []).append(axis)
        for alike in shown.values():
            window = windows[alike[0] - (x.rank - len(windows))]
            letters = [AXES[x.rank][axis] for axis in alike]
            lead = " = ".join(letters) if len({x.shape[axis] for axis in alike}) == 1 else letters[0]
            tail = f"; {' and '.join(letters[1:])} likewise" if lead == letters[0] and letters[1:] else ""
            yield f"{step.path} (line {line}{file})  {lead} = {_formula(node, window, alike[0])}{tail}"


def _unnamed(formula: str, size: Size) -> str:
    """The formula without the name of its one symbol, to tell that H and W are treated alike."""
    names = symbols(size)
    return re.sub(rf"(?<![A-Za-z]){min(names)}(?![A-Za-z])", "·", formula) if len(names) == 1 else formula


def _rounds(node: Node, window: Window, axis: int) -> bool:
    """Whether the size that comes out is not simply the one that goes in, divided by the stride."""
    size = node.inputs[0].type.shape[axis]
    shrinks = window.stride == 1 and node.outputs[0].type.shape[axis] != size
    return node.op.transposed or shrinks or window.remainder(size) != 0


def _formula(node: Node, window: Window, axis: int) -> str:
    size = node.inputs[0].type.shape[axis]
    if not node.op.transposed:
        return window.formula(size)
    result = node.outputs[0].type.shape[axis]
    extra = result - window.transposed(size)
    return window.formula_transposed(size, extra) if isinstance(extra, int) else dim_text(result)
