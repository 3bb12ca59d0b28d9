"""Opening ONNX files: which sizes their inputs may have, and the first reading that succeeds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from netc.diagnostics.model import NetcError
from netc.dims import Dim, Size, symbol
from netc.importing.graph import Gap, Graph
from netc.importing.readers import (  # noqa: F401 - they register what reads nodes
    onnx_attention,
    onnx_boxes,
    onnx_layers,
    onnx_recurrent,
    onnx_resize,
    onnx_shapes,
)
from netc.importing.readers.onnx import OLDEST, Reader, opset_of
from netc.importing.readers.onnx_partial import PartialReader
from netc.importing.readers.onnx_strided import strided
from netc.importing.readers.onnx_wholes import wholes
from netc.importing.spaces import MULTIPLES, least_exact
from netc.passes.sizes import parse_size
from netc.run.match import solve
from netc.run.model import read_opened
from netc.run.valid import check_nodes, check_types
from netc.types import OF_ONNX, TensorType

SYMBOLS = ("h", "w", "d")
_EXPRESSION = re.compile(r"[A-Za-z]|[-+*/()\dA-Za-z ]*[-+*/][-+*/()\dA-Za-z ]*", re.ASCII)
LETTERS = "tsuvpqr"

Types = dict[str, TensorType]


def open_onnx(path: Path) -> Any:
    """The model with its functions opened, weights left where they are. Raises NetcError, Gap."""
    model = read_opened(path)
    check_nodes(model, str(path))
    check_types(model, str(path))
    if opset_of(model) < OLDEST:
        raise Gap(f"the file has opset {opset_of(model)}; opsets from {OLDEST} on can be read")
    if model.graph.sparse_initializer:
        raise Gap("the file has sparse tensors", model.graph.sparse_initializer[0].values.name)
    return model


def read_onnx(
    path: Path, name: str, sizes: str, shapes: Mapping[str, tuple[int, ...]], *, partial: bool = False
) -> Graph:
    """The network of a file. sizes: `symbolic` tries to leave height and width open; shapes: shapes of inputs; partial:
    leave out what cannot be said.

    Raises NetcError, and Gap for what cannot be said in netc.
    """
    model = open_onnx(path)
    first: Gap | None = None
    for types in _choices(model, sizes, shapes):
        names = list(types)

        def read(kinds: Sequence[TensorType], names: Sequence[str] = names) -> Graph:
            types = dict(zip(names, kinds, strict=True))
            return Reader(model, path.parent, name, types, wholes(model) | strided(model)).read()

        try:
            graph = read(list(types.values()))
            return graph if _says_multiples(model) else least_exact(graph, list(types.values()), read)
        except Gap as gap:
            first = gap
    assert first is not None, "there is always a way to read the inputs"
    if partial:
        return PartialReader(model, path, name, _in_numbers(model, shapes)).read()
    raise first


def _says_multiples(model: Any) -> bool:
    """Whether the file itself says what its sizes are multiples of: `32*h`."""
    return any("*" in axis.dim_param for value in model.graph.input for axis in value.type.tensor_type.shape.dim)


def _in_numbers(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> Types:
    """The types of the inputs where all sizes are known. Raises Gap."""
    for types in _choices(model, "fixed", shapes):
        if not any(isinstance(n, Dim) for kind in types.values() for n in kind.shape):
            return types
    raise Gap("a part of a network needs sizes in numbers: give those that the file leaves open with --input")


def _choices(model: Any, sizes: str, asked: Mapping[str, tuple[int, ...]]) -> Iterator[Types]:
    """Types of the inputs, from the most general on; the last is the file's own."""
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in held]
    shapes: dict[str, list[Any]] = {}
    for value in inputs:
        kind = value.type.tensor_type
        if kind.elem_type not in OF_ONNX:
            raise Gap("netc has no tensors of its type", f"input {value.name}")
        dims = [
            d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else d.dim_param or "?" for d in kind.shape.dim
        ]
        shapes[value.name] = list(asked.get(value.name, asked.get("", dims)) if len(inputs) == 1 else dims)
    dtypes = {value.name: OF_ONNX[value.type.tensor_type.elem_type] for value in inputs}
    ways: list[Callable[[list[Any]], list[Size]]] = []
    if sizes == "symbolic":
        ways.append(_parsed)
        ways += [lambda dims, k=k: _open_space(dims, k) for k in MULTIPLES]  # type: ignore[misc]
    ways += [lambda dims: _fixed(dims, batch=True), _usual, lambda dims: _fixed(dims, batch=False)]
    says = any(_is_open(dims) for dims in shapes.values())
    tried = []
    for way in ways:
        names = _Letters()
        # An input all of whose sizes are numbers keeps them where another one of the file has open sizes.
        read = {n: dims if says and not _is_open(dims) else way(dims) for n, dims in shapes.items()}
        types = {n: TensorType(tuple(names.sized(dims)), dtypes[n]) for n, dims in read.items()}
        if types not in tried and _can_be(types, shapes):
            tried.append(types)
            yield types


def _is_open(dims: list[Any]) -> bool:
    return any(isinstance(n, str) for n in dims)


def _can_be(types: Types, shapes: Mapping[str, list[Any]]) -> bool:
    """Whether all inputs can have the file's own sizes at once: an h that is 32 of one and 5 of another cannot."""
    fixed = [tuple(n if isinstance(n, int) else symbol("open") for n in dims) for dims in shapes.values()]
    try:
        solve(list(types), [kind.shape for kind in types.values()], fixed, {})
    except NetcError:
        return False
    return True


def _open_space(dims: list[Any], multiple: int) -> list[Any]:
    """Batch open, spatial axes of pictures multiples of a number; other axes as the file has them."""
    if len(dims) not in (4, 5) or not isinstance(dims[1], int):
        return _fixed(dims, batch=True)
    fits = all(not isinstance(n, int) or n % multiple == 0 for n in dims[2:])
    if not fits:
        return _fixed(dims, batch=True)
    names = SYMBOLS if len(dims) == 4 else ("d", "h", "w")
    return ["N", dims[1], *(symbol(name) * multiple for name in names[: len(dims) - 2])]


def _parsed(dims: list[Any]) -> list[Any]:
    """Sizes that a file writes as expressions over letters, as netc does: `32*h`."""
    sizes = [parse_size(n) if isinstance(n, str) and _EXPRESSION.fullmatch(n) else n for n in dims]
    open_ = any(isinstance(n, Dim) for n in sizes)
    return sizes if open_ and not any(isinstance(n, str) for n in sizes) else _open_space(dims, MULTIPLES[0])


def _usual(dims: list[Any]) -> list[Any]:
    """Pictures of a usual size, where the network does not take every one."""
    fixed = _fixed(dims, batch=True)
    return [224 if isinstance(n, str) and len(dims) == 4 and axis > 1 else n for axis, n in enumerate(fixed)]


def _fixed(dims: list[Any], *, batch: bool) -> list[Any]:
    if batch and dims and (dims[0] == 1 or isinstance(dims[0], str)):
        return ["N", *dims[1:]]
    return list(dims)


class _Letters:
    """Sizes that the file leaves open by name become letters; equal names equal letters."""

    def __init__(self) -> None:
        self.known: dict[str, Size] = {"N": symbol("N")}

    def sized(self, dims: list[Any]) -> list[Size]:
        return [self._size(n) for n in dims]

    def _size(self, n: Any) -> Size:
        if not isinstance(n, str):
            return n  # type: ignore[no-any-return]
        if n == "?" or n not in self.known:
            free = next(c for c in LETTERS if symbol(c) not in self.known.values())
            self.known[f"?{free}" if n == "?" else n] = symbol(free)
            return symbol(free)
        return self.known[n]
