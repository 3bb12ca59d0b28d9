"""Height and width of imported networks: which multiples of a symbol they may be, and the least that is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from netc.dims import Size, exact_div, is_whole_at, symbol, symbols
from netc.importing.graph import Gap, Graph
from netc.types import TensorType

MULTIPLES = (32, 16, 8, 4, 2, 1)
"""Of a symbol, that height and width are tried as: what usual backbones divide them by stands first."""

FRACTIONS = (32, 16, 8, 4, 2)


def least_exact(graph: Graph, types: Sequence[TensorType], read: Callable[[Sequence[TensorType]], Graph]) -> Graph:
    """The same network with the least multiples for which no size in it is rounded: `4*h` where two poolings halve
    `32*h`. `graph` is what `read` makes of inputs of these types."""
    names = frozenset(name for kind in types for size in kind.shape for name in _multiplied(size))
    fraction = next((n for n in FRACTIONS if names and _is_exact(graph, names, n)), 1)
    if fraction == 1:
        return graph
    smaller = [TensorType(tuple([_divided(n, names, fraction) for n in kind.shape]), kind.dtype) for kind in types]
    try:
        found = read(smaller)
    except Gap:
        return graph
    return found if _is_exact(found, names, 1) else graph


def _multiplied(size: Size) -> Iterator[str]:
    """The symbol that a size is a multiple of."""
    for name in symbols(size):
        times = exact_div(size, symbol(name))
        if isinstance(times, int) and times > 1:
            yield name


def _is_exact(graph: Graph, names: frozenset[str], fraction: int) -> bool:
    """Whether all sizes are whole where the symbols are no more than this fraction of themselves."""
    values = (*graph.inputs, *(value for node in graph.nodes for value in node.outputs))
    return all(is_whole_at(size, names, fraction) for size in {n for value in values for n in value.type.shape})


def _divided(size: Size, names: frozenset[str], fraction: int) -> Size:
    part = exact_div(size, fraction) if symbols(size) & names else size
    assert part is not None, "all sizes are whole at this fraction"
    return part
