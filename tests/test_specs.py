"""Every curated network against torchvision, PyTorch and onnxruntime: parameters, names, values, shapes, gradients."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from vision import torchvision

import netc
from netc.ir.flat import flatten, parameters

SPECS = Path(__file__).parents[1] / "specs"
TOLERANCE = 2e-5
"""Largest difference of float32 results, relative to the largest value of the output."""


class Case(NamedTuple):
    """A network, its parameter count as published, sizes small enough to run, arguments that make it narrow."""

    spec: str
    parameters: int
    bind: dict[str, int]
    small: dict[str, Any] = {}
    torchvision: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        return self.spec.partition(":")[2] or self.spec

    def load(self, *, small: bool = False, bind: bool = False) -> netc.Network:
        return _load(self, small, bind)


@cache
def _read(spec: str, args: tuple[tuple[str, Any], ...], bind: tuple[tuple[str, int], ...]) -> netc.Network:
    name, _, variant = spec.partition(":")
    return netc.load(SPECS / f"{name}.yaml", variant=variant or None, args=dict(args), bind=dict(bind))


def _load(case: Case, small: bool, bind: bool) -> netc.Network:
    args = case.small if small else {}
    return _read(case.spec, tuple(args.items()), tuple({**case.bind, "N": 2}.items()) if bind else ())


IMAGE = {"h": 2, "w": 1}
CLASSES = {"classes": 10}
HIDDEN = {"classes": 10, "hidden": 32}
CASES = (
    Case("mlp", 35, {}),
    Case("lenet5", 61_706, {}),
    Case("alexnet", 61_100_840, {"h": 2, "w": 3}, HIDDEN, {}),
    Case("alexnet_lecture", 23_272_266, {}, HIDDEN),
    Case("vgg:vgg11", 132_863_336, IMAGE, HIDDEN, {}),
    Case("vgg:vgg13", 133_047_848, IMAGE, HIDDEN, {}),
    Case("vgg:vgg16", 138_357_544, IMAGE, HIDDEN, {}),
    Case("vgg:vgg19", 143_667_240, IMAGE, HIDDEN, {}),
    Case("vgg:vgg11_bn", 132_868_840, IMAGE, HIDDEN, {}),
    Case("vgg:vgg13_bn", 133_053_736, IMAGE, HIDDEN, {}),
    Case("vgg:vgg16_bn", 138_365_992, IMAGE, HIDDEN, {}),
    Case("vgg:vgg19_bn", 143_678_248, IMAGE, HIDDEN, {}),
    Case("googlenet:googlenet", 13_004_888, {"h": 2, "w": 2}, CLASSES, {"init_weights": False}),
    Case("googlenet:googlenet_plain", 6_624_904, IMAGE, CLASSES, {"aux_logits": False, "init_weights": False}),
    Case("resnet:resnet18", 11_689_512, IMAGE, CLASSES, {}),
    Case("resnet:resnet34", 21_797_672, IMAGE, CLASSES, {}),
    Case("resnet:resnet50", 25_557_032, IMAGE, CLASSES, {}),
    Case("resnet:resnet101", 44_549_160, IMAGE, CLASSES, {}),
    Case("resnet:resnet152", 60_192_808, IMAGE, CLASSES, {}),
    Case("densenet:densenet121", 7_978_856, IMAGE, CLASSES, {}),
    Case("densenet:densenet161", 28_681_000, IMAGE, CLASSES, {}),
    Case("densenet:densenet169", 14_149_480, IMAGE, CLASSES, {}),
    Case("densenet:densenet201", 20_013_928, IMAGE, CLASSES, {}),
    Case("mobilenet_v1:mobilenet_v1", 4_231_976, IMAGE, CLASSES),
    Case("mobilenet_v1:mobilenet_v1_075", 2_585_560, IMAGE, CLASSES),
    Case("mobilenet_v1:mobilenet_v1_050", 1_331_592, IMAGE, CLASSES),
    Case("mobilenet_v1:mobilenet_v1_025", 470_072, IMAGE, CLASSES),
    Case("mobilenet_v2", 3_504_872, IMAGE, CLASSES, {}),
    Case("cnn1d", 33_845, {"l": 2}),
    Case("cnn3d", 101_978, {"d": 1, "h": 1, "w": 2}),
)
COUNTED = {"vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg19_bn", "resnet34", "resnet101", "resnet152"}
COUNTED |= {"densenet161", "densenet169", "densenet201", "mobilenet_v1_075", "mobilenet_v1_050"}
RUN = [case for case in CASES if case.name not in COUNTED]
"""Networks that are run. The others differ from them in numbers only; their names, shapes and counts are compared."""

every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
running = pytest.mark.parametrize("case", RUN, ids=lambda case: case.name)
known = pytest.mark.parametrize("case", [c for c in CASES if c.torchvision is not None], ids=lambda case: case.name)


def _peer(case: Case, **settings: Any) -> nn.Module:
    """torchvision's network of that name, with memory but without values."""
    with torch.device("meta"):
        module: nn.Module = getattr(torchvision.models, case.name.removesuffix("_plain"))(
            **(case.torchvision or {}), **settings
        )
    return module


def _module(source: str, folder: Path, **arguments: Any) -> nn.Module:
    """The network's class, the last in the file, imported from that file and built on no device."""
    path = folder / "model.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"model_{abs(hash(source))}", path)
    assert spec is not None
    assert spec.loader is not None
    imported = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(imported)
    classes = [c for c in vars(imported).values() if isinstance(c, type) and c.__module__ == imported.__name__]
    with torch.device("meta"):
        module: nn.Module = [c for c in classes if issubclass(c, nn.Module)][-1](**arguments)
    return module


def _randomise(module: nn.Module, seed: int = 0) -> None:
    """Values as after training: weights that keep the scale of what passes, statistics far from their start."""
    generator = torch.Generator().manual_seed(seed)
    module.to_empty(device="cpu")
    with torch.no_grad():
        for name, tensor in module.state_dict(keep_vars=True).items():
            if tensor.dim() > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
            elif name.endswith("num_batches_tracked"):
                tensor.fill_(7)
            elif name.endswith(("running_var", "weight")):
                tensor.uniform_(0.5, 1.5, generator=generator)
            else:
                tensor.normal_(0, 0.2, generator=generator)


def _inputs(network: netc.Network, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(tuple(map(int, t.shape)), generator=generator) for t in network.inputs.values()]  # type: ignore[arg-type]


def _tensors(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else [t for t in result if t is not None]


def _close(one: Tensor, other: Tensor, tolerance: float) -> None:
    assert one.shape == other.shape
    assert torch.isfinite(one).all()
    difference, scale = float((one - other).abs().max()), float(one.abs().max())
    assert difference <= tolerance * scale, f"difference {difference:.2g} at scale {scale:.2g}"


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


@every
def test_parameter_count(case: Case) -> None:
    found = sum(_numel(p.shape) for _, p, _ in parameters(flatten(case.load().ir)) if p.trainable)
    assert found == case.parameters


def _numel(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


@every
def test_is_proved_for_symbolic_sizes(case: Case) -> None:
    sizes = [size for value in case.load().inputs.values() for size in value.shape]
    assert str(sizes[0]) == "N"
    assert all(isinstance(size, int) for size in sizes[2:]) == (case.spec in {"mlp", "lenet5", "alexnet_lecture"})


@pytest.mark.parametrize("case", [c for c in CASES if "classes" in c.small], ids=lambda case: case.name)
def test_classes_are_a_constructor_argument(case: Case, tmp_path: Path) -> None:
    wanted = parameters(flatten(_read(case.spec, (("classes", 10),), ()).ir))
    module = _module(case.load().to_torch(), tmp_path, classes=10)
    assert _shapes(module.state_dict()) == {key: param.shape for key, param, _ in wanted}


@known
def test_keys_and_shapes_are_torchvisions(case: Case, tmp_path: Path) -> None:
    ours = _module(case.load().to_torch(), tmp_path)
    assert _shapes(ours.state_dict()) == _shapes(_peer(case).state_dict())


@pytest.mark.parametrize("case", [c for c in RUN if c.torchvision is not None], ids=lambda case: case.name)
def test_values_are_torchvisions(case: Case, tmp_path: Path) -> None:
    network = case.load(small=True, bind=True)
    ours = _module(network.to_torch(), tmp_path)
    peer = _peer(case, num_classes=10)
    _shrink(peer, ours)
    _randomise(ours)
    peer.to_empty(device="cpu").load_state_dict(ours.state_dict())
    (image,) = _inputs(network)
    with torch.no_grad():
        _close(_tensors(ours.eval()(image))[0], peer.eval()(image), 1e-6)
        torch.manual_seed(0)
        mine = _tensors(ours.train()(image))
        torch.manual_seed(0)
        theirs = _tensors(peer.train()(image))
    for one, other in zip(mine, _in_our_order(theirs), strict=True):
        _close(one, other, 1e-6)
    statistics = peer.state_dict()
    for key, tensor in ours.state_dict().items():
        assert torch.equal(tensor, statistics[key]), key


def _in_our_order(results: list[Tensor]) -> list[Tensor]:
    """torchvision's GoogLeNet returns its second auxiliary head before the first."""
    return [results[0], *reversed(results[1:])]


def _shrink(peer: nn.Module, ours: nn.Module) -> None:
    """Make torchvision's linear layers as narrow as ours, which it has no argument for."""
    for name, layer in list(peer.named_modules()):
        wanted = ours.get_submodule(name) if isinstance(layer, nn.Linear) else layer
        if isinstance(wanted, nn.Linear) and wanted.weight.shape != layer.weight.shape:
            narrow = nn.Linear(wanted.in_features, wanted.out_features, device="meta")
            peer.get_submodule(name.rpartition(".")[0]).register_module(name.rpartition(".")[2], narrow)


@running
def test_eval_equals_onnxruntime(case: Case, tmp_path: Path) -> None:
    network, bound = case.load(small=True), case.load(small=True, bind=True)
    module, weights, model = (
        _module(network.to_torch(), tmp_path),
        tmp_path / "model.safetensors",
        tmp_path / "model.onnx",
    )
    _randomise(module)
    save_file(module.state_dict(), weights)
    network.write_onnx(model, weights)
    images = _inputs(bound)
    with torch.no_grad():
        expected = _tensors(module.eval()(*images))
    found = _run(model, images)
    assert [tuple(t.shape) for t in found] == [
        t.shape for name, t in bound.outputs.items() if not name.startswith("aux")
    ]
    for one, other in zip(expected, found, strict=True):
        _close(one, other, TOLERANCE)


def _run(model: Path, images: list[Tensor]) -> list[Tensor]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = {i.name: image.numpy() for i, image in zip(session.get_inputs(), images, strict=True)}
    return [torch.from_numpy(result) for result in session.run(None, feeds)]


@running
def test_onnx_is_valid_and_infers_our_sizes(case: Case, tmp_path: Path) -> None:
    bound = case.load(small=True, bind=True)
    path = tmp_path / "model.onnx"
    bound.write_onnx(path)
    onnx.checker.check_model(path, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(_without_sizes(path), strict_mode=True, data_prop=True)
    found = {value.name: _dims(value) for value in inferred.graph.output}
    assert list(found.values()) == [t.shape for name, t in bound.outputs.items() if not name.startswith("aux")]


def _without_sizes(path: Path) -> onnx.ModelProto:
    """The model with nothing said about sizes but those of its inputs, so that onnx has to find the others itself."""
    model = onnx.load(path, load_external_data=False)
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model


def _dims(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


@running
def test_fresh_weights_load_strictly_and_train(case: Case, tmp_path: Path) -> None:
    network = case.load(small=True, bind=True)
    module = _module(network.to_torch(), tmp_path)
    network.write_weights(tmp_path / "model.safetensors", seed=0)
    module.to_empty(device="cpu").load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    torch.manual_seed(0)
    results = _tensors(module.train()(*_inputs(network)))
    assert [tuple(t.shape) for t in results] == [t.shape for t in network.outputs.values()]
    torch.stack([(t * torch.randn_like(t)).sum() for t in results]).sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()] == []
