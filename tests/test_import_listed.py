"""Darknet and Caffe: layers by hand, weights from files that are written byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - its usual name

import netc
from netc.diagnostics.model import NetcError
from netc.importing.run import Wishes, import_file
from netc.ir.flat import flatten

CFG = """\
[net]
width=32
height=32
channels=3

[convolutional]  # a comment
batch_normalize=1
filters=4
size=3
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=4
size=1
stride=1
pad=1
activation=linear

[shortcut]
from=-2
activation=relu

[route]
layers=-1,-3

[yolo]
"""


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("<f4")


def darknet(folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    held = {
        "bias": numbers(4, seed=1),
        "scale": numbers(4, seed=2),
        "mean": numbers(4, seed=3),
        "variance": np.abs(numbers(4, seed=4)) + 0.5,
        "kernel": numbers(4, 3, 3, 3, seed=5),
        "bias2": numbers(4, seed=6),
        "kernel2": numbers(4, 4, 1, 1, seed=7),
    }
    header = struct.pack("<3iq", 0, 2, 0, 1000)
    (folder / "net.weights").write_bytes(header + b"".join(a.astype("<f4").tobytes() for a in held.values()))
    (folder / "net.cfg").write_text(CFG)
    return folder / "net.cfg", held


def computed(found: netc.Imported, image: torch.Tensor) -> torch.Tensor:
    weights = {name: torch.from_numpy(np.array(found.tensor(name))) for name in found.tensors}
    with torch.no_grad():
        result: torch.Tensor = found.network.module(weights).eval()(image)
    return result


def test_darknet_computes_what_its_layers_say(tmp_path: Path) -> None:
    path, held = darknet(tmp_path)
    found = import_file(str(path), Wishes())
    image = torch.randn(2, 3, 32, 64)
    t = {name: torch.from_numpy(array.astype(np.float32)) for name, array in held.items()}
    x = F.conv2d(image, t["kernel"], padding=1)
    x = F.leaky_relu(F.batch_norm(x, t["mean"], t["variance"], t["scale"], t["bias"], eps=1e-5), 0.1)
    x = F.max_pool2d(x, 2)
    y = torch.relu(F.conv2d(x, t["kernel2"], t["bias2"]) + x)
    torch.testing.assert_close(computed(found, image), torch.cat([y, x], 1))
    assert "image: [N, 3, 2*h, 2*w]" in found.text


def test_darknet_weights_that_are_too_short_or_too_long_are_refused(tmp_path: Path) -> None:
    path, _ = darknet(tmp_path)
    data = (tmp_path / "net.weights").read_bytes()
    for changed, told in ((data[:-8], "net.weights ends before"), (data + b"1234", "no layer takes: 1")):
        (tmp_path / "net.weights").write_bytes(changed)
        with pytest.raises(NetcError, match=told):
            import_file(str(path), Wishes())


def test_a_cfg_without_weights_is_a_spec_alone(tmp_path: Path) -> None:
    path = tmp_path / "net.cfg"
    path.write_text(CFG)
    found = import_file(str(path), Wishes())
    assert [file.suffix for file in found.write(tmp_path / "out")] == [".yaml", ".json"]
    assert found.report.shown.parameters == 4 * 27 + 8 + 4 * 4 + 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[net]\nheight=8\nwidth=8\n[crnn]\n", r"layer 0 \[crnn\]: netc has no layer"),
        ("[net]\nheight=8\nwidth=8\n[route]\nlayers=5\n", "refers to a layer that does not come before it"),
        ("[net]\nheight=9999999999999\n", "is too large"),
        ("height=8\n", "line 1: is neither a section"),
        ("", r"begins with \[net\]"),
    ],
)
def test_hostile_cfgs_end_in_diagnostics(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "net.cfg"
    path.write_text(text)
    with pytest.raises(NetcError, match=told) as caught:
        import_file(str(path), Wishes())
    assert caught.value.diagnostics[0].code == "cannot-import"


PROTOTXT = """\
name: "small"
input: "data"
input_shape { dim: 1 dim: 3 dim: 9 dim: 9 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 bias_term: false } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" batch_norm_param { use_global_stats: true } }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" top: "loss" include { phase: TRAIN } }
"""


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def blob(array: np.ndarray) -> bytes:
    shape = field(7, field(1, b"".join(varint(n) for n in array.shape)))
    return field(7, shape + field(5, array.astype("<f4").tobytes()))


def caffe_layer(name: str, *arrays: np.ndarray) -> bytes:
    return field(100, field(1, name.encode()) + field(2, b"Kind") + b"".join(map(blob, arrays)))


def test_caffe_computes_what_its_layers_say(tmp_path: Path) -> None:
    kernel, mean, variance = numbers(4, 3, 3, 3), numbers(4, seed=1), np.abs(numbers(4, seed=2)) + 0.5
    gamma, beta, fc, bias = numbers(4, seed=3), numbers(4, seed=4), numbers(5, 100, seed=5), numbers(5, seed=6)
    model = caffe_layer("conv", kernel) + caffe_layer("bn", mean * 2, variance * 2, np.array([2.0]))
    model += caffe_layer("scale", gamma, beta) + caffe_layer("fc", fc, bias)
    (tmp_path / "net.prototxt").write_text(PROTOTXT)
    (tmp_path / "net.caffemodel").write_bytes(model)
    found = import_file(str(tmp_path / "net.prototxt"), Wishes())
    image = torch.randn(2, 3, 9, 9)
    t = [torch.from_numpy(a.astype(np.float32)) for a in (kernel, mean, variance, gamma, beta, fc, bias)]
    x = torch.relu(F.batch_norm(F.conv2d(image, t[0], padding=1), t[1], t[2], t[3], t[4], eps=1e-5))
    x = F.max_pool2d(x, 2, ceil_mode=True).flatten(1)
    torch.testing.assert_close(computed(found, image), F.linear(x, t[5], t[6]).softmax(-1))
    assert "ceil_mode=true" in found.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("layer { name: ", "ends unexpectedly"),
        ("}", "braces do not match"),
        ("layer { type: 'Data' }", "does not say the size"),
        ("a {" * 60, "braces do not match"),
        (PROTOTXT.replace('"Softmax"', '"SPP"'), r"layer prob \(SPP\): netc has no layer SPP"),
    ],
)
def test_hostile_prototxts_end_in_diagnostics(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    with pytest.raises(NetcError, match=told):
        import_file(str(path), Wishes())


def statements(found: netc.Imported) -> list[str]:
    flat = flatten(found.network.ir)
    return [f"{s.path} {s.node.op} {[wire.path for wire in s.inputs]}" for s in flat.nodes]


@pytest.mark.parametrize(
    ("text", "suffix", "old", "new"),
    [
        (CFG, ".cfg", "size=3", "size=5"),
        (CFG, ".cfg", "pad=1\nactivation=leaky", "padding=2\nactivation=leaky"),
        (CFG, ".cfg", "[maxpool]\nsize=2\nstride=2", "[maxpool]\nsize=3\nstride=2"),
        (CFG, ".cfg", "activation=leaky", "activation=mish"),
        (CFG, ".cfg", "batch_normalize=1", "batch_normalize=0"),
        (CFG, ".cfg", "layers=-1,-3", "layers=-3,-1"),
        (PROTOTXT, ".prototxt", "kernel_size: 3 pad: 1", "kernel_size: 5 pad: 2"),
        (PROTOTXT, ".prototxt", "bias_term: false", "bias_term: true"),
        (PROTOTXT, ".prototxt", "use_global_stats: true", "use_global_stats: true eps: 0.001"),
        (PROTOTXT, ".prototxt", "pool: MAX kernel_size: 2", "pool: AVE kernel_size: 2"),
        (PROTOTXT, ".prototxt", "stride: 2 }", "stride: 1 }"),
        (PROTOTXT, ".prototxt", 'type: "ReLU"', 'type: "Sigmoid"'),
        (PROTOTXT, ".prototxt", 'bottom: "pool" top: "fc"', 'bottom: "conv" top: "fc"'),
        (PROTOTXT, ".prototxt", "num_output: 5", "num_output: 6"),
    ],
)
def test_every_word_of_a_file_counts(text: str, suffix: str, old: str, new: str, tmp_path: Path) -> None:
    """What is changed in the file is changed in the network."""
    found = []
    for number, words in enumerate((text, text.replace(old, new, 1))):
        path = tmp_path / f"net{number}{suffix}"
        path.write_text(words)
        found.append(statements(import_file(str(path), Wishes())))
    assert old in text
    assert found[0] != found[1]


def test_a_caffemodel_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(PROTOTXT)
    (tmp_path / "net.caffemodel").write_bytes(caffe_layer("conv", numbers(4, 3, 3, 3))[:-5])
    with pytest.raises(NetcError, match="truncated"):
        import_file(str(tmp_path / "net.prototxt"), Wishes())
