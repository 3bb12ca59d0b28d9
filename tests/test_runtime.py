"""Running models, and verification: it passes what is right and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

import netc
from netc import libraries
from netc.backends.onnx import write_onnx_fresh
from netc.backends.pytorch import generate
from netc.diagnostics.model import NetcError
from netc.dims import symbol
from netc.ir.model import Network
from netc.passes.sizes import ample, bound_shape, parse_size, samples, typical
from netc.run import model as models
from netc.run import open_model, run_model
from netc.run.inputs import random_input
from netc.verify import Difference, VerifyReport, verify
from netc.weights import init_weights


def compiled(text: str) -> Network:
    return netc.load(f"netc: 1\nname: small\n{text}\n").ir


TWO_HEADS = """inputs: {image: [N, 3, 8*h, 8*w]}
net:
  stem: [conv2d 8 3 padding=1, batch_norm2d, relu, dropout]
  aux: [conv2d 4 1 @stem.3, adaptive_avg_pool2d 1, flatten]
  main: [conv2d 6 3 stride=2 @stem.3, batch_norm2d, adaptive_avg_pool2d 1, flatten, linear 5]
outputs: {main: main, aux: {from: aux, when: train}}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_onnx_fresh(compiled(TWO_HEADS), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def code_of(caught: pytest.ExceptionInfo[NetcError]) -> str:
    (found,) = caught.value.diagnostics
    return found.code


def test_statistics_that_cannot_be_measured_leave_the_module_as_it_was() -> None:
    """The last batch norm refuses one value per channel, when the first has measured already."""
    text = "net: {first: [batch_norm1d, relu, adaptive_avg_pool1d 1], last: batch_norm1d}"
    report = verify(compiled(f"inputs: {{signal: [N, 3, 8]}}\n{text}"), bind={"N": 1})
    assert all(difference.ok for difference in report.differences), report.lines()
    assert report.ok


def test_a_run_shows_shapes_and_times(model: Path) -> None:
    report = run_model(model, "cpu", bind={"N": 2, "h": 3})
    assert (report.device, report.note) == ("cpu", "")
    assert [str(t) for t in (*report.inputs, *report.outputs)] == [
        "image 2×3×24×224 float32 (random)",
        "main 2×5 float32",
    ]
    assert report.binding == {"N": 2, "h": 3, "w": 28}
    assert 0 < report.best <= report.median
    assert any("24×224" in line for line in report.lines())


def test_given_inputs_are_used(model: Path) -> None:
    report = run_model(model, "cpu", {"image": np.zeros((1, 3, 16, 8), "float32")})
    assert report.inputs[0].shape == (1, 3, 16, 8)


def test_automatic_choice_says_what_it_took(model: Path) -> None:
    report = run_model(model)
    assert report.note
    assert report.lines()[0] == f"device   {report.device} ({report.note})"


def test_cuda_runs_all_on_the_gpu_or_fails(model: Path) -> None:
    chosen = open_model(model, "auto")
    if chosen.device == "cuda":
        assert open_model(model, "cuda").device == "cuda"
        return
    with pytest.raises(NetcError, match="CUDA cannot be used: ") as caught:
        open_model(model, "cuda")
    assert code_of(caught) == "cuda-absent"
    assert chosen.note in str(caught.value)


def test_a_build_without_cuda_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(NetcError, match="built without it") as caught:
        open_model(model, "cuda")
    assert code_of(caught) == "cuda-absent"


def test_nodes_that_would_run_on_the_cpu_are_named() -> None:
    node = SimpleNamespace(name="features.3", op_type="MaxPool", domain="")
    parts = [
        SimpleNamespace(ep_name="CPUExecutionProvider", get_nodes=lambda: [node]),
        SimpleNamespace(ep_name="CUDAExecutionProvider", get_nodes=list),
    ]
    with pytest.raises(NetcError, match=r"features\.3 \(MaxPool\)") as caught:
        models._refuse_cpu_nodes(SimpleNamespace(get_provider_graph_assignment_info=lambda: parts))
    assert code_of(caught) == "cuda-fallback"


def test_onnxruntime_tells_where_nodes_are(model: Path) -> None:
    """The same question, asked of the CPU: the nodes found are those of the file."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    with pytest.raises(NetcError, match="main"):
        models._refuse_cpu_nodes(session)


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda path: run_model(path.with_name("none.onnx")), "model-file"),
        (lambda path: run_model(path.with_suffix(".safetensors"), "cpu"), "model-file"),
        (lambda path: run_model(path, "cpu", bind={"z": 3}), "unknown-symbol"),
        (lambda path: run_model(path, "cpu", {"image": np.zeros((1, 4, 8, 8), "float32")}), "bad-input"),
        (lambda path: run_model(path, "cpu", {"picture": np.zeros((1, 3, 8, 8), "float32")}), "bad-input"),
        (lambda path: verify(compiled(TWO_HEADS), bind={"z": 3}), "unknown-symbol"),
    ],
)
def test_what_cannot_run_is_one_diagnostic(act: Callable[[Path], object], code: str, model: Path) -> None:
    with pytest.raises(NetcError) as caught:
        act(model)
    assert code_of(caught) == code


def test_a_missing_library_is_named() -> None:
    with pytest.raises(NetcError, match="pip install gone") as caught:
        libraries._load("a_module_that_is_nowhere", "gone")
    assert code_of(caught) == "missing-library"


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bool", "int64", "int32", "int8", "uint8"])
def test_random_inputs_have_shape_and_dtype(dtype: str) -> None:
    found = random_input(np.random.default_rng(0), (200, 2), dtype, below=5)
    assert (found.shape, str(found.dtype)) == ((200, 2), dtype)
    assert len(set(found.ravel().tolist())) == (
        2 if dtype == "bool" else 5 if "int" in dtype else len(set(found.ravel().tolist()))
    )


def test_sizes_are_read_back_from_their_text() -> None:
    h = symbol("h")
    assert parse_size("32*h") == 32 * h
    assert parse_size("(h+1)//2") == (h + 1) // 2
    assert parse_size("7") == 7
    assert parse_size("batch_size") == symbol("batch_size")
    assert parse_size("not a size (") == symbol("not a size (")


def test_usual_sizes() -> None:
    n, h, w = symbol("N"), symbol("h"), symbol("w")
    assert typical([(n, 3, 32 * h, 32 * w)], {}, {}) == {"N": 1, "h": 7, "w": 7}
    assert typical([(n, 3, 32 * h, 32 * w)], {"h": 9}, {"N": 4}) == {"N": 4, "h": 9, "w": 7}
    assert typical([(n, 10)], {}, {}) == {"N": 1}
    assert typical([(n, 3, h * w, h)], {}, {}) == {"N": 1, "h": 224, "w": 1}


def test_sample_sizes_tell_axes_apart() -> None:
    shapes = [(symbol("N"), 3, symbol("H"), symbol("W"))]
    found = samples(shapes, {"H": 63}, {})
    assert found[0] == {"H": 63, "N": 2, "W": 1}
    assert len(found) == 3
    assert all(b["H"] >= 63 and b["N"] >= 2 for b in found)
    assert samples([(2, 3)], {}, {}) == [{}]
    assert samples(shapes, {}, {"H": 9, "N": 1, "W": 5}) == [{"H": 9, "N": 1, "W": 5}]
    assert ample(shapes, {"H": 63}, {"W": 5}) == {"H": 66, "N": 8, "W": 5}


def test_an_unbound_size_is_named() -> None:
    with pytest.raises(NetcError, match="no value for h") as caught:
        bound_shape((2, 3 * symbol("h")), {})
    assert code_of(caught) == "unbound-size"


def finding(report: VerifyReport, name: str) -> bool:
    return next(f.ok for f in report.findings if f.name == name)


def test_a_right_network_passes() -> None:
    report = verify(compiled(TWO_HEADS))
    assert report.ok, report.lines()
    assert {d.output for d in report.differences} == {"main"}
    assert {tuple(sorted(d.binding)) for d in report.differences} == {("N", "h", "w")}
    assert max(d.relative for d in report.differences) < 1e-6
    text = "\n".join(report.lines())
    assert "2 outputs, 1 of them only in training" in text
    assert "2 batch norms counted" in text


@pytest.mark.parametrize(
    "text",
    [
        "inputs: {tokens: {shape: [N, T], dtype: int64}}\nnet: [embedding 20 6, layer_norm, linear 4]",
        "inputs: {image: [N, 4, 6, 6]}\nshared: {head: conv2d 4 1}\n"
        "net: {a: head @image, b: head @a, out: add @a @b}\noutputs: {out: out}",
        "inputs: {image: [N, 3, 9, 9]}\nfreeze: [stem]\n"
        "net: {stem: [conv2d 4 3, batch_norm2d], head: [conv2d 2 3, batch_norm2d]}",
        "inputs: {a: [N, 4], b: [N, 4]}\nnet: {sum: add @a @b, dif: sub @a @b}\n"
        "outputs: {sum: sum, dif: dif, a_again: a}",
        "inputs: {image: [2, 3, 5, 5]}\nnet: [conv2d 4 3, relu, flatten, linear 3, softmax]",
        "inputs: {image: [N, 3, 5, 5]}\nnet: [conv2d 4 3, instance_norm2d track_running_stats=true]",
    ],
)
def test_more_right_networks_pass(text: str) -> None:
    report = verify(compiled(text), seed=4)
    assert report.ok, report.lines()


def test_inputs_a_network_cannot_run_on_are_one_diagnostic() -> None:
    text = """\
inputs: {image: [N, 3, 16, 16], boxes: [K, 5]}
net:
  conv: conv2d 4 3 @image
  crops: roi_pool (2 2) @conv @boxes
"""
    with pytest.raises(NetcError) as caught:
        verify(compiled(text))
    assert code_of(caught) == "bad-input"


def test_given_weights_are_used(tmp_path: Path) -> None:
    network = compiled(TWO_HEADS)
    init_weights(network, tmp_path / "w.safetensors", seed=8)
    before = (tmp_path / "w.safetensors").read_bytes()
    assert verify(network, tmp_path / "w.safetensors").ok
    assert (tmp_path / "w.safetensors").read_bytes() == before


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    init_weights(compiled(TWO_HEADS.replace("linear 5", "linear 6")), tmp_path / "w.safetensors")
    with pytest.raises(NetcError) as caught:
        verify(compiled(TWO_HEADS), tmp_path / "w.safetensors")
    assert {d.code for d in caught.value.diagnostics} == {"weights-shape"}


def changed(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> VerifyReport:
    """The report on a network whose generated module has been tampered with."""

    def tampered(network: Network) -> str:
        text = generate(network)
        assert old in text, text
        return text.replace(old, new)

    backend = SimpleNamespace(generate=tampered)
    module: Any = __import__("sys").modules["netc.verify.network"]
    monkeypatch.setattr(module, "pytorch_backend", lambda: backend)
    return verify(compiled(TWO_HEADS))


def test_another_computation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    report = changed(monkeypatch, "nn.ReLU(inplace=True)", "nn.LeakyReLU(0.001)")
    assert not report.ok
    assert not all(d.ok for d in report.differences)
    assert any(line.startswith("BAD") and "main" in line for line in report.lines())


def test_heads_of_training_belong_to_training(monkeypatch: pytest.MonkeyPatch) -> None:
    report = changed(monkeypatch, "self.training", "True")
    assert not finding(report, "output shapes")
    assert finding(report, "train mode")


def test_a_head_that_is_never_computed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    report = changed(monkeypatch, "self.aux(x) if self.training else None", "None")
    assert finding(report, "output shapes")
    assert not finding(report, "train mode")
    assert not finding(report, "gradients")


def test_frozen_batch_norms_are_measured_too() -> None:
    """Without, each of these would make what it is given a hundred times larger than the one before."""
    unit = "[conv2d 16 3 padding=1, frozen_batch_norm2d, relu]"
    head = "inputs: {image: [N, 3, 8, 8]}\ninit: {conv2d: normal std=10}"
    text = f"{head}\nnet:\n  body: {{for: {{i: 1..12}}, do: {unit}}}"
    report = verify(compiled(text))
    assert report.ok, report.lines()
    assert report.differences[0].absolute < 0.01


def test_another_shape_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    report = changed(monkeypatch, "self.main(x)", "self.main(x)[:, :4]")
    assert not finding(report, "output shapes")
    assert not finding(report, "train mode")
    assert not report.ok


def test_batch_norms_that_stay_in_eval_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    report = changed(monkeypatch, "x = self.stem(image)", "self.stem[1].eval()\n        x = self.stem(image)")
    assert not finding(report, "statistics")


def test_parameters_that_do_not_train_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    report = changed(monkeypatch, "nn.Linear(6, 5)", "nn.Linear(6, 5).requires_grad_(False)")
    assert not finding(report, "gradients")


def test_what_a_network_makes_itself_is_no_fault_of_its_module() -> None:
    text = "inputs: {image: [N, 3, 8, 8]}\nnet: {out: [conv2d 4 3, log, flatten, linear 3]}"
    report = verify(compiled(text))
    (found,) = [f for f in report.findings if f.name == "gradients"]
    assert found.ok
    assert found.detail == "NaN or infinite for out.3.weight, as the network's own out is for these inputs"


def test_a_gradient_that_is_not_finite_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The square root of zero is zero, and its slope infinite."""
    report = changed(monkeypatch, "x = self.stem(image)", "x = self.stem(image)\n        x = x + (x - x).sqrt()")
    assert all(d.ok for d in report.differences)
    assert not finding(report, "gradients")


def test_an_output_of_another_type_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    report = changed(monkeypatch, "self.main(x)", "self.main(x).double()")
    assert not report.ok


def test_differences_that_are_not_numbers_fail() -> None:
    for relative in (float("nan"), float("inf"), 3e-5):
        assert not Difference("out", {}, "float32", relative, relative).ok
    assert Difference("out", {}, "float32", 1e-5, 1e-5).ok
    assert Difference("out", {}, "float32", 3e-5, 3e-5, rounding=1e-5).ok
    assert not Difference("out", {}, "float32", 0.1, 0.1, rounding=1.0).ok
    assert not Difference("out", {}, "int64", 1, 0.001).ok
