"""PyTorch asked directly: the module or function an operator stands for, called by the names of its attributes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
from conformance import call_module, flat, match
from torch import nn
from vision import torchvision

from netc.ops import Op
from netc.types import TensorType

Tensors = list[torch.Tensor]

OWN = {
    *("add", "sub", "rsub", "mul", "div", "pow", "maximum", "minimum", "einsum", "slice", "gather"),
    *("remainder", "floor_divide", "index_select", "arange"),
    *("pad", "affine_grid", "relative_position_index", "grid_sample", "l2_norm", "constant", "parameter", "buffer"),
    *("multihead_attention", "scaled_dot_product_attention", "locally_connected1d", "locally_connected2d", "cast"),
    *("max_unpool1d", "max_unpool2d", "max_unpool3d"),
    *("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "where", "masked_fill"),
    *("copysign", "xlogy", "fmod", "bitwise_and", "bitwise_or", "bitwise_xor", "lerp", "randn", "rand"),
    *("scatter", "scatter_add", "scatter_reduce", "fractional_max_pool2d"),
}
"""Operators that PyTorch spells in another way: the operator's own form asks for them."""


def single(op: Op, value: Any) -> Any:
    """A number instead of a list of one, which not every module over one axis takes."""
    return value[0] if op.rank == 1 and isinstance(value, tuple) and len(value) == 1 else value


def resized(op: Any) -> dict[str, Any]:
    """PyTorch tells an absent argument by None, and takes `align_corners` where elements are mixed alone."""
    size, factor = (v[0] if len(v) == 1 else v for v in (op.size or (None,), op.scale_factor or (None,)))
    aligned = {"align_corners": op.align_corners} if op.mode.endswith(("linear", "cubic")) or op.align_corners else {}
    return {"size": size, "scale_factor": factor, "mode": op.mode, "antialias": op.antialias, **aligned}


def multiplied(op: Any) -> dict[str, Any]:
    if not op.dim:
        return {"keepdim": True} if op.keepdim else {}
    dims = {"dim": op.dim[0] if len(op.dim) == 1 else op.dim}
    return {**dims, "keepdim": op.keepdim}


def extreme(op: Any) -> dict[str, Any]:
    """PyTorch has a form of its own for all elements, without arguments."""
    dims = {} if op.dim is None else {"dim": op.dim}
    return {**dims, "keepdim": True} if op.keepdim else dims


SPELLED: dict[str, tuple[Callable[..., Any], Callable[[Any], dict[str, Any]]]] = {
    "interpolate": (nn.functional.interpolate, resized),
    "prod": (torch.prod, multiplied),
    "any": (torch.any, lambda op: {"dim": op.dim or None, "keepdim": op.keepdim}),
    "all": (torch.all, lambda op: {"dim": op.dim or None, "keepdim": op.keepdim}),
    "max": (torch.max, extreme),
    "min": (torch.min, extreme),
    "norm": (torch.linalg.vector_norm, lambda op: {"ord": op.p, "dim": op.dim, "keepdim": op.keepdim}),
    "normalize": (nn.functional.normalize, lambda op: dict(op.__dict__)),
    "expand": (torch.Tensor.expand, lambda op: {"size": op.sizes}),
    "split": (torch.split, lambda op: {"split_size_or_sections": single_part(op.split_size), "dim": op.dim}),
    "repeat": (torch.Tensor.repeat, lambda op: {"repeats": op.repeats}),
}
"""Functions of one tensor that PyTorch spells in another way: the function, and its arguments."""


def single_part(parts: tuple[int, ...]) -> Any:
    return parts[0] if len(parts) == 1 else parts


def reference(op: Op, types: Sequence[TensorType]) -> nn.Module | Callable[..., Any] | None:
    """The module or function itself; raises what its constructor raises. None where only netc can say it."""
    if op.name in SPELLED:
        function, arguments = SPELLED[op.name]
        return partial(function, **arguments(op)) if len(types) == 1 else None
    beside = op.references in (("like",), ("weight",)) and len(types) > op.arity[0]
    target = _target(type(op).torch_name) if op.name not in OWN and not beside else None
    if target is None:
        return None
    if not isinstance(target, type):
        listed = op.name in ("concat", "stack")
        return lambda *x: target(x, **op.__dict__) if listed else target(*x, **op.__dict__)
    names = _signature(target)
    absent = {name for name, declared in op.attributes.items() if declared.kind == "Tensor" and not getattr(op, name)}
    own = {name for name in op.attributes if name not in names} - absent
    if any(getattr(op, name) != op.attributes[name].default for name in own) or not _spoken(op, target):
        return None
    shown = {name: value for name, value in op.__dict__.items() if name not in own | absent}
    given = {name: single(op, value) for name, value in shown.items() if (name, value) != ("normalized_shape", ())}
    return match(target(**inferred(names - set(given), op, types), **given).eval(), types)


@cache
def _target(name: str) -> Any:
    """`torch.nn.Conv2d` itself; nothing that needs compiled parts of torchvision."""
    if name == "torchvision.ops.StochasticDepth":
        return torchvision.ops.StochasticDepth
    found: Any = torch
    first, *rest = name.split(".")
    for part in rest if first == "torch" else ():
        found = getattr(found, part)
    return found if first == "torch" else None


@cache
def _signature(target: type[nn.Module]) -> frozenset[str]:
    recurrent = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
    if issubclass(target, nn.RNNBase):
        return frozenset((*recurrent, *(("nonlinearity",) if target is nn.RNN else ()), "proj_size"))
    return frozenset(inspect.signature(target).parameters)


def _spoken(op: Op, target: type[nn.Module]) -> bool:
    """Does PyTorch know this padding? Its convolutions know two words, and no module has two sides."""
    padding = getattr(op, "padding", 0)
    if isinstance(padding, str):
        own = padding == "valid" or (padding == "same" and all(s == 1 for s in getattr(op, "stride", None) or ()))
        return "Transpose" not in target.__name__ and "Conv" in target.__name__ and own
    return not isinstance(padding, tuple) or len(padding) == op.rank


CHANNELS = ("in_channels", "num_features", "num_channels")


def inferred(names: frozenset[str], op: Op, types: Sequence[TensorType]) -> dict[str, Any]:
    """What netc reads off the inputs and PyTorch wants to be told."""
    shape = types[0].shape if types else ()
    features = shape[-1] if shape else 1
    plain = len(shape) > max(1, op.rank + 1) or len(shape) in getattr(op, "extra_ranks", ())
    channels = shape[1 if plain else 0] if shape else 1
    second = types[1].shape[-1] if len(types) > 1 and types[1].shape else 1
    known = dict.fromkeys(CHANNELS, channels) | dict.fromkeys(("in_features", "input_size", "in1_features"), features)
    known |= {"in2_features": second, "normalized_shape": shape[-1:] or (1,)}
    return {name: value for name, value in known.items() if name in names}


def run_reference(made: Any, op: Op, types: Sequence[TensorType], x: Tensors) -> Tensors:
    """The tensors it makes; a module is called as the operator's form calls it."""
    with torch.no_grad():
        form = op.torch(*types).module if isinstance(made, nn.RNNBase | nn.RNNCellBase) else None
        return flat(call_module(made, form, *x) if form else made(*x))
