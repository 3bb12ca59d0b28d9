"""Prints, as JSON, what onnxruntime registers: `python -m tools.registered [all]`; with `all` the CUDA provider's too.

A process of its own: a provider's library is loaded for good, and `all` needs CUDA's libraries or stand-ins.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import onnxruntime
from onnx import TensorProto, defs, helper
from onnxruntime.capi import onnxruntime_pybind11_state as state

from netc.types import DTYPES

OPSETS = range(17, 24)
PROVIDERS = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda"}
ELEMENTS = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


class Kernel(msgspec.Struct, frozen=True):
    """One registered kernel of a standard operator."""

    op_type: str
    provider: str
    versions: tuple[int, int]
    types: dict[str, list[str]]


class Opened(msgspec.Struct, frozen=True):
    """A dtype for which a provider runs an operator without a kernel for it, by the definition ONNX gives."""

    op_type: str
    since: int
    provider: str
    dtype: str
    opset: int


class Registered(msgspec.Struct, frozen=True):
    """All of it."""

    kernels: list[Kernel]
    opened: list[Opened]


def main(everything: bool) -> None:
    """Print it."""
    onnxruntime.set_default_logger_severity(4)
    names = list(PROVIDERS) if everything else ["CPUExecutionProvider"]
    listed = state.get_all_opkernel_def() if everything else state.get_registered_ep_kernel_defs(names[0])
    kernels = [
        Kernel(k.op_name, PROVIDERS[k.provider], k.version_range, k.type_constraints)
        for k in listed
        if k.domain == "" and k.provider in names
    ]
    opened = [found for schema in schemas() for name in names for found in _opened(schema, name)]
    sys.stdout.buffer.write(msgspec.json.encode(Registered(kernels, opened)))


def schemas() -> Iterator[defs.OpSchema]:
    """Every form the standard operators have in these opsets."""
    seen = {}
    for name in sorted({s.name for s in defs.get_all_schemas() if s.domain == ""}):
        for opset in OPSETS:
            if defs.has(name, opset):
                schema = defs.get_schema(name, opset)
                seen[name, schema.since_version] = schema
    yield from seen.values()


def _opened(schema: defs.OpSchema, provider: str) -> Iterator[Opened]:
    """Tried on models of one node, where one type variable says everything."""
    defined = schema.has_function or schema.has_context_dependent_function
    if not defined or not schema.inputs or len({i.type_str for i in (*schema.inputs, *schema.outputs)}) > 1:
        return
    for opset in OPSETS:
        if defs.has(schema.name, opset) and defs.get_schema(schema.name, opset).since_version == schema.since_version:
            for dtype in DTYPES:
                if _runs_opened(schema, provider, dtype, opset):
                    yield Opened(schema.name, schema.since_version, PROVIDERS[provider], dtype, opset)


def _runs_opened(schema: defs.OpSchema, provider: str, dtype: str, opset: int) -> bool:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    chain = list(dict.fromkeys((provider, "CPUExecutionProvider")))
    try:
        session = onnxruntime.InferenceSession(_one_node(schema, dtype, opset), options, providers=chain)
    except (state.NotImplemented, state.InvalidGraph, state.Fail, state.InvalidArgument):
        return False
    parts: list[Any] = session.get_provider_graph_assignment_info()
    whole = any(n.op_type == schema.name for part in parts for n in part.get_nodes())
    return not whole and {part.ep_name for part in parts} == {provider}


def _one_node(schema: defs.OpSchema, dtype: str, opset: int) -> bytes:
    element = ELEMENTS.get(dtype) or TensorProto.DataType.Value(dtype.upper())
    names = [f"x{i}" for i in range(len(schema.inputs))]
    inputs = [helper.make_tensor_value_info(name, element, ["n", 4]) for name in names]
    output = helper.make_tensor_value_info("y", element, None)
    graph = helper.make_graph([helper.make_node(schema.name, names, ["y"])], "one", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    main("all" in sys.argv[1:])
