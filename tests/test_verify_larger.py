"""`netc verify` of whole files at larger sizes than those that tell axes apart."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import netc
from netc.verify import VerifyReport, verify, verify_files

SPEC = 'netc: 1\nname: copies\ninputs: {image: [N, 2, h, w]}\nnet: [mul 1.0]\noutputs: {y: "0"}\n'


NEVER = 10**6


def file(path: Path, wrong_from: int = NEVER, refuses_from: int = NEVER) -> Path:
    """y = x below so many rows, 1.01·x from there on; more rows it may refuse."""
    consts = {"many": wrong_from, "too_many": refuses_from, "two": 2}
    lines = [
        ("Shape", ["x"], ["sizes"]),
        ("Gather", ["sizes", "two"], ["rows"]),
        ("GreaterOrEqual", ["rows", "many"], ["large"]),
        ("Where", ["large", "off", "one"], ["factor"]),
        ("Mul", ["x", "factor"], ["scaled"]),
        ("GreaterOrEqual", ["rows", "too_many"], ["beyond"]),
        ("Where", ["beyond", "two", "none"], ["place"]),
        ("Gather", ["nothing", "place"], ["more"]),
        ("Add", ["scaled", "more"], ["y"]),
    ]
    image = ["N", 2, "h", "w"]
    graph = helper.make_graph(
        [helper.make_node(*line) for line in lines],
        "copies",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, image)],
        [
            *(helper.make_tensor(name, TensorProto.INT64, [], [n]) for name, n in {**consts, "none": 0}.items()),
            *(helper.make_tensor(name, TensorProto.FLOAT, [], [n]) for name, n in {"off": 1.01, "one": 1.0}.items()),
            helper.make_tensor("nothing", TensorProto.FLOAT, [1], [0.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, path)
    return path


def told(report: VerifyReport) -> str:
    return next(line for line in report.lines() if "larger sizes" in line)


@pytest.mark.parametrize("rows", [20, 300])
def test_a_difference_at_larger_sizes_alone(rows: int, tmp_path: Path) -> None:
    right, wrong = file(tmp_path / "right.onnx"), file(tmp_path / "wrong.onnx", rows)
    same = verify_files(right, right)
    assert same.ok, same.lines()
    assert "up to" in told(same)
    for report in (verify_files(right, wrong), verify(netc.load(SPEC).ir, against=wrong)):
        assert not report.ok
        assert all(d.ok for d in report.differences if d.binding["h"] < rows)
        assert told(report).startswith("BAD")


def test_sizes_that_one_file_refuses(tmp_path: Path) -> None:
    """Those that the first does not take are left out; what the second alone does not take is a difference."""
    right, narrow = file(tmp_path / "right.onnx"), file(tmp_path / "narrow.onnx", refuses_from=100)
    report = verify_files(narrow, right)
    assert report.ok, report.lines()
    assert "agree at 7" in told(report)
    report = verify_files(right, narrow)
    assert not report.ok
    assert "narrow.onnx refuses" in told(report)
