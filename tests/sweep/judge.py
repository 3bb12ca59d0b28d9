"""One case judged: do netc, PyTorch and ONNX Runtime say the same?"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import torch
from conformance import (
    build,
    call,
    call_module,
    findings,
    flat,
    match,
    onnx_model,
    refusals,
    run_onnx,
    run_torch,
    same_parameters,
    shake,
)
from onnx.checker import ValidationError
from onnx.shape_inference import InferenceError
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    NotImplemented,
    RuntimeException,
)
from torch import nn

from netc.ops import OPERATORS, BadValue, Op
from netc.ops.base import Family
from netc.ops.records import TorchForm, Unsupported
from netc.types import TensorType
from netc.verify.differences import TOLERANCE
from sweep.differences import difference
from sweep.draw import Case
from sweep.plausible import data
from sweep.reference import reference, run_reference

Tensors = list[torch.Tensor]
REFUSALS = (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError, ArithmeticError)
ONNX_ERRORS = (Fail, InvalidArgument, InvalidGraph, NotImplemented, RuntimeException)

POSITIONS: dict[str, tuple[int, ...]] = {
    **{name: (cls.arity[0],) for name, cls in OPERATORS.items() if cls.references == ("like",)},
    "nms": (0,),
    **dict.fromkeys(("roi_pool", "roi_align", "ps_roi_align"), (1,)),
    **{f"max_unpool{n}d": (2,) for n in (1, 2, 3)},
}
"""Inputs that only say where elements are or how many; PyTorch and torchvision give them no gradient either."""
RARE = {"float16", "float64", "int32", "int8", "uint8", "bool", "int64"}
"""Element types for which ONNX defines operators that ONNX Runtime has on the CPU for float32 alone."""

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
onnxruntime.set_default_logger_severity(3)


class Unsaid(Exception):
    """The operator has no PyTorch form for inputs like these."""


class Verdict(msgspec.Struct):
    """What became of a case. `kind`: accepted, refused (by both), excluded or failed; `notes` say which comparisons
    were made (`values`, `onnx`, `gradient`, `float16`) or left out and why (`onnx: …`)."""

    kind: str
    reason: str = ""
    notes: list[str] = msgspec.field(default_factory=list)


def judge(case: Case, deep: bool) -> Verdict:
    """Accept or reject, output types and parameters; where `deep`, values and gradients too."""
    try:
        return _judged(case, deep)
    except (AssertionError, AttributeError, KeyError, SyntaxError, *REFUSALS) as error:
        return Verdict("failed", f"{type(error).__name__}: {error}".strip())


def _judged(case: Case, deep: bool) -> Verdict:
    try:
        op = case.op()
    except BadValue as error:
        return refused_value(case, str(error))
    if len(case.types) < op.arity[0] + sum(
        value is True and key in op.references for key, value in case.values.items()
    ):
        return Verdict("excluded", "fewer tensors than the operator reads: no statement has them")
    found, x = findings(op, *case.types), data(op, case.types, case.number)
    try:
        made, theirs = attempt(op, case.types, x)
    except Unsaid as error:
        if not found:
            return Verdict("failed", f"netc accepts and cannot say it in PyTorch: {error}")
        return Verdict("excluded", "wrong inputs that netc refuses and cannot write as PyTorch: PyTorch is not asked")
    if found or isinstance(theirs, str):
        return refusal(op, case, found[0].message if found else "", theirs)
    same_types(op, case.types, theirs)
    same_parameters(op, *case.types)
    same_form(op, case.types, x, made, theirs)
    return Verdict("accepted", notes=list(deeper(op, case.types, x)) if deep else [])


def attempt(op: Op, types: Sequence[TensorType], x: Tensors) -> tuple[Any, Tensors | str]:
    """PyTorch's module or function where there is one, and the results of PyTorch or why it refuses."""
    made = None
    try:
        with refusals():
            made = reference(op, types)
            return made, run_own(op, types, x)[0] if made is None else run_reference(made, op, types, x)
    except REFUSALS as error:
        return made, f"{type(error).__name__}: {error}"


def run_own(op: Op, types: Sequence[TensorType], x: Tensors) -> tuple[Tensors, Any]:
    """The operator's own PyTorch form; what it cannot say is no answer of PyTorch."""
    try:
        module = op.torch(*types).module
    except (*REFUSALS, AttributeError, KeyError) as error:
        raise Unsaid(str(error)) from error
    if module is not None and module.cls.startswith("nn.") and not hasattr(nn, module.cls.removeprefix("nn.")):
        raise Unsaid(f"there is no {module.cls}")
    return run_torch(op, types, x)


def same_form(op: Op, types: Sequence[TensorType], x: Tensors, made: Any, theirs: Tensors) -> None:
    """What netc's code for the operator computes is what PyTorch's own module computes from the same parameters."""
    if made is None:
        return
    ours, module = run_torch(op, types, x)
    if isinstance(made, nn.Module) and module is not None:
        made.load_state_dict(module.state_dict(), strict=True)
        theirs = run_reference(made, op, types, x)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0, equal_nan=True)


def refusal(op: Op, case: Case, ours: str, theirs: Tensors | str) -> Verdict:
    if ours and isinstance(theirs, str):
        return Verdict("refused")
    reason = difference(op, case.types, ours, theirs)
    if reason:
        return Verdict("excluded", reason)
    if ours:
        shapes = [tuple(t.shape) for t in theirs if isinstance(t, torch.Tensor)]
        return Verdict("failed", f"PyTorch makes {shapes}, netc says: {ours}")
    return Verdict("failed", f"netc accepts, PyTorch says: {theirs}")


def refused_value(case: Case, ours: str) -> Verdict:
    """A value outside of its bounds must be one that PyTorch refuses too; other kinds of values are the language's."""
    if " must be at " not in ours:
        return Verdict("excluded", "a value of another kind, which netc's language refuses before PyTorch is asked")
    op = OPERATORS[case.operator](**spread_out(case))
    try:
        _, theirs = attempt(op, case.types, data(op, case.types, case.number))
    except (Unsaid, AttributeError):
        return Verdict("excluded", "wrong inputs that netc refuses and cannot write as PyTorch: PyTorch is not asked")
    return refusal(op, case, ours, theirs)


def spread_out(case: Case) -> dict[str, Any]:
    """The values in canonical form without a look at bounds."""
    cls = OPERATORS[case.operator]
    per_axis = ("PerAxis", "PerAxis | None", "PerAxisOrKept")
    lists = (*per_axis, "Ints", "Sizes", "Floats")
    wide = {
        k: (v,) if cls.attributes[k].kind in lists and isinstance(v, int | float) else v for k, v in case.values.items()
    }
    return {k: v * cls.rank if cls.attributes[k].kind in per_axis and len(v or ()) == 1 else v for k, v in wide.items()}


def same_types(op: Op, types: Sequence[TensorType], theirs: Tensors) -> None:
    ours = [(t.shape, f"torch.{t.dtype}") for t in op.outputs(*types)]
    found = [(tuple(t.shape), str(t.dtype)) for t in theirs]
    assert ours == found, f"netc says {ours}, PyTorch makes {found}"


def deeper(op: Op, types: Sequence[TensorType], x: Tensors) -> list[str]:
    """The notes of the comparisons that cost more."""
    return ["values", same_onnx(op, types, x), gradient(op, types, x), *half(op, types, x)]


def same_onnx(op: Op, types: Sequence[TensorType], x: Tensors) -> str:
    """ONNX Runtime computes what PyTorch computes, from the same parameters, within the ladder."""
    if any(t.dtype == "bfloat16" for t in (*types, *op.outputs(*types))):
        return "onnx: numpy, through which ONNX Runtime is fed, has no bfloat16"
    expected, module = run_torch(op, types, x)
    if any(t.dtype == "float64" for t in types) and coarse(op, types):
        return "onnx: ONNX's attributes are float32, which float64's tolerance can tell"
    try:
        model = onnx_model(op, types, module.state_dict() if module is not None else {})
    except Unsupported as error:
        return f"onnx: {plainly(str(error))}"
    except (ValidationError, InferenceError) as error:
        raise AssertionError(f"ONNX checker: {error}") from error
    try:
        results = run_onnx(model, x)
    except ONNX_ERRORS as error:
        if isinstance(error, NotImplemented) and {t.dtype for t in types} & RARE:
            return (
                f"onnx: ONNX Runtime has no kernel on the CPU for {'/'.join(sorted({t.dtype for t in types} & RARE))}"
            )
        raise AssertionError(f"ONNX Runtime: {error}") from error
    assert len(results) == len(expected)
    exact = in_float64(op, types, x, module)
    if any(overflows(theirs, wide) for theirs, wide in zip(expected, exact, strict=True)):
        return "onnx: PyTorch overflows in float16 on the way to numbers that fit"
    for ours, theirs, wide in zip(results, expected, exact, strict=True):
        own = largest(theirs.double() - wide.double()) if theirs.dtype == torch.float16 else 0.0
        theirs = forgiven(ours, theirs, wide)
        close(*(t.sort(op.dim)[0] for t in (ours, theirs)) if in_any_order(op) else (ours, theirs), own)
    return "onnx"


def in_float64(op: Op, types: Sequence[TensorType], x: Tensors, module: Any) -> Tensors:
    """What PyTorch computes of the same numbers in float64: its distance from that is its own rounding."""
    wide = [TensorType(t.shape, "float64") if t.dtype in NARROW else t for t in types]
    torch.manual_seed(0)
    with torch.no_grad():
        widened = copy.deepcopy(module).double() if module is not None else None
        values = [t.double() if t.dtype in (torch.float16, torch.float32) else t for t in x]
        return flat(computed(op.torch(*wide), widened, values))


NARROW = ("float16", "float32")


def forgiven(ours: torch.Tensor, theirs: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """PyTorch's float32 numbers, ONNX Runtime's in place of those that lie as far from float64's: what is left where
    equal numbers cancel out."""
    if theirs.dtype != torch.float32 or ours.shape != theirs.shape:
        return theirs
    apart, rounding = (ours.double() - theirs.double()).abs(), (theirs.double() - exact.double()).abs()
    return torch.where(apart <= rounding, ours, theirs)


def overflows(theirs: torch.Tensor, exact: torch.Tensor) -> bool:
    """Does a float16 result lie beyond all numbers where float64 finds one that fits?"""
    return theirs.dtype == torch.float16 and bool((~theirs.isfinite() & (exact.abs() < HALF_MAX)).any())


HALF_MAX = torch.finfo(torch.float16).max


def in_any_order(op: Any) -> bool:
    return op.name == "topk" and not op.sorted


def coarse(op: Op, types: Sequence[TensorType]) -> bool:
    """Is an attribute of a node a number that float32 has not?"""
    try:
        found = op.onnx(*types)
    except Unsupported:
        return False
    numbers = [v for n in (found if isinstance(found, tuple) else (found,)) for _, v in n.attributes]
    return any(isinstance(v, float) and float(np.float32(v)) != v for v in numbers)


def plainly(text: str) -> str:
    """A reason without the numbers of the case."""
    return text.partition(";")[0]


def close(ours: torch.Tensor, theirs: torch.Tensor, rounding: float = 0.0) -> None:
    """Equal but for rounding: the tolerance of the dtype, of the largest number, and PyTorch's own rounding."""
    assert ours.dtype == theirs.dtype, f"{ours.dtype}, not {theirs.dtype}"
    allowed = TOLERANCE.get(str(theirs.dtype).removeprefix("torch."), 0.0)
    room = allowed * max(1.0, largest(theirs)) + (rounding if theirs.is_floating_point() else 0.0)
    torch.testing.assert_close(ours, theirs, rtol=allowed, atol=room, equal_nan=True)


def largest(t: torch.Tensor) -> float:
    """The greatest absolute value among the finite ones."""
    finite = t.detach().double()[t.detach().double().isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def gradient(op: Op, types: Sequence[TensorType], x: Tensors) -> str:
    """In training mode the shapes are the same, and gradients reach every float input and parameter."""
    form = op.torch(*types)
    if types and not any(t.is_floating_point() for t in x) and not op.params(*types):
        return "gradient: there is nothing to differentiate"
    x = [t.clone().requires_grad_() if t.is_floating_point() else t for t in x]
    torch.manual_seed(0)
    module = match(build(form.module), types).train() if form.module else None
    if module is not None:
        shake(module)
    try:
        results = flat(computed(form, module, x))
    except ValueError as error:
        if "Expected more than 1" in str(error):
            return "gradient: one value per channel, which PyTorch does not normalise in training"
        raise
    except NotImplementedError as error:
        if "not implemented for" in str(error):
            return "gradient: PyTorch has no kernel for training on the CPU"
        raise
    same_types(op, types, results)
    flowing = [r for r in results if r.requires_grad]
    leaves = [t for t in [*x, *(module.parameters() if module is not None else ())] if t.requires_grad]
    if not flowing or not leaves:
        return "gradient: there is nothing to differentiate"
    try:
        grads = torch.autograd.grad(sum(r.double().sum() for r in flowing), leaves, allow_unused=True)
    except RuntimeError as error:
        if any(words in str(error) for words in NO_GRADIENT):
            return "gradient: PyTorch's own fails for operands of these element types"
        raise
    still = [leaf for i, leaf in enumerate(x) if i in POSITIONS.get(op.name, ())]
    reached = zip(leaves, grads, strict=True)
    missing = [i for i, (leaf, g) in enumerate(reached) if g is None and not any(leaf is t for t in still)]
    assert not missing, f"no gradient reaches input or parameter {missing}"
    return "gradient"


NO_GRADIENT = ("can't be cast to the desired output type", "`-` operator, with a bool tensor")


def computed(form: TorchForm, module: Any, x: Tensors) -> Any:
    if module is not None and form.module:
        return call_module(module, form.module, *x)
    assert form.call
    return call(form.call, *x)


def half(op: Op, types: Sequence[TensorType], x: Tensors) -> list[str]:
    """The same in float16 where the case is of float32: what PyTorch computes, and ONNX Runtime's within the ladder."""
    if not any(t.dtype == "float32" for t in types):
        return []
    halved = [TensorType(t.shape, "float16") if t.dtype == "float32" else t for t in types]
    if findings(op, *halved):
        return ["float16: netc refuses it"]
    if getattr(op, "mode", "") == "nearest" and op.name == "grid_sample":
        return ["float16: many places lie halfway between elements, and rounding decides which is nearest"]
    if op.name == "isclose":
        return ["float16: ONNX Runtime leaves out the rounding of the bound, which decides"]
    if len(halved) > 2 and op.family is Family.MERGE and op.outputs(*halved)[0].dtype == "float64":
        return ["float16: ONNX Runtime leaves out the rounding of parts in float16 before they become float64"]
    x = [t.half() if t.dtype == torch.float32 else t for t in x]
    try:
        results, _ = run_torch(op, halved, x)
    except REFUSALS as error:
        if "not implemented for" in str(error):
            return ["float16: PyTorch has no kernel on the CPU"]
        raise
    same_types(op, halved, results)
    note = same_onnx(op, halved, x)
    return ["float16" if note == "onnx" else f"float16: {note.removeprefix('onnx: ')}"]
