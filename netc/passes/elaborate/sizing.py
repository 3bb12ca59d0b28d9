"""Numbers for the axes of inputs: `--size 224x224`, or H=224 where H is no symbol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netc.dims import Dim, Size, bind, dim_source, symbols
from netc.types import AXES

Shape = tuple[Size, ...]


class Unfit(Exception):
    """An axis that cannot have the number; the text says which it can have."""


def for_symbols(sizes: Mapping[str, int], shapes: Iterable[Shape]) -> dict[str, int]:
    """Numbers of symbols as they are given, and those that follow from numbers of axes. Raises Unfit.

    A letter that is no symbol of the shapes but names an axis of one, such as H, is the size of that axis.
    """
    shapes = list(shapes)
    names = {name for shape in shapes for size in shape for name in symbols(size)}
    bound = {name: value for name, value in sizes.items() if name in names}
    for letter, value in sizes.items():
        places = [shape[AXES[len(shape)].index(letter)] for shape in shapes if letter in AXES.get(len(shape), "")]
        if letter in names:
            continue
        if not places:
            bound[letter] = value
        for size in places:
            bound |= _solved(letter, bind(size, bound), value)
    return bound


def _solved(letter: str, size: Size, value: int) -> dict[str, int]:
    """What the one symbol of a size is for the size to be `value`."""
    if isinstance(size, int):
        if size != value:
            raise Unfit(f"{letter} is {size} in this network, not {value}")
        return {}
    names = symbols(size)
    first, second = [bind(size, dict.fromkeys(names, n)) for n in (1, 2)]
    if len(names) > 1 or not isinstance(first, int) or not isinstance(second, int) or _bent(size, first, second):
        example = ",".join(f"{name}=7" for name in sorted(names))
        raise Unfit(f"{letter} is `{dim_source(size)}`: bind its symbols, as in --bind {example}")
    step = second - first
    turns, rest = divmod(value - first, step)
    if turns < 0 or rest:
        near = [n for n in (first + turns * step, first + (turns + 1) * step) if n >= first]
        fits = f"{near[0]} and {near[1]} fit" if len(near) > 1 else f"{first} is the smallest that fits"
        raise Unfit(f"{letter} is `{dim_source(size)}`, which is never {value}: {fits}")
    return {min(names): turns + 1}


def _bent(size: Dim, first: int, second: int) -> bool:
    """Whether a size of one symbol does not grow by the same with every step."""
    steps = [bind(size, dict.fromkeys(symbols(size), n)) for n in range(3, 7)]
    return second <= first or steps != [first + (second - first) * n for n in range(2, 6)]
