"""An ONNX file against onnx's own checker and shape inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from netc.dims import bind
from netc.libraries import onnx
from netc.passes.sizes import parse_size
from netc.verify.differences import CheckResult

Shapes = dict[str, tuple[int, tuple[int, ...]]]
"""Element type and sizes by value name."""


def check_file(path: Path) -> CheckResult:
    """`onnx.checker` with full shape inference."""
    library = onnx()
    failures = (library.checker.ValidationError, library.shape_inference.InferenceError)
    try:
        library.checker.check_model(str(path), full_check=True)
    except failures as error:
        return CheckResult("onnx checker", False, str(error).strip().replace("\n", " "))
    return CheckResult("onnx checker", True, "accepts the file with full shape inference")


def check_shapes(path: Path, binding: Mapping[str, int]) -> CheckResult:
    """Does onnx's shape inference, given input sizes in numbers and nothing else, find what the file declares?"""
    model = onnx().load(str(path), load_external_data=False)
    _load_whole_numbers(model, path.parent)
    declared = _shapes([*model.graph.value_info, *model.graph.output], binding)
    inferred = _inferred(model, binding)
    wrong = list(_differences(declared, inferred))
    left = sum(-1 in sizes for name, (_, sizes) in inferred.items() if -1 not in declared.get(name, (0, (-1,)))[1])
    open_ones = f", though some sizes of {left} are left open" if left else ""
    right = f"onnx infers the declared shapes of all {len(declared)} values{open_ones}"
    return CheckResult("shapes", not wrong, "; ".join(wrong[:4]) or right)


def _load_whole_numbers(model: Any, folder: Path) -> None:
    """Reads the vectors of whole numbers among the weights, where these are there: shape inference follows them as if
    they were sizes, and fails on those that lie in another file."""
    library, beside = onnx(), onnx().external_data_helper
    whole = (library.TensorProto.INT32, library.TensorProto.INT64)
    for tensor in model.graph.initializer:
        if tensor.data_type not in whole or len(tensor.dims) > 1 or not beside.uses_external_data(tensor):
            continue
        if (folder / beside.ExternalDataInfo(tensor).location).is_file():
            beside.load_external_data_for_tensor(tensor, str(folder))
            tensor.data_location = library.TensorProto.DEFAULT
            del tensor.external_data[:]


def _inferred(model: Any, binding: Mapping[str, int]) -> Shapes:
    """Shapes of everything, from a model stripped of what it says about its inside and its outputs."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    for value in model.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, _sizes(value, binding), strict=True):
            dim.dim_value = size
    graph = onnx().shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    return _shapes([*graph.value_info, *graph.output], binding)


def _shapes(values: list[Any], binding: Mapping[str, int]) -> Shapes:
    return {v.name: (v.type.tensor_type.elem_type, tuple(_sizes(v, binding))) for v in values}


def _sizes(value: Any, binding: Mapping[str, int]) -> Iterator[int]:
    for dim in value.type.tensor_type.shape.dim:
        fixed = dim.dim_value if dim.HasField("dim_value") else -1
        size = bind(parse_size(dim.dim_param), binding) if dim.dim_param else fixed
        yield size if isinstance(size, int) else -1


def _alike(declared: tuple[int, tuple[int, ...]], inferred: tuple[int, tuple[int, ...]]) -> bool:
    """A size declared to be open may be any; one that onnx cannot infer says nothing."""
    (dtype, sizes), (found_dtype, found_sizes) = declared, inferred
    same = len(sizes) == len(found_sizes) and all(
        a == b or -1 in (a, b) for a, b in zip(sizes, found_sizes, strict=True)
    )
    return dtype == found_dtype and same


def _differences(declared: Shapes, inferred: Shapes) -> Iterator[str]:
    for name, kind in declared.items():
        form = inferred.get(name)
        if form is None:
            yield f"{name}: onnx infers nothing"
        elif not _alike(kind, form):
            yield f"{name}: declared {list(kind[1])}, onnx infers {list(form[1])}"
