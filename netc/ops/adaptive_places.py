"""Where adaptive max pooling finds its elements, in ONNX: places counted within a plane, as in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from netc.dims import exact_div
from netc.geometry import adaptive_bins
from netc.ops.base import PerAxisOrKept
from netc.ops.common import each_of, elements, int64, node, numbers
from netc.ops.pool import _modulo_plane
from netc.ops.records import OnnxConst, OnnxNode
from netc.types import TensorType


def values_and_places(x: TensorType, output_size: PerAxisOrKept) -> Iterator[OnnxNode]:
    """A plain pool where all bins are alike, else bin by bin along each axis, the last one first: of equals the first
    in row-major order is found. Raises Unsupported for sizes that are not known."""
    alike = [1 if out is None else exact_div(n, out) for n, out in zip(x.shape[2:], output_size, strict=True)]
    widths = tuple([w for w in alike if isinstance(w, int)])
    if len(widths) == len(alike):
        yield node("MaxPool", "x0", "y0 flat", kernel_shape=widths, strides=widths)
        yield from _modulo_plane(x)
        return
    space = numbers(x.shape[2:])
    pooled = [(axis, out) for axis, out in enumerate(output_size, 2) if out is not None]
    names = {"values": "x0"}
    for axis, out in reversed(pooled):
        each_of(out)
        yield from _along(names, axis, adaptive_bins(space[axis - 2], out), last=axis == pooled[0][0])
    yield from _counted(names, space)


def _along(names: dict[str, str], axis: int, bins: list[tuple[int, int]], *, last: bool) -> Iterator[OnnxNode]:
    """The largest of each bin along one axis, and the places it has there and along the axes that were first."""
    parts: dict[str, list[str]] = {name: [] for name in (*names, f"at{axis}")}
    consts = [int64(f"axis{axis}", axis)]
    for i, (start, end) in enumerate(bins):
        part = f"{axis}_{i}"
        consts += [int64(f"from{part}", start), int64(f"to{part}", end)]
        for name, source in names.items():
            yield node("Slice", f"{source} from{part} to{part} axis{axis}", f"{name}_bin{part}", *consts)
            consts = []
        yield node("ReduceMax", f"values_bin{part} axis{axis}", f"values{part}", keepdims=1)
        yield node("ArgMax", f"values_bin{part}", f"inner{part}", axis=axis, keepdims=1)
        for name in names:
            if name != "values":
                yield node("GatherElements", f"{name}_bin{part} inner{part}", f"{name}{part}", axis=axis)
        yield node("Add", f"inner{part} from{part}", f"at{axis}{part}")
        for name, pieces in parts.items():
            pieces.append(f"{name}{part}")
    for name, pieces in parts.items():
        names[name] = "y0" if last and name == "values" else f"{name}_{axis}"
        yield node("Concat", " ".join(pieces), names[name], axis=axis)


def _counted(names: dict[str, str], space: tuple[int, ...]) -> Iterator[OnnxNode]:
    """The places along all axes as one number, row by row."""
    terms = []
    for axis, n in enumerate(space, 2):
        step = prod(space[axis - 1 :])
        term = f"part{axis}"
        if f"at{axis}" in names:
            yield node("Mul", f"{names[f'at{axis}']} step{axis}", term, OnnxConst(f"step{axis}", "int64", (), (step,)))
        else:
            places = tuple([at * step for at in elements(n)])
            line = OnnxConst(term, "int64", (n, *[1] * (len(space) + 1 - axis)), places)
            yield node("Identity", f"{term}_line", term, OnnxConst(f"{term}_line", "int64", line.shape, line.values))
        terms.append(term)
    total = terms[0]
    for term in terms[1:]:
        result = "y1" if term == terms[-1] else f"sum_{term}"
        yield node("Add", f"{total} {term}", result)
        total = result
    if len(terms) == 1:
        yield node("Identity", total, "y1")
