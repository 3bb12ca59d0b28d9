"""Operators of other packages that raise where they should answer: a diagnostic, not a traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from traceback import extract_tb
from typing import Any

from netc.diagnostics.model import Diagnostic, Fault
from netc.dims import NotExact, TooComplex
from netc.geometry import Window
from netc.ops.base import Op
from netc.ops.records import Averages, Fact, MatrixProduct, OnnxNode, Param, Problem, Require, TorchForm, Work
from netc.types import TensorType

FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What a mistake in code of others raises. These are caught around that code alone, never around netc's own."""

ANSWERS: dict[str, tuple[type[Any], ...]] = {
    "check": (Problem, Require),
    "check_training": (Require,),
    "infer": (TensorType,),
    "params": (Param,),
    "windows": (Window,),
    "torch": (TorchForm,),
    "onnx": (OnnxNode,),
    "onnx_native": (OnnxNode,),
    "macs": (object,),
    "work": (Work,),
    "matrix_products": (MatrixProduct,),
    "averages": (Averages, type(None)),
    "facts": (Fact,),
    "size_rules": (tuple,),
    "mixes": (int,),
    "taps": (int,),
    "ports": (str, type(None)),
    "caption": (str,),
    "complete": (Op,),
    "with_outputs": (Op,),
}
"""Every method of an operator, and what it answers with, one or several of them."""


def guard(cls: type[Op], plugin: str) -> None:
    """Let every method of a plugin's operator raise Fault, with `bad-plugin`, instead of whatever it raises."""
    for name in ANSWERS:
        setattr(cls, name, _guarded(getattr(cls, name), f"operator `{cls.name}` of plugin `{plugin}`", name))


def _guarded(method: Callable[..., Any], what: str, name: str) -> Callable[..., Any]:
    @wraps(method)
    def answer(*arguments: Any) -> Any:
        try:
            result = method(*arguments)
            result = list(result) if name in ("check", "check_training") else result
            _need_answers(name, result if isinstance(result, tuple | list) else (result,))
        except (Fault, TooComplex, NotExact):
            raise
        except FAILURES as error:
            message = f"{what}: `{name}` raises {type(error).__name__}: {error}"
            raise Fault((Diagnostic("bad-plugin", message, None, notes=(place_of(error),)),)) from error
        return result

    return answer


def _need_answers(name: str, answers: Iterable[Any]) -> None:
    types = ANSWERS[name]
    for item in answers:
        if not isinstance(item, types):
            names = " or ".join(kind.__name__ for kind in types)
            raise TypeError(f"it returns {type(item).__name__}, not {names}")


def place_of(error: BaseException) -> str:
    """The line that raised."""
    last = extract_tb(error.__traceback__)[-1]
    return f"raised in line {last.lineno} of {last.filename}"
