"""Operators held against PyTorch and ONNX Runtime: building both sides from an operator's own records."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional
from hypothesis import HealthCheck, settings
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from netc.dims import bind, dim_source, symbol
from netc.ops import OPERATORS, Op, convert
from netc.ops.records import OnnxGraph, OnnxNode, Problem, Require, TorchCall, TorchModule
from netc.run.interpreter import applied, construct, flat
from netc.types import TensorType

CASES = int(os.environ.get("NETC_CASES", "60"))
"""Random examples per property."""

quick = settings(max_examples=CASES, deadline=None, derandomize=CASES == 60, suppress_health_check=list(HealthCheck))

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
"""float32 results of two libraries that add in different orders."""


def make(name: str, **given: Any) -> Op:
    """An operator from attribute values as a spec would give them."""
    cls = OPERATORS[name]
    return cls(**{key: convert(cls, cls.attributes[key], value) for key, value in given.items()})


def tensor(*shape: Any, dtype: str = "float32") -> TensorType:
    return TensorType(shape, dtype)


def findings(op: Op, *types: TensorType) -> list[Problem]:
    """What is wrong for numbers: every Problem, and every Require that does not hold."""
    return [
        found.problem if isinstance(found, Require) else found
        for found in op.problems(*types)
        if isinstance(found, Problem) or not _holds(found)
    ]


def _holds(require: Require) -> bool:
    assert isinstance(require.size, int)
    return require.size >= require.at_least


def example(t: TensorType, seed: int = 0) -> torch.Tensor:
    """A random tensor of a type with known sizes."""
    generator = torch.Generator().manual_seed(seed)
    dtype = getattr(torch, t.dtype)
    if dtype.is_floating_point:
        return torch.randn(t.shape, generator=generator).to(dtype)
    return torch.randint(0, 2 if t.dtype == "bool" else 5, t.shape, generator=generator).to(dtype)


class Held(nn.Module):
    """The tensor that a generated module keeps as an attribute."""

    def __init__(self, made: torch.Tensor, *, persistent: bool) -> None:
        super().__init__()
        if isinstance(made, nn.Parameter):
            self.register_parameter("made", made)
        else:
            self.register_buffer("made", made, persistent=persistent)

    def forward(self) -> torch.Tensor:
        return self.made


def build(module: TorchModule) -> nn.Module:
    """The module that the generated constructor call makes; one that gives a tensor where a tensor is kept."""
    made = construct(module)
    return made.eval() if isinstance(made, nn.Module) else Held(made, persistent=module.cls == "nn.Buffer")


def match(module: nn.Module, types: Sequence[TensorType]) -> nn.Module:
    """The module in the element type of its floating-point inputs, as an author would convert it."""
    floats = {t.dtype for t in types if "float" in t.dtype}
    return module.to(getattr(torch, floats.pop())) if len(floats) == 1 else module


def call_module(module: nn.Module, record: TorchModule, *x: torch.Tensor) -> Any:
    return module() if record.make else applied(record, module, x)


def call(record: TorchCall, *x: torch.Tensor) -> Any:
    return applied(record, None, x)


def run_torch(op: Op, types: Sequence[TensorType], x: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], Any]:
    """The outputs of the PyTorch form, and the module where there is one; both forms must agree."""
    torch.manual_seed(0)
    form = op.torch(*types)
    results, module = [], None
    with torch.no_grad(), refusals():
        if form.module:
            module = match(build(form.module), types)
            shake(module)
            results.append(call_module(module, form.module, *x))
        if form.call:
            results.append(call(form.call, *x))
    assert results
    tensors = [flat(r) for r in results]
    for other in tensors[1:]:
        torch.testing.assert_close(other, tensors[0], equal_nan=True)
    return tensors[0], module


@contextmanager
def refusals() -> Iterator[None]:
    """What PyTorch refuses by an assertion of its own is no failed assertion of a test."""
    try:
        yield
    except AssertionError as error:
        raise ValueError(str(error)) from error


def shake(module: nn.Module) -> None:
    """Random buffers and parameters, so that no default hides a mistake."""
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5 if "var" in name else torch.randn_like(value) * 0.5 + 0.1)


def torch_verdict(op: Op, types: Sequence[TensorType]) -> list[tuple[int, ...]] | None:
    """The output shapes PyTorch finds, or None where it refuses."""
    try:
        results, _ = run_torch(op, types, [example(t, i) for i, t in enumerate(types)])
    except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError):
        return None
    return [tuple(r.shape) for r in results]


def agree(op: Op, *types: TensorType) -> bool:
    """netc and PyTorch accept the same and find the same shapes and parameters; true where they accept.

    Only empty tensors, legal in PyTorch, are refused by netc: ONNX Runtime has none.
    """
    found, shapes = findings(op, *types), torch_verdict(op, types)
    if found:
        empty = shapes is not None and any(0 in shape for shape in shapes)
        assert shapes is None or empty, f"PyTorch takes {op} on {types}: {found[0].message}"
        return False
    outputs = op.outputs(*types)
    assert shapes == [t.shape for t in outputs], f"{op} on {types}"
    same_parameters(op, *types)
    return True


def same_parameters(op: Op, *types: TensorType) -> None:
    """Names, order, shapes and dtypes equal the module's state_dict, attributes the module's own."""
    form = op.torch(*types).module
    expected = [(p.name or "made", tuple(p.shape), f"torch.{p.dtype}") for p in op.params(*types) if p.persistent]
    if form is None:
        assert expected == []
        return
    module = match(build(form), types)
    assert [(k, tuple(v.shape), str(v.dtype)) for k, v in module.state_dict().items()] == expected
    learned = [p.name or "made" for p in op.params(*types) if p.trainable]
    assert [name for name, _ in module.named_parameters()] == learned
    same_attributes(op, module)


NORMALISED = ("padding", "padding_idx")
"""What a module keeps in another form than it was given."""


def same_attributes(op: Op, module: nn.Module) -> None:
    """Every attribute the module keeps under the same name has the operator's value."""
    for name in op.attributes:
        theirs, ours = getattr(module, name, None), getattr(op, name)
        inferred = ours is None or ours == ()
        if (
            theirs is None
            or inferred
            or isinstance(theirs, torch.Tensor)
            or isinstance(ours, str)
            or name in NORMALISED
        ):
            continue
        spread = ours if isinstance(theirs, tuple) or not isinstance(ours, tuple) else ours[0]
        repeated = [ours * len(theirs)] if isinstance(theirs, tuple) and isinstance(ours, tuple) else []
        assert (bool(theirs) if isinstance(ours, bool) else theirs) in (ours, spread, (spread,), *repeated), name


ELEMENTS = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
}


def onnx_model(op: Op, types: Sequence[TensorType], weights: dict[str, torch.Tensor]) -> onnx.ModelProto:
    """A model of one operator, its parameters as initialisers, checked in full."""
    found = op.onnx(*types)
    records = (found,) if isinstance(found, OnnxNode) else found
    outputs = [f"y{i}" for i in range(len(op.outputs(*types)))]
    nodes = [_node(r) for r in records]
    nodes = nodes or [helper.make_node("Identity", ["x0" if types else "made"], ["y0"])]
    used = {name for node in nodes for name in node.input}
    consts = [_constant(c) for c in {c.name: c for r in _with_bodies(records) for c in r.consts}.values()]
    learned = [numpy_helper.from_array(v.numpy(), k) for k, v in weights.items() if k in used]
    inputs = [_value_info(f"x{i}", t) for i, t in enumerate(types)]
    results = [_value_info(name, t) for name, t in zip(outputs, op.outputs(*types), strict=True)]
    graph = helper.make_graph(nodes, "one", inputs, results, [*consts, *learned])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def _node(record: OnnxNode) -> onnx.NodeProto:
    attributes = {k: _body(v) if isinstance(v, OnnxGraph) else v for k, v in record.attributes}
    return helper.make_node(record.op_type, record.inputs, record.outputs, **attributes)


def _with_bodies(records: Sequence[OnnxNode]) -> Iterator[OnnxNode]:
    """The nodes and those of loops in them."""
    for record in records:
        yield record
        yield from _with_bodies([n for _, v in record.attributes if isinstance(v, OnnxGraph) for n in v.nodes])


def _body(record: OnnxGraph) -> onnx.GraphProto:
    ends = [[onnx.ValueInfoProto(name=name) for name in names] for names in (record.inputs, record.outputs)]
    return helper.make_graph([_node(r) for r in record.nodes], "body", *ends)


def _value_info(name: str, t: TensorType) -> onnx.ValueInfoProto:
    sizes = [size if isinstance(size, int) else dim_source(size) for size in t.shape]
    return helper.make_tensor_value_info(name, ELEMENTS[t.dtype], sizes)


def _constant(const: Any) -> onnx.TensorProto:
    values = np.array(const.values, dtype=const.dtype).reshape(const.shape)
    return numpy_helper.from_array(values, const.name)


def run_onnx(model: onnx.ModelProto, x: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {f"x{i}": t.numpy() for i, t in enumerate(x)}
    wanted = {i.name for i in session.get_inputs()}
    return [torch.from_numpy(np.array(y)) for y in session.run(None, {k: v for k, v in inputs.items() if k in wanted})]


def same_values(op: Op, *types: TensorType, symbolic: bool = False) -> None:
    """ONNX Runtime computes what PyTorch computes, from the same parameters; `symbolic` also where the file knows only
    the channels."""
    x = [example(t, i) for i, t in enumerate(types)]
    expected, module = run_torch(op, types, x)
    weights = module.state_dict() if module is not None else {}
    for known in [types, lifted(types)] if symbolic else [types]:
        results = run_onnx(onnx_model(op, known, weights), x)
        assert len(results) == len(expected)
        for ours, theirs in zip(results, expected, strict=True):
            assert ours.dtype == theirs.dtype
            torch.testing.assert_close(ours, theirs, **TOLERANCE, equal_nan=True)


def lifted(types: Sequence[TensorType]) -> list[TensorType]:
    """The types with a symbol for every size but the channels, the same for equal sizes."""
    return [t.with_shape(*[n if axis == 1 else symbol(f"s{n}") for axis, n in enumerate(t.shape)]) for t in types]


def same_symbolic(op: Op, *types: TensorType) -> None:
    """With symbols for the sizes the shapes, bound to the numbers, are the same."""
    values = {f"s{n}": n for t in types for n in t.shape}
    for found, known in zip(op.outputs(*lifted(types)), op.outputs(*types), strict=True):
        assert tuple(bind(size, values) for size in found.shape) == known.shape


def computed(op: Op, *x: torch.Tensor) -> torch.Tensor:
    """What PyTorch makes of tensors that are right for the operator."""
    types = [tensor(*t.shape) for t in x]
    assert findings(op, *types) == []
    (y,), _ = run_torch(op, types, x)
    assert y.shape == op.outputs(*types)[0].shape
    return y


def in_onnx(op: Op, *x: torch.Tensor) -> torch.Tensor:
    (y,) = run_onnx(onnx_model(op, [tensor(*t.shape) for t in x], {}), x)
    return y
