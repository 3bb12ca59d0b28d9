"""Fresh weights made fit for comparing: running statistics measured on a batch, as training would leave them.

With the statistics batch norms start with, the signal of a deep network fades to nothing in eval mode, and any two
programs agree on nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netc.libraries import torch
from netc.weights import WeightsIndex


def calibrate(module: Any, inputs: Sequence[Any], index: WeightsIndex) -> bool:
    """Run one batch in train mode and write the statistics it leaves into module and file.

    False where there are none, or PyTorch refuses a batch of one value per channel; nothing changes then.
    """
    layers = [m for m in module.modules() if getattr(m, "running_mean", None) is not None]
    if not layers:
        return False
    norms = [m for m in layers if hasattr(m, "momentum")]
    hooks = [m.register_forward_pre_hook(_measure) for m in layers if not hasattr(m, "momentum")]
    momenta, before = [norm.momentum for norm in norms], [buffer.clone() for buffer in module.buffers()]
    for norm in norms:
        norm.momentum = None if norm.momentum is None else 1.0
    try:
        module.train()
        with torch().no_grad():
            module(*inputs)
    except ValueError:
        for buffer, value in zip(module.buffers(), before, strict=True):
            buffer.copy_(value)
        return False
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for hook in hooks:
            hook.remove()
    _store_buffers(module, index)
    return True


def _measure(norm: Any, inputs: tuple[Any, ...]) -> None:
    """Frozen batch norms take no statistics by themselves."""
    axes = [axis for axis in range(inputs[0].dim()) if axis != 1]
    norm.running_mean.copy_(inputs[0].mean(axes))
    norm.running_var.copy_(inputs[0].var(axes, correction=0))


def _store_buffers(module: Any, index: WeightsIndex) -> None:
    for name, buffer in module.named_buffers():
        entry = index.tensors.get(name)
        if entry is not None:
            with entry.file.open("r+b") as file:
                file.seek(entry.start)
                file.write(buffer.numpy().tobytes())
