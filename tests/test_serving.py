"""Files with images made ready and scores turned into classes: verified, built, run and measured as written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from onnx import helper, numpy_helper
from PIL import Image
from safetensors.numpy import load_file
from vision import torchvision

import netc
from netc.backends.onnx import OnnxOptions, write_onnx, write_onnx_fresh
from netc.cli.main import cli
from netc.passes import serve
from netc.passes.serve import BARE, IMAGENET, Normalisation, Serving
from netc.passes.serve_metadata import read_serving, serving_metadata
from netc.pipeline import FILES, MODEL, WEIGHTS
from netc.run import open_model
from netc.run.module import import_network, load_strictly
from netc.verify import verify, verify_files
from netc.verify.compare import Trial
from netc.verify.service import around
from netc.weights import read_index

SPEC = """netc: 1
name: small
inputs: {image: [N, 3, 12, 8]}
blocks:
  unit: {args: c, net: {conv: conv2d c 3 padding=1, norm: batch_norm2d, act: relu}}
net: {stem: unit 8, body: unit 8, head: [flatten, linear 9]}
outputs: {scores: head}
"""
OPTIONS = [
    "--input-dtype=uint8",
    "--input-layout=nhwc",
    "--resize=15,10",
    "--normalize=imagenet",
    "--softmax",
    "--topk=4",
]
SERVING = Serving(image_dtype="uint8", layout="nhwc", resize=(15, 10), normalise=IMAGENET, softmax=True, topk=4)

functional = torchvision.transforms.functional


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SPEC, "utf-8")
    return tmp_path / "small.yaml"


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A file that does everything, its weights beside it."""
    write_onnx_fresh(netc.load(SPEC).ir, tmp_path / "service.onnx", 2, options=OnnxOptions(serving=SERVING))
    return tmp_path / "service.onnx"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def picture(path: Path, height: int, width: int) -> Path:
    """Soft colours with an edge and grain, as photographs have them."""
    generator = np.random.default_rng(height * width)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    soft = np.stack([rows, columns, 1 - rows], 2) * 180 + generator.normal(0, 12, (height, width, 3))
    soft[height // 3 :, width // 2 :] += 40
    Image.fromarray(soft.clip(0, 255).astype("uint8")).save(path)
    return path


def module(folder: Path, weights: Path) -> torch.nn.Module:
    (folder / "small.py").write_text(netc.load(SPEC).to_torch(), "utf-8")
    found: torch.nn.Module = import_network(folder / "small.py")
    load_strictly(found, read_index(weights))
    return found.eval()


def torchvisions(pixels: np.ndarray) -> torch.Tensor:
    """Bytes N×H×W×3 as a classifier takes them."""
    floats = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    cut = functional.center_crop(functional.resize(floats, [15, 10], antialias=True), [12, 8])
    return functional.normalize(cut, IMAGENET.mean, IMAGENET.std)


# Verification


@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        [*OPTIONS, "--functions", "--opset=18"],
        [*OPTIONS, "--opset=23", "--keep-io"],
        [*OPTIONS, "--dtype=float16"],
        ["--dtype=float16", "--normalize=mean=100,120,90,std=50", "--topk=9"],
        ["--dtype=float16", "--keep-io", "--normalize=imagenet", "--resize=12,8"],
        ["--input-layout=nhwc"],
        ["--input-dtype=uint8"],
        ["--resize=12,21"],
        ["--normalize=mean=0.5,std=0.25,scale=1/3", "--softmax"],
        ["--topk=1"],
    ],
)
def test_what_the_options_write_computes_what_pytorch_does(options: list[str], spec: Path) -> None:
    done = invoke("verify", spec, "--json", *options)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["ok"]
    batches = {each["binding"]["N"] for each in found["differences"]}
    assert min(batches) > 1
    topk = any("topk" in option for option in options)
    assert ("indices" in found["sensitivity"]) == topk
    assert all(share > 0 for name, share in found["sensitivity"].items() if name != "indices")


def test_given_weights_are_converted_on_both_sides(spec: Path, tmp_path: Path) -> None:
    netc.load(SPEC).write_weights(tmp_path / "w.safetensors")
    before = (tmp_path / "w.safetensors").read_bytes()
    done = invoke("verify", spec, "--weights", tmp_path / "w.safetensors", "--dtype=float16", "--layers", *OPTIONS)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "w.safetensors").read_bytes() == before


def test_pytorchs_side_is_torchvisions(service: Path, tmp_path: Path) -> None:
    """On pictures of odd sizes; the file's own results too."""
    network = module(tmp_path, service.with_suffix(".safetensors"))
    side = around(netc.load(SPEC).ir, SERVING)
    session = open_model(service, "cpu")
    for height, width in ((37, 51), (9, 100), (15, 10), (7, 5)):
        paths = [picture(tmp_path / f"{i}.png", height, width) for i in range(3)]
        pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
        pixels[1] = 255 - pixels[1]
        with torch.no_grad():
            expected = network(torchvisions(pixels)).softmax(1).topk(4)
        for values, indices in (side.evaluate(network, [pixels]), session.run(None, {"image": pixels})):
            np.testing.assert_allclose(values, expected.values, rtol=1e-4, atol=1e-6)
            np.testing.assert_array_equal(indices, expected.indices)


def constant(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[onnx.ModelProto], None]:
    def alter(proto: onnx.ModelProto) -> None:
        (tensor,) = (tensor for tensor in proto.graph.initializer if tensor.name.startswith(name))
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))

    return alter


def attribute(op: str, key: str, value: Any) -> Callable[[onnx.ModelProto], None]:
    def alter(proto: onnx.ModelProto) -> None:
        (node,) = (node for node in proto.graph.node if node.op_type == op)
        kept = [a for a in node.attribute if a.name != key]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(key, value)])

    return alter


BROKEN = {
    "mean": constant("preprocess.centred_by", lambda held: held[::-1].copy()),
    "deviation": constant("preprocess.normalised_by", lambda held: held * np.float32(1.01)),
    "antialias": lambda proto: (
        attribute("Resize", "antialias", 0)(proto),
        attribute("Resize", "exclude_outside", 0)(proto),
    ),
    "corners": attribute("Resize", "coordinate_transformation_mode", "align_corners"),
    "layout": attribute("Transpose", "perm", [0, 3, 2, 1]),
    "order": attribute("TopK", "largest", 0),
    "axis": attribute("Softmax", "axis", 0),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_makes_something_else_of_images_is_found(what: str, service: Path, tmp_path: Path) -> None:
    model = onnx.load(service, load_external_data=False)
    BROKEN[what](model)
    onnx.save(model, tmp_path / "broken.onnx")
    report = verify(netc.load(SPEC).ir, service.with_suffix(".safetensors"), against=tmp_path / "broken.onnx")
    assert not report.ok, report.lines()


def test_a_step_that_netc_itself_gets_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The statements that a file is made of and PyTorch's side have nothing in common."""
    real = serve._normalise

    def wrong(steps: Any, wanted: Any, normalise: Normalisation, dtype: str) -> None:
        real(steps, wanted, Normalisation(normalise.mean, normalise.std[::-1], normalise.scale), dtype)

    monkeypatch.setattr(serve, "_normalise", wrong)
    options = OnnxOptions(serving=Serving(normalise=Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))))
    for layers in (False, True):
        assert not verify(netc.load(SPEC).ir, options=options, layers=layers).ok


def test_a_file_says_itself_what_it_does(service: Path, spec: Path) -> None:
    done = invoke("verify", spec, "--against", service)
    assert done.exit_code == 0, done.output
    assert "matched        inputs image; outputs values, indices" in done.stdout
    for said in (BARE, SERVING, Serving(normalise=Normalisation((0.5,), (0.2, 0.3, 0.1), 1 / 255), keep_io=True)):
        assert read_serving({"spec_sha256": "0", **serving_metadata(said)}, "a file") == said
    assert read_serving({"resize": "256", "topk": "many"}, "not netc's") == BARE


def test_a_file_says_itself_what_it_computes_in(spec: Path, tmp_path: Path) -> None:
    """Its inputs and outputs are float32."""
    netc.load(SPEC).write_weights(tmp_path / "w.safetensors")
    weights, half = ("--weights", tmp_path / "w.safetensors"), tmp_path / "half.onnx"
    assert invoke("onnx", spec, "-o", half, *weights, "--dtype=float16", "--keep-io").exit_code == 0
    for given in (weights, ()):
        done = invoke("verify", spec, "--against", half, *given)
        assert done.exit_code == 0, done.output
        assert "4× PyTorch's own distance to float64" in done.stdout
    assert invoke("verify", spec, "--against", half, *weights, "--dtype=float32").exit_code == 1


def test_of_another_file_options_say_it(service: Path, spec: Path, tmp_path: Path) -> None:
    model = onnx.load(service, load_external_data=False)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    weights = ("--weights", service.with_suffix(".safetensors"))
    refused = invoke("verify", spec, "--against", tmp_path / "foreign.onnx", *weights)
    assert refused.exit_code == 1
    assert "takes uint8 as image, not float32" in refused.output
    done = invoke("verify", spec, "--against", tmp_path / "foreign.onnx", *weights, *OPTIONS)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("key", "text"),
    [("resize", "15"), ("resize", "0x10"), ("resize", "9999999x1"), ("topk", "-1"), ("normalize", "mean=1 std=0"),
     ("normalize", "mean=nan std=1"), ("normalize", "std=1"), ("input_layout", "chwn"), ("input_dtype", "int4")],
)  # fmt: skip
def test_metadata_that_netc_does_not_write_are_refused(key: str, text: str, service: Path, tmp_path: Path) -> None:
    model = onnx.load(service, load_external_data=False)
    helper.set_model_props(model, {"spec_sha256": "0", key: text})
    onnx.save(model, tmp_path / "strange.onnx")
    for command in (["run", tmp_path / "strange.onnx", "--provider=cpu"], ["bench", tmp_path / "strange.onnx"]):
        done = invoke(*command)
        assert done.exit_code == 1
        assert "its metadata does not describe pre- and postprocessing" in done.output


def test_scores_that_rounding_cannot_tell_apart_have_no_order() -> None:
    side = around(netc.load(SPEC.replace("linear 9", "linear 4")).ir, Serving(topk=2))
    scores = np.array([[1.0, 1.0 + 1e-7, 0.5, 0.0]], "float32")

    def network(*given: Any) -> torch.Tensor:
        return torch.from_numpy(scores).to(given[0].dtype)

    network.eval = lambda: None  # type: ignore[attr-defined]
    network.double = lambda: network  # type: ignore[attr-defined]
    expected = [np.array([[1.0 + 1e-7, 1.0]], "float32"), np.array([[1, 0]])]
    given = [np.zeros((1, 3, 12, 8), "float32")]

    def settled(*indices: int) -> list[int]:
        trial = Trial({}, given, expected, [expected[0], np.array([indices])])
        found: list[int] = side.settled(trial, network, None).expected[1].ravel().tolist()
        return found

    assert settled(0, 1) == [0, 1], "as large as each other"
    assert settled(2, 0) == [1, 0], "another is smaller"
    assert settled(1, 1) == [1, 0], "not twice the same"
    assert settled(1, 7) == [1, 0], "there is no such class"


def test_two_files_take_images_of_bytes(service: Path) -> None:
    report = verify_files(service, service)
    assert report.ok
    assert report.sensitivity["values"] > 0


# Building


def test_a_build_is_of_its_options(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def written(*options: str) -> set[str]:
        done = invoke("build", spec, "-o", out, "--json", *options)
        assert done.exit_code == 0, done.output
        return {name for name, state in json.loads(done.stdout)["files"].items() if state == "written"}

    assert written(*OPTIONS) == set(FILES)
    assert written(*OPTIONS) == set()
    assert written(*OPTIONS, "--topk=2") == {MODEL}
    assert written(*OPTIONS, "--topk=2", "--functions") == {MODEL}
    assert written("--opset=18") == {MODEL}
    assert written() == {MODEL}
    assert invoke("verify", spec, "--against", out / MODEL).exit_code == 0


def test_a_build_converts_given_weights(spec: Path, tmp_path: Path) -> None:
    netc.load(SPEC).write_weights(tmp_path / "w.safetensors", seed=3)
    options = ["--weights", tmp_path / "w.safetensors", "--dtype=float16"]
    out = tmp_path / "out"
    assert "PyTorch and onnxruntime differ by" in invoke("build", spec, "-o", out, *options).stdout
    assert "written" not in invoke("build", spec, "-o", out, *options).stdout
    wide, narrow = load_file(tmp_path / "w.safetensors"), load_file(out / WEIGHTS)
    assert all(np.array_equal(narrow[name], held.astype(narrow[name].dtype)) for name, held in wide.items())
    assert narrow["stem.conv.weight"].dtype == "float16"
    assert open_model(out / MODEL, "cpu").inputs["image"].dtype == "float16"
    wide_again = ["--weights", tmp_path / "w.safetensors"]
    assert invoke("build", spec, "-o", tmp_path / "wide", *wide_again).exit_code == 0
    refused = invoke(
        "build", spec, "-o", tmp_path / "wide", "--weights", tmp_path / "wide" / WEIGHTS, "--dtype=float16"
    )
    assert refused.exit_code == 1
    assert "converted weights would overwrite the given ones" in refused.output


def test_a_build_that_is_wrong_is_not_written(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_normalise", lambda *_: None)
    done = invoke("build", spec, "-o", tmp_path / "out", *OPTIONS)
    assert done.exit_code == 1
    assert "not-verified" in done.output
    assert not (tmp_path / "out" / MODEL).exists()


# Running and measuring


def test_a_picture_goes_in_as_it_is_and_classes_come_out(service: Path, tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{i}.png", 37, 51) for i in range(2)]
    (tmp_path / "labels.txt").write_text("\n".join(f"class {i}" for i in range(9)), "utf-8")
    inputs = [argument for path in paths for argument in ("--input", path)]
    done = invoke("run", service, "--provider=cpu", *inputs, "--labels", tmp_path / "labels.txt",
                  "--output", tmp_path / "y.npz", "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    with torch.no_grad():
        expected = module(tmp_path, service.with_suffix(".safetensors"))(torchvisions(pixels)).softmax(1).topk(4)
    assert found["preprocessing"] == "at its own size, whole numbers 0…255"
    kept = np.load(tmp_path / "y.npz")
    np.testing.assert_allclose(kept["values"], expected.values, rtol=1e-4)
    for row, indices, values in zip(found["top"]["rows"], expected.indices, expected.values, strict=True):
        assert [guess["index"] for guess in row] == indices.tolist()
        assert [guess["label"] for guess in row] == [f"class {i}" for i in indices.tolist()]
        assert [guess["probability"] for guess in row] == pytest.approx(values.tolist(), rel=1e-4)


@pytest.mark.parametrize(
    ("normalise", "expected"),
    [
        (None, lambda pixels: (pixels / 255 - np.array(IMAGENET.mean)) / np.array(IMAGENET.std)),
        (IMAGENET, lambda pixels: pixels / 255),
        (Normalisation((0.5,), (0.5,), 1 / 255), lambda pixels: pixels),
    ],
)
def test_what_the_file_normalises_is_not_normalised_before(
    normalise: Normalisation | None, expected: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    options = OnnxOptions(serving=Serving(layout="nhwc", normalise=normalise))
    write_onnx_fresh(netc.load(SPEC).ir, tmp_path / "m.onnx", options=options)
    path = picture(tmp_path / "exact.png", 12, 8)
    done = invoke(
        "run", tmp_path / "m.onnx", "--provider=cpu", "--input", path, "--resize=8", "--output", tmp_path / "y.npz"
    )
    assert done.exit_code == 0, done.output
    given = expected(np.asarray(Image.open(path)).astype("float64"))[None].astype("float32")
    (scores,) = open_model(tmp_path / "m.onnx", "cpu").run(None, {"image": given})
    np.testing.assert_allclose(np.load(tmp_path / "y.npz")["scores"], scores, rtol=1e-4, atol=1e-6)


def test_pictures_of_several_sizes_are_no_batch(service: Path, tmp_path: Path) -> None:
    paths = picture(tmp_path / "a.png", 20, 30), picture(tmp_path / "b.png", 30, 20)
    command = ["run", service, "--provider=cpu", "--input", paths[0], "--input", paths[1]]
    refused = invoke(*command)
    assert refused.exit_code == 1
    assert "all pictures of a batch must have the same size" in refused.output
    assert invoke(*command, "--size=24").exit_code == 0


def test_the_largest_scores_are_shown_as_scores(tmp_path: Path) -> None:
    write_onnx_fresh(netc.load(SPEC).ir, tmp_path / "m.onnx", options=OnnxOptions(serving=Serving(topk=3)))
    done = invoke("run", tmp_path / "m.onnx", "--provider=cpu", "--input", picture(tmp_path / "a.png", 20, 30))
    assert "top      of values, which are scores" in done.stdout
    assert "%" not in done.stdout.partition("top  ")[2]


def test_random_images_have_usual_sizes(service: Path) -> None:
    done = invoke("run", service, "--provider=cpu")
    assert "input    image 1×224×224×3 uint8 (random)" in done.stdout
    assert "top  " not in done.stdout


def test_a_service_is_measured_beside_pytorch(spec: Path) -> None:
    done = invoke("bench", spec, "--provider=cpu", "--runs=3", "--against=eager", "--threads=1", "--json", *OPTIONS)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [timing["name"] for timing in found["timings"]] == ["netc", "eager"]
    assert found["timings"][1]["farthest"] < 1e-5


def test_options_about_a_file_are_not_for_one_that_is_there(service: Path, spec: Path) -> None:
    for command in ("run", "bench"):
        done = invoke(command, service, "--opset=18", "--softmax")
        assert done.exit_code == 2
        assert "--opset, --softmax: only for a spec, not for an ONNX file" in done.output
    done = invoke("verify", service, "--against", service, "--topk=3")
    assert done.exit_code == 2
    done = invoke("verify", spec, "--against", service, "--functions")
    assert done.exit_code == 2
    assert "--functions: " in done.output


def test_float16_images_are_normalised_in_float16(tmp_path: Path) -> None:
    netc.load(SPEC).write_weights(tmp_path / "w.safetensors")
    options = OnnxOptions(convert=True, serving=Serving(normalise=IMAGENET))
    write_onnx(netc.load(SPEC, dtype="float16").ir, tmp_path / "m.onnx", tmp_path / "w.safetensors", options)
    assert open_model(tmp_path / "m.onnx", "cpu").inputs["image"].dtype == "float16"
