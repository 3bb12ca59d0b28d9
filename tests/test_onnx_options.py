"""What `netc onnx` may be asked for besides an opset: functions, dtypes, images made ready, where weights lie."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.numpy import load_file, save_file
from vision import torchvision

import netc
from netc.backends.onnx import OnnxOptions, cpu_only, write_onnx, write_onnx_fresh
from netc.cli.main import cli
from netc.diagnostics.model import NetcError
from netc.ir.model import Network
from netc.passes.serve import IMAGENET, Normalisation, Serving
from netc.run import open_model
from netc.verify import verify
from netc.verify.graph import check_file
from netc.weights import fresh_layout, init_weights, read_index

SPECS = Path(__file__).parents[1] / "specs"
SMALL = """netc: 1
name: small
inputs: {image: [N, 3, 8, 6]}
blocks:
  unit: {args: c, net: {conv: conv2d c 3 padding=1, norm: batch_norm2d, act: relu}}
  pair: {args: c, net: {one: unit c, two: unit c}}
net: {stem: conv2d 4 3 padding=1, body: pair 4, again: pair 4, flatten: flatten, fc: linear 7}
outputs: {scores: fc}
"""


def compiled(text: str = SMALL, **options: Any) -> Network:
    return netc.load(text, **options).ir


def run(model: Path, *inputs: np.ndarray) -> list[np.ndarray]:
    """Results of a file that onnx's checker accepts."""
    assert check_file(model).ok, check_file(model).detail
    session = open_model(model, "cpu")
    return session.run(None, dict(zip(session.inputs, inputs, strict=True)))


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def trained(network: Network, path: Path) -> Path:
    """Weights whose norms do something."""
    path.parent.mkdir(exist_ok=True)
    init_weights(network, path, seed=3)
    held = load_file(path)
    generator = np.random.default_rng(1)
    save_file(
        {k: v if v.ndim != 1 else generator.uniform(0.5, 1.5, v.shape).astype(v.dtype) for k, v in held.items()}, path
    )
    return path


def graph(model: Path) -> onnx.ModelProto:
    return onnx.load(model, load_external_data=False)


def places(model: Path) -> set[str]:
    """The files a model refers to."""
    return {e.value for t in graph(model).graph.initializer for e in t.external_data if e.key == "location"}


def netc_onnx(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["onnx", *map(str, arguments)])


# Functions


def test_blocks_are_functions_that_their_uses_share(tmp_path: Path) -> None:
    weights = trained(compiled(), tmp_path / "w.safetensors")
    write_onnx(compiled(), tmp_path / "plain.onnx", weights)
    write_onnx(compiled(), tmp_path / "blocks.onnx", weights, OnnxOptions(functions=True))
    model = graph(tmp_path / "blocks.onnx")
    assert [(f.name, [n.op_type for n in f.node]) for f in model.functions] == [
        ("unit", ["Conv", "BatchNormalization", "Relu"]),
        ("pair", ["unit", "unit"]),
    ]
    assert [(n.name, n.op_type) for n in model.graph.node] == [
        ("stem", "Conv"),
        ("body", "pair"),
        ("again", "pair"),
        ("flatten", "Reshape"),
        ("fc", "Gemm"),
    ]
    assert list(model.functions[1].input)[:3] == ["in", "one.conv.weight", "one.conv.bias"]
    assert "body.two.norm.running_var" in model.graph.node[1].input
    x = images(2, 3, 8, 6)
    np.testing.assert_array_equal(*(run(tmp_path / f"{name}.onnx", x)[0] for name in ("plain", "blocks")))


CONSTANTS = """netc: 1
name: constants
inputs: {a: [2, 3, 4, 4], b: [2, 3, 4, 4]}
blocks:
  mix:
    inputs: [one, other]
    net:
      offset: constant (1 2 3) shape=(3 1 1)
      moved: add @one @offset
      halves: chunk 2 3 @other
      wide: concat 3 @halves.1 @halves.0
      mean: mean (2 3) keepdim=true @moved
    outputs: {moved: moved, wide: wide, mean: mean}
net:
  first: mix @a @b
  second: mix @first.wide @first.moved
outputs: {moved: second.moved, wide: second.wide, mean: first.mean}
"""


def test_functions_have_several_inputs_and_outputs_and_their_own_constants(tmp_path: Path) -> None:
    network = compiled(CONSTANTS)
    write_onnx_fresh(network, tmp_path / "plain.onnx")
    write_onnx_fresh(network, tmp_path / "blocks.onnx", options=OnnxOptions(functions=True))
    model = graph(tmp_path / "blocks.onnx")
    assert [n.op_type for n in model.graph.node] == [f.name for f in model.functions]
    assert not model.graph.initializer
    x = images(2, 3, 4, 4), images(2, 3, 4, 4, seed=1)
    for plain, ours in zip(*(run(tmp_path / f"{name}.onnx", *x) for name in ("plain", "blocks")), strict=True):
        np.testing.assert_array_equal(plain, ours)


def test_a_network_without_blocks_has_no_functions(tmp_path: Path) -> None:
    network = netc.load(SPECS / "lenet5.yaml").ir
    write_onnx_fresh(network, tmp_path / "model.onnx", options=OnnxOptions(functions=True))
    model = graph(tmp_path / "model.onnx")
    assert not model.functions
    assert [o.domain for o in model.opset_import] == [""]


# Opsets


@pytest.mark.parametrize(("opset", "ir"), [(17, 8), (19, 9), (21, 10), (23, 11)])
def test_the_file_format_is_that_of_the_opset(opset: int, ir: int, tmp_path: Path) -> None:
    write_onnx_fresh(compiled(), tmp_path / "model.onnx", options=OnnxOptions(opset=opset, functions=True))
    model = graph(tmp_path / "model.onnx")
    assert (model.ir_version, model.opset_import[0].version) == (ir, opset)
    assert run(tmp_path / "model.onnx", images(1, 3, 8, 6))[0].shape == (1, 7)


def test_from_opset_22_on_cuda_has_no_kernel_for_max_pools() -> None:
    network = compiled("netc: 1\nname: one\ninputs: {image: [N, 3, 8, 8]}\nnet: [max_pool2d 2]\n")
    assert [cpu_only(network, OnnxOptions(opset=opset)) for opset in (21, 22)] == [(), ("0",)]


def test_what_an_opset_lacks_is_an_error_at_its_line(tmp_path: Path) -> None:
    spec = tmp_path / "wrap.yaml"
    spec.write_text("netc: 1\nname: wrap\ninputs: {image: [N, 3, 8, 8]}\nnet: {pad: pad 1 mode=circular}\n")
    result = netc_onnx(spec, "-o", tmp_path / "m.onnx", "--opset", 18)
    assert result.exit_code == 1
    assert "wrap.yaml:4" in result.stderr
    assert "pad cannot be written to ONNX: Pad with mode wrap needs opset 19" in result.stderr
    assert os.listdir(tmp_path) == ["wrap.yaml"]
    assert netc_onnx(spec, "-o", tmp_path / "m.onnx", "--opset", 24).exit_code == 2


# Element types


def test_given_weights_are_converted_to_the_type_asked_for(tmp_path: Path) -> None:
    weights = trained(compiled(), tmp_path / "w.safetensors")
    write_onnx(compiled(), tmp_path / "wide.onnx", weights)
    before = weights.read_bytes()
    half = compiled(dtype="float16")
    write_onnx(half, tmp_path / "half.onnx", weights, OnnxOptions(convert=True))
    assert weights.read_bytes() == before
    wide, narrow = load_file(weights), load_file(tmp_path / "half.safetensors")
    assert {k: v.dtype for k, v in narrow.items()} == {k: "int64" if "num" in k else "float16" for k in wide}
    assert all(np.array_equal(narrow[k], v.astype(narrow[k].dtype)) for k, v in wide.items())
    x = images(2, 3, 8, 6)
    (exact,), (found,) = run(tmp_path / "wide.onnx", x), run(tmp_path / "half.onnx", x.astype("float16"))
    assert found.dtype == "float16"
    np.testing.assert_allclose(found, exact, rtol=0, atol=4e-3 * abs(exact).max())


def test_weights_of_the_wrong_type_are_converted_on_request_only(tmp_path: Path) -> None:
    init_weights(compiled(), tmp_path / "w.safetensors")
    with pytest.raises(NetcError, match="weights-dtype"):
        write_onnx(compiled(dtype="float16"), tmp_path / "m.onnx", tmp_path / "w.safetensors")
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_weights_too_large_for_the_type_are_refused(tmp_path: Path) -> None:
    init_weights(compiled(), tmp_path / "w.safetensors")
    held = load_file(tmp_path / "w.safetensors")
    held["fc.bias"][2] = 1e5
    save_file(held, tmp_path / "w.safetensors")
    (tmp_path / "m.onnx").write_text("old")
    for placement in ("beside", "single"):
        options = OnnxOptions(convert=True, placement=placement)
        with pytest.raises(NetcError, match=r"fc\.bias in .*: 1 of 7 values too large for float16"):
            write_onnx(compiled(dtype="float16"), tmp_path / "m.onnx", tmp_path / "w.safetensors", options)
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", "w.safetensors"]
    assert (tmp_path / "m.onnx").read_text() == "old"


def test_weights_that_have_the_type_already_stay_where_they_are(tmp_path: Path) -> None:
    half = compiled(dtype="float16")
    init_weights(half, tmp_path / "w.safetensors")
    write_onnx(half, tmp_path / "m.onnx", tmp_path / "w.safetensors", OnnxOptions(convert=True))
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", "w.safetensors"]


def test_tensors_without_input_follow_the_type_unless_they_name_one() -> None:
    text = (
        "netc: 1\nname: sources\ninputs: {image: [N, 3, 8, 8], ids: {shape: [N], dtype: int64}}\nnet:\n"
        "  scale: parameter (3 1 1)\n  mean: constant 0.5\n  own: constant 2 dtype=float32\n"
        "  a: mul @image @scale\n  b: sub @a @mean\noutputs: {b: b, own: own, ids: ids}\n"
    )
    network = netc.load(text, dtype="float16")
    assert {name: t.dtype for name, t in network.inputs.items()} == {"image": "float16", "ids": "int64"}
    assert [t.dtype for t in network.outputs.values()] == ["float16", "float32", "int64"]


def test_bfloat16_is_refused_where_there_is_no_kernel(tmp_path: Path) -> None:
    result = netc_onnx(SPECS / "lenet5.yaml", "-o", tmp_path / "m.onnx", "--dtype", "bfloat16")
    assert result.exit_code == 1
    assert "conv2d cannot run: ONNX Runtime has no bfloat16 kernel for Conv on the CPU" in result.stderr
    assert not os.listdir(tmp_path)


def test_inputs_and_outputs_may_stay_float32(tmp_path: Path) -> None:
    weights = trained(compiled(), tmp_path / "w.safetensors")
    options = OnnxOptions(convert=True, serving=Serving(keep_io=True))
    write_onnx(compiled(dtype="float16"), tmp_path / "kept.onnx", weights, options)
    write_onnx(compiled(dtype="float16"), tmp_path / "half.onnx", weights, OnnxOptions(convert=True))
    x = images(2, 3, 8, 6)
    (kept,), (half,) = run(tmp_path / "kept.onnx", x), run(tmp_path / "half.onnx", x.astype("float16"))
    assert kept.dtype == "float32"
    np.testing.assert_allclose(kept, half, rtol=2e-3, atol=1e-3)
    assert [o.name for o in graph(tmp_path / "kept.onnx").graph.output] == ["scores"]


# What stands around a network


def test_bytes_with_channels_last_become_what_torchvision_makes_of_them(tmp_path: Path) -> None:
    weights = trained(compiled(), tmp_path / "w.safetensors")
    write_onnx(compiled(), tmp_path / "plain.onnx", weights)
    serving = Serving(image_dtype="uint8", layout="nhwc", resize=(11, 9), normalise=IMAGENET, softmax=True, topk=3)
    write_onnx(compiled(), tmp_path / "served.onnx", weights, OnnxOptions(serving=serving))
    resize, center_crop = (getattr(torchvision.transforms.functional, name) for name in ("resize", "center_crop"))
    for height, width in ((40, 31), (8, 6), (5, 50)):
        given = np.random.default_rng(height).integers(0, 256, (2, height, width, 3), dtype="uint8")
        ready = torch.from_numpy(given).permute(0, 3, 1, 2).float() / 255
        ready = center_crop(resize(ready, [11, 9], antialias=True), [8, 6])
        mean, std = (torch.tensor(n).view(3, 1, 1) for n in (IMAGENET.mean, IMAGENET.std))
        scores = torch.from_numpy(run(tmp_path / "plain.onnx", ((ready - mean) / std).numpy())[0])
        expected = scores.softmax(1).topk(3)
        values, indices = run(tmp_path / "served.onnx", given)
        np.testing.assert_allclose(values, expected.values, rtol=1e-4)
        np.testing.assert_array_equal(indices, expected.indices)


def test_the_file_says_what_it_does_with_images_and_keeps_names(tmp_path: Path) -> None:
    serving = Serving(image_dtype="uint8", layout="nhwc", resize=(16, 12), normalise=Normalisation((0.5,), (0.2,)))
    write_onnx_fresh(compiled(), tmp_path / "m.onnx", options=OnnxOptions(serving=serving))
    model = graph(tmp_path / "m.onnx")
    meta = {p.key: p.value for p in model.metadata_props}
    assert {k: meta[k] for k in ("input_layout", "input_dtype", "resize", "normalize")} == {
        "input_layout": "nhwc",
        "input_dtype": "uint8",
        "resize": "16x12",
        "normalize": "mean=0.5 std=0.2",
    }
    (given,), (made,) = model.graph.input, model.graph.output
    sizes = [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim]
    assert (given.name, sizes, made.name) == ("image", ["N", "u", "v", 3], "scores")
    assert {i.name for i in model.graph.initializer if i.external_data} == {
        name for name in load_file(tmp_path / "m.safetensors") if "num_batches" not in name
    }


@pytest.mark.parametrize(
    "serving",
    [
        Serving(layout="nhwc", softmax=True),
        Serving(normalise=Normalisation((10.0, 20.0, 30.0), (2.0, 3.0, 4.0), 2.0)),
        Serving(resize=(8, 6)),
    ],
)
def test_a_served_network_is_one_like_any_other(serving: Serving) -> None:
    """It has a PyTorch module, whose results are those of the ONNX file."""
    report = verify(netc.load(SMALL).served(serving).ir)
    assert report.ok, "\n".join(report.lines())


@pytest.mark.parametrize(
    ("text", "serving", "reason"),
    [
        (SMALL, Serving(resize=(7, 6)), "images of 7×6 are too small for a network that takes N×3×8×6"),
        (SMALL.replace("8, 6]", "8*h, 6]").replace(", flatten: flatten, fc: linear 7", "").replace("fc}", "again}"),
         Serving(resize=(64, 64)), "images can be resized where the network takes one size"),
        (SMALL, Serving(normalise=Normalisation((1.0, 2.0), (1.0,))), "2 means do not fit images of 3 channels"),
        (SMALL.replace("scores: fc", "scores: fc, features: again"), Serving(topk=1), "network of one output"),
        ("netc: 1\nname: flat\ninputs: {vector: [N, 3]}\nnet: [linear 2]\n", Serving(layout="nhwc"), "has no image"),
        (SMALL, Serving(topk=8), "of size 7 has fewer than 8 elements"),
    ],
)  # fmt: skip
def test_what_does_not_fit_a_network_is_refused(text: str, serving: Serving, reason: str, tmp_path: Path) -> None:
    with pytest.raises(NetcError, match=reason):
        write_onnx_fresh(compiled(text), tmp_path / "m.onnx", options=OnnxOptions(serving=serving))
    assert not os.listdir(tmp_path)


def test_the_command_reads_numbers_for_images(tmp_path: Path) -> None:
    spec = tmp_path / "small.yaml"
    spec.write_text(SMALL)
    ours = ("-o", tmp_path / "m.onnx", "--normalize", "mean=0.5,0.25,1e-1,std=.5,scale=1/255", "--resize", "9,8")
    assert netc_onnx(spec, *ours, "--softmax", "--topk", 2, "--input-layout", "nhwc").exit_code == 0
    meta = {p.key: p.value for p in graph(tmp_path / "m.onnx").metadata_props}
    assert meta["normalize"] == f"mean=0.5,0.25,0.1 std=0.5 scale={1 / 255}"
    assert (meta["resize"], meta["softmax"], meta["topk"]) == ("9x8", "1", "2")


@pytest.mark.parametrize(
    "wrong",
    [
        *(["--normalize", text] for text in ("mean=1", "std=1", "mean=1,std=0", "0.5", "mean=a,std=1", "")),
        ["--normalize", "mean=1 2,std=1,x"],
        *(["--resize", text] for text in ("0", "1,2,3", "a", "8,")),
        ["--single-file", "--copy-weights"],
        ["--single-file", "--shard-size", "1MB"],
    ],
)  # fmt: skip
def test_the_command_refuses_what_it_cannot_read(wrong: list[str], tmp_path: Path) -> None:
    spec = tmp_path / "small.yaml"
    spec.write_text(SMALL)
    assert netc_onnx(spec, "-o", tmp_path / "m.onnx", *wrong).exit_code == 2
    assert os.listdir(tmp_path) == ["small.yaml"]


# Files


def test_a_single_file_holds_its_weights(tmp_path: Path) -> None:
    weights = trained(compiled(), tmp_path / "far" / "w.safetensors")
    write_onnx(compiled(), tmp_path / "plain.onnx", weights)
    write_onnx(compiled(), tmp_path / "alone" / "m.onnx", weights, OnnxOptions(placement="single"))
    assert os.listdir(tmp_path / "alone") == ["m.onnx"]
    held = load_file(weights)
    for tensor in graph(tmp_path / "alone" / "m.onnx").graph.initializer:
        if tensor.name in held:
            np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), held[tensor.name])
    x = images(2, 3, 8, 6)
    alone, plain = run(tmp_path / "alone" / "m.onnx", x), run(tmp_path / "plain.onnx", x)
    np.testing.assert_array_equal(alone[0], plain[0])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_single_file_of_fresh_weights_holds_those_of_the_seed(dtype: str, tmp_path: Path) -> None:
    network = compiled(dtype=dtype)
    init_weights(network, tmp_path / "w.safetensors", seed=5)
    write_onnx_fresh(network, tmp_path / "m.onnx", 5, options=OnnxOptions(placement="single"))
    held = load_file(tmp_path / "w.safetensors")
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in graph(tmp_path / "m.onnx").graph.initializer}
    found = {name: np.array_equal(tensors[name], value) for name, value in held.items() if "num_batches" not in name}
    assert found
    assert all(found.values())


def test_a_single_file_may_be_converted_too(tmp_path: Path) -> None:
    weights = trained(compiled(), tmp_path / "w.safetensors")
    half = compiled(dtype="float16")
    write_onnx(half, tmp_path / "one.onnx", weights, OnnxOptions(convert=True, placement="single"))
    write_onnx(half, tmp_path / "two.onnx", weights, OnnxOptions(convert=True))
    x = images(2, 3, 8, 6).astype("float16")
    np.testing.assert_array_equal(run(tmp_path / "one.onnx", x)[0], run(tmp_path / "two.onnx", x)[0])


def test_more_than_2_gib_do_not_fit_one_file(tmp_path: Path) -> None:
    wide = compiled("netc: 1\nname: wide\ninputs: {vector: [N, 32768]}\nnet: [linear 16384]\n")
    with pytest.raises(NetcError, match=r"2\.1 GB is too large for a single file: protobuf allows 2 GiB"):
        write_onnx_fresh(wide, tmp_path / "m.onnx", options=OnnxOptions(placement="single"))
    assert not os.listdir(tmp_path)


def test_shards_are_written_and_read_as_one(tmp_path: Path) -> None:
    weights = trained(compiled(), tmp_path / "far" / "w.safetensors")
    write_onnx(compiled(), tmp_path / "plain.onnx", weights)
    write_onnx(compiled(), tmp_path / "m.onnx", weights, OnnxOptions(shard_size=2000))
    found = places(tmp_path / "m.onnx")
    assert len(found) > 1
    assert found == {path.name for path in tmp_path.glob("m-*.safetensors")}
    index = read_index(tmp_path / "m.safetensors.index.json")
    assert {path.name for path in index.files} == found
    x = images(2, 3, 8, 6)
    np.testing.assert_array_equal(run(tmp_path / "m.onnx", x)[0], run(tmp_path / "plain.onnx", x)[0])


def test_given_shards_are_used_where_they_lie_or_joined(tmp_path: Path) -> None:
    init_weights(compiled(), tmp_path / "w.safetensors", seed=4, shard_size=2000)
    index = tmp_path / "w.safetensors.index.json"
    before = sorted(os.listdir(tmp_path))
    write_onnx(compiled(), tmp_path / "m.onnx", index)
    assert sorted(os.listdir(tmp_path)) == sorted((*before, "m.onnx"))
    assert places(tmp_path / "m.onnx") == {path.name for path in read_index(index).files}
    write_onnx(compiled(), tmp_path / "other" / "m.onnx", index)
    assert sorted(os.listdir(tmp_path / "other")) == ["m.onnx", "m.safetensors"]
    x = images(2, 3, 8, 6)
    np.testing.assert_array_equal(run(tmp_path / "m.onnx", x)[0], run(tmp_path / "other" / "m.onnx", x)[0])


def test_weights_beside_the_model_are_copied_on_request(tmp_path: Path) -> None:
    weights = trained(compiled(), tmp_path / "w.safetensors")
    write_onnx(compiled(), tmp_path / "m.onnx", weights, OnnxOptions(placement="copy"))
    assert places(tmp_path / "m.onnx") == {"m.safetensors"}
    assert (tmp_path / "m.safetensors").read_bytes() == weights.read_bytes()
    write_onnx(compiled(), tmp_path / "m.onnx", tmp_path / "m.safetensors", OnnxOptions(placement="copy"))
    assert (tmp_path / "m.safetensors").read_bytes() == weights.read_bytes()


MEASURED = """
import re, sys, netc
from netc.backends.onnx import OnnxOptions
netc.load("large.yaml").write_onnx("m.onnx", "w.safetensors", options=OnnxOptions(**eval(sys.argv[1])))
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""


@pytest.mark.parametrize("options", [{}, {"placement": "single"}, {"shard_size": 7 * 10**7}])
def test_memory_does_not_grow_with_the_weights(options: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text("netc: 1\nname: large\ninputs: {vector: [N, 4000]}\nnet: [linear 4000 x3]\n")
    layout = fresh_layout(netc.load(tmp_path / "large.yaml").ir, tmp_path / "w.safetensors")
    with (tmp_path / "w.safetensors").open("wb") as file:
        file.write(layout.shards[0].header)
        file.truncate(max(entry.end for entry in layout.index.tensors.values()))
    assert layout.size > 190e6
    command = [sys.executable, "-c", MEASURED, repr(options)]
    environment = {**os.environ, "PYTHONPATH": str(SPECS.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150, "MB"


def test_a_placement_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="placement is one of beside, copy, single, not 'external'"):
        OnnxOptions(placement="external")  # type: ignore[arg-type]
