"""Where rounding decides, both sides are followed step by step: what is right passes, and what is broken is found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import netc
from netc.backends.onnx import write_onnx_fresh
from netc.backends.pytorch import generate
from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.verify import StepsReport, VerifyReport, verify
from netc.verify.compare import Trial
from netc.verify.follow import check_steps
from tests.guides import run

ROOT = Path(__file__).parent.parent
NETWORK = """netc: 1
name: crowd
inputs: {image: [2, 8, 16, 16], corners: [2, 4000, 2]}
net:
  map: [conv2d 128 3 padding=1 @image, relu, conv2d 128 3 padding=1]
  flat: flatten
  best: topk 4000
  labels: remainder 128 @best.indices
  table: embedding 128 12 @labels
  head: [linear 12, leaky_relu 0.2, dropout, linear 12]
  some: slice start=0 end=12 dim=1
  turned: permute [0, 2, 1] @some
  gap: sub @some @turned
  ranked: topk 12 1
  far: add 0.5 @corners
  boxes: concat dim=2 @corners @far
  kept: nms 20 iou_threshold=0.3 @boxes @best.values
outputs: {values: best.values, head: head, ranked: ranked.values, kept: kept.indices}
"""
LINES = {line.split(":")[0].strip(): number for number, line in enumerate(NETWORK.splitlines(), 1)}


@pytest.fixture(scope="module")
def network() -> Network:
    return netc.load(NETWORK).ir


@pytest.fixture
def model(network: Network, tmp_path: Path) -> Path:
    write_onnx_fresh(network, tmp_path / "model.onnx", seed=5)
    return tmp_path / "model.onnx"


Change = Callable[[Any], None]


def changed(model: Path, change: Change) -> Path:
    proto = onnx.load(model, load_external_data=False)
    change(proto.graph)
    onnx.save(proto, model.with_name("changed.onnx"))
    return model.with_name("changed.onnx")


def node_called(graph: Any, name: str) -> Any:
    (node,) = (node for node in graph.node if node.name == name)
    return node


def attribute(name: str, key: str, value: Any) -> Change:
    def change(graph: Any) -> None:
        node = node_called(graph, name)
        kept = [a for a in node.attribute if a.name != key]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(key, value)])

    return change


def constant(name: str, value: Any) -> Change:
    def change(graph: Any) -> None:
        (tensor,) = (tensor for tensor in graph.initializer if tensor.name == name)
        shape = tuple(tensor.dims)
        tensor.CopyFrom(
            numpy_helper.from_array(np.full(shape, value, helper.tensor_dtype_to_np_dtype(tensor.data_type)))
        )
        tensor.name = name

    return change


def inputs(name: str, *reads: str) -> Change:
    def change(graph: Any) -> None:
        node = node_called(graph, name)
        node.input[: len(reads)] = reads

    return change


def behind(name: str, output: int, op_type: str, operand: Any) -> Change:
    """An operator more between what a node makes and all that read it."""

    def change(graph: Any) -> None:
        at = [node.name for node in graph.node].index(name)
        made = graph.node[at].output[output]
        graph.node[at].output[output] = f"{made}/first"
        graph.initializer.append(numpy_helper.from_array(np.asarray(operand), f"{made}/operand"))
        added = helper.make_node(op_type, [f"{made}/first", f"{made}/operand"], [made], name=f"{name}/{op_type}")
        graph.node.insert(at + 1, added)

    return change


MUTATIONS = {
    "a weight": (constant("head.0.weight", 0.1), "head.0"),
    "a bias": (constant("head.3.bias", 0.5), "head.3"),
    "a slope": (attribute("head.1", "alpha", 0.21), "head.1"),
    "swapped inputs": (inputs("gap", "turned", "some"), "gap"),
    "a value from elsewhere": (inputs("gap", "some", "some"), "gap"),
    "another axis": (attribute("ranked", "axis", 2), "ranked"),
    "the smallest": (attribute("best", "largest", 0), "best"),
    "places next to the right ones": (behind("best", 1, "Add", np.int64(1)), "best"),
    "the same place for all": (behind("best", 1, "Mul", np.int64(0)), "best"),
    "places out of range": (behind("best", 1, "Sub", np.int64(99999)), "best"),
    "a threshold": (constant("kept/iou_threshold", 0.4), "kept"),
    "a permutation": (attribute("turned", "perm", [0, 1, 2]), "turned"),
    "a layer before the choice": (constant("map.2.bias", 0.01), "map.2"),
}


def compared(network: Network, model: Path, other: Path, **options: Any) -> VerifyReport:
    return verify(network, model.with_suffix(".safetensors"), against=other, **options)


def steps_of(report: VerifyReport) -> StepsReport:
    assert report.steps is not None
    return report.steps


def test_two_right_programs_pass_where_rounding_decides(network: Network, model: Path) -> None:
    report = compared(network, model, model)
    assert report.ok, report.lines()
    assert "head" in {d.output for d in report.differences if not d.ok}
    steps = steps_of(report)
    assert steps.statements == len(flatten(network).nodes)
    assert (steps.joined, steps.missing, steps.astray, steps.unlike) == ((), (), (), ())
    assert {part.path for part in steps.parts} == {"best.indices"}
    assert steps.parts[0].place == f"<text>:{LINES['best']}"
    lines = report.lines()
    assert any(line.startswith("ok   head") and line.endswith("; equal step by step") for line in lines)
    assert any("each of the 18 statements computes the same on both sides" in line for line in lines)
    assert any(f"rounding decides in best.indices (topk, <text>:{LINES['best']})" in line for line in lines)


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_is_broken_is_found(name: str, network: Network, model: Path) -> None:
    change, path = MUTATIONS[name]
    report = compared(network, model, changed(model, change))
    assert not report.ok
    culprit = steps_of(report).culprit
    assert culprit is not None
    assert culprit.path.removesuffix(".indices").removesuffix(".values") == path
    assert culprit.place == f"<text>:{LINES[path.partition('.')[0]]}"
    assert any("BAD  steps" in line and culprit.path in line for line in report.lines())


def test_layers_pass_where_their_statements_do(network: Network, model: Path) -> None:
    report = compared(network, model, model, layers=True)
    assert report.ok, report.lines()
    assert report.layers is not None
    assert report.layers.first is not None
    assert report.layers.first.path == "labels"
    broken = changed(model, MUTATIONS["another axis"][0])
    assert not compared(network, model, broken, layers=True).ok


def renamed(*paths: str) -> Change:
    """Other names for these values, so that nothing says what they are."""

    def change(graph: Any) -> None:
        for node in graph.node:
            node.input[:] = [f"{name}/unnamed" if name in paths else name for name in node.input]
            node.output[:] = [f"{name}/unnamed" if name in paths else name for name in node.output]

    return change


def test_what_the_file_does_not_name_is_computed_with_what_reads_it(network: Network, model: Path) -> None:
    report = compared(network, model, changed(model, renamed("labels", "table", "head.1")))
    assert report.ok, report.lines()
    assert steps_of(report).joined == ("labels", "table", "head.1")
    assert steps_of(report).statements == len(flatten(network).nodes)
    assert any("3 compared together with what reads them" in line for line in report.lines())


def test_a_fault_among_unnamed_values_is_told_with_them(network: Network, model: Path) -> None:
    def change(graph: Any) -> None:
        attribute("head.1", "alpha", 0.21)(graph)
        renamed("head.1")(graph)

    report = compared(network, model, changed(model, change))
    assert not report.ok
    culprit = steps_of(report).culprit
    assert culprit is not None
    assert (culprit.path, culprit.joined) == ("head.3", ("head.1",))
    assert any("together with head.1" in line for line in report.lines())


def test_where_a_choice_has_no_names_around_it_nothing_is_claimed(network: Network, model: Path) -> None:
    """Rounding before the choice cannot be told from an error then."""
    report = compared(network, model, changed(model, renamed("map.0", "map.1", "map.2", "flat")))
    assert not report.ok
    culprit = steps_of(report).culprit
    assert culprit is not None
    assert culprit.path == "best.indices"
    assert "flat" in culprit.joined


def test_a_module_that_is_wrong_as_a_whole_does_not_pass(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    def generated(network: Network) -> str:
        text = generate(network)
        assert "0.2" in text
        return text.replace("0.2", "0.3")

    backend = SimpleNamespace(generate=generated)
    monkeypatch.setattr(sys.modules["netc.verify.network"], "pytorch_backend", lambda: backend)
    report = verify(network)
    assert not report.ok
    assert steps_of(report).culprit is None
    assert steps_of(report).astray == ("head", "ranked")
    assert any("differently from its statements one by one" in line for line in report.lines())


def test_a_run_that_is_not_the_one_compared_proves_nothing(
    monkeypatch: pytest.MonkeyPatch, network: Network, model: Path
) -> None:
    def elsewhere(*args: Any) -> StepsReport:
        *before, trials, tolerance = args
        tampered = [msgspec.structs.replace(t, found=[t.found[0] * 1.01, *t.found[1:]]) for t in trials]
        return check_steps(*before, tampered, tolerance)

    monkeypatch.setattr(sys.modules["netc.verify.network"], "check_steps", elsewhere)
    report = compared(network, model, model)
    assert not report.ok
    assert steps_of(report).unlike == ("values",)
    assert any("onnxruntime computes values differently when asked" in line for line in report.lines())


def verified(net: str, data: str = "[N, 12, 40]") -> VerifyReport:
    return verify(netc.load(f"netc: 1\nname: ties\ninputs: {{data: {data}}}\n{net}\n").ir)


@pytest.mark.parametrize(
    ("net", "data"),
    [
        ("net: {r: floor, a: argmax 1}", "[N, 12, 40]"),
        ("net: {r: floor, a: argmin}", "[N, 12, 40]"),
        ("net: {r: floor, a: max 2}\noutputs: {i: a.indices}", "[N, 12, 40]"),
        ("net: {r: floor, a: min 1}\noutputs: {i: a.indices}", "[N, 12, 40]"),
        ("net: {r: floor, a: max_pool2d 3 stride=2 padding=1}\noutputs: {i: a.indices}", "[N, 3, 17, 17]"),
        ("net: {r: floor, a: max_pool2d 3 stride=1 dilation=2}\noutputs: {i: a.indices}", "[N, 3, 17, 17]"),
        ("net: {c: [conv2d 8 3 padding=1, relu], a: max_pool2d 2, u: max_unpool2d of=@a}", "[N, 3, 16, 16]"),
        ("net: {r: floor, s: sum 2 @r, k: nms 10 @r @s}\noutputs: {i: k.indices, s: k.scores}", "[N, 40, 4]"),
    ],
)
def test_both_choose_the_first_of_exactly_equal_elements(net: str, data: str) -> None:
    report = verified(net, data)
    assert report.ok, report.lines()
    assert report.steps is None


@pytest.mark.parametrize("settings", ["7", "7 1", "7 largest=false"])
def test_of_exactly_equal_elements_topk_may_take_any(settings: str) -> None:
    report = verified(f"net: {{r: floor, a: topk {settings}}}\noutputs: {{i: a.indices, v: a.values}}")
    assert report.ok, report.lines()
    assert steps_of(report).equals == ("a.indices",)
    assert any("ties are broken differently, as they may be" in line for line in report.lines())


def test_growing_rounding_is_followed_too() -> None:
    """Nothing is chosen: what is left of two nearly equal numbers is all rounding."""
    report = verified("net: {s: softmax 1, total: sum 1, left: sub 1, large: mul 1e6}\noutputs: {large: large}")
    assert report.ok, report.lines()
    assert [part.path for part in steps_of(report).parts] == ["left"]


def test_inputs_stay_as_they_are(network: Network, model: Path) -> None:
    """Steps share their arrays with each other, and generated code may write over what it made itself."""
    seen: list[Trial] = []

    def watched(*args: Any) -> StepsReport:
        before = [[array.copy() for array in trial.inputs] for trial in args[-2]]
        found = check_steps(*args)
        seen.extend(args[-2])
        assert all(map(np.array_equal, before[0], args[-2][0].inputs))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["netc.verify.network"], "check_steps", watched)
        assert compared(network, model, model).ok
    assert seen


def test_the_command_line(model: Path) -> None:
    (model.parent / "spec.yaml").write_text(NETWORK, "utf-8")
    done = run("netc verify spec.yaml --against model.onnx --json", model.parent)
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"]
    assert report["steps"]["culprit"] is None
    assert [part["path"] for part in report["steps"]["parts"]] == ["best.indices"]
    changed(model, MUTATIONS["a slope"][0]).replace(model)
    done = run("netc verify spec.yaml --against model.onnx", model.parent)
    assert done.exit_code == 1, done.stderr
    assert f"different results from equal inputs: head.1 (leaky_relu, spec.yaml:{LINES['head']})" in done.stdout
