"""What a verification says of its findings: which difference stands for an output, what is allowed, what agrees."""

from __future__ import annotations

from math import inf, nan

import msgspec
import pytest

from netc.verify import CheckResult, Difference, LayerDifference, LayersReport, StepsReport, VerifyReport
from netc.verify.differences import LIMIT, ROUNDINGS, TOLERANCE

SMALL = Difference("y", {"h": 7}, "float32", 1e-6, 1e-7)
FINE = (CheckResult("weights", True, "fit"),)


def report(*differences: Difference, **more: object) -> VerifyReport:
    return VerifyReport("net", FINE, differences, **more)  # type: ignore[arg-type]


def changed(difference: Difference, **values: object) -> Difference:
    return msgspec.structs.replace(difference, **values)


def test_the_largest_difference_of_each_output_is_shown() -> None:
    larger, other = changed(SMALL, relative=3e-6, binding={"h": 9}), changed(SMALL, output="z")
    smaller = changed(SMALL, relative=2e-8)
    lines = [line for line in report(SMALL, other, larger, smaller).lines() if " differ by " in line]
    assert len(lines) == 2
    assert "3.0e-06 of the largest value" in lines[0]
    assert "at h=9" in lines[0]
    assert "1.0e-07 of the largest value" in lines[1]
    lines = [line for line in report(larger, SMALL).lines() if " differ by " in line]
    assert "3.0e-06" in lines[0]
    strained = changed(SMALL, relative=2e-6, given=1e-6)
    lines = [line for line in report(larger, strained).lines() if " differ by " in line]
    assert "allowed 1e-06, as asked" in lines[0]


@pytest.mark.parametrize(
    ("values", "allowed", "words"),
    [
        ({}, TOLERANCE["float32"], "in float32"),
        ({"given": 0.25}, 0.25, "as asked"),
        ({"given": 0.0}, 0.0, "as asked"),
        ({"rounding": 1e-3}, ROUNDINGS * 1e-3, f"{ROUNDINGS:.0f}× PyTorch's own distance to float64"),
        ({"rounding": 1e-3, "measure": "its own rounding"}, ROUNDINGS * 1e-3, f"{ROUNDINGS:.0f}× its own rounding"),
        ({"rounding": 1e9}, LIMIT, f"{ROUNDINGS:.0f}× PyTorch's own distance to float64"),
        ({"rounding": 1e-12}, TOLERANCE["float32"], "in float32"),
        ({"dtype": "int64", "rounding": 1.0}, 0.0, "in int64"),
    ],
)
def test_what_is_allowed_and_why(values: dict[str, object], allowed: float, words: str) -> None:
    difference = changed(SMALL, **values)
    assert difference.tolerance == pytest.approx(allowed)
    assert f"(allowed {allowed:.0e}, {words})" in difference.amount()
    for share, ok in ((allowed, True), (allowed * 1.01 + 1e-300, False), (nan, False)):
        assert changed(difference, relative=share).ok is ok
    assert changed(difference, relative=nan).strain == inf


def test_elements_that_are_nan_on_both_sides_are_counted() -> None:
    assert "NaN" not in SMALL.amount()
    assert SMALL.amount().endswith(" at h=7")
    assert changed(SMALL, nans=1, binding={}).amount().endswith("in float32); 1 element is NaN in both")
    assert changed(SMALL, nans=1200).amount().endswith("at h=7; 1,200 elements are NaN in both")


def test_a_report_is_right_where_all_of_it_is() -> None:
    apart = changed(SMALL, relative=1.0)
    wrong = CheckResult("shapes", False, "differ")
    assert report(SMALL).ok
    assert not report().ok
    assert not report(SMALL, apart).ok
    assert not VerifyReport("net", (*FINE, wrong), (SMALL,)).ok
    assert VerifyReport("net", (*FINE, wrong), (SMALL,)).failed == ("shapes",)
    assert report(SMALL, sensitivity={"y": 0.0, "z": 0.5}).still == ("y",)


PLACE = LayerDifference("head.fc", "linear", "net.yaml:7", SMALL, {"body": None, "mask": 2e-3}, ("a", "b"))
STEPS = StepsReport(5, 4, ("a",), (), ("y",), None, PLACE, ())
AMOUNT = "1.00e-06 at most, 1.0e-07 of the largest value (allowed 2e-05, in float32) at h=7"
WHERE = "head.fc (linear, net.yaml:7), together with a, b"
READS = "its inputs differ by: body not compared, mask 2.0e-03"


@pytest.mark.parametrize(
    ("changes", "ok", "lines"),
    [
        (
            {},
            True,
            [
                "given equal inputs, each of the 5 statements computes the same on both sides",
                f"nearest to its tolerance is head.fc: {AMOUNT}",
                "1 compared together with what reads them, as the file does not give their values: a",
            ],
        ),
        (
            {"joined": (), "missing": ("b",), "equals": ("c", "d"), "parts": (PLACE,)},
            True,
            [
                "given equal inputs, each of the 5 statements computes the same on both sides",
                f"nearest to its tolerance is head.fc: {AMOUNT}",
                f"rounding decides in {WHERE}",
                f"  differs by {AMOUNT}",
                f"  {READS}",
                "1 have no counterpart in the file and were not compared: b",
                "ties are broken differently, as they may be: c, d",
            ],
        ),
        (
            {"culprit": PLACE, "astray": ("y",)},
            False,
            [f"different results from equal inputs: {WHERE}", f"differs by {AMOUNT}", READS],
        ),
        ({"astray": ("y",)}, False, ["PyTorch's module computes y differently from its statements one by one"]),
        ({"unlike": ("y",)}, False, ["onnxruntime computes y differently when asked for intermediate values"]),
        ({"steps": 0}, False, ["the file gives no value that the network has"]),
        ({"worst": None}, False, ["the file gives no value that the network has"]),
    ],
)
def test_steps_say_what_was_found(changes: dict[str, object], ok: bool, lines: list[str]) -> None:
    steps = msgspec.structs.replace(STEPS, **changes)
    assert steps.ok is ok
    assert steps.lines(8) == [
        f"{'ok ' if ok else 'BAD'}  steps     {lines[0]}",
        *(f"               {line}" for line in lines[1:]),
    ]


def test_values_that_differ_are_right_where_their_statements_are() -> None:
    equal = LayersReport(9, (), None, PLACE)
    differing, empty = LayersReport(9, ("a",), PLACE, PLACE), LayersReport(0, (), None, None)
    assert [one.ok for one in (equal, differing, empty)] == [True, False, False]
    broken = msgspec.structs.replace(STEPS, steps=0)
    assert [differing.agrees(steps) for steps in (None, STEPS, broken)] == [False, True, False]
    assert not empty.agrees(STEPS)
    assert not msgspec.structs.replace(differing, astray=("y",)).agrees(STEPS)
    assert equal.lines(6) == [f"ok   layers  9 values compared; nearest to its tolerance is head.fc: {AMOUNT}"]
    head = "9 values compared, 1 without a counterpart (a); the first to differ: "
    assert differing.lines(6, STEPS)[0] == f"ok   layers  {head}{WHERE}"
    assert differing.lines(6)[0] == f"BAD  layers  {head}{WHERE}"
    assert [line.strip() for line in differing.lines(6)[1:]] == [f"differs by {AMOUNT}", READS]


def test_an_output_that_differs_is_right_where_each_step_to_it_is() -> None:
    apart = msgspec.structs.replace(SMALL, relative=1.0)
    assert report(apart, steps=STEPS).ok
    assert not report(changed(apart, output="z"), steps=STEPS).ok
    assert not report(apart, steps=msgspec.structs.replace(STEPS, unlike=("y",))).ok
    (line,) = [line for line in report(apart, steps=STEPS).lines() if " differ by " in line]
    assert line.startswith("ok ")
    assert line.endswith("; equal step by step")
