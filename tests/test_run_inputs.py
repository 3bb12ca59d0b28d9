"""What a model is run on: arrays, pictures, random numbers; and what comes back."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import netc
from netc import libraries
from netc.backends.onnx import write_onnx_fresh
from netc.diagnostics.model import NetcError
from netc.run import Preprocess, RunPlan, Settings, open_model, read_labels, run_model
from netc.run.given import read_sources
from netc.run.images import layout_of, prepare, read_images
from netc.run.labels import most_probable
from netc.types import TensorType
from tests.guides import run
from tests.vision import torchvision

ROOT = Path(__file__).parent.parent
CLASSIFIER = """netc: 1
name: small
inputs: {image: [N, 3, 8*h, 8*w]}
net: [conv2d 8 3 padding=1, relu, adaptive_avg_pool2d 1, flatten, linear 10]
"""
PAIR = """netc: 1
name: pair
inputs: {a: [N, 4], b: {shape: [N, 4], dtype: int64}}
net: {c: cast float32 @b, sum: add @a @c, twice: mul 2 @a}
outputs: {sum: sum, twice: twice}
"""


def written(text: str, folder: Path) -> Path:
    (folder / "spec.yaml").write_text(text, "utf-8")
    write_onnx_fresh(netc.load(folder / "spec.yaml").ir, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    return written(CLASSIFIER, tmp_path)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return written(PAIR, tmp_path)


def picture(path: Path, rows: int, columns: int, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype="uint8")
    Image.fromarray(pixels).save(path)
    return path


def outputs_of(path: Path, inputs: Any, **options: Any) -> dict[str, Any]:
    target = path.with_name("outputs.npz")
    run_model(path, "cpu", inputs, runs=1, plan=RunPlan(output=target, **options))
    return dict(np.load(target))


def code_of(act: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(NetcError) as caught:
        act()
    (found,) = caught.value.diagnostics
    return found.code, found.message


@pytest.mark.parametrize(("rows", "columns"), [(300, 401), (401, 300), (64, 64), (57, 331), (256, 257)])
@pytest.mark.parametrize(("crop", "resize"), [(224, 256), (32, 40), (33, 40), (48, 48)])
def test_pictures_are_prepared_as_torchvision_does(
    rows: int, columns: int, crop: int, resize: int, tmp_path: Path
) -> None:
    path = picture(tmp_path / "p.png", rows, columns)
    how = prepare(Preprocess((crop, crop), resize), layout_of("image", TensorType((1, 3, crop, crop))), (crop, crop))
    transform = torchvision.transforms._presets.ImageClassification(crop_size=crop, resize_size=resize)
    with Image.open(path) as opened:
        expected = transform(opened.convert("RGB"))[None]
    torch.testing.assert_close(torch.from_numpy(read_images([path], how)), expected, rtol=0, atol=1e-6)


def test_a_smaller_picture_is_enlarged_by_default_to_256_for_224() -> None:
    how = prepare(Preprocess(), layout_of("image", TensorType((1, 3, 224, 224))), (224, 224))
    assert how.resize == 256
    assert prepare(Preprocess((448, 320)), how.layout, (9, 9)).size == (448, 320)
    assert str(how) == (
        "shorter side to 256 (bilinear), centre 224×224, scaled to 0…1, "
        "minus mean 0.485 0.456 0.406, by std 0.229 0.224 0.225"
    )


@pytest.mark.parametrize(
    ("kind", "shape", "dtype"),
    [
        (TensorType((1, 1, 32, 32)), (1, 1, 32, 32), "float32"),
        (TensorType((1, 32, 32, 3)), (1, 32, 32, 3), "float32"),
        (TensorType((1, 32, 32, 3), "uint8"), (1, 32, 32, 3), "uint8"),
        (TensorType((1, 3, 32, 32), "float16"), (1, 3, 32, 32), "float16"),
    ],
)
def test_pictures_take_the_form_of_the_input(
    kind: TensorType, shape: tuple[int, ...], dtype: str, tmp_path: Path
) -> None:
    path = picture(tmp_path / "p.png", 32, 32)
    found = read_images([path], prepare(Preprocess(resize=32), layout_of("image", kind), (32, 32)))
    assert (found.shape, str(found.dtype)) == (shape, dtype)
    with Image.open(path) as opened:
        gray, colour = np.asarray(opened.convert("L")), np.asarray(opened)
    if kind.dtype == "uint8":
        assert (found[0] == colour).all()
    if kind.shape[1] == 1:
        np.testing.assert_allclose(found[0, 0], gray / 255, atol=1e-7)


def test_a_picture_decides_the_sizes_and_gives_classes(classifier: Path, tmp_path: Path) -> None:
    path = picture(tmp_path / "p.jpg", 60, 90)
    report = run_model(classifier, "cpu", [str(path)], runs=1)
    assert report.inputs[0].shape == (1, 3, 224, 224)
    smaller = run_model(classifier, "cpu", [f"image={path}"], runs=1, plan=RunPlan(preprocess=Preprocess((32, 48))))
    assert smaller.binding == {"N": 1, "h": 4, "w": 6}
    assert smaller.top is not None
    assert len(smaller.top.rows[0]) == 5
    assert any(line.startswith("picture  shorter side to 36") for line in smaller.lines())


def test_several_pictures_are_a_batch(classifier: Path, tmp_path: Path) -> None:
    first, second = picture(tmp_path / "a.png", 32, 32), picture(tmp_path / "b.png", 32, 32, 1)
    small = Preprocess((16, 16))
    together = outputs_of(classifier, [str(first), str(second)], preprocess=small)
    alone = outputs_of(classifier, [str(second)], preprocess=small)
    (name,) = together
    assert together[name].shape == (2, 10)
    np.testing.assert_allclose(together[name][1:], alone[name], atol=1e-6)
    repeated = run_model(classifier, "cpu", [str(first)], {"N": 3}, runs=1, plan=RunPlan(preprocess=small))
    assert repeated.inputs[0].shape == (3, 3, 16, 16)


def test_probabilities_and_labels(classifier: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {i}" for i in range(10)) + "\n", "utf-8")
    array = np.random.default_rng(3).standard_normal((2, 3, 16, 16)).astype("float32")
    plan = RunPlan(labels=read_labels(str(labels)), top=3)
    top = run_model(classifier, "cpu", {"image": array}, runs=1, plan=plan).top
    (scores,) = outputs_of(classifier, {"image": array}).values()
    expected = torch.from_numpy(scores).softmax(1).topk(3)
    assert top is not None
    assert top.softmax
    for row, indices, values in zip(top.rows, expected.indices.tolist(), expected.values.tolist(), strict=True):
        assert [guess.index for guess in row] == indices
        assert [guess.label for guess in row] == [f"class {i}" for i in indices]
        assert [guess.probability for guess in row] == pytest.approx(values, abs=1e-6)


def test_probabilities_stay_what_they_are(tmp_path: Path) -> None:
    path = written(CLASSIFIER.replace("linear 10]", "linear 10, softmax]"), tmp_path)
    array = np.ones((1, 3, 8, 8), "float32")
    top = run_model(path, "cpu", {"image": array}, runs=1, plan=RunPlan(top=1)).top
    (scores,) = outputs_of(path, {"image": array}).values()
    assert top is not None
    assert not top.softmax
    assert top.rows[0][0].probability == pytest.approx(scores.max(), abs=1e-7)


def test_scores_of_boxes_are_no_classes() -> None:
    scores, labels = np.ones((2, 5), "float32"), np.zeros((2, 5), "int64")
    assert most_probable({"boxes": np.ones((2, 5, 4), "float32"), "scores": scores}, 3, ()) is None
    assert most_probable({"scores": scores, "labels": labels}, 3, ()) is None
    found = most_probable({"class": np.zeros(2, "int64"), "scores": scores, "more": scores}, 3, ())
    assert found is not None
    assert found.output == "scores"


def test_the_labels_of_imagenet_are_torchvisions() -> None:
    assert read_labels("imagenet") == tuple(torchvision.models._meta._IMAGENET_CATEGORIES)


@pytest.mark.parametrize("stay", [False, True])
def test_arrays_from_files(pair: Path, stay: bool, tmp_path: Path) -> None:
    a, b = np.random.default_rng(0).standard_normal((3, 4)).astype("float32"), np.arange(12).reshape(3, 4)
    np.save(tmp_path / "a.npy", a)
    np.savez(tmp_path / "b.npz", anything=b)
    np.savez(tmp_path / "both.npz", a=a, b=b)
    for inputs in (
        [f"a={tmp_path / 'a.npy'}", f"b={tmp_path / 'b.npz'}"],
        [f"b={tmp_path / 'b.npz'}", str(tmp_path / "a.npy")],
        [str(tmp_path / "both.npz")],
        {"a": a, "b": b},
    ):
        found = outputs_of(pair, inputs, stay=stay)
        np.testing.assert_allclose(found["sum"], a + b, rtol=1e-6)
        np.testing.assert_allclose(found["twice"], 2 * a, rtol=1e-6)


def test_what_is_not_given_is_random_and_as_long(pair: Path) -> None:
    report = run_model(pair, "cpu", {"a": np.ones((7, 4), "float32")}, runs=1)
    assert report.binding == {"N": 7}
    assert [str(t) for t in report.inputs] == ["a 7×4 float32 (given)", "b 7×4 int64 (random)"]


def test_zeros(pair: Path) -> None:
    found = outputs_of(pair, ["zeros", "b=zeros"])
    assert not found["sum"].any()


def test_wider_numbers_are_narrowed_and_kinds_are_kept(pair: Path) -> None:
    assert run_model(pair, "cpu", {"a": np.ones((2, 4))}, runs=1).inputs[0].dtype == "float32"
    code, message = code_of(lambda: run_model(pair, "cpu", {"b": np.ones((2, 4))}))
    assert (code, message) == ("bad-input", "b takes int64, not float64")


def test_inputs_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 5), "float32"))
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "strange.npz", q=np.ones(3))
    (tmp_path / "text.png").write_text("no picture", "utf-8")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:90])
    path = written(PAIR, tmp_path)
    for text, words in {
        "a=nowhere.npy": "no such file",
        f"a={tmp_path / 'x.npy'}": "a is N×4, which cannot be 2×5",
        f"a={tmp_path / 'pickled.npy'}": "cannot be read as NumPy's arrays",
        f"a={tmp_path / 'cut.npy'}": "cannot be read as NumPy's arrays",
        f"{tmp_path / 'strange.npz'}": "has q; the model takes",
        "c=random": "no input c",
        "a=anything": "is not a .npy file, .npz file, picture",
        f"{tmp_path / 'text.png'}": "which does not take pictures",
    }.items():
        code, message = code_of(lambda text=text: run_model(path, "cpu", [text]))
        assert code == "bad-input"
        assert words in message
    path = written(CLASSIFIER, tmp_path)
    assert "cannot be read as a picture" in code_of(lambda: run_model(path, "cpu", [str(tmp_path / "text.png")]))[1]


def huge_npy(path: Path) -> Path:
    """A header that promises petabytes."""
    shape = (10**12, 3, 32, 32)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return path


def test_files_that_are_not_what_they_seem_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("no array", "utf-8")
    np.savez(tmp_path / "several.npz", a=np.ones(3))
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with ZipFile(tmp_path / "more.npz", "w") as archive:
        archive.writestr("a", "no array")
    with ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.write(huge_npy(tmp_path / "huge.npy"), "a.npy")
    path = written(PAIR, tmp_path)
    for name, words in {
        "text.npy": "cannot be read as NumPy's arrays: it does not hold arrays of numbers",
        "huge.npy": "cannot be read as NumPy's arrays",
        "several.npy": "an .npy holds one",
        "one.npz": "an .npz several",
        "more.npz": "an .npz several",
        "huge.npz": "do not fit in memory",
    }.items():
        code, message = code_of(lambda name=name: run_model(path, "cpu", [f"a={tmp_path / name}"]))
        assert code == "bad-input"
        assert words in message, name


def test_pixels_that_pillow_would_clip_are_refused(classifier: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 50), 1 << 15, "uint16")).save(tmp_path / "wide.png")
    Image.fromarray(np.full((40, 50), 0.5, "float32")).save(tmp_path / "real.tiff")
    for name in ("wide.png", "real.tiff"):
        code, message = code_of(lambda name=name: run_model(classifier, "cpu", [str(tmp_path / name)]))
        assert (code, "more than 8 bits" in message) == ("bad-input", True)


def test_pictures_that_would_be_enlarged_beyond_measure_are_refused(classifier: Path, tmp_path: Path) -> None:
    Image.new("RGB", (60000, 1)).save(tmp_path / "thin.png")
    code, message = code_of(lambda: run_model(classifier, "cpu", [str(tmp_path / "thin.png")], {"h": 28, "w": 28}))
    assert (code, "60000×1 pixels resized would be 15360000×256" in message) == ("bad-input", True)


@pytest.mark.parametrize("field", ["mean", "std"])
def test_means_that_are_no_numbers_are_refused(field: str) -> None:
    layout = layout_of("image", TensorType((1, 3, 8, 8)))
    for value in (float("nan"), float("inf")):
        chosen = Preprocess(**{field: (value,)})
        code, message = code_of(lambda chosen=chosen: prepare(chosen, layout, (8, 8)))
        assert (code, message) == ("bad-input", f"the {field} is not a number")


def test_values_that_are_no_numbers_are_counted(classifier: Path) -> None:
    array = np.zeros((2, 3, 8, 8), "float32")
    array[1, 0, 0, 0] = np.nan
    report = run_model(classifier, "cpu", {"image": array}, runs=1)
    assert report.outputs[0].strange == 10
    assert [line for line in report.lines() if "NaN" in line] == [
        "input    image 2×3×8×8 float32 (given), infinite or NaN: 1 of 384",
        "output   out 2×10 float32, infinite or NaN: 10 of 20",
    ]


def test_pillow_warns_of_nothing(classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    path = picture(tmp_path / "p.png", 400, 400)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_model(classifier, "cpu", [str(path)], runs=1)


def test_a_sum_of_inputs_is_bounded(pair: Path) -> None:
    inputs = open_model(pair, "cpu").inputs
    for texts, words in ((["zeros"] * 3, "an unexpected input"), (["a=zeros", "a=random"], "given twice")):
        code, message = code_of(lambda texts=texts: read_sources(texts, inputs))
        assert code == "bad-input"
        assert words in message


def test_names_of_a_thousand_inputs_are_not_all_listed(tmp_path: Path) -> None:
    inputs = {f"input{at}": TensorType((1,), "float32") for at in range(1000)}
    np.savez(tmp_path / "a.npz", **{f"array{at}": np.zeros(1, "float32") for at in range(1000)})
    for text in ("nothing=zeros", str(tmp_path / "a.npz"), f"input0={tmp_path / 'a.npz'}"):
        code, message = code_of(lambda text=text: read_sources([text], inputs))
        assert code == "bad-input"
        assert ", … and 960 more" in message
        assert len(message) < 1500


def test_labels_that_do_not_fit_are_refused(classifier: Path) -> None:
    plan = RunPlan(labels=read_labels("imagenet"))
    assert "1000 labels for the 10 classes" in code_of(lambda: run_model(classifier, "cpu", plan=plan))[1]
    assert code_of(lambda: read_labels("nowhere.txt"))[0] == "bad-input"


def test_sizes_that_contradict_a_given_array_are_refused(classifier: Path) -> None:
    array = np.ones((1, 3, 12, 8), "float32")
    assert "cannot be 1×3×12×8" in code_of(lambda: run_model(classifier, "cpu", {"image": array}))[1]
    array = np.ones((1, 3, 16, 8), "float32")
    code, message = code_of(lambda: run_model(classifier, "cpu", {"image": array}, {"h": 3}))
    assert (code, message) == ("bad-input", "image is N×3×8h×8w, which with h=3 cannot be 1×3×16×8")


def test_sizes_below_the_least_are_refused(tmp_path: Path) -> None:
    text = CLASSIFIER.replace("[conv2d 8 3 padding=1", "[conv2d 8 9")
    path = written(text, tmp_path)
    for bind, words in (
        ({"N": 0}, "N is 0; the model takes at least 1"),
        ({"h": 1}, "h is 1; the model takes at least 2"),
    ):
        code, message = code_of(lambda bind=bind: run_model(path, "cpu", bind=bind))
        assert (code, words in message) == ("bad-input", True)


def test_what_onnxruntime_refuses_is_said_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = "netc: 1\nname: pick\ninputs: {at: {shape: [N], dtype: int64}}\nnet: [embedding 5 3]\n"
    path = written(text, tmp_path)
    code, message = code_of(lambda: run_model(path, "cpu", {"at": np.array([7])}))
    assert (code, "does not run on these inputs" in message) == ("bad-input", True)
    assert capfd.readouterr() == ("", "")


def test_outputs_never_replace_a_file_of_another_kind(classifier: Path) -> None:
    before = classifier.read_bytes()
    code, message = code_of(lambda: run_model(classifier, "cpu", plan=RunPlan(output=classifier)))
    assert (code, "outputs are written as .npz" in message) == ("output-file", True)
    assert classifier.read_bytes() == before


def test_without_pillow_the_library_is_named(classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(NetcError, match="pip install pillow"):
        libraries.pillow()
    assert code_of(lambda: run_model(classifier, "cpu", ["image=x.png"]))[0] == "missing-library"


def test_binding_gives_what_copying_gives(classifier: Path) -> None:
    array = np.random.default_rng(1).standard_normal((2, 3, 16, 24)).astype("float32")
    copied, bound = (outputs_of(classifier, {"image": array}, stay=stay) for stay in (False, True))
    for name in copied:
        np.testing.assert_array_equal(copied[name], bound[name])
    report = run_model(classifier, "cpu", {"image": array}, plan=RunPlan(stay=True, settings=Settings(threads=1)))
    assert report.how == "1 threads, inputs and outputs on the device"


def test_threads_are_set(classifier: Path) -> None:
    handle = open_model(classifier, "cpu", Settings(threads=3)).handle
    assert handle.get_session_options().intra_op_num_threads == 3


def has_cuda(path: Path) -> bool:
    return open_model(path, "auto").device == "cuda"


def test_a_cuda_graph_needs_cuda(classifier: Path) -> None:
    if has_cuda(classifier):
        pytest.skip("there is a GPU: see test_a_cuda_graph_gives_the_same")
    code, message = code_of(lambda: run_model(classifier, plan=RunPlan(settings=Settings(cuda_graph=True))))
    assert code == "cuda-absent"
    assert "a CUDA graph needs CUDA: CUDA cannot be used" in message


def test_tensorrt_that_is_absent_is_an_error(classifier: Path) -> None:
    if "TensorrtExecutionProvider" in onnxruntime.get_available_providers() and has_cuda(classifier):
        pytest.skip("there is a GPU, perhaps with TensorRT")
    code, message = code_of(lambda: run_model(classifier, "tensorrt"))
    assert code == "tensorrt-absent"
    assert message.startswith("TensorRT cannot be used: ")


@pytest.mark.gpu
def test_a_cuda_graph_gives_the_same(classifier: Path) -> None:
    if not has_cuda(classifier):
        pytest.skip("onnxruntime finds no NVIDIA GPU")
    array = np.random.default_rng(1).standard_normal((2, 3, 16, 24)).astype("float32")
    target = classifier.with_name("graph.npz")
    plan = RunPlan(settings=Settings(cuda_graph=True), output=target)
    report = run_model(classifier, "cuda", {"image": array}, plan=plan)
    assert report.device == "cuda"
    expected = outputs_of(classifier, {"image": array})
    for name, found in np.load(target).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-5)


def test_a_spec_is_run_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(CLASSIFIER, "utf-8")
    picture(tmp_path / "p.png", 40, 40)
    options = "--provider cpu --input p.png --size 16x24 --top 2 --output"
    done = run(f"netc run spec.yaml --seed 3 {options} out.npz --json", tmp_path)
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["model"] == "spec.yaml"
    assert report["inputs"] == [{"name": "image", "shape": [1, 3, 16, 24], "dtype": "float32", "source": "p.png"}]
    assert len(report["top"]["rows"][0]) == 2
    write_onnx_fresh(netc.load(tmp_path / "spec.yaml").ir, tmp_path / "model.onnx", 3)
    assert run(f"netc run model.onnx {options} again.npz", tmp_path).exit_code == 0
    first, again = np.load(tmp_path / "out.npz"), np.load(tmp_path / "again.npz")
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert run("netc run model.onnx -p x=1", tmp_path).exit_code == 2
    assert run("netc run spec.yaml --size big", tmp_path).exit_code == 2


def test_the_same_as_pytorch(tmp_path: Path) -> None:
    """From the picture to the probabilities."""
    path = picture(tmp_path / "p.png", 70, 50)
    network = netc.load(_spec(tmp_path))
    weights = tmp_path / "model.safetensors"
    model = written(CLASSIFIER, tmp_path)
    module = _module(network, weights, tmp_path)
    with Image.open(path) as opened:
        image = torchvision.transforms._presets.ImageClassification(crop_size=32, resize_size=36)(opened)
    with torch.no_grad():
        expected = module(image[None]).softmax(1).max(1)
    plan = RunPlan(preprocess=Preprocess((32, 32)), top=1)
    top = run_model(model, "cpu", [str(path)], runs=1, plan=plan).top
    assert top is not None
    assert top.rows[0][0].index == int(expected.indices)
    assert top.rows[0][0].probability == pytest.approx(float(expected.values), abs=1e-6)


def _spec(folder: Path) -> Path:
    (folder / "spec.yaml").write_text(CLASSIFIER, "utf-8")
    return folder / "spec.yaml"


def _module(network: netc.Network, weights: Path, folder: Path) -> nn.Module:
    names: dict[str, Any] = {}
    exec(network.to_torch(), names)
    (kind,) = [v for v in names.values() if isinstance(v, type) and issubclass(v, nn.Module) and v is not nn.Module]
    module: nn.Module = kind()
    module.load_state_dict(load_file(weights))
    return module.eval()
