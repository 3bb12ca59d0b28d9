"""Every refusal of the ONNX backend: at the line of the operator, which it names, with what the operator takes."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from traceback import extract_tb
from typing import Any, NamedTuple

import pytest

import netc
from netc.backends.onnx import lower as lowering
from netc.backends.onnx.versions import spelled
from netc.diagnostics.model import Diagnostic
from netc.ir.flat import flatten
from netc.ops import OPERATORS
from netc.ops.records import OnnxNode, Unsupported
from netc.passes import refusals

ROOT = Path(netc.__file__).parent
PLACES = (ROOT / "backends" / "onnx", ROOT / "ops")


class Case(NamedTuple):
    """line: the statement that is refused; says: a part of the message; where: what raises, as `file:function`."""

    line: str
    says: str
    where: str
    image: str = "[N, 3, 12, 12]"
    opset: int = 21
    dtype: str = "float32"
    before: tuple[str, ...] = ()
    after: str = ""
    more: str = ""


OPEN = "[N, 3, H, W]"
CASES = (
    Case(
        "adaptive_max_pool2d 5", "H must be a number here: use --bind", "common.py:number", OPEN,
        after="identity @last.indices",
    ),
    Case("reshape (h w)", "the size w does not follow from any axis of the input", "target.py:_needed", "[h*w]"),
    Case(
        "max_pool1d 2 stride=3 dilation=2 ceil_mode=true", "padding smaller than the kernel", "pool.py:_onnx",
        "[N, 3, 4]", after="identity @last.indices",
    ),
    Case("lstm 4", "no float64 recurrent layers on the CPU: use float32", "recurrent.py:onnx", "[5, N, 3]",
         dtype="float64"),
    Case("interpolate scale_factor=1.25 mode=bilinear", "such as 4*h", "resize.py:_onnx_factor", OPEN),
    Case("interpolate size=(2 1) mode=bilinear antialias=true", "leave it out", "resize.py:onnx", OPEN),
    Case("interpolate size=3 mode=bilinear antialias=true align_corners=true", "leave one out", "resize.py:_onnx_mode",
         OPEN),
    Case("interpolate scale_factor=1.5 mode=nearest", "use --bind", "nearest.py:computed", "[N, 3, 2*H, 2*W]",
         dtype="float64"),
    Case("max_unpool2d of=@p", "windows overlap", "unpool.py:onnx", before=("p: max_pool2d 3 stride=2 padding=1",)),
    Case("nms 5 @image @s", "does not take float64: use float32", "suppress.py:onnx", "[N, 20, 4]", dtype="float64",
         more=", s: [N, 20]"),
    Case("var (2 3)", "159999, a constant it computes with, does not fit float16", "lower.py:_check_numbers",
         "[N, 3, 400, 400]", dtype="float16"),
    Case("pad 1 mode=circular", "needs opset 19", "versions.py:_pad", opset=17),
    Case("interpolate size=5 mode=bilinear antialias=true", "needs opset 18", "versions.py:_resize", opset=17),
    Case("deform_conv2d 4 3 @image @o", "DeformConv needs opset 19", "versions.py:_schema", opset=17,
         before=("o: conv2d 18 3 @image",)),
    Case("grid_sample @image @g", "of volumes needs opset 20", "versions.py:_grid_sample", "[N, 3, 4, 4, 4]", opset=17,
         more=", g: [N, 2, 2, 2, 3]"),
    Case("isinf", "IsInf takes float16 elements from opset 20 on", "versions.py:check_types", opset=17,
         dtype="float16"),
    Case("round", "Round takes bfloat16 elements from opset 22 on", "versions.py:check_types", opset=18,
         dtype="bfloat16"),
    *(
        Case(line, "more than 4,194,304", "common.py:elements", f"[1, 1, 1, {10**9}]", after="identity @last")
        for line in (
            f"interpolate size=(1 {3 * 10**8}) mode=nearest",
            f"interpolate size=(1 {3 * 10**8}) mode=nearest-exact",
            "anchors 32 ratios=1 stride=8 like=@image",
            "adaptive_avg_pool2d (1 7)",
            f"fractional_max_pool2d 1 output_size=(1 {10**8})",
            f"unfold (1 {10**4})",
        )
    ),
    Case(f"adaptive_max_pool2d (1 {10**6})", "1,000,000 parts here", "common.py:each_of", f"[1, 1, 1, {10**7 + 1}]"),
    Case("celu 0.5", "no float64 kernel for Elu on the CPU: use float32", "", dtype="float64"),
)  # fmt: skip
FOR_PLUGINS = {"versions.py:_check_form", "versions.py:_with_axes_attribute"}
"""What no operator of netc meets: nodes of plugins may."""


def _sources() -> Iterator[tuple[str, ast.FunctionDef]]:
    files = [path for folder in PLACES for path in sorted(folder.rglob("*.py"))]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield path.name, node


def _refusing() -> set[str]:
    """All functions that raise Unsupported, as `file:function`."""
    return {
        f"{name}:{function.name}"
        for name, function in _sources()
        for node in ast.walk(function)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and ast.unparse(node.exc.func) == "Unsupported"
    }


def refused(case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Diagnostic], list[str]]:
    """The findings of the ONNX backend for a case, and what raised them."""
    raised: list[str] = []

    def seen(*args: Any) -> Diagnostic:
        traceback = sys.exc_info()[2]
        if traceback is not None:
            frame = extract_tb(traceback)[-1]
            raised.append(f"{Path(frame.filename).name}:{frame.name}")
        return refusals.refusal(*args)

    monkeypatch.setattr(lowering, "refusal", seen)
    body = "\n".join(
        f"  {line}"
        for line in (*case.before, f"last: {case.line}", *filter(None, [case.after and f"after: {case.after}"]))
    )
    text = f"netc: 1\nname: case\ninputs: {{image: {case.image}{case.more}}}\nnet:\n{body}\n"
    network = netc.load(text, dtype=case.dtype)
    with pytest.raises(netc.NetcError) as caught:
        lowering.lower(flatten(network.ir), opset=case.opset)
    return list(caught.value.diagnostics), raised


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.line} {case.where}")
def test_a_refusal_stands_at_its_line_and_says_what_the_operator_takes(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found, *_), raised = refused(case, monkeypatch)
    operator = case.line.partition(" ")[0]
    assert found.code == "onnx-unsupported"
    assert found.span is not None
    assert (found.span.text, found.path) == (case.line, "last")
    assert found.message.startswith(f"{operator} cannot ")
    assert case.says in found.message
    assert found.notes[0].startswith(f"{operator} takes ")
    assert f"`netc ops {operator}`" in found.notes[0]
    assert all(f"`{name}`" in found.notes[0] for name in OPERATORS[operator].attributes)
    assert raised[:1] == ([case.where] if case.where else [])


def test_every_refusal_that_is_written_is_met_above() -> None:
    assert _refusing() == {case.where for case in CASES if case.where} | FOR_PLUGINS


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (OnnxNode("Relu", ("x0",), attributes=(("slope", 0.1),)), "Relu has no `slope` in opset 17"),
        (OnnxNode("Relu", ("x0", "x1")), "Relutakes fewer inputs in opset 17"),
        (OnnxNode("ReduceMax", ("x0", "axes")), "ReduceMax with computed axes needs opset 18"),
    ],
)
def test_nodes_of_plugins_that_an_opset_lacks(node: OnnxNode, says: str) -> None:
    with pytest.raises(Unsupported, match=re.escape(says)):
        spelled((node,), 17, "float32", 4)
