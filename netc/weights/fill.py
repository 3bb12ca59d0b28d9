"""Random numbers in blocks: what a tensor is filled with, as bytes ready to be written."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from math import erf, pi, prod, sqrt

import numpy as np

from netc.ops.records import Fill, Singular
from netc.weights.values import Array, Buffer, as_bytes

BLOCK = 1 << 18
"""Elements drawn at once, from a stream of their own: few enough to stay in a processor's cache."""

MAX_WORKERS = 16
"""More would wait for the disk, and each holds a few blocks in memory."""

CUT = 2.0
MAX_REDRAWS = 64
POWER_STEPS = 15

Draw = Callable[[np.random.Generator, Array, int], None]
"""Fills an array that begins at that element of the tensor."""


def filled(fill: Fill, dtype: str, count: int, seed: int, name: str) -> Iterator[Buffer]:
    """The bytes of `count` elements, a block at a time, drawn by all processors.

    A block draws from a stream made of seed, name and place. So adding a layer leaves the others' weights alone, and
    the number of processors changes nothing; their kind may change the last bit of normal numbers.
    """
    if fill.of is not None:
        yield as_bytes(_singular(fill.of, _work_type(dtype), seed), dtype)
        return
    if fill.kind == "given":
        yield as_bytes(np.asarray(fill.values, _work_type(dtype)), dtype)
        return
    draw = _drawer(fill)

    def block(first: int) -> Buffer:
        part = np.empty(min(count - first, BLOCK), _work_type(dtype))
        draw(_generator(f"{seed}/{name}/{first}"), part, first)
        start, end = (min(max(at - first, 0), len(part)) for at in fill.blank)
        part[start:end] = 0
        return as_bytes(part, dtype)

    yield from _ahead(block, range(0, count, BLOCK))


def _ahead(block: Callable[[int], Buffer], places: range) -> Iterator[Buffer]:
    """The blocks in order; while one is used, a few that follow are drawn. NumPy draws outside Python's lock."""
    if len(places) == 1:
        yield block(places[0])
        return
    workers, waiting = min(os.cpu_count() or 1, MAX_WORKERS), deque[Future[Buffer]]()
    with ThreadPoolExecutor(workers) as pool:
        for place in places:
            if len(waiting) > workers:
                yield waiting.popleft().result()
            waiting.append(pool.submit(block, place))
        while waiting:
            yield waiting.popleft().result()


def _generator(stream: str) -> np.random.Generator:
    entropy = blake2b(stream.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.SFC64(int.from_bytes(entropy, "little")))


def _work_type(dtype: str) -> str:
    return {"float16": "float32", "bfloat16": "float32"}.get(dtype, dtype)


def _singular(of: Singular, dtype: str, seed: int) -> Array:
    """One of the first singular vectors, by as many steps of power iteration as PyTorch starts with."""
    assert of.fill is not None
    drawn = [np.frombuffer(part, dtype) for part in filled(of.fill, dtype, prod(of.shape), seed, of.weight)]
    matrix = np.moveaxis(np.concatenate(drawn).reshape(of.shape), of.axis, 0).reshape(of.shape[of.axis], -1)
    right = _generator(f"{seed}/{of.weight}/singular").standard_normal(matrix.shape[1], matrix.dtype)
    for _ in range(POWER_STEPS):
        left = _normalised(matrix @ right)
        right = _normalised(left @ matrix)
    return left if of.left else right


def _normalised(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


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
    """Box and Muller 1958: two uniform numbers are the radius and the angle of two normal ones."""
    half = -(-out.size // 2)
    radius, second = out[:half], out[half:]
    generator.random(out=radius, dtype=out.dtype)
    np.log(np.subtract(1, radius, out=radius), out=radius)
    radius *= -2
    np.sqrt(radius, out=radius)
    radius *= std
    angle = generator.random(half, out.dtype)
    angle *= 2 * pi
    np.sin(angle[: second.size], out=second)
    second *= radius[: second.size]
    radius *= np.cos(angle, out=angle)
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
