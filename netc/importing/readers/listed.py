"""What readers of layer lists share: sources that name their layers one by one and have files of weights beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netc.dims import symbol
from netc.files import read_input
from netc.importing.graph import Gap, Graph, Held, Value, Weight
from netc.importing.spaces import MULTIPLES, least_exact
from netc.types import TensorType

LARGEST = 1 << 24
"""Bytes of a text that lists layers."""


class Layer:
    """A layer while it is read."""

    def __init__(self, graph: Graph, origin: str, path: str = "") -> None:
        self.graph, self.origin, self.path = graph, origin, path

    def gap(self, why: str) -> Gap:
        return Gap(why, self.origin)

    def emit(self, name: str, *inputs: Value, params: Mapping[str, Weight] | None = None, **attributes: Any) -> Value:
        return self.emit_all(name, *inputs, params=params, **attributes)[0]

    def emit_all(
        self, name: str, *inputs: Value, params: Mapping[str, Weight] | None = None, **attributes: Any
    ) -> list[Value]:
        node = self.graph.add(name, inputs, params, origin=self.origin, **attributes)
        node.path = self.path
        return node.outputs


def read_text(path: Path) -> str:
    """A text of a source. Raises Gap."""
    try:
        return read_input(path, LARGEST).decode("utf-8", "replace")
    except OSError as error:
        raise Gap(f"cannot be read: {error.strerror or error}") from error


def first_that_fits(read: Callable[[TensorType], Graph], shape: tuple[int, ...], sizes: str) -> Graph:
    """The network of a picture, with height and width open where that is possible. Raises Gap."""
    last: Gap | None = None
    for kind in _types(shape, sizes):
        try:
            return least_exact(read(kind), [kind], lambda types: read(*types))
        except Gap as gap:
            last = gap
    assert last is not None, "there is always the shape itself"
    raise last


def _types(shape: tuple[int, ...], sizes: str) -> Iterator[TensorType]:
    batch = symbol("N")
    if len(shape) == 4 and sizes == "symbolic":
        for k in MULTIPLES:
            if all(n % k == 0 for n in shape[2:]):
                yield TensorType((batch, shape[1], symbol("h") * k, symbol("w") * k))
    yield TensorType((batch, *shape[1:]))


def numbers_at(path: Path, name: str, offset: int, shape: tuple[int, ...]) -> Held:
    """Float32 numbers at a place of a file, read when they are asked for."""
    count = int(np.prod(shape))
    return Held(name, "float32", shape, lambda: np.fromfile(path, "<f4", count, offset=offset).reshape(shape))


def unread(name: str, shape: tuple[int, ...]) -> Held:
    """A tensor of which only the shape is known."""

    def read() -> Any:
        raise Gap("the weights file is missing", name)

    return Held(name, "float32", shape, read)
