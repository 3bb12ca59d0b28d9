"""Weights files: the format, what fresh weights hold, and what a check finds."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from math import prod, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade import one_op
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from torch.nn.functional import conv_transpose2d, interpolate

import netc
from netc.diagnostics.model import NetcError
from netc.ir.model import Network
from netc.ops import OPERATORS
from netc.ops.fill import initialise
from netc.ops.records import Fill
from netc.types import TensorType
from netc.weights import TensorSpec, check_weights, init_weights, lay_out, read_index, tensors
from netc.weights.fill import BLOCK, filled


def compiled(text: str) -> Network:
    return netc.load(f"netc: 1\nname: small\n{text}\n").ir


CONV = "inputs: {image: [N, 3, 8, 8]}\nnet: [conv2d 16 3, batch_norm2d, relu, flatten, linear 10]"


def drawn(fill: Fill, dtype: str, count: int, seed: int = 0, name: str = "w") -> np.ndarray:
    data = b"".join(bytes(chunk) for chunk in filled(fill, dtype, count, seed, name))
    return np.frombuffer(data, dtype)


def test_the_safetensors_library_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    init_weights(compiled(CONV), path, seed=3)
    with safe_open(path, "pt") as file:
        assert file.metadata()["seed"] == "3"
        shapes = {key: tuple(file.get_tensor(key).shape) for key in file.keys()}  # noqa: SIM118
    assert shapes == {
        "0.weight": (16, 3, 3, 3),
        "0.bias": (16,),
        "1.weight": (16,),
        "1.bias": (16,),
        "1.running_mean": (16,),
        "1.running_var": (16,),
        "1.num_batches_tracked": (),
        "4.weight": (10, 576),
        "4.bias": (10,),
    }


def test_pytorch_builds_the_same_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    init_weights(compiled(CONV), path)
    nn = torch.nn
    module = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10))
    state = module.state_dict()
    found = read_index(path).tensors
    assert {k: (str(v.dtype).removeprefix("torch."), tuple(v.shape)) for k, v in state.items()} == {
        k: (v.dtype, v.shape) for k, v in found.items()
    }


def test_data_start_on_a_page_and_tensors_where_their_size_allows(tmp_path: Path) -> None:
    specs = [
        TensorSpec("odd", "int8", (3,)),
        TensorSpec("page", "float32", (1024,)),
        TensorSpec("count", "int64", ()),
        TensorSpec("half", "bfloat16", (5,)),
        TensorSpec("two", "float64", (1024,)),
    ]
    header, index = lay_out(tmp_path / "w", specs, {"doc": '"} ×'})
    starts = {name: entry.start for name, entry in index.tensors.items()}
    assert len(header) % 4096 == 0
    assert min(starts.values()) == len(header)
    assert starts["page"] % 4096 == starts["two"] % 4096 == starts["count"] % 8 == starts["half"] % 2 == 0


def test_what_safetensors_writes_can_be_read(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype="float32").reshape(2, 3), "b": np.arange(3), "e": np.zeros((0, 4), "float16")}
    save_file(arrays, tmp_path / "w.safetensors", {"made": "elsewhere"})
    data = (tmp_path / "w.safetensors").read_bytes()
    found = read_index(tmp_path / "w.safetensors").tensors
    assert {k: (e.dtype, e.shape) for k, e in found.items()} == {
        "a": ("float32", (2, 3)),
        "b": ("int64", (3,)),
        "e": ("float16", (0, 4)),
    }
    assert all(data[e.start : e.end] == arrays[k].tobytes() for k, e in found.items())


def entry(dtype: str = "F32", shape: tuple[int, ...] = (2,), offsets: tuple[int, ...] = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def safetensors_bytes(table: object, data: bytes = bytes(8)) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


BROKEN: dict[str, bytes] = {
    "empty": b"",
    "no header": bytes(8),
    "cut": safetensors_bytes({"a": entry()})[:-1],
    "long": safetensors_bytes({"a": entry()}) + b"x",
    "header beyond the file": struct.pack("<Q", 2**63) + b"{}",
    "no object": safetensors_bytes([]),
    "no JSON": safetensors_bytes(b"{"),
    "no UTF-8": safetensors_bytes(b'{"\xff": 1}'),
    "deep": safetensors_bytes(b'{"a": ' + b"[" * 100_000),
    "unknown dtype": safetensors_bytes({"a": entry("F7")}),
    "wrong size": safetensors_bytes({"a": entry(shape=(3,))}),
    "negative": safetensors_bytes({"a": entry(shape=(-2, -1))}),
    "backwards": safetensors_bytes({"a": entry(offsets=(8, 0))}),
    "outside": safetensors_bytes({"a": entry(offsets=(8, 16))}),
    "overlap": safetensors_bytes({"a": entry(), "b": entry(shape=(1,), offsets=(4, 8))}),
    "gap": safetensors_bytes({"a": entry(shape=(1,), offsets=(0, 4))}),
    "three offsets": safetensors_bytes({"a": entry(offsets=(0, 4, 8))}),
    "metadata": safetensors_bytes({"a": entry(), "__metadata__": {"n": 1}}),
}


@pytest.mark.parametrize("label", BROKEN)
def test_broken_files_are_refused_as_the_library_refuses_them(label: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(BROKEN[label])
    with pytest.raises((SafetensorError, ValueError)):
        load_file(path)
    with pytest.raises(NetcError) as caught:
        read_index(path)
    assert [d.code for d in caught.value.diagnostics] == ["weights-file"]
    assert str(path) in str(caught.value)


def test_a_header_is_at_most_100_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_001))
        file.truncate(100_000_020)
    with pytest.raises(NetcError, match="100000000 are allowed"):
        read_index(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    found = check_weights(compiled(CONV), tmp_path / "none.safetensors")
    assert [d.code for d in found] == ["weights-file"]
    assert "none.safetensors" in found[0].message


@pytest.mark.parametrize(
    ("change", "code", "name"),
    [
        (lambda w: w.pop("4.bias"), "weights-missing", "4.bias"),
        (lambda w: w.update(extra=np.zeros(3, "float32")), "weights-extra", "extra"),
        (lambda w: w.update({"0.bias": np.zeros(17, "float32")}), "weights-shape", "0.bias"),
        (lambda w: w.update({"0.bias": np.zeros(16, "float64")}), "weights-dtype", "0.bias"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    change: Callable[[dict[str, np.ndarray]], object], code: str, name: str, tmp_path: Path
) -> None:
    network, path = compiled(CONV), tmp_path / "w.safetensors"
    init_weights(network, path)
    assert check_weights(network, path) == []
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    (found,) = check_weights(network, path)
    assert (found.code, found.path) == (code, name)
    assert name in found.message


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    save_file({"4.bias": np.zeros(10, "float32")}, tmp_path / "w.safetensors")
    assert [d.code for d in check_weights(compiled(CONV), tmp_path / "w.safetensors")] == ["weights-missing"] * 8


def test_seeds_decide_and_names_keep_streams_apart(tmp_path: Path) -> None:
    network = compiled(CONV)
    files = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for path, seed in zip(files, (0, 0, 1), strict=True):
        init_weights(network, path, seed)
    same, again, other = (load_file(path) for path in files)
    assert all(np.array_equal(same[k], again[k]) for k in same)
    assert not np.array_equal(same["0.weight"], other["0.weight"])
    longer = tmp_path / "longer.safetensors"
    init_weights(compiled(CONV.replace("linear 10]", "linear 10, relu, linear 20]")), longer)
    assert np.array_equal(load_file(longer)["4.weight"], same["4.weight"])


def test_uniform_normal_and_constant_numbers() -> None:
    n = BLOCK + 1000
    uniform = drawn(Fill("uniform", -0.25, 0.75), "float32", n)
    normal = drawn(Fill("normal", 1.0, 0.5), "float32", n)
    assert -0.25 <= uniform.min() < -0.2499
    assert 0.7499 < uniform.max() <= 0.75
    assert abs(uniform.mean() - 0.25) < 5 / sqrt(n)
    assert abs(normal.mean() - 1) < 5 * 0.5 / sqrt(n)
    assert abs(normal.std() - 0.5) < 0.001
    assert not np.array_equal(normal[:1000], normal[BLOCK:])
    assert set(drawn(Fill("constant", 7), "int64", 5)) == {7}


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.01), (0.0, 1.0), (0.5, 1.0), (-1.0, 3.0), (0.0, 50.0), (3.0, 1.0)])
def test_truncated_normals_are_distributed_as_pytorch_draws_them(mean: float, std: float) -> None:
    n = 200_000
    torch.manual_seed(0)
    theirs = torch.nn.init.trunc_normal_(torch.empty(n), mean, std).numpy()
    ours = drawn(Fill("trunc_normal", mean, std), "float32", n)
    assert np.abs(ours).max() <= 2
    at = np.quantile(theirs, np.linspace(0.02, 0.98, 25))
    shares = [np.searchsorted(np.sort(x), at) / n for x in (ours, theirs)]
    assert np.abs(shares[0] - shares[1]).max() < 5 * 0.5 * sqrt(2 / n)


def test_a_blank_part_crosses_chunks() -> None:
    found = drawn(Fill("normal", 0, 1, (BLOCK - 3, BLOCK + 5)), "float32", BLOCK + 10)
    assert np.flatnonzero(found == 0).tolist() == list(range(BLOCK - 3, BLOCK + 5))
    whole = drawn(Fill("normal", 0, 1), "float32", BLOCK + 10)
    assert np.array_equal(found[: BLOCK - 3], whole[: BLOCK - 3])


@pytest.mark.parametrize(("factor", "groups"), [(2, 1), (4, 1), (8, 1), (4, 3)])
def test_bilinear_transposed_convolutions_interpolate(factor: int, groups: int) -> None:
    """Away from the border, where interpolation repeats what lies outside."""
    shape = (3, 3 // groups, 2 * factor, 2 * factor)
    weight = torch.tensor(drawn(initialise("bilinear", shape), "float32", prod(shape))).reshape(shape)
    image = torch.randn(2, 3, 5, 6)
    found = conv_transpose2d(image, weight, stride=factor, padding=factor // 2, groups=groups)
    expected = interpolate(image, scale_factor=factor, mode="bilinear")
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(found[inside], expected[inside])


@pytest.mark.parametrize("shape", [(300, 300, 7, 7), (4, 3, 5), (3, 5, 2, 3, 4)])
def test_bilinear_weights_stand_on_the_diagonal(shape: tuple[int, ...]) -> None:
    found = drawn(initialise("bilinear", shape), "float32", prod(shape)).reshape(shape)
    expected = np.zeros(shape, "float32")
    for row in range(shape[0]):
        expected[row, row % shape[1]] = found[0, 0]
    assert np.array_equal(found, expected)
    middle = found[(0, 0, *[size // 2 for size in shape[2:]])]
    assert middle == found.max() == prod(1 if size % 2 else 1 - 1 / size for size in shape[2:])


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_other_float_types_round_the_same_numbers(dtype: str) -> None:
    data = b"".join(bytes(c) for c in filled(Fill("normal", 0, 1), dtype, 1000, 0, "w"))
    found = torch.frombuffer(bytearray(data), dtype=getattr(torch, dtype))
    if dtype == "float64":
        assert abs(float(found.std()) - 1) < 0.1
    else:
        full = torch.from_numpy(drawn(Fill("normal", 0, 1), "float32", 1000).copy())
        assert torch.equal(found, full.to(found.dtype))


@pytest.mark.parametrize(
    ("line", "torch_module"),
    [("conv2d 128 3", torch.nn.Conv2d(32, 128, 3)), ("linear 400", torch.nn.Linear(300, 400))],
)
def test_operators_start_as_in_pytorch(line: str, torch_module: torch.nn.Module, tmp_path: Path) -> None:
    """One bound for weight and bias: the largest of PyTorch's many weights shows it."""
    shape = "[N, 32, 8, 8]" if "conv" in line else "[N, 300]"
    init_weights(compiled(f"inputs: {{image: {shape}}}\nnet: {{layer: {line}}}"), tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    bound = float(torch_module.weight.detach().abs().max())
    for name, theirs in torch_module.state_dict().items():
        ours = found[f"layer.{name}"]
        assert 0.85 * bound < abs(ours).max() < 1.001 * bound
        assert 0.85 * bound < float(theirs.abs().max()) < 1.001 * bound
        assert ours.std() == pytest.approx(bound / sqrt(3), rel=0.2)


INIT = """inputs: {image: [N, 16, 16, 16]}
init:
  conv2d: normal std=scale
  conv2d.bias: constant 3
  linear: uniform -1 2
  "b*.weight": kaiming_normal mode=fan_out nonlinearity=relu
args: {scale: 0.5}
net: {a1: conv2d 64 3, b1: [conv2d 64 3, relu], flatten: flatten, c1: linear 50}
"""


def test_the_last_rule_that_matches_wins(tmp_path: Path) -> None:
    init_weights(compiled(INIT), tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    assert found["a1.weight"].std() == pytest.approx(0.5, rel=0.05)
    assert found["b1.0.weight"].std() == pytest.approx(sqrt(2 / (64 * 9)), rel=0.05)
    assert set(found["a1.bias"]) == set(found["b1.0.bias"]) == {3.0}
    assert -1 <= found["c1.weight"].min() < -0.99
    assert 1.99 < found["c1.weight"].max() <= 2
    assert abs(found["c1.bias"]).max() < 0.1


@pytest.mark.parametrize(
    ("rule", "code", "text"),
    [
        ("conv2d: kaming_normal", "unknown-init", "kaming_normal"),
        ("conv2d: constant", "bad-argument", "constant"),
        ("conv2d: normal std=-1", "bad-argument", "normal std=-1"),
        ("conv2d.bias: xavier_normal", "bad-argument", "xavier_normal"),
        ("conv2d: normal std=nothing", "unknown-name", "nothing"),
    ],
)
def test_bad_rules_are_placed(rule: str, code: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(NetcError) as caught:
        init_weights(
            compiled(f"init: {{{rule}}}\ninputs: {{image: [N, 3, 8, 8]}}\nnet: conv2d 4 3"), tmp_path / "w.safetensors"
        )
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert found.span is not None
    assert found.span.text == text


def test_an_imported_file_brings_its_rules_and_the_importer_overrides_by_path(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text(
        'netc: 1\nname: inner\ninputs: {image: [N, 8, 6, 6]}\ninit: {conv2d: constant 1, "b*": constant 2}\n'
        "net: {a1: conv2d 8 1, b1: conv2d 8 1, c1: conv2d 8 1}\n"
    )
    (tmp_path / "outer.yaml").write_text(
        'netc: 1\nname: outer\ninputs: {image: [N, 8, 6, 6]}\ninit: {conv2d: constant 4, "body.c1.*": constant 5}\n'
        "import: {inner: inner.yaml}\nnet: {body: inner, last: conv2d 2 1}\n"
    )
    init_weights(netc.load(tmp_path / "outer.yaml").ir, tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    weights = {
        k: float(found[k].flat[0]) for k in ("body.a1.weight", "body.b1.weight", "body.c1.weight", "last.weight")
    }
    assert weights == {"body.a1.weight": 1, "body.b1.weight": 2, "body.c1.weight": 5, "last.weight": 4}


def test_progress_counts_all_bytes(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    network = compiled(CONV)
    init_weights(network, tmp_path / "w.safetensors", progress=lambda done, total: seen.append((done, total)))
    total = sum(spec.size for spec in tensors(network))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (total, total)


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        init_weights(compiled(CONV), tmp_path / "nowhere" / "w.safetensors")


def test_float16_networks_have_float16_weights() -> None:
    network = one_op(OPERATORS["linear"](out_features=3), TensorType((2, 5), "float16"))
    assert {spec.dtype for spec in tensors(network)} == {"float16"}


def test_rules_follow_the_arguments_of_each_use_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text(
        "netc: 1\nname: inner\nargs: {level: 1}\ninputs: {image: [N, 8, 6, 6]}\ninit: {conv2d: constant level}\n"
        "net: {a: conv2d 8 1}\n"
    )
    (tmp_path / "outer.yaml").write_text(
        "netc: 1\nname: outer\ninputs: {image: [N, 8, 6, 6]}\nimport: {inner: inner.yaml}\n"
        "net: {one: inner level=5, two: inner level=7}\n"
    )
    init_weights(netc.load(tmp_path / "outer.yaml").ir, tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    assert [set(found[f"{name}.a.weight"].ravel().tolist()) for name in ("one", "two")] == [{5.0}, {7.0}]


def test_weights_that_somebody_trained_are_not_replaced_by_fresh_ones(tmp_path: Path) -> None:
    network = netc.load(f"netc: 1\nname: small\n{CONV}\n")
    weights = tmp_path / "net.safetensors"
    network.write_onnx(tmp_path / "net.onnx")
    network.write_onnx(tmp_path / "net.onnx", seed=1)
    save_file({name: np.array(tensor + 1) for name, tensor in load_file(weights).items()}, weights)
    trained = weights.read_bytes()
    with pytest.raises(NetcError, match="netc did not draw"):
        network.write_onnx(tmp_path / "net.onnx")
    assert weights.read_bytes() == trained
    network.write_onnx(tmp_path / "net.onnx", weights)
    assert weights.read_bytes() == trained
