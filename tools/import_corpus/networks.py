"""The networks of the corpus: how each is built, what it is shown, and which spec of a person's it stands beside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

import netc
from netc.passes.sizes import bound_shape, samples
from netc.run.inputs import random_input, usual_bound
from tools.import_corpus.rows import ROOT

SPECS = ROOT / "specs"
LISTED = Path(__file__).parent / "listed"
SETS = ("torchvision", "timm", "specs")
SOURCES = ("module", "onnx", "onnx-dynamo", "onnx-legacy")
"""A module of PyTorch; ONNX as netc writes it, and as PyTorch's two exporters do. `onnx-legacy-9` is of opset 9."""

IMPORT = re.compile(r"import:|  \w+: (netc:|\"?\S+\.yaml)")


class Entry(msgspec.Struct, frozen=True):
    """A network. family: of networks that are built alike; size: of the inputs that it is exported with; spec: of
    `specs/`, that a person wrote for it; sizes: fixed where the network takes no other; options: of what builds it."""

    set: str
    name: str
    family: str = ""
    size: tuple[int, ...] = (3, 64, 64)
    spec: str = ""
    sizes: Literal["symbolic", "fixed"] = "symbolic"
    options: Mapping[str, Any] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        return ("module", "onnx") if self.set == "specs" else ("module", "onnx-dynamo", "onnx-legacy")

    @property
    def hand(self) -> int:
        """Lines of the spec that a person wrote, 0 where there is none."""
        path = SPECS / f"{self.spec}.yaml"
        return sum(map(_lines_of, _with_imports(path, set()))) if self.spec else 0


def entries() -> Iterator[Entry]:
    """Every network, in the order of the page."""
    for name in ("torchvision", "timm"):
        for line in (LISTED / f"{name}.jsonl").read_text("utf-8").splitlines():
            entry = msgspec.json.decode(line, type=Entry)
            yield msgspec.structs.replace(entry, set=name)
    for path in sorted(SPECS.glob("*.yaml")):
        yield Entry("specs", path.stem, path.stem, (), path.stem)


def _with_imports(path: Path, known: set[Path]) -> set[Path]:
    """A spec, the files that it imports and the blocks of the library that it uses."""
    if path in known or not path.is_file():
        return known
    known.add(path)
    imports = [line for line in path.read_text("utf-8").splitlines() if IMPORT.match(line)]
    for name in re.findall(r"[\w/]+\.yaml", " ".join(imports)):
        _with_imports(path.parent / name, known)
    for name in re.findall(r"netc:(\w+)", " ".join(imports)):
        _with_imports(ROOT / "netc" / "library" / f"{name}.yaml", known)
    return known


def _lines_of(path: Path) -> int:
    """Lines that say something; an import has one variant, so those of a spec do not count."""
    lines = (line for line in path.read_text("utf-8").splitlines() if line.strip() and line.strip()[0] != "#")
    count, section = 0, ""
    for line in lines:
        section = line if line[0] not in " -" else section
        count += not section.startswith("variants:")
    return count


def network_of(entry: Entry) -> netc.Network:
    """Of a spec."""
    return netc.load(SPECS / f"{entry.spec}.yaml")


def module_of(entry: Entry) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A module with values that tell its tensors apart, and inputs for it."""
    torch.manual_seed(0)
    if entry.set == "specs":
        network = network_of(entry)
        return shaken(network.module(seed=0).eval()), _inputs(network)
    return shaken(BUILDERS[entry.set](entry).eval()), (torch.randn(2, *entry.size),)


def _inputs(network: netc.Network) -> tuple[Tensor, ...]:
    types = list(network.inputs.values())
    bindings = samples([kind.shape for kind in types], network.ir.domain.bounds, {})
    generator, size = np.random.default_rng(0), bindings[min(1, len(bindings) - 1)]
    made = [random_input(generator, bound_shape(t.shape, size), t.dtype, usual_bound(t)) for t in types]
    return tuple(map(torch.from_numpy, made))


def _vision() -> Any:
    """torchvision with its operators declared, which timm needs too."""
    from tests.vision import torchvision

    return torchvision


def _torchvision(entry: Entry) -> nn.Module:
    builder = _vision().models.get_model_builder(entry.name)
    untrained = {name: None for name in ("weights", "weights_backbone") if name in signature(builder).parameters}
    module: nn.Module = builder(**untrained, **entry.options)
    return module


def _timm(entry: Entry) -> nn.Module:
    _vision()
    import timm

    module: nn.Module = timm.create_model(entry.name, pretrained=False, **entry.options)
    return module


BUILDERS: Mapping[str, Callable[[Entry], nn.Module]] = {"torchvision": _torchvision, "timm": _timm}


def shaken(module: nn.Module) -> nn.Module:
    """Fresh weights are zeros and ones where a mistake would not show: no two tensors stay alike."""
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if not tensor.is_floating_point() or tensor.numel() == 0:
                continue
            if name.endswith("running_var"):
                tensor.copy_(torch.rand_like(tensor) + 0.5)
            elif name.endswith("running_mean") or (isinstance(tensor, nn.Parameter) and _dull(tensor)):
                tensor.add_(torch.randn_like(tensor) / 10)
    return module


def _dull(tensor: Tensor) -> bool:
    return bool((tensor == tensor.flatten()[0]).all())
