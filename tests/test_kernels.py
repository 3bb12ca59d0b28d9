"""The table of kernels against onnxruntime: what it registers, which models it takes, where it puts their nodes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner, Result
from handmade import SPAN, one_op
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidGraph, NotImplemented
from test_onnx_operators import CASES, make

from netc import load
from netc.backends.onnx import cpu_only, write_onnx_fresh
from netc.backends.onnx.lower import Lowered, lower
from netc.cli.main import cli
from netc.cli.typical import placement_line, typical_use
from netc.diagnostics.model import NetcError
from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.kernels import source_version
from netc.ops import OPERATORS
from netc.ops.base import Op
from netc.ops.records import Problem
from netc.types import TensorType
from tools.kernels import TARGET, installed, main, registered, table
from tools.stand_ins import has_cuda, make_stand_ins

STALE = "the table is from onnxruntime {}, installed is {}: run `python -m tools.kernels` and commit the result"


def test_the_table_is_from_the_onnxruntime_installed() -> None:
    assert source_version() == installed(), STALE.format(source_version(), installed())


def test_the_cpu_kernels_are_those_onnxruntime_registers() -> None:
    recorded = msgspec.json.decode(TARGET.read_bytes())
    for forms in recorded["operators"].values():
        for form in forms.values():
            del form["cuda"]
            opened = form.pop("opened", {})
            if "cpu" in opened:
                form["opened"] = {"cpu": opened["cpu"]}
    assert table(registered(), ("cpu",)) == recorded


with_stand_ins = pytest.mark.skipif(
    not has_cuda() or not shutil.which("gcc"), reason="needs onnxruntime-gpu and gcc for stand-ins"
)


@with_stand_ins
def test_the_whole_table_is_what_its_tool_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.kernels.TARGET", tmp_path / "kernels.json")
    main()
    assert (tmp_path / "kernels.json").read_text() == TARGET.read_text(), STALE.format(source_version(), installed())


def cases(dtype: str) -> Iterator[tuple[str, Network]]:
    """The operators' networks with inputs of a dtype, where they take it."""
    for label, (op, _, shapes) in CASES.items():
        types = [TensorType(shape, dtype) for shape in shapes]
        if not any(isinstance(found, Problem) for found in op.check(*types)):
            yield label, one_op(op, *types)


def is_refused(network: Network) -> bool:
    try:
        lower(flatten(network))
    except NetcError:
        return True
    return False


def is_run(model: Path) -> bool:
    try:
        onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    except (NotImplemented, InvalidGraph):
        return False
    return True


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "int64", "bool"])
def test_exactly_what_onnxruntime_refuses_is_refused(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = dict(cases(dtype))
    refused = {label for label, network in networks.items() if is_refused(network)}
    monkeypatch.setattr(Lowered, "without_kernel", lambda *_: [])
    onnxruntime.set_default_logger_severity(4)
    model = tmp_path / "model.onnx"
    wrong = set()
    for label, network in networks.items():
        write_onnx_fresh(network, model)
        if is_run(model) == (label in refused):
            wrong.add(label)
    onnxruntime.set_default_logger_severity(2)
    assert wrong == set()


NEEDS_CUDNN = {"lrn 3", "rnn", "lstm", "gru"}
"""Their CUDA kernels ask cuDNN for a descriptor when they are made."""


def typical(dtype: str) -> Iterator[tuple[str, Network]]:
    """Every operator as the reference shows it."""
    for name, operator in OPERATORS.items():
        use = typical_use(operator)
        assert use
        op, types = use
        yield name, one_op(op, *(TensorType(t.shape, t.dtype.replace("float32", dtype)) for t in types))


@with_stand_ins
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_onnxruntime_puts_on_cuda_what_the_table_says(dtype: str, tmp_path: Path) -> None:
    said = {}
    for label, network in {**dict(cases(dtype)), **dict(typical(dtype))}.items():
        if label not in NEEDS_CUDNN and not is_refused(network):
            write_onnx_fresh(network, tmp_path / f"{label}.onnx")
            placed = [p for item in lower(flatten(network)) for p in item.without_kernel("cuda")]
            said[label] = sorted({p.node.op_type for p in placed})
    make_stand_ins(tmp_path)
    command = [sys.executable, str(Path(__file__).with_name("assigned.py")), str(tmp_path)]
    found = subprocess.run(
        command, capture_output=True, check=True, env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    )
    assert json.loads(found.stdout) == said
    assert said["roi_pool"] == ["MaxRoiPool"]


@pytest.mark.parametrize(
    ("op", "shapes", "absent"),
    [
        (make("conv2d", out_channels=2, kernel_size=3), [(1, 3, 8, 8)], "Conv"),
        (make("unfold", kernel_size=2), [(1, 3, 8, 8)], "Conv"),
        (make("roi_pool", output_size=2), [(1, 3, 8, 8), (2, 5)], "MaxRoiPool"),
    ],
)
def test_a_kernel_that_is_absent_is_an_error_at_its_line(op: Op, shapes: list[tuple[int, ...]], absent: str) -> None:
    network = one_op(op, *(TensorType(shape, "float64") for shape in shapes))
    with pytest.raises(NetcError, match=f"no float64 kernel for {absent} on the CPU: use float32") as caught:
        lower(flatten(network))
    (found,) = caught.value.diagnostics
    assert (found.code, found.path, found.span) == ("onnx-unsupported", "node", SPAN)


def test_bodies_of_loops_are_judged_too() -> None:
    op = make("lstm", hidden_size=4, proj_size=2)
    assert not is_refused(one_op(op, TensorType((2, 5, 3))))


ROIS = """
netc: 1
inputs: {image: [n, 3, 32, 32], boxes: [k, 5]}
net:
  features: conv2d 8 3 padding=1
  crops: roi_pool @features @boxes 7
outputs: {crops: crops}
"""


def netc(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, prog_name="netc")


def test_what_cuda_has_no_kernel_for_is_named(tmp_path: Path) -> None:
    spec, model = tmp_path / "rois.yaml", str(tmp_path / "rois.onnx")
    spec.write_text(ROIS)
    refused = netc("onnx", str(spec), "-o", model, "--provider", "cuda")
    assert refused.exit_code == 1
    assert "cuda-fallback" in refused.stderr
    assert "roi_pool cannot run: ONNX Runtime has no float32 kernel for MaxRoiPool on CUDA" in refused.stderr
    assert not Path(model).exists()
    assert netc("onnx", str(spec), "-o", model).stderr == "on CUDA 1 statement would run on the CPU: crops\n"
    assert netc("onnx", str(spec), "-o", model, "--provider", "cpu").stderr == ""


def test_a_file_for_cuda_alone_may_hold_what_the_cpu_cannot_run(tmp_path: Path) -> None:
    spec, model = tmp_path / "wide.yaml", tmp_path / "wide.onnx"
    spec.write_text("netc: 1\ninputs: {image: {shape: [N, 3, 8, 8], dtype: float64}}\nnet: [conv2d 2 3]\n")
    refused = netc("onnx", str(spec), "-o", str(model))
    assert "conv2d cannot run: ONNX Runtime has no float64 kernel for Conv on the CPU: use float32" in refused.stderr
    assert netc("onnx", str(spec), "-o", str(model), "--provider", "cuda").exit_code == 0
    assert onnx.load(model, load_external_data=False).graph.node[0].op_type == "Conv"


def test_resnet_runs_on_cuda_whole() -> None:
    resnet = Path(__file__).parent.parent / "specs" / "resnet.yaml"
    assert cpu_only(load(resnet, variant="resnet50").ir) == ()


def test_the_reference_says_where_an_operator_runs() -> None:
    assert "ONNX: Conv (CPU, CUDA)\n" in netc("ops", "conv2d").stdout
    assert "MaxRoiPool (CPU only)\n" in netc("ops", "roi_pool").stdout
    assert "ONNX: no node\n" in netc("ops", "dropout").stdout


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_has_a_typical_use(name: str) -> None:
    assert placement_line(OPERATORS[name])
