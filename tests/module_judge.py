"""Is a generated module right? Keys, shapes, types, values and fresh values against the IR, for other arguments too."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from torch import Tensor, nn

import netc
from netc.backends.pytorch import generate
from netc.ir.flat import flatten, parameters
from netc.ir.model import Network
from netc.passes.sizes import bound_shape
from netc.run.module import as_tuple
from netc.weights import plan
from tests.interpreter import interpreter

SIZES = {"N": 2, "h": 1, "v": 2, "w": 2}
MOST = 300_000
"""Parameters of a network that is still tried."""

OPERATORS: Mapping[str, Any] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "batch_norm2d": nn.BatchNorm2d,
    "leaky_relu 0.2": partial(nn.LeakyReLU, 0.2),
    "none": None,
}
"""Operators as a spec's argument has them, and as a constructor takes them."""


class Wrong(Exception):
    """A module is not what its spec says. kind: at which step that is seen."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


def judge(spec: Path | str, changed: Callable[[str], str] = str) -> int | None:
    """How many ways of constructing the module of a spec are right; None where netc refuses the spec.

    spec: a file, or a text. changed: what to do to the module's text before it is judged. Raises Wrong.
    """
    network = loaded(spec, {})
    if network is None or sum(_count(param.shape) for _, param, _ in parameters(flatten(network))) > MOST:
        return None
    made = last_class(changed(text_of(network)))
    compare(network, made, {})
    count = 1
    for args, given in other_arguments(spec, made):
        other = loaded(spec, args)
        if other is not None and [o.name for o in other.block.outputs] == [o.name for o in network.block.outputs]:
            compare(other, made, given)
            count += 1
    return count


def loaded(spec: Path | str, args: dict[str, Any]) -> Network | None:
    """The IR, or None where the spec has an error."""
    try:
        return netc.load(spec, args=args).ir
    except netc.NetcError:
        return None


@contextmanager
def step(kind: str, where: str = "") -> Iterator[None]:
    """What a generated module, or netc, raises here, whatever it is, says that it is wrong."""
    try:
        yield
    except Wrong:
        raise
    except Exception as error:
        raise Wrong(kind, f"{error!r}{where}") from error


def text_of(network: Network) -> str:
    with step("generate"):
        return generate(network)


def last_class(code: str) -> Any:
    """The class of the network."""
    module = ModuleType("generated")
    with step("import"):
        exec(compile(code, "generated", "exec"), module.__dict__)
    return [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == "generated"][-1]


def compare(network: Network, made: Any, given: dict[str, Any]) -> None:
    """Raises Wrong where the module is not the network; `given` are constructor arguments."""
    torch.manual_seed(0)
    where, other = (f" with {given}", " other") if given else ("", "")
    with step(f"build{other}", where):
        module = made(**given)
        fresh = {key: value.clone() for key, value in module.state_dict().items()}
    kinds = {key: (tuple(value.shape), str(value.dtype)) for key, value in fresh.items()}
    wanted = {k: (tuple(p.shape), f"torch.{p.dtype}") for k, p, _ in parameters(flatten(network)) if p.persistent}
    if kinds != wanted:
        differing = sorted(dict(kinds.items() ^ wanted.items()))[:4]
        told = ", ".join(f"{k}: {kinds.get(k)} for {wanted.get(k)}" for k in differing)
        raise Wrong(f"keys{other}", f"{told}{where}")
    same_values(network, module, other, where)
    same_start(network, fresh, where)


def same_values(network: Network, module: nn.Module, other: str = "", where: str = "") -> None:
    """Bit for bit what the IR's interpreter computes, in eval and, where nothing is random, in train with what it
    leaves in the buffers."""
    reference = interpreter(network)
    _stir(reference)
    with step(f"load{other}", where):
        module.load_state_dict(reference.state_dict())
    inputs = inputs_of(network)
    for training in (False, True):
        kind = f"{'train' if training else 'values'}{other}"
        with step("reference", where):
            wanted = _run(reference, inputs, training, 1)
            is_random = training and not _same(wanted, _run(reference, inputs, training, 2))
        with step(kind, where):
            found = _run(module, inputs, training, 1)
        if [t.shape for t in found] != [t.shape for t in wanted] or not (is_random or _same(found, wanted)):
            raise Wrong(kind, f"other values{where}")


def _backward(found: Sequence[Tensor]) -> None:
    real = [t for t in found if t.requires_grad]
    if real:
        sum(t.double().sum() for t in real).backward()


def _stir(module: nn.Module) -> None:
    """Values that hide nothing: no zeros, no equal numbers; small, so that deep networks do not overflow."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) * 0.4 + 0.05)


def inputs_of(network: Network) -> list[Tensor]:
    """Random ones at small sizes; whole numbers are 0, 1, 2 …, so that they may be places."""
    torch.manual_seed(3)
    found = []
    for value in network.block.inputs:
        drawn = torch.randn(bound_shape(value.type.shape, SIZES))
        found.append((drawn.abs() if "int" in value.type.dtype else drawn).to(getattr(torch, value.type.dtype)))
    return found


def _run(module: nn.Module, inputs: Sequence[Tensor], training: bool, seed: int) -> list[Tensor]:
    """The outputs in order, from the same state each time; in train after a step back."""
    before = [buffer.clone() for buffer in module.buffers()]
    torch.manual_seed(seed)
    found = module.train(training)(*inputs)
    outputs = found.values() if isinstance(found, dict) else as_tuple(found)
    results = [tensor for tensor in outputs if tensor is not None]
    if training:
        _backward(results)
    for buffer, value in zip(module.buffers(), before, strict=True):
        buffer.copy_(value)
    return results


def _same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return all(x.dtype == y.dtype and torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in zip(a, b, strict=True))


def same_start(network: Network, fresh: Mapping[str, Tensor], where: str = "") -> None:
    """What an operator or an `init` rule starts at one number is that number in a new module."""
    for planned in plan(network):
        tensor = fresh[planned.spec.name]
        if planned.fill.kind == "constant" and not bool((tensor == planned.fill.a).all()):
            raise Wrong("init", f"{planned.spec.name} starts at {tensor.flatten()[0]}, not {planned.fill.a}{where}")


def other_arguments(spec: Path | str, made: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Other values of what the constructor takes: as the spec's arguments, and as the constructor's."""
    text = spec.read_text("utf-8") if isinstance(spec, Path) else spec
    known = yaml.safe_load(text).get("args", {})
    taken = {name.rstrip("_"): name for name in inspect.signature(made).parameters}
    choices = {name: list(_others(known[name])) for name in known if name.rstrip("_") in taken}
    for name, values in choices.items():
        for value in values:
            yield {name: value}, {taken[name.rstrip("_")]: as_constructed(value)}
    if len(choices) > 1:
        together = {name: values[0] for name, values in choices.items()}
        yield together, {taken[name.rstrip("_")]: as_constructed(value) for name, value in together.items()}


def _others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 2, value - 1 if value > 1 else 6]
    if isinstance(value, float):
        return [-0.5 if value != -0.5 else 0.3]
    if isinstance(value, list):
        return [[2 * v + 1 for v in value], [*value, 2]] if all(isinstance(v, int) for v in value) else [value[:1]]
    if value is None or value == "none":
        return [4] if value is None else ["tanh"]
    return ["tanh" if value != "tanh" else "relu", "none"]


def as_constructed(value: Any) -> Any:
    """A value of a spec's argument as the class takes it."""
    return OPERATORS[value] if isinstance(value, str) else value


def _count(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
