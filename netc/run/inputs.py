"""Random inputs."""

from __future__ import annotations

from math import prod
from typing import Any

from netc.diagnostics.model import NetcError, failure
from netc.libraries import numpy
from netc.types import TensorType

MOST_ELEMENTS = 2**50
"""More than any address space holds; numpy has another error for these."""


def bad_input(problem: str) -> NetcError:
    """The error for an input, or what belongs to one, that cannot be used."""
    return failure("bad-input", problem)


def usual_bound(kind: TensorType) -> int:
    """Below what random whole numbers for an input are, where nothing is known of it but that bytes of rank 4 are
    images."""
    return 256 if kind.dtype == "uint8" and kind.rank == 4 else 2


def random_input(generator: Any, shape: tuple[int, ...], dtype: str, below: int = 2) -> Any:
    """An array from a numpy Generator: standard normal for floats, 0 ≤ n < `below` for whole numbers.

    Bytes below 256 of rank 4 are images, each of another brightness: networks hardly tell plain noise from other noise.

    Raises NetcError (`bad-input`) for a dtype numpy does not have, and for more elements than memory holds.
    """
    if prod(shape) > MOST_ELEMENTS:
        raise _too_large(shape)
    try:
        return numpy().asarray(_drawn(generator, shape, dtype, below))  # a Generator's scalars are no arrays
    except MemoryError as error:
        raise _too_large(shape) from error


def _too_large(shape: tuple[int, ...]) -> NetcError:
    message = f"an input of shape {'×'.join(map(str, shape))} does not fit in memory"
    return bad_input(message)


def _drawn(generator: Any, shape: tuple[int, ...], dtype: str, below: int) -> Any:
    if dtype in ("float32", "float64"):
        return generator.standard_normal(shape, dtype=dtype)
    if dtype == "float16":
        return generator.standard_normal(shape, dtype="float32").astype("float16")
    if dtype == "bool":
        return generator.integers(0, 2, shape).astype("bool")
    if dtype == "uint8" and below == 256 and len(shape) == 4:
        brightness = generator.uniform(0.2, 1, (shape[0], 1, 1, 1))
        return (generator.integers(0, below, shape) * brightness).astype(dtype)
    if dtype in ("int64", "int32", "int8", "uint8"):
        return generator.integers(0, below, shape, dtype=dtype)
    raise bad_input(f"cannot make random input of dtype {dtype}")
