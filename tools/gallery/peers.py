"""Generated modules, and torchvision's networks beside them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

import netc
from netc.passes.sizes import bound_shape
from netc.run.module import undrawn
from tests.vision import torchvision
from tools.gallery.entries import Peer
from tools.gallery.weightless import Weightless

Results = dict[str, Tensor]


def build_module(network: netc.Network, device: str = "cpu", *, drawn: bool = True, **arguments: Any) -> nn.Module:
    """The network's class, the last in its generated file, imported from that file and built on a device. drawn: with
    random values where the file says so; without, those parameters have none until they get others."""
    with TemporaryDirectory() as folder, torch.device(device), nullcontext() if drawn else undrawn():
        path = Path(folder) / "model.py"
        path.write_text(_source(network), encoding="utf-8")
        spec = spec_from_file_location(f"gallery_{network.name}", path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not a Python module")
        imported = module_from_spec(spec)
        spec.loader.exec_module(imported)
        own = [c for c in vars(imported).values() if isinstance(c, type) and c.__module__ == imported.__name__]
        module: nn.Module = [c for c in own if issubclass(c, nn.Module)][-1](**arguments)
    return module


@cache
def _source(network: netc.Network) -> str:
    """The text of the module; a network is built several times here."""
    return network.to_torch()


def build_peer(peer: Peer, *, small: bool = False) -> nn.Module:
    """torchvision's network without values, on no device."""
    builder = torchvision.models.get_model_builder(peer.name)
    known = inspect.signature(builder).parameters
    untrained = {name: None for name in ("weights", "weights_backbone") if name in known}
    with Weightless():
        module: nn.Module = builder(**untrained, **{**peer.arguments, **(peer.small if small else {})})
        if peer.frozen_norms:
            _freeze_norms(module)
    return module


def _freeze_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            module.register_module(name, torchvision.ops.FrozenBatchNorm2d(child.num_features, child.eps))
        else:
            _freeze_norms(child)


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Key → shape of the state_dict."""
    return {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}


def randomise(module: nn.Module, scales: Mapping[str, float] | None = None) -> None:
    """Values as after training: weights that keep the scale of what passes, statistics far from their start. Tables of
    whole numbers stay. scales: glob over the state_dict → factor for the tensors it matches."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict(keep_vars=True).items():
            if tensor.dim() > 1 and tensor.is_floating_point():
                tensor.normal_(0, (2 / max(tensor[0].numel(), 1)) ** 0.5, generator=generator)
            elif name.endswith("num_batches_tracked"):
                tensor.fill_(7)
            elif name.endswith(("running_var", "weight")):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.2, generator=generator)
            for glob, factor in (scales or {}).items():
                if fnmatchcase(name, glob):
                    tensor.mul_(factor)


def random_inputs(network: netc.Network, seed: int = 1) -> list[Tensor]:
    """Standard normal images, and indices of 0 and 1, in the shapes of a bound network's inputs."""
    generator = torch.Generator().manual_seed(seed)
    return [_random(bound_shape(t.shape, {}), getattr(torch, t.dtype), generator) for t in network.inputs.values()]


def _random(shape: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator, dtype=dtype)
    return torch.randint(0, 2, shape, generator=generator).to(dtype)


def run_ours(network: netc.Network, module: nn.Module, inputs: Sequence[Tensor]) -> Results:
    """Output → tensor, without the outputs of training where these are not computed."""
    result = module(*inputs)
    tensors = result if isinstance(result, tuple) else (result,)
    names = [o.name for o in network.ir.block.outputs if module.training or not o.train_only]
    return dict(zip(names, tensors, strict=True))


def run_peer(peer: Peer, module: nn.Module, inputs: Sequence[Tensor], first: str) -> Results:
    """Our output → torchvision's tensor; `first` is the output meant where its result is a tensor."""
    if peer.wrapper:
        result = getattr(importlib.import_module("tools.gallery.wrappers"), peer.wrapper)(module, *inputs)
    else:
        result = module(*inputs)
    if isinstance(result, Tensor):
        return {first: result}
    found = {name: _at(result, path) for name, path in peer.outputs.items()}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _at(result: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(result, Mapping):
            result = result.get(step)
        else:
            result = result[int(step)] if step.isdecimal() else getattr(result, step)
    return result


def share_weights(ours: nn.Module, peer: nn.Module, scales: Mapping[str, float] | None = None) -> None:
    """Give both the same random values; linear layers of the peer become as narrow as ours.

    Raises RuntimeError for a key or a shape that the other does not have.
    """
    _shrink(peer, ours)
    randomise(ours, scales)
    values = ours.state_dict()
    values._metadata = peer.state_dict()._metadata  # by their version MNASNet tells its layouts apart
    peer.to_empty(device="cpu").load_state_dict(values, strict=True)


def _shrink(peer: nn.Module, ours: nn.Module) -> None:
    modules = dict(ours.named_modules())
    for name, layer in list(peer.named_modules()):
        wanted = modules.get(name)
        if type(layer) is nn.Linear and isinstance(wanted, nn.Linear) and wanted.weight.shape != layer.weight.shape:
            narrow = nn.Linear(wanted.in_features, wanted.out_features, wanted.bias is not None, device="meta")
            peer.get_submodule(name.rpartition(".")[0]).register_module(name.rpartition(".")[2], narrow)


def largest_difference(ours: Results, theirs: Results) -> float:
    """The largest difference over all outputs, each as a share of the output's largest value.

    Raises AssertionError for other outputs, other shapes and numbers that are not finite.
    """
    if ours.keys() != theirs.keys():
        raise AssertionError(f"outputs {', '.join(ours)} against {', '.join(theirs)}")
    return max(_relative(name, ours[name], theirs[name]) for name in ours)


def _relative(name: str, one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape or not bool(torch.isfinite(one).all()):
        raise AssertionError(f"{name}: {tuple(one.shape)} against {tuple(other.shape)}, or not finite")
    wide, difference = one.double(), (one.double() - other.double()).abs()
    return float(difference.max()) / max(float(wide.abs().max()), 1e-30) if one.numel() else 0.0
