"""Attention and what stands around it, as PyTorch's exporters write it, is one operator again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_import_folding import imported, same
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

import netc


class Block(nn.Module):
    """Of a decoder: its mask is a buffer."""

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.register_buffer("mask", torch.tril(torch.ones(steps, steps))[None, None])

    def forward(self, x: Tensor) -> Tensor:
        n, steps, width = x.shape
        parts = self.qkv(self.norm(x)).split(width, 2)
        q, k, v = (part.view(n, steps, 2, width // 2).transpose(1, 2) for part in parts)
        scores = q @ k.transpose(-2, -1) * (width // 2) ** -0.5
        mask = self.get_buffer("mask")
        mixed = scores.masked_fill(mask == 0, float("-inf")).softmax(-1) @ v
        out: Tensor = x + self.proj(mixed.transpose(1, 2).reshape(n, steps, width))
        return out


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(20, 8)
        self.blocks = nn.ModuleList(Block(8, 6) for _ in range(3))
        self.head = nn.Linear(8, 20, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.emb(ids)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.head(x)
        return out


@pytest.mark.parametrize("dynamo", [False, True])
def test_a_causal_mask_in_a_file(tmp_path: Path, dynamo: bool) -> None:
    """PyTorch's newer exporter tells of every node but those that its optimiser made in which module it stands."""
    torch.manual_seed(0)
    path = tmp_path / "decoder.onnx"
    torch.onnx.export(Decoder().eval(), (torch.randint(20, (2, 6)),), str(path), dynamo=dynamo, verbose=False)
    made = netc.import_onnx(path)
    assert "scaled_dot_product_attention is_causal=true" in made.text
    assert "  blocks: " in made.text
    assert " x3\n" in made.text
    assert {"blocks.0.proj.bias", "head.weight"} <= set(made.tensors)


def test_a_causal_mask_of_a_module() -> None:
    net, x = Decoder(), torch.randint(20, (2, 6))
    made = imported(net, x)
    assert "scaled_dot_product_attention is_causal=true" in made.text
    assert "buffer" not in made.text
    made.network.module({name: torch.from_numpy(made.tensor(name).copy()) for name in made.tensors})


class Masked(nn.Module):
    """Any other mask stays what it is."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        scores = (x @ x.transpose(-2, -1)).masked_fill(self.get_buffer("mask"), float("-inf"))
        return scores.softmax(-1) @ x


@pytest.mark.parametrize(
    ("hidden", "causal"),
    [
        (torch.ones(5, 5).triu(1), True),
        (torch.ones(5, 5).triu(2), False),
        (torch.ones(5, 5).tril(-1), False),
        (torch.stack([torch.ones(5, 5).triu(1), torch.ones(5, 5).triu(2)]), False),
    ],
)
def test_masks_that_hide_other_keys_stay(hidden: Tensor, causal: bool) -> None:
    net, x = Masked(hidden.bool()), torch.randn(2, 2, 5, 4)
    made = netc.import_torch(net, x, sizes="fixed")
    assert ("is_causal=true" in made.text) == causal
    ours = made.network.module({name: torch.from_numpy(made.tensor(name).copy()) for name in made.tensors}).eval()
    torch.testing.assert_close(ours(x), net(x))


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        n, steps, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, steps, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        return scaled_dot_product_attention(q, k, v, is_causal=True)


@pytest.mark.parametrize("dynamo", [False, True])
def test_queries_keys_and_values_in_one(tmp_path: Path, dynamo: bool) -> None:
    path = tmp_path / "packed.onnx"
    torch.onnx.export(Packed().eval(), (torch.randn(2, 5, 8),), str(path), dynamo=dynamo, verbose=False)
    text = netc.import_onnx(path).text
    assert "unbind: unbind\n" in text
    assert "scaled_dot_product_attention is_causal=true @unbind.0 @unbind.1 @unbind.2" in text


class Rolled(nn.Module):
    def __init__(self, *shifts: int) -> None:
        super().__init__()
        self.shifts = shifts

    def forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, self.shifts, (1, 2)) + 1


@pytest.mark.parametrize("shifts", [(-3, -3), (3, 2), (1, -2)])
def test_what_is_rolled_comes_back_rolled(tmp_path: Path, shifts: tuple[int, int]) -> None:
    path = tmp_path / "rolled.onnx"
    torch.onnx.export(Rolled(*shifts).eval(), (torch.randn(2, 8, 7, 3),), str(path), dynamo=False)
    assert f"roll ({shifts[0]} {shifts[1]}) (1 2)" in netc.import_onnx(path).text


class Cut(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, 3:], x[:, :2]], 1)


def test_what_loses_a_part_is_not_rolled() -> None:
    net, x = Cut(), torch.randn(2, 8, 4)
    made = imported(net, x)
    assert "roll" not in made.text
    assert same(made, net, x)


class Clashing(nn.Module):
    """A module and an input of one name, and a module that is used twice and named as its own calls are."""

    def __init__(self) -> None:
        super().__init__()
        self.t = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 3))
        self.cls = nn.Conv2d(3, 5, 1)

    def forward(self, image: Tensor, t: Tensor, other: Tensor) -> Tensor:
        x = image + self.t(t)[:, :, None, None]
        return torch.cat([self.cls(x).flatten(2), self.cls(image).flatten(2)], 2)


def test_names_that_clash(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Clashing().eval()
    path, names = tmp_path / "clashing.onnx", ["image", "t", "other"]
    example = torch.randn(2, 3, 8, 8), torch.randn(2, 4), torch.randn(2, 6)
    torch.onnx.export(net, example, str(path), dynamo=False, input_names=names, output_names=["boxes"])
    file = netc.import_onnx(path)
    made = netc.import_torch(net, example)
    assert set(made.tensors) == set(net.state_dict())
    assert made.report.notes == ("the input other is never read, so the spec does without it",)
    for one in (file, made):
        assert "t_input: [" in one.text
        assert "shared: {cls: conv2d 5 1}" in one.text
        assert "other" not in one.text


class Groups(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x)
        return out


@pytest.mark.parametrize("opset", [11, 17])
def test_a_group_norm_of_few_channels(tmp_path: Path, opset: int) -> None:
    net, path = Groups().eval(), tmp_path / "groups.onnx"
    nn.init.normal_(net.norm.weight)
    nn.init.normal_(net.norm.bias)
    torch.onnx.export(net, (torch.randn(2, 4, 6, 6),), str(path), dynamo=False, opset_version=opset)
    assert "norm: group_norm 2\n" in netc.import_onnx(path).text
