"""PyTorch modules become specs that keep the names of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from changed import change_source
from test_import_folding import same
from test_import_onnx import SPEC, Tiny, shaken
from torch import Tensor, nn

import netc
from netc.diagnostics.model import NetcError


@pytest.fixture(scope="module")
def tiny() -> nn.Module:
    return shaken(Tiny())


@pytest.fixture(scope="module")
def found(tiny: nn.Module) -> netc.Imported:
    return netc.import_torch(tiny, torch.randn(2, 3, 32, 32))


def test_blocks_are_found_and_batch_norms_stay(found: netc.Imported) -> None:
    assert "bn1: batch_norm2d" in found.text
    assert 'shortcut: {if: in.C != width, do: conv2d width 1 stride=stride @in, else: "@in"}' in found.text
    assert found.text.count("\n") <= SPEC.count("\n") + 3


def test_every_tensor_keeps_its_name_and_its_values(tiny: nn.Module, found: netc.Imported) -> None:
    state = tiny.state_dict()
    assert set(found.tensors) == set(state)
    assert found.report.kept == len(state)
    for name, tensor in state.items():
        assert torch.equal(torch.from_numpy(found.tensor(name).copy()), tensor), name


def test_the_generated_module_computes_the_same_to_the_last_bit(tiny: nn.Module, found: netc.Imported) -> None:
    module = found.network.module({name: torch.from_numpy(found.tensor(name).copy()) for name in found.tensors}).eval()
    image = torch.randn(3, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(module(image), tiny(image))


def test_attention_is_one_operator() -> None:
    torch.manual_seed(0)

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(32)
            self.attend = nn.MultiheadAttention(32, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            y = self.norm(x)
            return x + self.attend(y, y, y, need_weights=False)[0]

    made = netc.import_torch(Attending(), torch.randn(2, 5, 32))
    assert "multihead_attention 4 batch_first=true" in made.text
    assert set(made.tensors) >= {"attend.in_proj_weight", "attend.out_proj.bias", "norm.weight"}


def test_a_parameter_that_is_expanded_follows_the_batch() -> None:
    class Token(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.randn(1, 1, 8))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)

    made = netc.import_torch(Token(), torch.randn(2, 5, 8))
    assert made.tensors == ["token"]
    assert "parameter (1 1 8)" in made.text


class Odd(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.det(x)


def test_what_netc_has_no_word_for_is_named_with_its_place() -> None:
    with pytest.raises(NetcError) as caught:
        netc.import_torch(Odd(), torch.randn(2, 3, 3))
    (problem,) = caught.value.diagnostics
    assert problem.code == "cannot-import"
    assert "netc has no operator for linalg_det" in problem.message


def modules() -> Iterator[tuple[str, nn.Module, Tensor]]:
    depthwise = nn.Sequential(nn.Conv2d(6, 6, 3, groups=6), nn.Hardswish(), nn.AvgPool2d(2))
    yield "depthwise", depthwise, torch.randn(2, 6, 9, 9)
    upsample = nn.Sequential(nn.Upsample(scale_factor=2), nn.PReLU(4), nn.GroupNorm(2, 4))
    yield "upsample", upsample, torch.randn(2, 4, 5, 5)
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.GELU(), nn.Dropout(0.3), nn.Linear(8, 3))
    yield "mlp", mlp, torch.randn(2, 3, 4)


@pytest.mark.parametrize(("name", "module", "example"), [*modules()], ids=[name for name, *_ in modules()])
def test_layers_are_pytorchs(name: str, module: nn.Module, example: Tensor) -> None:
    made = netc.import_torch(module, example, name=name)
    assert made.report.shown.compared >= made.report.operators - 1
    module.eval()
    weights = {key: torch.from_numpy(made.tensor(key).copy()) for key in made.tensors}
    with torch.no_grad():
        assert torch.equal(made.network.module(weights).eval()(example), module(example))


class Levels(nn.Module):
    """A head that is applied to two maps."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 3, 2, 1)
        self.coarse = nn.Conv2d(4, 4, 3, 2, 1)
        self.head = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x).relu()
        return torch.cat([self.head(fine).flatten(2), self.head(self.coarse(fine)).flatten(2)], 2)


def test_a_head_that_is_used_on_several_maps_has_its_weights_once() -> None:
    torch.manual_seed(0)
    module = Levels().eval()
    found = netc.import_torch(module, torch.randn(2, 3, 32, 32))
    assert "head_0: conv2d 4 3 padding=1" in found.text
    assert found.report.shown.parameters == sum(p.numel() for p in module.parameters())
    assert found.report.shown.parameters == netc_parameters(found)
    assert not found.report.notes


def netc_parameters(found: netc.Imported) -> int:
    return sum(p.numel() for p in found.network.module().parameters())


def calls(graph: Any, name: str) -> list[Any]:
    return [node for node in graph.nodes if node.op == "call_function" and str(node.target).startswith(f"aten.{name}")]


def changed_argument(name: str, at: int, value: Any) -> Callable[[Any], None]:
    def change(graph: Any) -> None:
        node = calls(graph, name)[2]
        arguments = [*node.args, *([0, 0], [1, 1], 1)[len(node.args) - 4 :]] if name == "conv2d" else [*node.args]
        arguments[at] = value
        if name == "conv2d":
            arguments[4] = [2, 2]  # so that sizes stay
        node.args = tuple(arguments)

    return change


def other_activation(graph: Any) -> None:
    calls(graph, "relu")[1].target = torch.ops.aten.sigmoid.default


def other_wiring(graph: Any) -> None:
    adds = calls(graph, "add")
    adds[1].args = (adds[1].args[0], adds[0].args[1])


def swapped_weights(graph: Any) -> None:
    first, second = calls(graph, "conv2d")[1], calls(graph, "conv2d")[3]
    ours, theirs = first.args[1], second.args[1]
    first.args, second.args = (first.args[0], theirs, *first.args[2:]), (second.args[0], ours, *second.args[2:])


@pytest.mark.parametrize(
    "change",
    [
        changed_argument("conv2d", 5, [2, 2]),
        changed_argument("batch_norm", 7, 1e-3),
        other_activation,
        other_wiring,
        swapped_weights,
    ],
    ids=["dilation", "eps", "activation", "wiring", "weights"],
)
def test_a_module_that_is_changed_after_reading_is_found_out(
    change: Callable[[Any], None], tiny: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_source(monkeypatch, change)
    with pytest.raises(NetcError) as caught:
        netc.import_torch(tiny, torch.randn(2, 3, 32, 32))
    assert caught.value.diagnostics[0].code == "import-differs"


def unet(depth: int) -> nn.Module:
    """Halves height and width `depth` times, and doubles them again."""
    down = [part for _ in range(depth) for part in (nn.Conv2d(4, 4, 3, padding=1), nn.MaxPool2d(2))]
    up = [nn.ConvTranspose2d(4, 4, 2, stride=2) for _ in range(depth)]
    return nn.Sequential(nn.Conv2d(3, 4, 1), *down, *up)


@pytest.mark.parametrize(("depth", "said"), [(0, "h, w"), (1, "2*h, 2*w"), (3, "8*h, 8*w"), (5, "32*h, 32*w")])
def test_height_and_width_are_the_least_multiples_that_are_exact(depth: int, said: str) -> None:
    """And the values are compared at pictures that are larger than the windows."""
    net, x = unet(depth).eval(), torch.randn(1, 3, 64, 128)
    made = netc.import_torch(net, x)
    assert f"inputs: {{image: [N, 3, {said}]}}" in made.text
    assert all(size >= 32 // 2**depth for sizes in made.report.shown.sizes for key, size in sizes.items() if key != "N")


def test_multiples_are_those_of_the_example() -> None:
    """Its height is no multiple of 32, so 32*h would not be the module that was given."""
    assert "[N, 3, 2*h, 2*w]" in netc.import_torch(unet(1).eval(), torch.randn(1, 3, 6, 10)).text


class Squeezed(nn.Module):
    """Of one sample it gives no batch at all."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).relu().squeeze(0)


def test_a_batch_of_one_is_left_open_where_it_is_a_batch() -> None:
    image = torch.randn(1, 3, 6, 6)
    assert "inputs: {image: [N, 3, " in netc.import_torch(unet(1).eval(), image).text
    made = netc.import_torch(Squeezed().eval(), image)
    assert "[1, 3, " in made.text
    assert made.network.module()(image).shape == Squeezed()(image).shape


class Language(nn.Module):
    """Positions beside words, and one matrix for reading words and writing them."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.pos = nn.Embedding(40, 8), nn.Embedding(16, 8)
        self.out = nn.Linear(8, 40, bias=False)
        self.out.weight = self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        x: Tensor = self.out(self.words(ids) + self.pos(torch.arange(ids.shape[1])))
        return x


def test_positions_are_counted_and_tied_weights_keep_their_names() -> None:
    net, ids = Language().eval(), torch.randint(0, 40, (2, 16))
    made = netc.import_torch(net, ids)
    assert "  words: embedding 40 8\n  arange: arange 16\n  pos: embedding 16 8 @arange\n" in made.text
    assert "  out: linear 40 bias=false\n" in made.text
    assert {"words.weight", "pos.weight", "out.weight"} == set(made.tensors)
    assert same(made, net, ids)


RESIZED: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "linear": ((8,), {"scale_factor": 2.0}),
    "nearest": ((8,), {"scale_factor": 2.0}),
    "bilinear": ((8, 8), {"scale_factor": 2.0, "align_corners": True}),
    "bicubic": ((8, 8), {"size": (4, 4), "antialias": True}),
    "nearest-exact": ((8, 8), {"size": (12, 20)}),
    "trilinear": ((4, 4, 4), {"scale_factor": 2.0}),
}


@pytest.mark.parametrize("mode", RESIZED)
def test_images_are_resized(mode: str) -> None:
    space, settings = RESIZED[mode]

    class Resized(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.interpolate(x, mode=mode, **settings)

    net, x = Resized(), torch.randn(2, 3, *space)
    made = netc.import_torch(net, x)
    assert "interpolate" in made.text
    assert same(made, net, x)


class Sampled(nn.Module):
    """An image, looked at where a small network says."""

    def __init__(self, mode: str, padding_mode: str, align_corners: bool) -> None:
        super().__init__()
        self.at = nn.Conv2d(3, 2, 3, padding=1)
        self.settings = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}

    def forward(self, x: Tensor) -> Tensor:
        settings: Any = self.settings
        return nn.functional.grid_sample(x, self.at(x).permute(0, 2, 3, 1), **settings)


@pytest.mark.parametrize(
    "settings", [("bilinear", "zeros", False), ("bilinear", "reflection", True), ("nearest", "border", False)]
)
def test_images_are_sampled_at_places(settings: tuple[str, str, bool]) -> None:
    net, x = Sampled(*settings).eval(), torch.randn(2, 3, 8, 8)
    made = netc.import_torch(net, x)
    assert "grid_sample" in made.text
    assert same(made, net, x)
