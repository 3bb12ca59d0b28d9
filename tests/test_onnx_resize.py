"""Resizing in ONNX: PyTorch's sizes in ONNX Runtime and in onnx's shape inference, and PyTorch's elements."""

from __future__ import annotations

from math import inf
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

import netc
from netc.backends.onnx import OnnxOptions, build_model, write_onnx_fresh
from netc.diagnostics.model import NetcError
from netc.ops.narrow import largest, reaching, rounded
from netc.run import open_model
from netc.verify.graph import check_file, check_shapes

NEAREST = ("nearest", "nearest-exact")
RANKS = {"linear": (1,), "bilinear": (2,), "bicubic": (2,), "trilinear": (3,)}
MODES = (*NEAREST, *RANKS, "area")
OPSETS = (17, 19, 21, 23)


def check(
    line: str,
    shape: str,
    n: tuple[int, ...],
    torchs: dict[str, Any],
    folder: Path,
    *,
    like: str = "",
    dtype: str = "float32",
    opset: int = 21,
    **binding: int,
) -> None:
    """`interpolate LINE` of N×2×`shape`, `n` in numbers: sizes and values are PyTorch's."""
    image, skip = (f"{{shape: [N, 2, {sizes}], dtype: {dtype}}}" for sizes in (shape, like))
    inputs = f"image: {image}, skip: {skip}" if like else f"image: {image}"
    spec = f"netc: 1\nname: resized\ninputs: {{{inputs}}}\nnet: {{out: interpolate {line} @image}}\n"
    model, what = folder / "model.onnx", f"{spec} {n}, opset {opset}"
    write_onnx_fresh(netc.load(spec).ir, model, options=OnnxOptions(opset=opset))
    torch.manual_seed(sum(n))
    given = {"image": torch.randn(2, 2, *n, dtype=getattr(torch, dtype))}
    expected = F.interpolate(given["image"], **torchs)
    given["skip"] = torch.zeros_like(expected)
    assert check_file(model).ok, f"{what}: {check_file(model).detail}"
    found = check_shapes(model, {"N": 2} | binding)
    assert found.ok, f"{what}: {found.detail}"
    session = open_model(model, "cpu")
    result = torch.from_numpy(session.run(None, {name: given[name].numpy() for name in session.inputs})[0])
    assert result.shape == expected.shape, what
    compare(result, expected, max(n), torchs["mode"], what)


def compare(found: Tensor, expected: Tensor, size: int, mode: str, what: str) -> None:
    """Equal where elements are taken; else positions have float32's digits, and neighbours differ by 10 at most."""
    if mode in NEAREST:
        assert torch.equal(found, expected), what
        return
    eps = torch.finfo(expected.dtype).eps
    tolerance = 16 * eps + 10 * size * torch.finfo(torch.float32).eps
    torch.testing.assert_close(found, expected, rtol=16 * eps, atol=tolerance, msg=what)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("n", "factor", "size"), [(90, 0.7, 62), (45, 1.4, 62), (5, 1.4, 7), (20, 0.7, 14)])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
def test_a_size_by_a_factor_is_pytorchs(
    mode: str, n: int, factor: float, size: int, opset: int, tmp_path: Path
) -> None:
    assert int(n * factor) == size
    torchs = {"scale_factor": factor, "mode": mode}
    check(f"scale_factor={factor} mode={mode}", f"{n}, {n}", (n, n), torchs, tmp_path, opset=opset)


@pytest.mark.parametrize(("n", "size"), [(28, 8), (7, 49), (1, 49), (4, 110), (2, 109), (2, 41), (300, 7), (9, 9)])
@pytest.mark.parametrize("mode", NEAREST)
def test_neighbours_are_pytorchs_where_rounding_decides(mode: str, n: int, size: int, tmp_path: Path) -> None:
    fixed, free = {"size": (size, size), "mode": mode}, {"size": (size,), "mode": mode}
    check(f"size={size} mode={mode}", f"{n}, {n}", (n, n), fixed, tmp_path)
    check(f"size={size} mode={mode}", f"{n}, {n}", (n, n), fixed, tmp_path, dtype="float64")
    check(f"size={size} mode={mode}", "h, w", (n, n), fixed, tmp_path, h=n, w=n)
    check(f"like=@skip mode={mode}", "h, w", (n, n), fixed, tmp_path, like="g, v", h=n, w=n, g=size, v=size)
    check(f"like=@skip mode={mode}", "l", (n,), free, tmp_path, like="m", l=n, m=size, opset=17)


@pytest.mark.parametrize(
    ("n", "factor"), [((2, 3), 2.2), ((2, 70), 2.2), ((3, 3), 1.3), ((78, 78), 2.01), ((8, 9), 0.3)]
)
@pytest.mark.parametrize("mode", NEAREST)
def test_small_planes_have_pytorchs_own_rule(mode: str, n: tuple[int, int], factor: float, tmp_path: Path) -> None:
    torchs = {"scale_factor": factor, "mode": mode}
    check(f"scale_factor={factor} mode={mode}", f"{n[0]}, {n[1]}", n, torchs, tmp_path)


@pytest.mark.parametrize("n", [(1, 1), (2, 3), (3, 30), (40, 41), (97, 2)])
@pytest.mark.parametrize("factor", [1.25, 2.25, 0.59375, 3.0, 0.5])
@pytest.mark.parametrize("mode", [*NEAREST, "area"])
def test_open_sizes_by_a_factor(mode: str, factor: float, n: tuple[int, int], tmp_path: Path) -> None:
    if min(n) * factor < 1:
        n = (n[0] + 1, n[1] + 1)
    torchs = {"scale_factor": factor, "mode": mode}
    check(f"scale_factor={factor} mode={mode}", "h, w", n, torchs, tmp_path, h=n[0], w=n[1])


@pytest.mark.parametrize("opset", OPSETS)
def test_an_area_of_open_sizes_is_an_average(opset: int, tmp_path: Path) -> None:
    for factor in (0.25, 0.75, 2):
        torchs = {"scale_factor": factor, "mode": "area"}
        check(f"scale_factor={factor} mode=area", "4*h, 4*w", (12, 20), torchs, tmp_path, opset=opset, h=3, w=5)
    check("like=@skip mode=area", "h, w", (12, 20), {"size": (5, 30), "mode": "area"}, tmp_path, like="g, v",
          opset=opset, h=12, w=20, g=5, v=30)  # fmt: skip


def test_whole_factors_stay_one_node(tmp_path: Path) -> None:
    for line in ("scale_factor=2 mode=nearest", "scale_factor=0.25 mode=nearest", "scale_factor=3 mode=nearest-exact"):
        network = netc.load(f"netc: 1\nname: n\ninputs: {{image: [N, 2, 4*h, 4*w]}}\nnet: {{y: interpolate {line}}}\n")
        assert [node.op_type for node in netc_model(network).graph.node] == ["Resize"], line


def netc_model(network: netc.Network) -> Any:
    return build_model(network.ir)


def test_a_resize_that_changes_nothing_is_left_out() -> None:
    """ONNX Runtime merges the factors 1, 1, 1, 1 of opset 17 with a weight of the same numbers, and then cannot read
    them where the weight lies in another file."""
    spec = """netc: 1
name: same
inputs: {image: [N, 4, h, w], like: [N, 3, h, w]}
net:
  norm: group_norm 2 @image
  same: interpolate like=@like mode=MODE @norm
  out: relu
"""
    for mode in ("nearest", "bilinear", "bicubic", "area"):
        kinds = [node.op_type for node in netc_model(netc.load(spec.replace("MODE", mode))).graph.node]
        assert "Resize" not in kinds
        assert kinds[-1] == "Relu"


def test_what_onnx_cannot_say_is_refused_at_its_line() -> None:
    network = netc.load(
        "netc: 1\nname: n\ninputs: {image: [N, 2, h, w]}\nnet: {y: interpolate scale_factor=1.25 mode=bilinear}\n"
    )
    with pytest.raises(NetcError, match=r"fewer than 4 elements.*use --bind, or a size .*4\*h") as found:
        netc_model(network)
    assert found.value.diagnostics[0].span is not None


def refusal(
    line: str, shape: str, n: tuple[int, ...], torchs: dict[str, Any], folder: Path, settings: dict[str, Any]
) -> str | None:
    """Why there is no file; None after it was compared."""
    try:
        check(line, shape, n, torchs, folder, **settings)
    except NetcError as error:
        return error.diagnostics[0].message
    return None


def drawn(random: Random) -> tuple[str, str, tuple[int, ...], dict[str, Any], dict[str, Any]]:
    """A line, the shape it reads as a spec says it and in numbers, PyTorch's arguments, and other settings."""
    mode = random.choice(MODES)
    rank = random.choice(RANKS.get(mode, (1, 2, 2, 3)))
    n = tuple(random.randint(1, (90, 90, 9)[rank - 1]) for _ in range(rank))
    fixed = [random.random() < 0.5 for _ in n]
    shape = ", ".join(str(k) if f else s for k, f, s in zip(n, fixed, "dhw", strict=False))
    settings: dict[str, Any] = {s: k for k, f, s in zip(n, fixed, "dhw", strict=False) if not f}
    settings["opset"] = random.choice(OPSETS)
    flag = mode in RANKS and random.random() < 0.3
    torchs: dict[str, Any] = {"mode": mode} | ({"align_corners": True} if flag else {})
    if random.random() < 0.4:
        size = tuple(random.choice((k, 2 * k, random.randint(1, 2 * k))) for k in n)
        return f"size=({' '.join(map(str, size))}) mode={mode}", shape, n, torchs | {"size": size}, settings
    factors = tuple(factor(random, f) for f in fixed)
    line = f"scale_factor=({' '.join(map(str, factors))}) mode={mode}"
    return line, shape, n, torchs | {"scale_factor": factors}, settings


def factor(random: Random, fixed: bool) -> float:
    return random.randint(20, 300) / 100 if fixed else random.choice((0.5, 0.75, 1.5, 2.0, 2.25, 2.5, 3.0, 1.25))


def test_resizing_at_random(tmp_path: Path) -> None:
    random, compared = Random(5), 0
    while compared < 150:
        line, shape, n, torchs, settings = drawn(random)
        if any(int(k * f) < 1 for k, f in zip(n, torchs.get("scale_factor", ()), strict=False)):
            continue
        if torchs.get("align_corners"):
            line += " align_corners=true"
        refused = refusal(line, shape, n, torchs, tmp_path, settings)
        assert refused is None or "use --bind" in refused, line
        compared += refused is None


def test_numbers_are_rounded_as_numpy_does() -> None:
    random = Random(3)
    for _ in range(3000):
        value = random.choice((1, -1)) * 10 ** random.uniform(-50, 45)
        with np.errstate(over="ignore"):
            assert rounded(value, "float32") == float(np.float32(value))
            assert rounded(value, "float16") == float(np.float16(value))
        assert rounded(value, "float64") == value
        expected = float(torch.tensor(value, dtype=torch.float64).to(torch.float32).to(torch.bfloat16))
        assert rounded(rounded(value, "float32"), "bfloat16") == expected
    assert [largest(dtype) for dtype in ("float16", "float32", "float64")] == [
        65504.0,
        float(np.finfo("float32").max),
        float(np.finfo("float64").max),
    ]
    assert rounded(65519.99, "float16") == 65504
    assert rounded(65520.0, "float16") == inf


def test_the_factor_written_gives_the_size_by_either_rounding() -> None:
    random = Random(7)
    for _ in range(3000):
        n, wanted = random.randint(1, 5000), random.uniform(0.001, 5)
        size = int(n * wanted)
        if size:
            found = reaching(n, wanted, size)
            assert int(n * found) == size == int(np.float32(n) * np.float32(found))
            assert found == float(np.float32(found))
            assert abs(found / wanted - 1) < 4 * 2.0**-24
