"""The Python interface."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from runpy import run_path

import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

import netc
from netc.diagnostics.model import NetcError
from netc.ops.base import OPERATORS, Op
from netc.ops.records import Unsupported
from netc.passes.refusals import torch_refusals
from netc.passes.serve import Serving, served
from netc.types import TensorType
from netc.verify import verify

ROOT = Path(__file__).parent.parent
TEXT = """
netc: 1
name: tiny
args: {width: 8, act: relu, kernels: [3, 5]}
variants: {plain: {}, wide: {width: 32}}
inputs: {image: [N, 3, 2*h, 2*w]}
net:
  body: {for: {k: kernels}, do: [conv2d width k padding=half, act]}
  pool: max_pool2d 2
outputs: {features: pool}
"""


def test_importing_netc_loads_next_to_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import netc; assert set(sys.modules) - before <= {'netc', '__future__'}"
    )
    subprocess.run([sys.executable, "-c", f"import importlib, typing; {code}"], cwd=ROOT, check=True)


BARE = """
import sys
from importlib.abc import MetaPathFinder

class Bare(MetaPathFinder):
    \"\"\"An environment that has PyYAML, msgspec and netc.\"\"\"

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in sys.stdlib_module_names | {"netc", "yaml", "msgspec"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Bare())
import netc

network = netc.load(sys.argv[1])
print(network.summary(), network.to_torch(), network.to_dot())
"""


def test_texts_need_pyyaml_and_msgspec_alone() -> None:
    spec = ROOT / "specs/lenet5.yaml"
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(spec)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    network = netc.load(spec)
    assert (done.stderr, done.stdout) == ("", f"{network.summary()} {network.to_torch()} {network.to_dot()}\n")


def test_only_what_is_documented_is_there() -> None:
    assert dir(netc) == sorted(netc.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        netc.nothing  # noqa: B018 - the access is the test


@pytest.mark.parametrize("spec", [ROOT / "specs/lenet5.yaml", str(ROOT / "specs/lenet5.yaml")])
def test_a_path_may_be_text_or_a_path(spec: str | Path) -> None:
    assert netc.load(spec).summary().parameters == 61_706


def test_text_variants_arguments_and_bindings() -> None:
    assert netc.load(TEXT).name == "plain"
    wide = netc.load(TEXT, variant="wide", bind={"h": 4, "w": 5, "N": 2})
    assert wide.inputs == {"image": TensorType((2, 3, 8, 10))}
    assert wide.outputs == {"features": TensorType((2, 32, 4, 5))}
    assert repr(wide) == "<netc.Network wide: image 2×3×8×10 → features 2×32×4×5>"


def test_the_variant_may_stand_in_the_path() -> None:
    assert netc.load(f"{ROOT / 'specs/resnet.yaml'}:resnet18").summary().parameters == 11_689_512


@pytest.mark.parametrize(
    ("args", "operators"),
    [
        ({"kernels": [1]}, ["conv2d", "relu", "max_pool2d"]),
        ({"kernels": (1, 3, 5)}, ["conv2d", "relu"] * 3 + ["max_pool2d"]),
        ({"kernels": [3], "act": "leaky_relu"}, ["conv2d", "leaky_relu", "max_pool2d"]),
        ({"kernels": [3], "act": None}, ["conv2d", "max_pool2d"]),
    ],
)
def test_arguments_are_python_values(args: dict[str, netc.api.Argument], operators: list[str]) -> None:
    assert [layer.op for layer in netc.load(TEXT, args=args).summary().layers] == operators


def test_errors_are_raised_together() -> None:
    with pytest.raises(netc.NetcError) as caught:
        netc.load("netc: 1\ninputs: {image: [N, 3, 32, 32]}\nnet:\n  a: conv2\n  b: relu @nothing\n")
    assert [d.code for d in caught.value.diagnostics] == ["unknown-op", "unknown-tensor"]
    assert "unknown-op: " in str(caught.value)


def test_warnings_are_kept() -> None:
    found = netc.load("netc: 1\ninputs: {image: [N, 3, 33, 33]}\nnet: {pool: max_pool2d 2}\n").check()
    assert {d.severity for d in found} == {"warning"}
    assert netc.load(TEXT).check() == ()


def test_a_missing_file() -> None:
    with pytest.raises(netc.NetcError, match=r"nowhere\.yaml"):
        netc.load("nowhere.yaml")


def test_module_and_onnx_agree_on_the_written_weights(tmp_path: Path) -> None:
    network = netc.load(TEXT)
    (tmp_path / "model.py").write_text(network.to_torch(), encoding="utf-8")
    network.write_weights(tmp_path / "w.safetensors", seed=4)
    network.write_onnx(tmp_path / "m.onnx", tmp_path / "w.safetensors")
    module = list(run_path(str(tmp_path / "model.py")).values())[-1]()
    module.load_state_dict(load_file(tmp_path / "w.safetensors"), strict=True)
    image = torch.randn(2, 3, 8, 12)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (features,) = session.run(None, {"image": image.numpy()})
    torch.testing.assert_close(torch.from_numpy(features), module.eval()(image))


def test_fresh_weights_are_written_beside_the_onnx_file(tmp_path: Path) -> None:
    netc.load(TEXT).write_onnx(tmp_path / "m.onnx", seed=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.safetensors"]


def test_dot() -> None:
    assert netc.load(TEXT).to_dot().startswith(("digraph", "//"))


def test_the_summary_adds_up() -> None:
    summary = netc.load(ROOT / "specs/resnet.yaml", bind={"h": 7, "w": 7}).summary()
    assert summary.parameters == sum(layer.cost.parameters for layer in summary.layers) == 25_557_032
    assert summary.macs == sum(layer.cost.macs or 0 for layer in summary.layers) == 4_089_184_256
    assert "25,557,032" in str(summary)


def test_what_pytorch_has_no_form_for_is_said_at_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Op, *x: TensorType) -> None:
        raise Unsupported("there is no such thing")

    monkeypatch.setattr(OPERATORS["relu"], "torch", refuse)
    spec = tmp_path / "net.yaml"
    spec.write_text(
        "netc: 1\nname: net\ninputs: {image: [N, 3, 8, 8]}\nblocks: {unit: {net: [conv2d 3 1, relu]}}\nnet: {a: unit}\n"
    )
    network = netc.load(spec)
    for write in (network.to_torch, lambda: verify(network.ir)):
        with pytest.raises(NetcError) as raised:
            write()
        (found,) = raised.value.diagnostics
        assert (found.code, found.span and found.span.text, found.path) == ("torch-unsupported", "relu", "a.1")
        assert found.message == "relu cannot be written for PyTorch: there is no such thing"
        assert found.notes == ("relu takes no arguments: `netc ops relu`",)
        assert [frame.name for frame in found.trail] == ["unit"]


def test_a_module_that_would_differ_is_refused_at_its_statement() -> None:
    network = netc.load(
        "netc: 1\nname: net\ninputs: {image: [N, 3, 8, 8]}\nblocks: {unit: {net: [conv2d 3 1, relu]}}\n"
        "net:\n  a: unit\n  b: [unit, relu]\n"
    )
    places = {"a": ("unit", []), "a.1": ("relu", ["unit"]), "b": ("unit", []), "b.1": ("relu", []), "nowhere": ("", [])}
    for path, (text, trail) in places.items():
        (found,) = torch_refusals(network.ir, Unsupported("not this one", path))
        assert (found.code, found.message) == ("torch-unsupported", "not this one")
        assert [frame.name for frame in found.trail] == trail
        assert found.span is not None
        assert found.span.text == text or not text
    assert found.span.text == network.ir.file.span.text


def test_a_softmax_is_not_given_another(tmp_path: Path) -> None:
    spec = tmp_path / "net.yaml"
    spec.write_text(
        "netc: 1\nname: net\ninputs: {vector: [N, 8]}\nnet: {head: [linear 4, softmax 1]}\noutputs: {chances: head}\n"
    )
    with pytest.raises(NetcError) as raised:
        served(netc.load(spec).ir, Serving(softmax=True))
    (found,) = raised.value.diagnostics
    assert (found.code, found.span and found.span.text) == ("cannot-serve", "softmax 1")
