"""Random inputs."""

from __future__ import annotations

from typing import Any

from netc.diagnostics.model import Diagnostic, NetcError


def random_input(generator: Any, shape: tuple[int, ...], dtype: str, below: int = 2) -> Any:
    """An array from a numpy Generator: standard normal for floats, 0 ≤ n < `below` for whole numbers.

    Raises NetcError (`bad-input`) for a dtype numpy does not have.
    """
    if dtype in ("float32", "float64"):
        return generator.standard_normal(shape, dtype=dtype)
    if dtype == "float16":
        return generator.standard_normal(shape, dtype="float32").astype("float16")
    if dtype == "bool":
        return generator.integers(0, 2, shape).astype("bool")
    if dtype in ("int64", "int32", "int8", "uint8"):
        return generator.integers(0, below, shape, dtype=dtype)
    raise NetcError((Diagnostic("bad-input", f"no random input of dtype {dtype} can be made", None),))
