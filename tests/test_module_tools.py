"""Generated modules under PyTorch's tools and those around it: what works with hand-written code works with them."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torchinfo
import vision  # noqa: F401 - see below
from torch import Tensor, nn
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.fsdp import fully_shard
from torch.func import functional_call, grad, vmap
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

import netc

feature_extraction = import_module("torchvision.models.feature_extraction")
"""After `vision`, without which torchvision may not be importable."""

SPECS = Path(__file__).parent.parent / "specs"

DETECTOR = """\
netc: 1
name: detector
args:
  classes: 4
  levels: [[0, 4, 4, 8, 16], [1, 8, 6, 16, 32], [2, 16, 4, 32, 48]]
import: {detections: netc:detections}
inputs: {image: [N, 3, 16*h, 16*w]}
blocks:
  trunk:
    args: {widths: [16, 24, 32]}
    net:
      stem: [conv2d 8 3 stride=2 padding=1, batch_norm2d, relu]
      map$i: {for: {i width: [[0, 16], [1, 24], [2, 32]]}, do: [conv2d width 3 stride=2 padding=1, batch_norm2d, relu]}
net:
  backbone: trunk @image
  head.scores.$i: {for: {i stride kinds low high: levels}, do: conv2d kinds*classes 3 padding=1 @backbone.map$i}
  head.boxes.$i: {for: {i stride kinds low high: levels}, do: conv2d kinds*4 3 padding=1 @backbone.map$i}
  scores$i:
    for: {i: 0..2}
    do: ["permute (0 2 3 1) @head.scores.$i", flatten 1, unflatten 1 (-1 classes)]
  offsets$i:
    for: {i: 0..2}
    do: ["permute (0 2 3 1) @head.boxes.$i", flatten 1, unflatten 1 (-1 4)]
  priors$i:
    for: {i stride kinds low high: levels}
    do: >-
      anchors stride=stride offset=0.5 like=@backbone.map$i
      widths=(low sqrt(low*high) low*1.4 low/1.4 low*1.7 low/1.7)[0:kinds]
      heights=(low sqrt(low*high) low/1.4 low*1.4 low/1.7 low*1.7)[0:kinds]
  logits: concat @scores$(0..2)
  offsets: concat @offsets$(0..2)
  priors: concat dim=0 @priors$(0..2)
  decoded: [decode_boxes weights=(10 10 5 5) @offsets @priors, clip_boxes like=@image]
  likely: [softmax 2 @logits, slice 2 1, transpose 1 2]
  best: topk 12
  best_scores: flatten 1 @best.values
  places: [flatten 1 @best.indices, unsqueeze 2]
  best_boxes: take_along_dim 1 @decoded @places
  label: arange 1 classes
  column: unsqueeze 1 @label
  best_labels: ["expand (best.N classes-1 12) like=@best @column", flatten 1]
  detections: detections 10 threshold=0.01 overlap=0.45 @best_boxes @best_scores @best_labels
outputs:
  boxes: detections.boxes
  scores: detections.scores
  labels: detections.labels
  raw: {from: logits, when: train}
"""

RECURRENT = (SPECS / "rnn.yaml").read_text(encoding="utf-8").replace("[N, 64, 32]", "[N, 6, 32]")
"""Of a few steps: PyTorch's exporter writes each of them out."""

SMALL: dict[str, tuple[Any, dict[str, Any], tuple[int, ...], int]] = {
    "classifier": (SPECS / "resnet.yaml:resnet18", {"classes": 10, "depths": [1, 1, 1, 1]}, (3, 64, 32), 32),
    "segmentation": (
        SPECS / "fcn_vgg.yaml:fcn8s",
        {"classes": 3, "widths": [4, 4, 8, 8, 8], "hidden": 16},
        (3, 64, 32),
        32,
    ),
    "encoder_decoder": (SPECS / "unet.yaml:unet_padded", {"base": 4}, (1, 32, 16), 16),
    "recurrent": (RECURRENT, {"width": 8, "cell": "lstm"}, (6, 32), 0),
    "attention": (SPECS / "vit.yaml", {"size": 32, "width": 16, "depth": 2, "heads": 2, "classes": 5}, (3, 32, 32), 0),
    "windows": (
        SPECS / "swin.yaml",
        {"size": 64, "width": 8, "depths": [1, 2, 1, 1], "heads": [1, 2, 2, 2], "window": 2, "classes": 5},
        (3, 64, 64),
        0,
    ),
    "detector": (DETECTOR, {}, (3, 64, 32), 16),
}
"""Spec, arguments, the shape of a sample, and what its sides are multiples of (0 where they are fixed)."""

NETWORKS = tuple(SMALL)
BY_DATA = {"detector"}
"""How long the suppression of boxes goes on depends on their values: a trace holds for the values that were traced, and
PyTorch's other tracers refuse that."""
STATIC = tuple(name for name in NETWORKS if name not in BY_DATA)


@cache
def made(name: str) -> nn.Module:
    spec, args, _, _ = SMALL[name]
    torch.manual_seed(1)
    module = netc.load(str(spec), args=args).module()
    for parameter in module.parameters():
        if parameter.dim() < 2 or not parameter.any():
            nn.init.normal_(parameter, 0.1, 0.1)
    return module.eval()


def module_of(name: str) -> nn.Module:
    """A copy of its own, in eval mode; no parameter hides what stands before it."""
    return copy.deepcopy(made(name))


def sample(name: str, batch: int = 2, more: int = 0) -> Tensor:
    """An input; `more` steps of the sides where these are free."""
    _, _, (*outer, height, width), step = SMALL[name]
    torch.manual_seed(batch + more)
    return torch.randn(batch, *outer, height + more * step, width + more * step)


def flat(result: Any) -> list[Tensor]:
    """The tensors of an output in order."""
    if isinstance(result, dict):
        return flat(tuple(result.values()))
    if isinstance(result, tuple | list):
        return [tensor for part in result for tensor in flat(part)]
    return [] if result is None else [result]


def same(found: Any, wanted: Any, **tolerance: float) -> None:
    """Equal, or within a tolerance."""
    assert len(flat(found)) == len(flat(wanted)) > 0
    for one, other in zip(flat(found), flat(wanted), strict=True):
        torch.testing.assert_close(one, other, **(tolerance or {"rtol": 0.0, "atol": 0.0}))


CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_and_pickles(name: str, copied: Callable[[nn.Module], nn.Module]) -> None:
    module = module_of(name)
    same(copied(module)(sample(name)), module(sample(name)))


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_load_strictly_and_on_the_meta_device(name: str) -> None:
    """Also tensors that no checkpoint holds are there then."""
    module = module_of(name)
    again = type(module)()
    again.load_state_dict(module.state_dict(), strict=True)
    same(again.eval()(sample(name)), module(sample(name)))
    with torch.device("meta"):
        empty = type(module)()
    empty.load_state_dict(module.state_dict(), strict=True, assign=True)
    same(empty.eval()(sample(name)), module(sample(name)))


@pytest.mark.parametrize("name", STATIC)
def test_compiles_without_a_break(name: str) -> None:
    torch.compiler.reset()
    module = module_of(name)
    with torch._dynamo.config.patch(allow_rnn=True):
        found = torch.compile(module, fullgraph=True, backend="eager", dynamic=False)(sample(name))
    same(found, module(sample(name)))


@pytest.mark.parametrize("name", STATIC)
def test_exports_with_free_sizes(name: str) -> None:
    module, step = module_of(name), SMALL[name][3]
    shape: dict[int, Any] = {0: torch.export.Dim("n", min=1, max=64)}
    if step:
        shape |= {2: step * torch.export.Dim("h", min=2, max=32), 3: step * torch.export.Dim("w", min=2, max=32)}
    program = torch.export.export(module, (sample(name, 3, 1),), dynamic_shapes=(shape,))
    for x in (sample(name, 2, 2), sample(name, 4, 3)):
        same(program.module()(x), module(x), **CLOSE)


@pytest.mark.parametrize("name", NETWORKS)
def test_traces(name: str) -> None:
    module = module_of(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, sample(name), check_trace=False)
    other = sample(name) if name in BY_DATA else sample(name) + 0.5
    same(traced(other), module(other), **CLOSE)


@pytest.mark.parametrize("name", STATIC)
def test_scripts(name: str) -> None:
    module = module_of(name)
    scripted = torch.jit.script(module)
    for x in (sample(name), sample(name, 3, 1)):
        same(scripted(x), module(x), **CLOSE)


def test_scripts_what_only_training_has() -> None:
    """Where a step of training reads another, and the class of the results has members that may be None."""
    module = netc.load("""\
netc: 1
name: auxiliary
inputs: {image: [N, 3, 8*h, 8*w]}
net:
  stem: [conv2d 4 3 padding=1 stride=2 @image, relu]
  side: [conv2d 4 1 @stem, relu]
  logits: [mean (2 3) @stem, linear 5]
  aux: [mean (2 3) @side, linear 5]
outputs: {logits: logits, aux: {from: aux, when: train}}
""").module()
    scripted, x = torch.jit.script(module), torch.randn(2, 3, 16, 8)
    same(scripted.train()(x), module.train()(x))
    assert len(module(x)) == 2
    same(scripted.eval()(x), module.eval()(x))


@pytest.mark.parametrize("name", STATIC)
def test_traces_symbolically(name: str) -> None:
    module = module_of(name)
    traced = torch.fx.symbolic_trace(module)
    for x in (sample(name), sample(name, 3, 1)):
        same(traced(x), module(x))


@pytest.mark.parametrize("name", STATIC)
def test_gives_features_of_every_child(name: str) -> None:
    module = module_of(name)
    nodes = feature_extraction.get_graph_node_names(module)[1]
    children = [child for child, part in module.named_children() if _is_called(part)]
    found = [c for c in children if any(node == c or node.startswith(f"{c}.") for node in nodes)]
    assert found == children
    outputs: dict[str, Any] = {}
    for child in children:
        module.get_submodule(child).register_forward_hook(lambda _m, _i, out, c=child: outputs.update({c: out}))
    module(sample(name))
    wanted = {child: out for child, out in outputs.items() if isinstance(out, Tensor)}
    extractor = feature_extraction.create_feature_extractor(module, list(wanted)).eval()
    same(extractor(sample(name)), wanted)


def _is_called(part: nn.Module) -> bool:
    return not isinstance(part, nn.ModuleList | nn.ModuleDict | nn.ParameterList)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_hook_fires_at_every_module(name: str) -> None:
    module, fired = module_of(name).train(), set()
    for path, part in module.named_modules():
        part.register_forward_hook(lambda *_, path=path: fired.add(path))
    module(sample(name))
    known = {path for path, part in module.named_modules() if _is_called(part) and not _inside_attention(module, path)}
    assert fired >= known, sorted(known - fired)


def _inside_attention(module: nn.Module, path: str) -> bool:
    """`nn.MultiheadAttention` reads the weights of its projection without calling it."""
    return bool(path) and isinstance(module.get_submodule(path.rpartition(".")[0]), nn.MultiheadAttention)


@pytest.mark.parametrize("name", STATIC)
def test_quantizes_with_fx(name: str) -> None:
    torch.backends.quantized.engine = "fbgemm" if "fbgemm" in torch.backends.quantized.supported_engines else "qnnpack"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = prepare_fx(module_of(name), get_default_qconfig_mapping(), (sample(name),))
        prepared(sample(name))
        quantized = convert_fx(prepared)
    assert [t.shape for t in flat(quantized(sample(name)))] == [t.shape for t in flat(module_of(name)(sample(name)))]


@pytest.mark.parametrize("name", STATIC)
def test_quantizes_with_pt2e(name: str) -> None:
    pt2e = import_module("torchao.quantization.pt2e.quantize_pt2e")  # what PyTorch 2.13 has it in; slow to import
    x86 = import_module("torchao.quantization.pt2e.quantizer.x86_inductor_quantizer")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module_of(name), (sample(name),)).module()
        quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
        prepared = pt2e.prepare_pt2e(program, quantizer)
        prepared(sample(name))
        quantized = pt2e.convert_pt2e(prepared)
    same(quantized(sample(name)), module_of(name)(sample(name)), rtol=0.5, atol=0.5)


def loss_of(result: Any) -> Tensor:
    return sum(tensor.float().square().mean() for tensor in flat(result) if tensor.is_floating_point())


@pytest.mark.parametrize("name", NETWORKS)
def test_is_called_as_a_function(name: str) -> None:
    module = module_of(name)
    halved = {key: value / 2 if value.is_floating_point() else value for key, value in module.state_dict().items()}
    found = functional_call(module, halved, (sample(name),))
    module.load_state_dict(halved)
    same(found, module(sample(name)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", STATIC)
def test_gives_gradients_of_each_sample(name: str) -> None:
    module = module_of(name)
    parameters = {key: value.detach() for key, value in module.named_parameters()}
    buffers = dict(module.named_buffers())

    def loss(given: dict[str, Tensor], x: Tensor) -> Tensor:
        return loss_of(functional_call(module, (given, buffers), (x.unsqueeze(0),)))

    x = sample(name, 2)
    found = vmap(grad(loss), (None, 0))(parameters, x)
    for at in range(2):
        alone = grad(loss)(parameters, x[at])
        same({k: v[at] for k, v in found.items()}, alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", STATIC)
def test_checkpoints(name: str) -> None:
    """As a whole, and every class of the module by itself: the same gradients."""
    plain = gradients(module_of(name), lambda module, x: module(x), name)
    whole = gradients(module_of(name), lambda module, x: checkpoint(module, x, use_reentrant=False), name)
    same(whole, plain, **CLOSE)
    module = module_of(name)
    own = [path for path, part in module.named_modules() if path and type(part).__module__ == type(module).__module__]
    for path in own:
        outer, _, last = path.rpartition(".")
        holder = module.get_submodule(outer)
        setattr(holder, last, checkpoint_wrapper(holder.get_submodule(last)))
    parts = gradients(module, lambda m, x: m(x), name)
    found = {key.replace("_checkpoint_wrapped_module.", ""): value for key, value in parts.items()}
    same({key: found[key] for key in plain}, plain, **CLOSE)


def gradients(module: nn.Module, call: Callable[[nn.Module, Tensor], Any], name: str) -> dict[str, Tensor]:
    loss_of(call(module, sample(name))).backward()
    return {key: p.grad for key, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("norm", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_layers_take_norms_of_weights(name: str, norm: Callable[[nn.Module], nn.Module]) -> None:
    module = module_of(name).train()
    for part in list(module.modules()):
        if isinstance(part, nn.Linear | nn.Conv2d) and type(part) in (nn.Linear, nn.Conv2d):
            norm(part)
    module.eval()
    if norm is parametrizations.weight_norm:
        same(module(sample(name)), module_of(name)(sample(name)), rtol=1e-3, atol=1e-3)
    else:
        assert all(tensor.isfinite().all() for tensor in flat(module(sample(name))))


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    path = tmp_path_factory.mktemp("group") / "store"
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("name", NETWORKS)
def test_trains_in_parallel(name: str) -> None:
    """In DDP and in FSDP2, the block classes sharded one by one: the gradients of the module alone."""
    plain = gradients(module_of(name), lambda module, x: module(x), name)
    module = nn.parallel.DistributedDataParallel(module_of(name))
    found = gradients(module, lambda m, x: m(x), name)
    same({key: found[f"module.{key}"] for key in plain}, plain, **CLOSE)
    module = module_of(name)
    mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
    for part in reversed(list(module.modules())):
        if type(part).__module__ == type(module).__module__:
            fully_shard(part, mesh=mesh)
    found = gradients(module, lambda m, x: m(x), name)
    same({key: found[key].full_tensor() for key in plain}, plain, **CLOSE)


@pytest.mark.parametrize("name", NETWORKS)
def test_runs_in_autocast(name: str) -> None:
    """On a larger sample: in bfloat16 with AMX, oneDNN reads memory that nobody wrote where a convolution of stride 2,
    3×3, 256 channels or more makes a map one column wide, and so do classifiers of 32 columns."""
    module, x = module_of(name), sample(name, more=1)
    wanted = flat(module(x))
    with torch.autocast("cpu", torch.bfloat16):
        found = flat(module(x))
    assert [tensor.shape for tensor in found] == [tensor.shape for tensor in wanted]
    assert all(tensor.isfinite().all() for tensor in found)
    if name not in BY_DATA:
        for half, full in zip(found, wanted, strict=True):
            assert (half - full).abs().max() <= 0.03 * full.abs().max()


@pytest.mark.parametrize("name", [name for name in NETWORKS if len(SMALL[name][2]) == 3])
def test_runs_channels_last(name: str) -> None:
    module, wanted = module_of(name), module_of(name)(sample(name))
    last = module.to(memory_format=torch.channels_last)(sample(name).to(memory_format=torch.channels_last))
    same(last, wanted, **CLOSE)


@pytest.mark.parametrize("name", NETWORKS)
def test_is_summarised_by_torchinfo(name: str) -> None:
    found = torchinfo.summary(module_of(name), input_data=sample(name), verbose=0, depth=9)
    assert found.total_params == sum(p.numel() for p in module_of(name).parameters())
