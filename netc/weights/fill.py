"""Random numbers in chunks: what a tensor is filled with, as bytes ready to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from math import erf, sqrt
from typing import Any

import numpy as np

from netc.ops.records import Fill

CHUNK = 1 << 22
CUT = 2.0
MAX_REDRAWS = 64

Array = np.ndarray[Any, np.dtype[Any]]
Draw = Callable[[np.random.Generator, Array, int], None]
"""Fills an array that begins at that element of the tensor."""


def filled(fill: Fill, dtype: str, count: int, seed: int, name: str) -> Iterator[memoryview]:
    """The bytes of `count` elements, a chunk at a time; each buffer holds until the next is taken.

    A tensor draws from its own stream, made of seed and name, so adding a layer leaves the others' weights alone.
    """
    if fill.kind == "given":
        yield _stored(np.asarray(fill.values, _work_type(dtype)), dtype).data.cast("B")
        return
    generator = np.random.Generator(np.random.SFC64(_entropy(seed, name)))
    work = np.empty(min(count, CHUNK), _work_type(dtype))
    draw = _drawer(fill)
    for first in range(0, count, CHUNK):
        part = work[: min(CHUNK, count - first)]
        draw(generator, part, first)
        start, end = (min(max(at - first, 0), len(part)) for at in fill.blank)
        part[start:end] = 0
        yield _stored(part, dtype).data.cast("B")


def _entropy(seed: int, name: str) -> int:
    return int.from_bytes(blake2b(f"{seed}/{name}".encode(), digest_size=16).digest(), "little")


def _work_type(dtype: str) -> str:
    return {"float16": "float32", "bfloat16": "float32"}.get(dtype, dtype)


def _stored(values: Array, dtype: str) -> Array:
    if dtype == "float16":
        return values.astype("float16")
    return _bfloat16(values) if dtype == "bfloat16" else values


def _bfloat16(values: Array) -> Array:
    """Rounded to the nearest bfloat16, ties to even; values are finite."""
    bits = values.view("uint32")
    rounded: Array = ((bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16).astype("uint16")
    return rounded


def _drawer(fill: Fill) -> Draw:
    a, b = fill.a, fill.b
    if fill.kind == "constant":
        return lambda _, out, first: out.fill(a)
    if fill.kind == "diagonal":
        return lambda _, out, first: _diagonal(out, first, fill.taps, fill.columns)
    if fill.kind == "uniform":
        return lambda generator, out, _: _uniform(generator, out, a, b)
    if fill.kind == "normal":
        return lambda generator, out, _: _normal(generator, out, a, b)
    return lambda generator, out, _: _trunc_normal(generator, out, a, b)


def _diagonal(out: Array, first: int, taps: tuple[float, ...], columns: int) -> None:
    size = columns * len(taps)
    out.fill(0)
    for row in range(first // size, -(-(first + out.size) // size)):
        start = row * size + row % columns * len(taps) - first
        begin, end = max(start, 0), min(start + len(taps), out.size)
        if begin < end:
            out[begin:end] = taps[begin - start : end - start]


def _uniform(generator: np.random.Generator, out: Array, low: float, high: float) -> None:
    generator.random(out=out, dtype=out.dtype)
    out *= high - low
    out += low


def _normal(generator: np.random.Generator, out: Array, mean: float, std: float) -> None:
    generator.standard_normal(out=out, dtype=out.dtype)
    out *= std
    out += mean


def _trunc_normal(generator: np.random.Generator, out: Array, mean: float, std: float) -> None:
    """Redraw what falls outside ±2; from a uniform proposal where a normal one would mostly miss."""
    if std == 0:
        out.fill(min(CUT, max(-CUT, mean)))
        return
    draw = _normal if _share_inside(mean, std) > 0.5 else _under_curve
    draw(generator, out, mean, std)
    for _ in range(MAX_REDRAWS):
        outside = np.flatnonzero(~(np.abs(out) <= CUT))
        if not outside.size:
            return
        again = np.empty(outside.size, out.dtype)
        draw(generator, again, mean, std)
        out[outside] = again
    np.nan_to_num(out, copy=False, nan=CUT if mean > 0 else -CUT)
    np.clip(out, -CUT, CUT, out=out)


def _share_inside(mean: float, std: float) -> float:
    scale = std * sqrt(2)
    return (erf((CUT - mean) / scale) - erf((-CUT - mean) / scale)) / 2


def _under_curve(generator: np.random.Generator, out: Array, mean: float, std: float) -> None:
    """One round of rejection sampling: uniform points in ±2 that lie under the bell; NaN where one does not."""
    _uniform(generator, out, -CUT, CUT)
    peak = min(CUT, max(-CUT, mean))
    height = np.exp((((peak - mean) / std) ** 2 - ((out - mean) / std) ** 2) / 2)
    out[generator.random(out.size, dtype=out.dtype) > height] = np.nan
