"""YAML files of Ultralytics: parameters against its published figures, values against its modules' formulas in
PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

import netc
from netc.diagnostics.model import NetcError
from netc.importing.run import Wishes, import_file

V8 = """\
nc: 80
scales:
  n: [0.33, 0.25, 1024]
  s: [0.33, 0.50, 1024]
  m: [0.67, 0.75, 768]
  l: [1.00, 1.00, 512]
  x: [1.00, 1.25, 512]
"""
BODY_8 = """\
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 3, C2f, [128, True]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 6, C2f, [256, True]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 6, C2f, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 3, C2f, [1024, True]]
  - [-1, 1, SPPF, [1024, 5]]
"""
NECK = """\
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, {n}, {mid}]
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, {n}, {fine}]
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, {m}], 1, Concat, [1]]
  - [-1, {n}, {mid}]
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, {last}], 1, Concat, [1]]
  - [-1, {n}, {coarse}]
  - [[{f}, {g}, {h}], 1, {head}]
"""


def v8(head: str = "Detect, [nc]") -> str:
    numbers: dict[str, Any] = {"n": 3, "m": 12, "last": 9, "f": 15, "g": 18, "h": 21, "head": head}
    return V8 + BODY_8 + NECK.format(**numbers, mid="C2f, [512]", fine="C2f, [256]", coarse="C2f, [1024]")


BODY_11 = """\
scales: {n: [0.50, 0.25, 1024], m: [0.50, 1.00, 512], x: [1.00, 1.50, 512]}
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 2, C3k2, [256, False, 0.25]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 2, C3k2, [512, False, 0.25]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 2, C3k2, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 2, C3k2, [1024, True]]
  - [-1, 1, SPPF, [1024, 5]]
  - [-1, 2, C2PSA, [1024]]
"""


def v11() -> str:
    numbers: dict[str, Any] = {"n": 2, "m": 13, "last": 10, "f": 16, "g": 19, "h": 22, "head": "Detect, [nc]"}
    body = NECK.format(**numbers, mid="C3k2, [512, False]", fine="C3k2, [256, False]", coarse="C3k2, [1024, True]")
    return "nc: 80\n" + BODY_11 + body


def v10() -> str:
    """YOLOv10-N."""
    body = BODY_8.replace("Conv, [512", "SCDown, [512").replace("Conv, [1024", "SCDown, [1024")
    numbers: dict[str, Any] = {"n": 3, "m": 13, "last": 10, "f": 16, "g": 19, "h": 22, "head": "v10Detect, [nc]"}
    neck = NECK.format(**numbers, mid="C2f, [512]", fine="C2f, [256]", coarse="C2fCIB, [1024, True, True]")
    scale = "nc: 80\nscales: {n: [0.33, 0.25, 1024]}\n"
    return scale + body + "  - [-1, 1, PSA, [1024]]\n" + neck.replace("Conv, [512", "SCDown, [512")


def imported(text: str, folder: Path, name: str = "net.yaml") -> netc.Imported:
    (folder / name).write_text(text)
    return import_file(str(folder / name), Wishes())


@pytest.mark.parametrize(
    ("text", "name", "figures"),
    [
        # the summaries in Ultralytics's own yolov8.yaml, yolo11.yaml and documentation of YOLOv10
        (v8(), "yolov8.yaml", "n 3,157,200, s 11,166,560, m 25,902,640, l 43,691,520, x 68,229,648"),
        (v11(), "yolo11.yaml", "n 2,624,080, m 20,114,688, x 56,966,176"),
        (v10(), "yolov10n.yaml", 2_775_520),
    ],
    ids=["yolov8", "yolo11", "yolov10n"],
)
def test_parameters_are_the_published_ones_at_every_scale(
    text: str, name: str, figures: str | int, tmp_path: Path
) -> None:
    found = imported(text, tmp_path, name)
    if isinstance(figures, int):
        assert found.report.shown.parameters == figures
    else:
        assert f"parameters at each scale: {figures}" in found.report.notes
    assert "image: [N, 3, 32*h, 32*w]" in found.text
    assert {name: str(kind) for name, kind in found.network.outputs.items() if name == "found"} == {
        "found": "N×84×21·h·w"
    }


def test_scales_are_variants(tmp_path: Path) -> None:
    found = imported(v8(), tmp_path, "yolov8s.yaml")
    found.write(tmp_path / "out")
    assert netc.load(f"{tmp_path}/out/yolov8.yaml").name == "yolov8s"
    assert netc.load(f"{tmp_path}/out/yolov8.yaml:yolov8m").summary().parameters == 25_902_640
    few = netc.load(f"{tmp_path}/out/yolov8.yaml:yolov8n", args={"classes": 3})
    assert str(few.outputs["found"]) == "N×7×21·h·w"


def test_a_file_of_one_scale_stands_for_that_of_all(tmp_path: Path) -> None:
    (tmp_path / "yolov8.yaml").write_text(v8())
    found = import_file(str(tmp_path / "yolov8m.yaml"), Wishes())
    assert found.network.name == "yolov8m"


SMALL = """\
nc: 5
backbone:
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 2, C2f, [16, True]]
  - [-1, 1, Conv, [32, 3, 2]]
  - [-1, 2, C3, [32]]
  - [-1, 1, SPPF, [32, 5]]
  - [-1, 1, C2PSA, [128]]
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 1], 1, Concat, [1]]
  - [-1, 1, DWConv, [144, 3]]
  - [[8, 5], 1, Detect, [nc]]
"""
State = dict[str, Tensor]


def conv(w: State, key: str, x: Tensor, stride: int = 1, groups: int = 1, *, act: bool = True) -> Tensor:
    kernel = w[f"{key}.conv.weight"]
    x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups)
    norm = [w[f"{key}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    x = F.batch_norm(x, *norm, eps=1e-3)
    return F.silu(x) if act else x


def bottleneck(w: State, key: str, x: Tensor) -> Tensor:
    return x + conv(w, f"{key}.cv2", conv(w, f"{key}.cv1", x))


def small(w: State, image: Tensor) -> Tensor:
    """SMALL by the formulas of its modules."""
    x = conv(w, "model.0", image, 2)
    parts = [*conv(w, "model.1.cv1", x).chunk(2, 1)]
    for i in range(2):
        parts.append(bottleneck(w, f"model.1.m.{i}", parts[-1]))
    fine = conv(w, "model.1.cv2", torch.cat(parts, 1))
    x = conv(w, "model.2", fine, 2)
    y = conv(w, "model.3.cv1", x)
    for i in range(2):
        y = bottleneck(w, f"model.3.m.{i}", y)
    x = conv(w, "model.3.cv3", torch.cat([y, conv(w, "model.3.cv2", x)], 1))
    pools = [conv(w, "model.4.cv1", x)]
    for _ in range(3):
        pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
    coarse = attending(w, "model.5", conv(w, "model.4.cv2", torch.cat(pools, 1)))
    up = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
    joined = conv(w, "model.8", torch.cat([up, fine], 1), groups=144)
    return detected(w, "model.9", [joined, coarse], (2, 4))


def attending(w: State, key: str, x: Tensor) -> Tensor:
    """Two heads' worth of channels would be 128: here one head of 64, its keys of 32."""
    a, b = conv(w, f"{key}.cv1", x).chunk(2, 1)
    n, _, height, width = b.shape
    q, k, v = conv(w, f"{key}.m.0.attn.qkv", b, act=False).reshape(n, 1, 128, -1).split([32, 32, 64], 2)
    shares = ((q * 32**-0.5).transpose(2, 3) @ k).softmax(-1)
    seen = (v @ shares.transpose(2, 3)).reshape(n, 64, height, width)
    seen = seen + conv(w, f"{key}.m.0.attn.pe", v.reshape(n, 64, height, width), groups=64, act=False)
    b = b + conv(w, f"{key}.m.0.attn.proj", seen, act=False)
    b = b + conv(w, f"{key}.m.0.ffn.1", conv(w, f"{key}.m.0.ffn.0", b), act=False)
    return conv(w, f"{key}.cv2", torch.cat([a, b], 1))


def detected(w: State, key: str, maps: list[Tensor], strides: tuple[int, ...]) -> Tensor:
    found = []
    for i, (x, stride) in enumerate(zip(maps, strides, strict=True)):
        branches = []
        for branch in (f"{key}.cv2.{i}", f"{key}.cv3.{i}"):
            y = conv(w, f"{branch}.1", conv(w, f"{branch}.0", x))
            branches.append(F.conv2d(y, w[f"{branch}.2.weight"], w[f"{branch}.2.bias"]).flatten(2))
        sides = branches[0].unflatten(1, (4, 16)).softmax(2)
        sides = torch.einsum("nkbm,b->nkm", sides, torch.arange(16.0))
        rows, columns = torch.meshgrid(torch.arange(x.shape[2]), torch.arange(x.shape[3]), indexing="ij")
        centres = torch.stack([columns, rows]).flatten(1) + 0.5
        first, last = centres - sides[:, :2], centres + sides[:, 2:]
        boxes = torch.cat([(first + last) / 2, last - first], 1) * stride
        found.append(torch.cat([boxes, branches[1].sigmoid()], 1))
    return torch.cat(found, 2)


def shaken(network: netc.Network) -> State:
    torch.manual_seed(0)
    state = {key: value.clone() for key, value in network.module().state_dict().items()}
    for key, value in state.items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point() and ".dfl." not in key:
            value.normal_(0, 0.2)
    return state


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    """SMALL with weights beside it, under Ultralytics's names."""
    folder = tmp_path_factory.mktemp("ultralytics")
    state = shaken(imported(SMALL, folder).network)
    save_file(state, str(folder / "net.safetensors"))
    return folder / "net.yaml", state


def test_values_are_those_of_the_modules(weighed: tuple[Path, State]) -> None:
    path, state = weighed
    found = import_file(str(path), Wishes())
    assert found.report.kept == len(found.tensors) == len(state)
    weights = {name: torch.from_numpy(found.tensor(name).copy()) for name in found.tensors}
    image = torch.rand(2, 3, 32, 64)
    with torch.no_grad():
        ours, theirs = found.network.module(weights).eval()(image), small(state, image)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_half_precision_is_read_as_it_is(weighed: tuple[Path, State], tmp_path: Path) -> None:
    halves = {key: value.half() if value.is_floating_point() else value for key, value in weighed[1].items()}
    save_file(halves, str(tmp_path / "net.safetensors"))
    found = imported(SMALL, tmp_path)
    key = "model.3.cv1.conv.weight"
    torch.testing.assert_close(torch.from_numpy(found.tensor(key)), halves[key].float(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.pop("model.0.conv.weight"), "net.safetensors has no model.0.conv.weight"),
        (lambda state: state.update(extra=torch.ones(1)), "tensors that this network does not: extra"),
        (
            lambda state: state.update({"model.0.bn.bias": torch.ones(8)}),
            "model.0.bn.bias of net.safetensors is 8, and this network has 16 there",
        ),
    ],
    ids=["missing", "extra", "shape"],
)
def test_weights_of_another_network_are_refused(
    change: Callable[[State], Any], told: str, weighed: tuple[Path, State], tmp_path: Path
) -> None:
    state = dict(weighed[1])
    change(state)
    save_file(state, str(tmp_path / "net.safetensors"))
    with pytest.raises(NetcError, match=told):
        imported(SMALL, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Conv, [32, 3, 2]", "Conv, [32, 5, 2]"),
        ("Conv, [32, 3, 2]", "Conv, [32, 4, 2, 1]"),
        ("Conv, [32, 3, 2]", "Conv, [32, 3, 2, None, 2]"),
        ("Conv, [32, 3, 2]", "Conv, [32, 3, 2, None, 1, 1, nn.ReLU()]"),
        ("Conv, [32, 3, 2]", "Conv, [40, 3, 2]"),
        ("2, C3, [32]", "3, C3, [32]"),
        ("C3, [32]", "C3, [32, False]"),
        ("C2f, [16, True]", "C2f, [16]"),
        ("SPPF, [32, 5]", "SPPF, [32, 3]"),
        ("nearest", "bilinear"),
        ("[[-1, 1], 1, Concat", "[[1, -1], 1, Concat"),
        ("nc: 5", "nc: 5\nactivation: nn.ReLU()"),
        ("nc: 5", "nc: 5\nreg_max: 8"),
    ],
)
def test_every_word_of_a_file_counts(old: str, new: str, tmp_path: Path) -> None:
    """What is changed in the file is changed in the network."""
    assert SMALL.count(old)
    before, after = imported(SMALL, tmp_path), imported(SMALL.replace(old, new, 1), tmp_path)
    assert statements(before) != statements(after)


def statements(found: netc.Imported) -> list[str]:
    from netc.ir.flat import flatten

    flat = flatten(found.network.ir)
    return [f"{s.path} {s.node.op} {[wire.path for wire in s.inputs]}" for s in flat.nodes]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nc: 80\n", "neither a backbone nor a head"),
        ("netc: 1\nname: x\n", "is already a netc spec"),
        ("backbone: 3\n", "backbone must be a list of rows"),
        ("backbone:\n  - [-1, 1, Conv]\n", r"line 2: a row is \[from, repeats, module, arguments\]"),
        ("backbone:\n  - [-1, 1, Magic, [8]]\n", r"line 2, layer 0 \[Magic\]: netc does not know this module"),
        ("backbone:\n  - [4, 1, Conv, [8]]\n", "line 2: reads a layer that does not come before it"),
        ("backbone:\n  - [-1, 1, Conv, [8, 3, 2, 1, 1, 1, 'eval(1)']]\n", "is not supported"),
        ("backbone:\n  - [-1, 1, Conv, [many]]\n", "its channels are not a whole number"),
        ("backbone:\n  - [-1, 1, nn.ZeroPad2d, [[1, 2]]]\n", "its arguments are not those of the module"),
        ("backbone:\n  - [-1, 100000, Conv, [8]]\n", "repeats must be a whole number"),
        ("scales: {n: [1]}\nbackbone:\n  - [-1, 1, Conv, [8]]\n", "scale n must be"),
        ("activation: nn.Unheard()\nbackbone:\n  - [-1, 1, Conv, [8]]\n", "netc has no activation nn.Unheard"),
        ("backbone:\n  - [-1, 1, Conv, [8]]\n  - [&a [-1, 1, Conv, [8]]]\n", "anchor"),
    ],
)
def test_hostile_files_end_in_diagnostics(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(NetcError, match=told):
        imported(text, tmp_path)
