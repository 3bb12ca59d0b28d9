"""Keras models: layers against PyTorch on the same numbers, from files that are written here part by part."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from test_import_listed import computed, numbers
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

import netc
from netc.diagnostics.model import NetcError
from netc.importing.run import Wishes, import_file

Layers = list[tuple[str, str, dict[str, Any]]]
"""Class, name and configuration of each."""

Held = dict[str, list[np.ndarray]]
"""The tensors of layers by name."""

NAMES = {
    "Conv2D": ("kernel", "bias"),
    "Conv2DTranspose": ("kernel", "bias"),
    "DepthwiseConv2D": ("depthwise_kernel",),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Dense": ("kernel", "bias"),
    "Embedding": ("embeddings",),
    "GRU": ("kernel", "recurrent_kernel", "bias"),
}
"""What Keras 2 called the tensors of layers, in order."""


def described(layers: Layers, shape: list[int | None], dtype: str = "float32") -> dict[str, Any]:
    """A Functional model whose layers read one another; `reads` in a configuration names others."""
    found: list[dict[str, Any]] = [
        {
            "class_name": "InputLayer",
            "name": "input_1",
            "config": {"batch_shape": shape, "dtype": dtype},
            "inbound_nodes": [],
        }
    ]
    before = "input_1"
    for kind, name, config in layers:
        config = dict(config)
        read = config.pop("reads", [before])
        tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [one, 0, 0]}} for one in read]
        args = [tensors] if len(tensors) > 1 else tensors
        node = {"args": args, "kwargs": {}}
        found.append({"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": [node]})
        before = name
    config = {"name": "m", "layers": found, "input_layers": ["input_1", 0, 0], "output_layers": [before, 0, 0]}
    return {"class_name": "Functional", "config": config}


def weights_file(path: Path, layers: Layers, held: Held) -> Path:
    """As Keras 3 writes it: by class and number."""
    count: dict[str, int] = {}
    with h5py.File(path, "w") as file:
        for kind, name, _ in layers:
            word = {"BatchNormalization": "batch_normalization", "GRU": "gru"}.get(kind, kind.lower())
            word = {"conv2dtranspose": "conv2d_transpose", "depthwiseconv2d": "depthwise_conv2d"}.get(word, word)
            count[word] = count.get(word, -1) + 1
            number = f"_{count[word]}" if count[word] else ""
            for at, array in enumerate(held.get(name, [])):
                file[f"layers/{word}{number}/{'cell/' if kind == 'GRU' else ''}vars/{at}"] = array
    return path


def archive(folder: Path, layers: Layers, held: Held, shape: list[int | None], dtype: str = "float32") -> Path:
    weights = weights_file(folder / "model.weights.h5", layers, held)
    with zipfile.ZipFile(folder / "m.keras", "w") as file:
        file.writestr("config.json", json.dumps(described(layers, shape, dtype)))
        file.write(weights, "model.weights.h5")
    return folder / "m.keras"


def json_beside_weights(folder: Path, layers: Layers, held: Held, shape: list[int | None], dtype: str) -> Path:
    weights_file(folder / "m.weights.h5", layers, held)
    (folder / "m.json").write_text(json.dumps(described(layers, shape, dtype)))
    return folder / "m.json"


def legacy(folder: Path, layers: Layers, held: Held, shape: list[int | None], dtype: str) -> Path:
    """One HDF5 file, as Keras 2 wrote it."""
    with h5py.File(folder / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(described(layers, shape, dtype))
        for kind, name, _ in layers:
            for role, array in zip(NAMES.get(kind, ()), held.get(name, []), strict=False):
                cell = f"{kind.lower()}_cell/" if kind == "GRU" else ""
                file[f"model_weights/{name}/{name}/{cell}{role}:0"] = array
    return folder / "m.h5"


WAYS = [
    lambda folder, *model: archive(folder, *model),
    json_beside_weights,
    legacy,
]
SAME = {"padding": "same", "activation": "linear"}
LAYERS: Layers = [
    ("Conv2D", "stem", {"filters": 8, "kernel_size": [3, 3], "strides": [2, 2], "padding": "same", "use_bias": True}),
    ("BatchNormalization", "norm", {"epsilon": 0.001, "momentum": 0.99}),
    ("ReLU", "act", {"max_value": 6.0}),
    ("DepthwiseConv2D", "deep", {"kernel_size": [3, 3], **SAME, "depth_multiplier": 2, "use_bias": False}),
    ("Conv2D", "thin", {"filters": 8, "kernel_size": 1, "activation": "swish"}),
    ("Add", "sum", {"reads": ["thin", "act"]}),
    ("MaxPooling2D", "pool", {"pool_size": [2, 2], "padding": "valid"}),
    ("Flatten", "flat", {}),
    ("Dropout", "drop", {"rate": 0.2}),
    ("Dense", "fc", {"units": 5, "activation": "softmax"}),
]
HELD: Held = {
    "stem": [numbers(3, 3, 3, 8), numbers(8, seed=1)],
    "norm": [numbers(8, seed=2), numbers(8, seed=3), numbers(8, seed=4), np.abs(numbers(8, seed=5)) + 0.5],
    "deep": [numbers(3, 3, 8, 2, seed=6)],
    "thin": [numbers(1, 1, 16, 8, seed=7), numbers(8, seed=8)],
    "fc": [numbers(128, 5, seed=9), numbers(5, seed=10)],
}


def expected(image: Tensor) -> Tensor:
    """What the layers say, in PyTorch."""
    t = {name: [torch.from_numpy(a) for a in arrays] for name, arrays in HELD.items()}
    x = F.conv2d(F.pad(image, (0, 1, 0, 1)), t["stem"][0].permute(3, 2, 0, 1), t["stem"][1], stride=2)
    gamma, beta, mean, variance = t["norm"]
    x = F.relu6(F.batch_norm(x, mean, variance, gamma, beta, eps=1e-3))
    deep = t["deep"][0].permute(2, 3, 0, 1).reshape(16, 1, 3, 3)
    y = F.conv2d(x, deep, padding=1, groups=8)
    y = F.silu(F.conv2d(y, t["thin"][0].permute(3, 2, 0, 1), t["thin"][1]))
    x = F.max_pool2d(x + y, 2).permute(0, 2, 3, 1).flatten(1)
    return F.linear(x, t["fc"][0].T, t["fc"][1]).softmax(1)


@pytest.mark.parametrize("way", WAYS, ids=["keras", "json", "h5"])
def test_a_model_computes_what_its_layers_say(way: Callable[..., Path], tmp_path: Path) -> None:
    found = import_file(str(way(tmp_path, LAYERS, HELD, [None, 16, 16, 3], "float32")), Wishes())
    image = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(computed(found, image), expected(image), rtol=1e-5, atol=1e-6)
    assert "conv2d 8 3 stride=2 padding=same" in found.text
    assert "stem.kernel: permute (3 2 0 1)" in found.report.tensors.values()


@pytest.mark.parametrize("way", WAYS, ids=["keras", "json", "h5"])
def test_gates_are_in_pytorchs_order(way: Callable[..., Path], tmp_path: Path) -> None:
    layers: Layers = [
        ("Embedding", "words", {"input_dim": 11, "output_dim": 6}),
        ("GRU", "read", {"units": 4, "reset_after": True, "return_sequences": True}),
        ("GRU", "last", {"units": 3, "reset_after": True}),
    ]
    held = {
        "words": [numbers(11, 6)],
        "read": [numbers(6, 12, seed=1), numbers(4, 12, seed=2), numbers(2, 12, seed=3)],
        "last": [numbers(4, 9, seed=4), numbers(3, 9, seed=5), numbers(2, 9, seed=6)],
    }
    found = import_file(str(way(tmp_path, layers, held, [None, 7], "int32")), Wishes())
    x = torch.randint(0, 11, (2, 7))
    steps = torch.from_numpy(held["words"][0])[x]
    for name, inside, units in (("read", 6, 4), ("last", 4, 3)):
        kernel, inner, bias = (torch.from_numpy(a) for a in held[name])
        layer = nn.GRU(inside, units, batch_first=True)
        order = [1, 0, 2]  # reset, update, new; Keras has update first

        def rows(matrix: Tensor, units: int = units, order: list[int] = order) -> Tensor:
            return torch.cat([matrix.split(units)[gate] for gate in order])

        layer.load_state_dict(
            {
                "weight_ih_l0": rows(kernel.T),
                "weight_hh_l0": rows(inner.T),
                "bias_ih_l0": rows(bias[0]),
                "bias_hh_l0": rows(bias[1]),
            }
        )
        steps = layer(steps)[0].detach()
    torch.testing.assert_close(computed(found, x), steps[:, -1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (4, 2), (2, 3)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_convolutions_are_the_gradient_of_keras_convolutions(
    kernel: int, stride: int, padding: str, tmp_path: Path
) -> None:
    config = {"filters": 2, "kernel_size": kernel, "strides": stride, "padding": padding, "use_bias": False}
    weight = numbers(kernel, kernel, 2, 3)
    found = import_file(
        str(archive(tmp_path, [("Conv2DTranspose", "up", config)], {"up": [weight]}, [None, 5, 6, 3])), Wishes()
    )
    x = torch.randn(1, 3, 5, 6)
    size = [n * stride if padding == "same" else n * stride + max(kernel - stride, 0) for n in (5, 6)]
    over = [max((n - 1) * stride + kernel - whole, 0) for n, whole in zip((5, 6), size, strict=True)]
    whole = torch.zeros(1, 2, *size, requires_grad=True)
    sides = [n for k in reversed(over) for n in (k // 2, k - k // 2)]
    F.conv2d(F.pad(whole, sides), torch.from_numpy(weight).permute(3, 2, 0, 1), stride=stride).backward(x)
    assert whole.grad is not None
    torch.testing.assert_close(computed(found, x), whole.grad, rtol=1e-5, atol=1e-5)


def test_sizes_stay_open_where_the_layers_allow_it(tmp_path: Path) -> None:
    layers: Layers = [*LAYERS[:7], ("GlobalAveragePooling2D", "mean", {})]
    path = archive(tmp_path, layers, HELD, [None, None, None, 3])
    assert "[N, 3, 4*h, 4*w]" in import_file(str(path), Wishes()).text
    path = archive(tmp_path, layers, HELD, [None, 64, 64, 3])
    assert "[N, 3, 64, 64]" in import_file(str(path), Wishes(sizes="fixed")).text


def test_a_description_alone_is_a_spec_alone(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps(described(LAYERS, [None, 16, 16, 3])))
    found = import_file(str(tmp_path / "m.json"), Wishes())
    assert [file.suffix for file in found.write(tmp_path / "out")] == [".yaml", ".json"]
    assert found.report.shown.parameters == sum(a.size for held in HELD.values() for a in held) - 16


LAMBDA: Layers = [("Lambda", "code", {"function": "import os"})]


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        (LAMBDA, r"layer code \(Lambda\): runs code of its own, which netc never runs"),
        ([("SpectralNormalization", "n", {})], "netc has no layer SpectralNormalization"),
        ([("Dense", "fc", {"units": "many"})], "`units` should be a number"),
        ([("Add", "a", {"reads": ["b", "input_1"]}), ("ReLU", "b", {})], "reads itself"),
        ([("ReLU", "a", {"reads": ["nothing"]})], "reads what nothing makes"),
        ([("Conv2D", "c", {"filters": 4, "kernel_size": [3], "padding": "same"})], "should be 2 whole numbers"),
        ([("Conv2D", "c", {"filters": 4, "kernel_size": 1, "data_format": "channels_first"})], "channels first"),
        ([("Conv2D", "c", {"filters": 4, "kernel_size": 1})], "has no `kernel` for it"),
        ([("Activation", "a", {"activation": "user>mine"})], "netc has no activation user>mine"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_layer(layers: Layers, told: str, tmp_path: Path) -> None:
    with pytest.raises(NetcError, match=told) as caught:
        import_file(str(archive(tmp_path, layers, {}, [None, 8, 8, 3])), Wishes())
    assert caught.value.diagnostics[0].code == "cannot-import"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def _compressed(path: Path) -> None:
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in parts.items():
            file.writestr(name, data)


def _pointing(path: Path) -> None:
    """Weights that lie in another file."""
    other = path.with_name("model.weights.h5")
    with h5py.File(path.with_name("secret.h5"), "w") as file:
        file["numbers"] = np.zeros(3)
    with h5py.File(other, "a") as file:
        file["layers/secret"] = h5py.ExternalLink("secret.h5", "/numbers")
    with zipfile.ZipFile(path) as file:
        config = file.read("config.json")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", config)
        file.write(other, "model.weights.h5")


def _nested(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "[" * 100_000)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_cut, "is not a `.keras` archive"),
        (_compressed, "is compressed"),
        (_pointing, "points to another place at layers/secret"),
        (_nested, "is not JSON"),
        (lambda path: path.write_bytes(b"PK nothing"), "is not a `.keras` archive"),
    ],
)
def test_hostile_archives_end_in_diagnostics(change: Callable[[Path], None], told: str, tmp_path: Path) -> None:
    path = archive(tmp_path, LAYERS, HELD, [None, 16, 16, 3])
    change(path)
    with pytest.raises(NetcError, match=told) as caught:
        import_file(str(path), Wishes())
    assert caught.value.diagnostics[0].code == "cannot-import"


def test_weights_alone_say_what_is_missing(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "m.weights.h5", LAYERS, HELD)
    with pytest.raises(netc.NetcError, match="holds only weights"):
        import_file(str(path), Wishes())


def test_a_model_inside_another_is_read_with_its_weights(tmp_path: Path) -> None:
    inner = described(LAYERS[:3], [None, 16, 16, 3])
    inner["name"] = inner["config"]["name"] = "body"
    layers: Layers = [("Functional", "body", inner["config"]), ("GlobalAveragePooling2D", "mean", {})]
    weights = weights_file(tmp_path / "inner.h5", LAYERS[:3], HELD)
    with h5py.File(weights) as there, h5py.File(tmp_path / "m.weights.h5", "w") as file:
        there.copy("layers", file.require_group("layers/functional"))
    (tmp_path / "m.json").write_text(json.dumps(described(layers, [None, 16, 16, 3])))
    found = import_file(str(tmp_path / "m.json"), Wishes())
    t = [torch.from_numpy(a) for a in (*HELD["stem"], *HELD["norm"])]
    image = torch.randn(2, 3, 16, 16)
    x = F.conv2d(F.pad(image, (0, 1, 0, 1)), t[0].permute(3, 2, 0, 1), t[1], stride=2)
    x = F.relu6(F.batch_norm(x, t[4], t[5], t[2], t[3], eps=1e-3)).mean((2, 3))
    torch.testing.assert_close(computed(found, image), x, rtol=1e-5, atol=1e-6)
