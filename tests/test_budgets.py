"""Checks of what a network costs and sees, against its summary and PyTorch's counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import netc
from netc.diagnostics.model import NetcError

ROOT = Path(__file__).parent.parent
LENET = (ROOT / "examples/budgets.yaml").read_text(encoding="utf-8").partition("checks:")[0]


def found(checks: str, text: str = LENET, **options: object) -> list[tuple[str, str]]:
    try:
        netc.load(f"{text}checks: [{checks}]\n", **options)  # type: ignore[arg-type]
    except NetcError as error:
        return [(d.code, d.message) for d in error.diagnostics]
    return []


def test_the_numbers_are_pytorch_s() -> None:
    module = netc.load(LENET).module()
    count = sum(p.numel() for p in module.parameters())
    inner = sum(p.numel() for name, p in module.named_parameters() if name.startswith("head."))
    assert found(f"parameters == {count}, trainable == {count}, head.parameters == {inner}") == []
    assert found(f"parameters == {count + 1}") == [("check-failed", f"`parameters == {count + 1}` does not hold")]


@pytest.mark.parametrize(
    "check",
    [
        "macs == 416520",
        "macs < 1e6",
        "1e5 < macs",
        "memory == 58408",
        "conv1.field == 5",
        "conv1.0.field == 5",
        "conv2.field == 14",
        "pool2.step == 4",
        "conv2.macs == 16*10*10*6*25",
        "conv1.memory == 2*4*6*28*28",
        "head.parameters / parameters > 0.9",
        "max(conv1.macs conv2.macs) == conv2.macs",
        "not parameters > 1e6",
        "(1 if macs > 1 else 2) == 1",
    ],
)
def test_checks_that_hold(check: str) -> None:
    assert found(check) == []


@pytest.mark.parametrize(
    ("check", "code", "words"),
    [
        ("macs < 1000", "check-failed", "`macs < 1000` does not hold"),
        ("conv1.field == 6", "check-failed", "does not hold"),
        ("conv9.field == 6", "unknown-tensor", "there is no layer `conv9`"),
        ("head.field == 6", "bad-expression", "sees the whole input"),
        ("conv1.weight == 6", "unknown-name", "has no `weight`"),
    ],
)
def test_checks_that_do_not(check: str, code: str, words: str) -> None:
    ((got, message),) = found(check)
    assert got == code
    assert words in message


@pytest.mark.parametrize(
    ("check", "note"),
    [
        ("parameters == 1", "evaluates to 61,706 == 1"),
        ("macs < 1e5", "evaluates to 416,520 < 100,000"),
        ("macs < 1e9 and parameters < 1000", "evaluates to 61,706 < 1,000"),
        ("parameters < 1000 and 1 // (macs - macs) > 1", "evaluates to 61,706 < 1,000"),
        ("macs < 1000 or not parameters > 1", "evaluates to 416,520 < 1,000 or false"),
        ("macs - macs", "evaluates to 0"),
    ],
)
def test_a_check_that_does_not_hold_says_which_numbers_make_it_so(check: str, note: str) -> None:
    with pytest.raises(NetcError) as caught:
        netc.load(f"{LENET}checks: [{check}]\n")
    assert [d.notes for d in caught.value.diagnostics] == [(note,)]


def test_a_rectangular_window_has_a_field_per_axis() -> None:
    text = "netc: 1\nname: wide\ninputs: {image: [N, 1, 32, 32]}\nnet:\n  conv: conv2d 2 (3 5) stride=(1 2)\n"
    assert found("conv.field == (3 5), conv.step == (1 2)", text) == []


def test_open_sizes_are_compared_as_proofs() -> None:
    text = "netc: 1\nname: open\ninputs: {image: [N, 1, 8*h, 8*w]}\nnet:\n  conv: conv2d 6 5\n"
    assert found("macs == 150*(8*h-4)*(8*w-4), macs > 2000", text) == []
    assert [code for code, _ in found("macs < 1e9", text)] == ["too-complex"]
    assert found("macs < 1e9", text, bind={"h": 8, "w": 8}) == []
    assert [code for code, _ in found("macs < 1e9", text, bind={"h": 800, "w": 800})] == ["check-failed"]


def test_an_argument_of_the_name_comes_first() -> None:
    text = LENET.replace("inputs:", "args: {macs: 7}\ninputs:")
    assert found("macs == 7", text) == []


def test_a_file_that_is_imported_is_not_asked(tmp_path: Path) -> None:
    """Its budget is of its own network; with this one's sizes it is another."""
    (tmp_path / "inner.yaml").write_text(f"{LENET}checks: [macs < 1e6]\n", encoding="utf-8")
    outer = (
        "netc: 1\nname: outer\nimport: {lenet: inner.yaml}\ninputs: {image: [N, 1, 32, 32]}\nnet:\n  a: lenet @image\n"
    )
    path = tmp_path / "outer.yaml"
    path.write_text(f"{outer}  b: linear 100000 @a\n", encoding="utf-8")
    assert netc.load(path).summary().macs == 416_520 + 1_000_000


def test_a_message_has_the_numbers() -> None:
    ((_, message),) = found("{that: parameters < 10, message: too many $parameters}")
    assert message == "too many 61706"


def test_frozen_parameters_do_not_train() -> None:
    text = LENET.replace("net:", "freeze: [conv1]\nnet:", 1)
    assert found("trainable == parameters - conv1.parameters", text) == []


def test_checking_budgets_needs_no_tensor_library() -> None:
    code = (
        "import sys, netc\nnetc.load('examples/budgets.yaml')\n"
        "assert not {'torch', 'onnx', 'numpy', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_macs_are_those_pytorch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        netc.load(LENET).module().eval()(torch.zeros(1, 1, 32, 32))
    assert found(f"2*macs == {counter.get_total_flops()}") == []
