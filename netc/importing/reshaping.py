"""A new shape in the fewest words: flatten, unflatten, else reshape; the batch found again where a file had it as 1."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

from netc.dims import Dim, Size, exact_div
from netc.importing.graph import Gap, Value


class Emitter(Protocol):
    """What adds operators to a graph."""

    def emit(self, name: str, *inputs: Value, **attributes: Any) -> Value: ...

    def gap(self, why: str) -> Gap: ...


def reshape_to(x: Value, wanted: Sequence[Size], out: Emitter) -> Value:
    """`x` in a shape, one size of which may be -1. Raises Gap where the sizes do not fit."""
    target = completed(x.type.shape, wanted)
    if target is None:
        shown = ", ".join(map(str, wanted))
        raise out.gap(f"{x.type} cannot have the shape ({shown}), which the file gives as numbers")
    given = x.type.shape
    if tuple(target) == given:
        return x
    flat = _flattened(given, target)
    if flat is not None:
        start, end = flat
        return out.emit("flatten", x, start_dim=start, end_dim=-1 if end == len(given) - 1 else end)
    parts = _unflattened(given, target)
    if parts is not None:
        dim, sizes = parts
        return out.emit("unflatten", x, dim=dim, unflattened_size=_open(sizes))
    return out.emit("reshape", x, shape=_open(target))


def completed(given: Sequence[Size], wanted: Sequence[Size]) -> list[Size] | None:
    """The sizes asked for with -1 filled in, and the batch where the file had the number 1 or multiples of it."""
    total = prod(given)
    open_ = [i for i, n in enumerate(wanted) if isinstance(n, int) and n == -1]
    rest = prod(n for i, n in enumerate(wanted) if i not in open_)
    if len(open_) == 1:
        size = exact_div(total, rest) if rest else None
        if size is not None and not _moved(given, wanted, size):
            return [size if i in open_ else n for i, n in enumerate(wanted)]
    elif not open_ and total == rest:
        return list(wanted)
    return _with_batch(given, wanted, open_, total)


def _moved(given: Sequence[Size], wanted: Sequence[Size], size: Size) -> bool:
    """Whether -1 would swallow the batch that stood first as 1: (1, -1, 8) of N×16×8."""
    batch = given[0] if given else 1
    return isinstance(batch, Dim) and not isinstance(wanted[0], Dim) and wanted[0] == 1 and _has(size, batch)


def _has(size: Size, batch: Dim) -> bool:
    return exact_div(size, batch) is not None


def _with_batch(given: Sequence[Size], wanted: Sequence[Size], open_: list[int], total: Size) -> list[Size] | None:
    batch = given[0] if given else 1
    if not isinstance(batch, Dim):
        return None
    places = [i for i, n in enumerate(wanted) if i not in open_ and isinstance(n, int)]
    for i in sorted(places, key=lambda i: (wanted[i] != 1, i)):
        sizes = [n * batch if j == i else n for j, n in enumerate(wanted)]
        rest = prod(n for j, n in enumerate(sizes) if j not in open_)
        if not open_:
            if rest == total:
                return sizes
            continue
        size = exact_div(total, rest) if rest else None
        if size is not None:
            return [size if j in open_ else n for j, n in enumerate(sizes)]
    return None


def _flattened(given: Sequence[Size], target: Sequence[Size]) -> tuple[int, int] | None:
    """The first and last axis that were joined, if that is all that happened."""
    gone = len(given) - len(target)
    if gone < 1:
        return None
    for start in range(len(target)):
        end = start + gone
        joined = [*given[:start], prod(given[start : end + 1]), *given[end + 1 :]]
        if joined == list(target):
            return start, end
    return None


def _unflattened(given: Sequence[Size], target: Sequence[Size]) -> tuple[int, list[Size]] | None:
    more = len(target) - len(given)
    if more < 1:
        return None
    for dim in range(len(given)):
        if list(target[:dim]) == list(given[:dim]) and list(target[dim + more + 1 :]) == list(given[dim + 1 :]):
            return dim, list(target[dim : dim + more + 1])
    return None


def _open(sizes: Sequence[Size]) -> tuple[Size, ...]:
    """With -1 in place of the one size that depends on the input."""
    open_ = [n for n in sizes if isinstance(n, Dim)]
    return tuple(-1 if len(open_) == 1 and isinstance(n, Dim) else n for n in sizes)
