"""Harnesses of ONNX files: reading, importing and optimising, and a mutator that knows what a model is made of."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import onnx
import onnxruntime
from google.protobuf.message import DecodeError, EncodeError

import netc
from netc.backends.onnx import OnnxOptions
from netc.diagnostics.model import NetcError
from netc.importing.candidates import best
from netc.importing.classes import classify
from netc.importing.graph import Gap
from netc.importing.lift import lift
from netc.importing.readers.onnx_files import read_onnx
from netc.importing.weights import assign
from netc.optimise.graph import Graph
from netc.optimise.run import STEPS
from netc.run.model import failures, read_model
from netc.run.valid import check_nodes

FOLDER = tempfile.TemporaryDirectory(prefix="netc-fuzz-")
LARGEST = 20_000
"""Bytes of a file."""

REFUSALS = failures(onnxruntime)

onnxruntime.set_default_logger_severity(4)


def onnx_import(data: bytes) -> None:
    """A file to a spec: all of `netc import` but running both."""
    with suppress(NetcError, Gap):
        graph = read_onnx(_file(data), "m", "symbolic", {})
        lift(graph)
        classify(graph)
        candidate = best(graph, "m", "keep", lambda words: None)
        if graph.has_weights and any(node.params for node in graph.nodes):
            for one in assign(candidate.network, candidate.places).values():
                one.array()


def onnx_optimize(data: bytes) -> None:
    """A file that ONNX Runtime takes, through every step; what it is then, ONNX Runtime takes or refuses."""
    try:
        model = read_model(_file(data))
        _load(data)
    except (NetcError, *REFUSALS):
        return
    with suppress(NetcError):
        check_nodes(model, "m.onnx")
        graph = Graph(model, Path(FOLDER.name))
        for step in STEPS.values():
            step(graph)
            graph.prune()
            graph.make_room()
            graph.infer()
        onnx.ModelProto.FromString(graph.model().SerializeToString())


def _file(data: bytes) -> Path:
    path = Path(FOLDER.name) / "m.onnx"
    path.write_bytes(data)
    return path


def _load(data: bytes) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])


@cache
def start() -> list[bytes]:
    """The examples that are small as ONNX files."""
    found = []
    with tempfile.TemporaryDirectory(prefix="netc-fuzz-") as folder:
        target = Path(folder) / "m.onnx"
        for path in sorted((Path(__file__).parents[1] / "examples").glob("*.yaml")):
            with suppress(NetcError):  # a plugin's operator, or one that ONNX has not
                netc.load(path).write_onnx(target, options=OnnxOptions(placement="single"))
                found.append(target.read_bytes())
    return [data for data in found if len(data) <= LARGEST]


def mutate(data: bytes, size: int, seed: int, otherwise: Callable[[bytes, int], bytes]) -> bytes:
    """A model changed in one to four places, or now and then, and where it is none, in its bytes."""
    random = Random(seed)
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        return otherwise(data, size)
    if random.random() < 0.1:
        return otherwise(data, size)
    for _ in range(random.randint(1, 4)):
        with suppress(ValueError, TypeError, EncodeError):
            random.choice(CHANGES)(model, random)
    changed: bytes = model.SerializeToString()
    return changed if len(changed) <= size else data


NUMBERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 4, 7, 255, 2**31 - 1, 2**40, 2**63 - 1)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e38, float("inf"), float("-inf"), float("nan"))


def _nodes(model: Any) -> list[Any]:
    return [node for nodes in (model.graph.node, *(f.node for f in model.functions)) for node in nodes]


def _node(model: Any, random: Random) -> Any:
    nodes = _nodes(model)
    return random.choice(nodes) if nodes else model.graph.node.add()


def _values(model: Any) -> list[str]:
    held = [tensor.name for tensor in model.graph.initializer]
    return [*held, *(name for node in model.graph.node for name in node.output), *(v.name for v in model.graph.input)]


def _rename(model: Any, random: Random) -> None:
    _node(model, random).op_type = random.choice(sorted({schema.name for schema in onnx.defs.get_all_schemas()}))


def _rewire(model: Any, random: Random) -> None:
    node, names = _node(model, random), [*_values(model), "", "nowhere"]
    if node.input:
        node.input[random.randrange(len(node.input))] = random.choice(names)


def _more_or_fewer(model: Any, random: Random) -> None:
    names = random.choice([_node(model, random).input, _node(model, random).output])
    if names and random.random() < 0.5:
        del names[random.randrange(len(names))]
    else:
        names.append(random.choice([*_values(model), "", "new"]))


def _drop(model: Any, random: Random) -> None:
    parts = random.choice([model.graph.node, model.graph.initializer, model.graph.input, model.graph.output])
    if parts:
        del parts[random.randrange(len(parts))]


def _double(model: Any, random: Random) -> None:
    parts = random.choice([model.graph.node, model.graph.initializer, model.graph.output])
    if parts:
        parts.add().CopyFrom(random.choice(list(parts)))


def _attribute(model: Any, random: Random) -> None:
    node = _node(model, random)
    if not node.attribute:
        name = random.choice(["axis", "axes", "pads", "strides", "group", "perm", "to", "keepdims", "epsilon", "mode"])
        node.attribute.add(name=name, type=onnx.AttributeProto.INT, i=random.choice(NUMBERS))
        return
    chosen = random.choice(list(node.attribute))
    way = random.randrange(5)
    if way == 0:
        node.attribute.remove(chosen)
    elif chosen.ints and way < 4:
        _numbers(chosen.ints, random)
    elif chosen.HasField("t"):
        _tensor(chosen.t, random)
    elif way == 1:
        chosen.type = random.randint(0, 14)
    else:
        chosen.i, chosen.f = random.choice(NUMBERS), random.choice(FLOATS)
        chosen.s = random.choice([b"", b"nearest", b"cubic", b"SAME_UPPER", b"\xff", b"bij,bjk->bik"])


def _numbers(numbers: Any, random: Random) -> None:
    at = random.randrange(len(numbers))
    if random.random() < 0.3:
        del numbers[at]
    elif random.random() < 0.3:
        numbers.append(random.choice(NUMBERS))
    else:
        numbers[at] = random.choice(NUMBERS)


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    yield from (a.t for node in _nodes(model) for a in node.attribute if a.HasField("t"))


def _constant(model: Any, random: Random) -> None:
    tensors = list(_tensors(model))
    if tensors:
        _tensor(random.choice(tensors), random)


def _tensor(tensor: Any, random: Random) -> None:
    way = random.randrange(5)
    if way == 0:
        tensor.data_type = random.randint(0, 23)
    elif way == 1 and tensor.dims:
        _numbers(tensor.dims, random)
    elif way == 2 and tensor.raw_data:
        at = random.randrange(len(tensor.raw_data))
        tensor.raw_data = tensor.raw_data[:at] + bytes([random.randrange(256)]) + tensor.raw_data[at + 1 :]
    elif way == 3:
        tensor.raw_data = tensor.raw_data[: random.randint(0, len(tensor.raw_data))]
    elif tensor.int64_data:
        _numbers(tensor.int64_data, random)
    else:
        tensor.dims[:] = []


def _type(model: Any, random: Random) -> None:
    values = [*model.graph.input, *model.graph.output]
    if not values:
        return
    kind = random.choice(values).type.tensor_type
    if random.random() < 0.3 or not kind.shape.dim:
        kind.elem_type = random.randint(0, 23)
    elif random.random() < 0.3:
        del kind.shape.dim[random.randrange(len(kind.shape.dim))]
    elif random.random() < 0.5:
        random.choice(list(kind.shape.dim)).dim_value = random.choice(NUMBERS)
    else:
        random.choice(list(kind.shape.dim)).dim_param = random.choice(["", "N", "h", "2*h", "h/0", "a b", "é", "N*N"])


def _name(model: Any, random: Random) -> None:
    """Of a node, as exporters write scopes of modules."""
    _node(model, random).name = random.choice(
        ["", "/", "a/b/Conv", "/layer1/layer1.0/conv1/Conv", "in", "x.0", "é", "netc", "self", "a..b", "0", "n" * 300]
    )


def _opset(model: Any, random: Random) -> None:
    if model.opset_import:
        random.choice(list(model.opset_import)).version = random.choice([0, 1, 6, 9, 11, 13, 17, 21, 23, 99, -1])


CHANGES = (
    *(_rename, _rewire, _rewire, _more_or_fewer, _drop, _double, _attribute, _attribute, _attribute),
    *(_constant, _constant, _type, _name, _opset),
)
