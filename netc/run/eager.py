"""A generated module in eval mode, on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from typing import Any

from netc.libraries import torch
from netc.run.inputs import bad_input
from netc.run.module import MODULE_ERRORS, as_tuple, module_error

Arrays = list[Any]
"""An array per output that eval computes."""


def tensors(arrays: Sequence[Any]) -> list[Any]:
    return [torch().from_numpy(array) for array in arrays]


def evaluate(module: Any, inputs: Sequence[Any]) -> Arrays:
    """What forward returns in eval mode. Raises NetcError (`bad-input`) where PyTorch does not run on these inputs,
    and `module-error` where the code itself is wrong."""
    module.eval()
    try:
        with torch().no_grad():
            results = as_tuple(module(*tensors(inputs)))
    except (RuntimeError, IndexError) as error:
        message = f"PyTorch does not run the network on these inputs: {str(error).strip()}"
        raise bad_input(message) from error
    except MODULE_ERRORS as error:
        raise module_error(error, "in eval mode") from error
    return [None if result is None else result.detach().numpy() for result in results]


def evaluate_in_float64(module: Any, inputs: Sequence[Any]) -> Arrays:
    """`evaluate` of the same module and inputs in float64, whatever floating-point type the module casts to."""
    with widening():
        return evaluate(deepcopy(module).double(), widened(inputs))


def widening() -> Any:
    """The mode of PyTorch in which a cast to a floating-point type is one to float64."""
    return _widening()()


@cache
def _widening() -> Any:
    tensor = torch().Tensor
    casts = {tensor.to, tensor.float, tensor.half, tensor.bfloat16}

    class Widening(torch().overrides.TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            return args[0].double() if func in casts and result.is_floating_point() else result

    return Widening


def widened(arrays: Sequence[Any]) -> Arrays:
    """Floating-point arrays in float64, the others as they are."""
    return [x.astype("float64") if x.dtype.kind == "f" else x for x in arrays]
