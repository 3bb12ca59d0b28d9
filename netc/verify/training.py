"""The generated module in train mode: batch statistics, outputs of training, and gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from netc.diagnostics.suggest import few
from netc.ir.flat import flatten, parameters
from netc.ir.model import Network
from netc.libraries import torch
from netc.passes.files import frozen
from netc.passes.sizes import Binding, bound_shape
from netc.run.module import as_tuple
from netc.verify.differences import CheckResult


def check_training(network: Network, module: Any, inputs: Sequence[Any], binding: Binding) -> Iterator[CheckResult]:
    """One step forward and back; none where the sizes are known to be too small for it."""
    if not trains_at(network, binding):
        reason = "PyTorch refuses batch norm of a single value per channel in training"
        yield CheckResult("train mode", True, f"no step taken at these sizes: {reason}")
        return
    module.train()
    calls: Counter[str] = Counter()
    before = _tracked(module)
    hooks = list(_counted(module, calls))
    try:
        results = as_tuple(module(*inputs))
    except ValueError as error:
        yield CheckResult("train mode", False, f"PyTorch refuses to train at these sizes: {error}")
        return
    finally:
        for hook in hooks:
            hook.remove()
    yield _outputs(network, results, binding)
    yield from _statistics(network, module, before, calls)
    _backward(results)
    yield _gradients(network, module, results)


def trains_at(network: Network, binding: Binding) -> bool:
    """Whether each batch norm that trains sees more than one value per channel."""
    sizes = bound_shape([size for size, _ in network.training], binding)
    return all(size >= least for size, (_, least) in zip(sizes, network.training, strict=True))


def _outputs(network: Network, results: tuple[Any, ...], binding: Binding) -> CheckResult:
    actual = [None if r is None else tuple(r.shape) for r in results]
    expected = [bound_shape(o.value.type.shape, binding) for o in network.block.outputs]
    extra = sum(o.train_only for o in network.block.outputs)
    if actual != expected:
        return CheckResult("train mode", False, f"outputs have shapes {actual}, not {expected}")
    number = "1 output" if len(actual) == 1 else f"{len(actual)} outputs"
    return CheckResult("train mode", True, f"{number}, {extra} of them only in training" if extra else number)


def _batch_norms(module: Any) -> dict[str, Any]:
    """Those that count their batches, by the name of the count; instance norms have one and never use it."""
    kind = torch().nn.modules.batchnorm._BatchNorm
    norms = [(name, m) for name, m in module.named_modules() if isinstance(m, kind) and m.track_running_stats]
    return {f"{name}.num_batches_tracked".removeprefix("."): m for name, m in norms}


def _tracked(module: Any) -> dict[str, int]:
    return {name: int(norm.num_batches_tracked) for name, norm in _batch_norms(module).items()}


def _counted(module: Any, calls: Counter[str]) -> Iterator[Any]:
    for key, norm in _batch_norms(module).items():
        yield norm.register_forward_hook(lambda *_, key=key: calls.update((key,)))


def _statistics(network: Network, module: Any, before: dict[str, int], calls: Counter[str]) -> Iterator[CheckResult]:
    """Batch norms count every batch in training, and none where they are frozen."""
    if not before:
        return
    after = _tracked(module)
    nodes = {key: node for key, _, node in parameters(flatten(network))}
    still = {name for name in before if frozen(network, nodes[name], name)}
    wrong = {name for name, count in before.items() if after[name] != count + (0 if name in still else calls[name])}
    text = f"{len(before) - len(still)} batch norms counted their batches"
    kept = f", {len(still)} stayed in eval" if still else ""
    yield CheckResult("statistics", not wrong, f"wrong count: {few(sorted(wrong), 5)}" if wrong else text + kept)


def _backward(results: tuple[Any, ...]) -> None:
    real = [r for r in results if r is not None and r.requires_grad]
    if real:
        sum((r * torch().randn_like(r)).sum() for r in real).backward()


def _gradients(network: Network, module: Any, results: tuple[Any, ...]) -> CheckResult:
    """Every parameter that should train gets a gradient, a finite one where the outputs are finite, and no other
    trains."""
    expected = {
        key for key, param, node in parameters(flatten(network)) if param.trainable and not frozen(network, node, key)
    }
    trainable = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if trainable.keys() != expected:
        return CheckResult(
            "gradients", False, f"trainable on one side only: {few(sorted(trainable.keys() ^ expected), 5)}"
        )
    lost = {name for name, p in trainable.items() if p.grad is None}
    if lost:
        return CheckResult("gradients", False, f"no gradient reaches {few(sorted(lost), 5)}")
    strange = [name for name, p in trainable.items() if not bool(p.grad.isfinite().all())]
    if strange:
        pairs = zip(network.block.outputs, results, strict=True)
        outputs = [o.name for o, value in pairs if value is not None and not bool(value.isfinite().all())]
        text = f"NaN or infinite for {few(strange, 5)}"
        why = f", as the network's own {few(outputs, 5)} {'is' if len(outputs) == 1 else 'are'} for these inputs"
        return CheckResult("gradients", bool(outputs), text + why if outputs else text)
    zero = sum(not bool(p.grad.any()) for p in trainable.values())
    note = f", all zero for {zero}" if zero else ""
    return CheckResult("gradients", True, f"finite gradients reach all {len(trainable)} parameters{note}")
