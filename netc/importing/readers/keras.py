"""Keras models: layers and what they read, from the description that Keras itself loads a model from.

Keras keeps channels last; netc, as PyTorch, behind the batch. A picture is an input with its channels first, and stays
so until something needs the order of Keras: what is flattened or reshaped is turned before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from netc.importing.graph import Gap, Graph, Held, Value, Weight, whole
from netc.importing.readers.call import registering
from netc.importing.readers.keras_files import Weights
from netc.importing.readers.listed import Layer

MODELS = frozenset({"Functional", "Model", "Sequential"})
MOST_LAYERS, DEEPEST = 20_000, 16

Config = Mapping[str, Any]


class KerasLayer(Layer):
    """A layer while it is read: its configuration, and its tensors one after another."""

    def __init__(self, net: KerasNetwork, config: Config, kind: str, name: str, place: tuple[str, ...]) -> None:
        path = ".".join((*net.path, name)).replace("/", ".")
        super().__init__(net.graph, f"layer {name} ({kind})", path)
        self.net, self.config, self.kind, self.name, self.place = net, config, kind, name, place
        self._taken: Counter[tuple[str, ...]] = Counter()

    def get(self, key: str, default: Any = None) -> Any:
        value = self.config.get(key)
        return default if value is None else value

    def number(self, key: str, default: float | None = None) -> Any:
        """A number. Raises Gap."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.gap(f"`{key}` should be a number")
        return value

    def tuple(self, key: str, length: int, default: Any = 1) -> tuple[int, ...]:
        """Whole numbers, one for each spatial axis. Raises Gap."""
        value = self.get(key, default)
        listed = [value] * length if isinstance(value, int) else value
        if not isinstance(listed, Sequence) or len(listed) != length or not all(isinstance(n, int) for n in listed):
            raise self.gap(f"`{key}` should be {length} whole numbers")
        return tuple(listed)

    def weight(self, role: str, *shape: int, within: str = "") -> Weight:
        """The next tensor of the layer. `within`: the layer inside this one that has it."""
        inner = tuple(within.split("/")) if within else ()
        at = self._taken[inner]
        self._taken[inner] += 1
        legacy = tuple(part for part in inner if part != "cell")
        names = (*self.net.path, self.name, *(self._inner_name(part) for part in legacy), role)
        held = self.net.weights.get((*self.place, *inner), names, at, shape)
        return whole(Held(".".join(names), "float32", held.shape, partial(_in_float32, held)))

    def _inner_name(self, part: str) -> str:
        inner = self.get(part, self.get("layer", {}))
        name = str(inner.get("config", {}).get("name", part)) if isinstance(inner, dict) else part
        return name if part != "backward_layer" or part in self.config else name.replace("forward", "backward")

    def aside(self, name: str, x: Value, **attributes: Any) -> Value:
        """Add an operator that the layer needs and is not named after it."""
        path, self.path = self.path, ""
        y = self.emit(name, x, **attributes)
        self.path = path
        return y

    def first(self, x: Value) -> Value:
        """`x` with its channels behind the batch."""
        if x.type.rank < 3 or x not in self.net.last:
            return x
        rank = x.type.rank
        return self.aside("permute", x, dims=(0, rank - 1, *range(1, rank - 1)))

    def last(self, x: Value) -> Value:
        """`x` with its channels at the end, as Keras has it."""
        if x.type.rank < 3 or x in self.net.last:
            return x
        return self.mark(self.aside("permute", x, dims=(0, *range(2, x.type.rank), 1)))

    def mark(self, x: Value) -> Value:
        """`x`, which has its channels at the end."""
        self.net.last.add(x)
        return x

    def like(self, source: Value, result: Value) -> Value:
        """What an operator made of each element of `source`: its axes are those of that."""
        return self.mark(result) if source in self.net.last else result


def _in_float32(held: Held) -> Any:
    return held.read().astype("float32", copy=False)


Reader = Callable[[KerasLayer, list[Value]], Value]
READERS: dict[str, Reader] = {}

reads = registering(READERS)
"""Registers what reads layers of these classes."""


class KerasNetwork:
    """A model while it is read. `path`: the models around it; `place`: where its weights are; `last`: tensors with
    their channels at the end."""

    def __init__(self, graph: Graph, weights: Weights, path: tuple[str, ...], place: tuple[str, ...]) -> None:
        self.graph, self.weights, self.path, self.place = graph, weights, path, place
        self.last: set[Value] = set()
        self.version = 3

    def inside(self, name: str, place: tuple[str, ...]) -> KerasNetwork:
        """A model that is a layer of this one."""
        if len(self.path) >= DEEPEST:
            raise Gap(f"models are nested more than {DEEPEST} deep", f"layer {name}")
        inner = KerasNetwork(self.graph, self.weights, (*self.path, name), place)
        inner.last, inner.version = self.last, self.version
        return inner

    def run(self, model: Config, inputs: Sequence[Value]) -> list[Value]:
        """What a model gives for inputs. Raises Gap."""
        layers = layers_of(model)
        places = dict(zip(map(id, layers), self._places(layers), strict=True))
        if model.get("class_name") == "Sequential":
            return [self._chain(layers, places, inputs)]
        return self._wired(model["config"], layers, places, inputs)

    def _places(self, layers: Sequence[Config]) -> Iterator[tuple[str, ...]]:
        """Where Keras 3 keeps the weights of each layer: by its class, numbered in order."""
        counts: Counter[str] = Counter()
        for layer in layers:
            word = snake(str(layer.get("class_name", "")))
            counts[word] += 1
            yield (*self.place, "layers", word if counts[word] == 1 else f"{word}_{counts[word] - 1}")

    def _chain(self, layers: Sequence[Config], places: Mapping[int, tuple[str, ...]], inputs: Sequence[Value]) -> Value:
        now = list(inputs)
        for layer in layers:
            if layer.get("class_name") != "InputLayer":
                now = self._layer(layer, places[id(layer)], now)
        return now[0]

    def _wired(
        self, config: Config, layers: Sequence[Config], places: Mapping[int, tuple[str, ...]], inputs: Sequence[Value]
    ) -> list[Value]:
        calls: dict[tuple[str, int], tuple[Config, list[tuple[str, int, int]]]] = {}
        for layer in layers:
            for at, read in enumerate(_calls(layer)):
                calls[name_of(layer), at] = layer, read
        values = {
            (name, 0): [value] for (name, _, _), value in zip(ends_of(config, "input_layers"), inputs, strict=True)
        }
        for key in _order(calls, values):
            layer, read = calls[key]
            outputs = [values[name, node][port] for name, node, port in read if port < len(values[name, node])]
            if len(outputs) != len(read):
                raise Gap("reads an output that does not exist", f"layer {key[0]}")
            values[key] = self._layer(layer, places[id(layer)], outputs)
        ends = ends_of(config, "output_layers")
        if not ends or any((name, node) not in values for name, node, _ in ends):
            raise Gap("names an output that no layer makes")
        return [values[name, node][port] for name, node, port in ends if port < len(values[name, node])]

    def _layer(self, layer: Config, place: tuple[str, ...], inputs: list[Value]) -> list[Value]:
        kind, name, config = str(layer.get("class_name")), name_of(layer), layer.get("config")
        if not isinstance(config, dict):
            raise Gap("has no configuration", f"layer {name}")
        if kind in MODELS:
            return self.inside(name, place).run(layer, inputs)
        if kind == "TimeDistributed":
            raise Gap("netc has no layer TimeDistributed", f"layer {name}")
        reader = KerasLayer(self, config, kind, name, place)
        if kind not in READERS:
            why = "runs code of its own, which netc never runs" if kind == "Lambda" else f"netc has no layer {kind}"
            raise reader.gap(why)
        if config.get("data_format") == "channels_first":
            raise reader.gap("has channels first: save the model with channels last, Keras's default")
        return [READERS[kind](reader, inputs)]


def snake(name: str) -> str:
    """`Conv2DTranspose` as Keras names it in a file: `conv2d_transpose`."""
    word = ""
    for before, letter, after in zip(f" {name}", name, f"{name[1:]} ", strict=False):
        starts = letter.isupper() and (before.islower() or after.islower())
        word += f"_{letter.lower()}" if starts and word else letter.lower()
    return word


def layers_of(model: Config) -> list[Config]:
    config = model.get("config")
    layers = config if isinstance(config, list) else config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise Gap("the model is neither Sequential nor Functional: a subclassed model cannot be read without its code")
    if len(layers) > MOST_LAYERS:
        raise Gap(f"has more than {MOST_LAYERS:,} layers")
    return layers


def name_of(layer: Config) -> str:
    config = layer.get("config")
    return str(layer.get("name") or (config.get("name") if isinstance(config, dict) else "") or "layer")


def _calls(layer: Config) -> Iterator[list[tuple[str, int, int]]]:
    """What each call of a layer reads: (layer, call, output)."""
    for call in layer.get("inbound_nodes") or ():
        if isinstance(call, dict):
            _refuse_tensors(call.get("kwargs"), layer)
            yield [_history(item, layer) for item in _flat(call.get("args"))]
        else:
            items = call if call and isinstance(call[0], list) else [call]
            yield [_old(item, layer) for item in items]


def _flat(args: Any) -> Iterator[Any]:
    for item in args or ():
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def _history(item: Any, layer: Config) -> tuple[str, int, int]:
    if isinstance(item, dict) and item.get("class_name") == "__keras_tensor__":
        history = item.get("config", {}).get("keras_history")
        if isinstance(history, list):
            return _old(history, layer)
    raise Gap("is called with something that is not a tensor of the model", f"layer {name_of(layer)}")


def _old(item: Any, layer: Config) -> tuple[str, int, int]:
    told = isinstance(item, list) and len(item) >= 3 and isinstance(item[0], str)
    if told and all(isinstance(n, int) and n >= 0 for n in item[1:3]):
        return item[0], item[1], item[2]
    raise Gap("does not say what it reads", f"layer {name_of(layer)}")


def _refuse_tensors(kwargs: Any, layer: Config) -> None:
    for key, value in (kwargs or {}).items():
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            raise Gap(f"is given a tensor as `{key}`", f"layer {name_of(layer)}")


def ends_of(config: Config, key: str) -> list[tuple[str, int, int]]:
    found = config.get(key)
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list) and len(found) == 3 and isinstance(found[0], str):
        found = [found]
    return [_old(item, {"name": key}) for item in found or ()]


def _order(calls: Mapping[tuple[str, int], Any], values: Mapping[Any, Any]) -> list[tuple[str, int]]:
    """Calls, each behind those it reads. Raises Gap."""
    done, opened, order = set(values), set[tuple[str, int]](), []
    for key in calls:
        stack = [key]
        while stack:
            top = stack[-1]
            if top in done:
                stack.pop()
                continue
            if top not in calls:
                raise Gap("reads what nothing makes", f"layer {top[0]}")
            todo = [(name, node) for name, node, _ in calls[top][1] if (name, node) not in done]
            if todo and top in opened:
                raise Gap("reads itself", f"layer {top[0]}")
            opened.add(top)
            if todo:
                stack += todo
                continue
            stack.pop()
            done.add(top)
            order.append(top)
    return order
