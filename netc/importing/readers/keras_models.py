"""Opening Keras models: the types of their inputs, and the first reading that succeeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from netc.dims import symbol
from netc.importing.graph import Gap, Graph
from netc.importing.readers import keras_layers, keras_recurrent  # noqa: F401 - they register what reads layers
from netc.importing.readers.keras import Config, KerasLayer, KerasNetwork, ends_of, layers_of, name_of
from netc.importing.readers.keras_files import Weights, opened_model
from netc.importing.spaces import MULTIPLES, least_exact
from netc.types import TensorType

DTYPES = {"float32": "float32", "int32": "int64", "int64": "int64", "bool": "bool", "float16": "float32"}
SPACE = {3: ("t",), 4: ("h", "w"), 5: ("d", "h", "w")}


def read(path: Path, name: str, sizes: str) -> Graph:
    """The network of a Keras file. Raises Gap."""
    model, weights = opened_model(path)
    shapes = list(_inputs(model))
    last: Gap | None = None
    titles = [title for title, _, _ in shapes]

    def read_with(types: Sequence[TensorType]) -> Graph:
        return _read(model, weights, name, list(zip(titles, types, strict=True)))

    for types in _types(shapes, sizes):
        try:
            return least_exact(read_with(types), types, read_with)
        except Gap as gap:
            last = gap
    assert last is not None, "there is always the shape itself"
    raise last


def _read(model: Config, weights: Weights, name: str, types: Sequence[tuple[str, TensorType]]) -> Graph:
    graph = Graph(name)
    net = KerasNetwork(graph, weights, (), ())
    net.version = 3 if str(model.get("keras_version", "3")).startswith("3") else 2
    inputs = [graph.add_input(title, kind) for title, kind in types]
    net.last.update(value for value in inputs if value.type.rank == 3)
    results = net.run(model, inputs)
    ends = [value if value.type.rank < 4 else KerasLayer(net, {}, "", "output", ()).first(value) for value in results]
    graph.outputs = [("output" if len(ends) == 1 else f"output{i + 1}", value) for i, value in enumerate(ends)]
    if any(value.type.rank >= 4 for value in (*inputs, *ends)):
        graph.notes.append("pictures have their channels first here, and last in Keras")
    graph.has_weights = weights.is_there
    return graph


def _inputs(model: Config) -> Iterator[tuple[str, tuple[int | None, ...], str]]:
    """Name, shape in Keras's order and type of every input. Raises Gap."""
    layers = layers_of(model)
    if model.get("class_name") == "Sequential":
        layers = layers[:1]
    else:
        by_name = {name_of(layer): layer for layer in layers}
        layers = [by_name[name] for name, _, _ in ends_of(model["config"], "input_layers") if name in by_name]
    for layer in layers:
        config = layer.get("config", {})
        shape = config.get("batch_shape") or config.get("batch_input_shape") or _built(model)
        if not isinstance(shape, list) or not 2 <= len(shape) <= 5:
            raise Gap("does not say the shape of its input", f"layer {name_of(layer)}")
        if not all(n is None or (isinstance(n, int) and n > 0) for n in shape[1:]) or shape[-1] is None:
            raise Gap("has an input whose shape cannot be read", f"layer {name_of(layer)}")
        dtype = config.get("dtype", "float32")
        yield name_of(layer), tuple(shape), DTYPES.get(dtype if isinstance(dtype, str) else "float32", "float32")
    if not layers:
        raise Gap("has no input")


def _built(model: Config) -> Any:
    config = model.get("config")
    inner = config.get("build_input_shape") if isinstance(config, dict) else None
    return inner or (model.get("build_config") or {}).get("input_shape")


def _types(shapes: Sequence[tuple[str, tuple[int | None, ...], str]], sizes: str) -> Iterator[list[TensorType]]:
    """Types of the inputs, from the most general on."""
    for k in (*(MULTIPLES if sizes == "symbolic" else ()), 0):
        yield [TensorType(_shape(shape, k), dtype) for _, shape, dtype in shapes]


def _shape(shape: tuple[int | None, ...], k: int) -> tuple[Any, ...]:
    """In netc's order; spatial sizes that are open, or multiples of `k`, are symbols."""
    *space, channels = shape[1:]
    names = SPACE.get(len(shape), ())
    open_ = [
        symbol(name) * (k or 32 if len(shape) > 3 else 1) if n is None or (k and len(shape) > 3 and n % k == 0) else n
        for name, n in zip(names, space, strict=True)
    ]
    batch = symbol("N")
    return (batch, *open_, channels) if len(shape) < 4 else (batch, channels, *open_)
