"""Verification at sizes other than the smallest: statements alone at large ones, training where the sizes allow it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from onnx import load

import netc
from netc.backends.onnx import OnnxOptions
from netc.cli.main import cli
from netc.dims import symbol
from netc.ops.base import OPERATORS, Op
from netc.ops.common import node
from netc.ops.records import OnnxNode
from netc.passes.sizes import LENGTHS, wide
from netc.types import TensorType
from netc.verify import verify
from netc.verify.differences import CheckResult, VerifyReport
from netc.verify.large import check_large

ROOT = Path(__file__).parent.parent
LIKE = """netc: 1
name: like
inputs: {image: [N, 1, h, w], skip: [N, 1, g, v]}
net:
  out: interpolate like=@skip mode=nearest @image
"""


def compiled(text: str, **bind: int) -> netc.Network:
    return netc.load(text, bind=bind)


def finding(report: VerifyReport, name: str) -> CheckResult:
    (found,) = (finding for finding in report.findings if finding.name == name)
    return found


def naive_nearest(self: Op, *x: TensorType) -> tuple[OnnxNode, ...]:
    """ONNX Runtime's own scale, which for 28 → 8 takes other pixels than PyTorch, for small sizes the same."""
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return node("Shape", "x1", "sizes", start=2), node("Resize", "x0 _ _ sizes", axes=(2, 3), **how)


def test_a_statement_that_is_wrong_at_large_sizes_alone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPERATORS["interpolate"], "onnx", naive_nearest)
    report = verify(compiled(LIKE).ir)
    assert all(difference.ok for difference in report.differences[:6]), "small sizes do not show it"
    found = finding(report, "large sizes")
    assert not report.ok
    assert not found.ok
    assert found.detail.startswith("out (interpolate, ")
    assert "h=28" in found.detail or "g=8" in found.detail


@pytest.mark.parametrize(
    ("inputs", "net", "statements"),
    [
        ("{image: [N, 3, 4*h, 4*w]}", "[max_pool2d 3 stride=2 padding=1, relu, max_pool2d 2, avg_pool2d 2]", 3),
        (
            "{image: [N, 3, H, W]}",
            "[conv2d 4 3 padding=1, max_pool2d 2 ceil_mode=true, max_pool2d 2 ceil_mode=true]",
            2,
        ),
        ("{sequence: [N, 3, L]}", "[avg_pool1d 3 stride=1, pad 2, adaptive_avg_pool1d 5]", 3),
        ("{image: [N, 3, H, 8]}", "[flatten 1 2, transpose 1 2]", 2),
    ],
)
def test_each_kind_of_statement_is_compared_once(inputs: str, net: str, statements: int) -> None:
    report = verify(compiled(f"netc: 1\nname: sized\ninputs: {inputs}\nnet: {net}\n").ir)
    assert report.ok, report.lines()
    assert finding(report, "large sizes").detail.startswith(f"{statements} statements")


@pytest.mark.parametrize("inputs", ["[N, 3, 8, 8]", "[2, 3, 8, 8]"])
def test_nothing_is_larger_where_only_batches_are_free(inputs: str, tmp_path: Path) -> None:
    network = compiled(f"netc: 1\nname: fixed\ninputs: {{image: {inputs}}}\nnet: max_pool2d 2\n").ir
    assert list(check_large(network, tmp_path, {}, 0, OnnxOptions(), None)) == []


def test_what_is_frozen_or_at_opset_17_is_compared_too(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "freeze.yaml").read_text("utf-8").replace("[N, 3, 32, 32]", "[N, 3, 4*h, 4*w]")
    network = compiled(text.replace("flatten", "adaptive_avg_pool2d 1, flatten")).ir
    (found,) = check_large(network, tmp_path, {}, 0, OnnxOptions(opset=17), None)
    assert found.ok
    assert load(tmp_path / "large.onnx").opset_import[0].version == 17


def test_large_sizes_are_uneven_and_keep_what_is_given() -> None:
    n, h, w = symbol("N"), symbol("h"), symbol("w")
    found = wide([(n, 3, h, w)], {"h": 30}, {})
    assert len(found) == len(LENGTHS)
    assert all(each["N"] == 1 and each["h"] >= 30 and each["h"] != each["w"] for each in found)
    assert {"h": 57, "w": 8, "N": 1} in found
    assert wide([(n, 3, 32 * h, 32 * w)], {}, {"h": 7})[0] == {"h": 7, "N": 1, "w": 1}
    assert wide([(n, 10)], {}, {}) == wide([(n, 3, h, w)], {}, {"h": 7, "w": 7}) == []


def test_networks_that_are_fast_are_compared_at_usual_sizes_too() -> None:
    text = "netc: 1\nname: fast\ninputs: {image: [N, 3, 8*h, 8*w]}\nnet: {conv: conv2d WIDTH 3}\n"
    for width, compared in (("8", True), ("4000", False)):
        sizes = [d.binding for d in verify(compiled(text.replace("WIDTH", width)).ir).differences]
        assert ({"N": 1, "h": 28, "w": 28} in sizes) is compared


ONE_VALUE = "netc: 1\nname: one_value\ninputs: {v: [1, 4]}\nnet: {out: batch_norm1d}\n"
POOLED = """netc: 1
name: pooled
inputs: {image: [N, 3, 8, 8]}
net:
  body: [conv2d 4 3, batch_norm2d, adaptive_avg_pool2d 1]
  last: batch_norm2d
"""


def test_sizes_too_small_to_train_with_are_no_difference() -> None:
    report = verify(compiled(ONE_VALUE).ir)
    assert report.ok
    assert "PyTorch refuses batch norm of a single value per channel" in finding(report, "train mode").detail
    report = verify(compiled(POOLED).ir, bind={"N": 1})
    assert report.ok
    assert "no step taken" in finding(report, "train mode").detail
    assert finding(verify(compiled(POOLED).ir), "train mode").detail.startswith("1 output")


def run(*arguments: str, text: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(cli, arguments, input=text, prog_name="netc")
    return done.exit_code, done.output


def test_a_network_of_one_sample_is_built_with_a_remark(tmp_path: Path) -> None:
    code, said = run("build", "-", "-o", str(tmp_path / "out"), text=ONE_VALUE)
    assert code == 0
    assert "warning[untrainable]: batch_norm1d cannot train on a single value per channel" in said
    assert (tmp_path / "out" / "model.onnx").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POOLED, "pooled is valid, and trains where N ≥ 2"),
        (POOLED.replace("[N, 3, 8, 8]", "[N, 3, h, w]"), "pooled is valid from h=3, w=3 on, and trains where N ≥ 2"),
        (POOLED.replace("net:", "freeze: [last]\nnet:", 1), "pooled is valid"),
        (POOLED.replace(", adaptive_avg_pool2d 1", ""), "pooled is valid"),
        (
            "netc: 1\nname: deep\ninputs: {image: [N, 3, 4*h, 4*w]}\nnet: [max_pool2d 4, batch_norm2d]\n",
            "deep is valid, and trains where N·h·w ≥ 2",
        ),
        (
            "netc: 1\nname: deep\ninputs: {image: [N, 3, h, w]}\nnet: [conv2d 4 3 stride=2 padding=1, batch_norm2d]\n",
            "deep is valid, and trains where N ≥ 2 or the other sizes are larger",
        ),
        (
            "netc: 1\nname: heads\ninputs: {image: [N, 3, h, w]}\nnet:\n  body: conv2d 4 1\n"
            "  side: [adaptive_avg_pool2d 1 @body, batch_norm2d]\n  out: relu @body\n"
            "outputs: {out: out, side: {from: side, when: train}}\n",
            "heads is valid, and trains where N ≥ 2",
        ),
    ],
)
def test_check_says_from_where_on_a_network_trains(text: str, said: str) -> None:
    assert run("check", "-", text=text) == (0, f"-: {said}\n")


def test_the_remark_is_silenced_by_lint_and_by_freeze() -> None:
    assert run("check", "-", text=ONE_VALUE.replace("net:", "lint: {untrainable: ignore}\nnet:"))[1].count("\n") == 1
    assert run("check", "-", text=ONE_VALUE.replace("net:", "freeze: [out]\nnet:"))[1] == "-: one_value is valid\n"
