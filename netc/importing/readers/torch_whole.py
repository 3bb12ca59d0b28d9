"""Classes of netc's own in PyTorch modules that no export can follow, loops over boxes that hang on their values.

While a module is exported such a part calls one operator, `netc::whole`, which computes what the part does.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from netc.backends.pytorch.print.options import cut
from netc.importing.readers.torch import TorchCall, handles
from netc.libraries import torch
from netc.ops.base import OPERATORS, BadValue, Op
from netc.ops.conversion import convert
from netc.ops.helpers import VARIED
from netc.ops.records import TorchModule
from netc.run.interpreter import construct, flat
from netc.types import TensorType

CLASSES = {
    "NonMaxSuppression": "nms",
    "RoIPool": "roi_pool",
    "RoIAlign": "roi_align",
    "PSRoIAlign": "ps_roi_align",
    "MultiScaleRoIAlign": "multiscale_roi_align",
}
"""The operators whose classes these are."""

_WHOLE: dict[Op, int] = {}
"""Operators that exported programs call, by the number that they are called by."""


@contextmanager
def kept_whole(module: Any) -> Iterator[None]:
    """Meanwhile those of its parts that are netc's classes, to the letter, are one operator."""
    parts = [part for part in module.modules() if type(part).__name__ in CLASSES]
    for part in parts:
        part.forward = partial(_called, part, part.forward)
    try:
        yield
    finally:
        for part in parts:
            del part.forward


def _called(part: Any, forward: Any, *inputs: Any) -> Any:
    given = [value for value in inputs if value is not None]
    op = _operator_of(part, list(map(_type, given)))
    if op is None:
        return forward(*inputs)
    outputs = _whole()(given, _WHOLE.setdefault(op, len(_WHOLE)))
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def _operator_of(part: Any, types: Sequence[TensorType]) -> Op | None:
    """The operator that a part computes; None where its class is not netc's."""
    cls = OPERATORS[CLASSES[type(part).__name__]]
    held = {name: getattr(part, name) for name in cls.attributes if hasattr(part, name)}
    try:
        op = cls(**{name: convert(cls, cls.attributes[name], value) for name, value in held.items()}).complete()
        source = inspect.getsource(type(part))
    except (BadValue, TypeError, OSError):
        return None
    form = op.torch(*types).module
    assert form is not None
    return op if source.strip() in (text.strip() for text in _texts(form, held)) else None


def _texts(form: TorchModule, held: dict[str, Any]) -> Iterator[str]:
    """The class as files have it: for the options of this part alone, and of others too."""
    assert form.helper is not None
    for options in (held, dict.fromkeys(held, VARIED)):
        yield cut(form.helper, [options])


def _type(tensor: Any) -> TensorType:
    return TensorType(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


@cache
def _whole() -> Any:
    lib = torch()

    def compute(inputs: Sequence[Any], number: int) -> list[Any]:
        form = [*_WHOLE][number].torch(*map(_type, inputs)).module
        assert form is not None
        return flat(construct(form)(*inputs))

    def shaped(inputs: Sequence[Any], number: int) -> list[Any]:
        made = [*_WHOLE][number].outputs(*map(_type, inputs))
        return [inputs[0].new_empty(type_.shape, dtype=getattr(lib, type_.dtype)) for type_ in made]

    schema = "(Tensor[] inputs, int number) -> Tensor[]"
    operator = lib.library.custom_op("netc::whole", compute, mutates_args=(), schema=schema)
    operator.register_fake(shaped)
    return operator


@handles("whole")
def whole(call: TorchCall) -> None:
    op = [*_WHOLE][call.given["number"]]
    declared = op.attributes
    given = {name: value for name, value in op.__dict__.items() if value != declared[name].default}
    call.result(call.emit_all(op.name, *call.values("inputs"), **given))
