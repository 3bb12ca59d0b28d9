"""Modules of random specs, of every pair of operators, and of specs that once went wrong, against the IR."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from pathlib import Path

import pytest
import torch

import netc
from tests.module_judge import Wrong, judge
from tests.random_modules import outcome

MODULES = Path(__file__).parent / "modules"
CASES = sorted(MODULES.glob("*.yaml"))
OPERATORS = ("+", "-", "*", "/", "//", "%", "**")
OPERANDS = ("j", "w", "in.C")
"""A loop's variable, an argument and a size."""


@pytest.mark.parametrize("first", range(0, 150, 10))
def test_modules_of_random_specs_are_right(first: int) -> None:
    found = [outcome(seed, shrinking=False) for seed in range(first, first + 10)]
    assert not [text for _, text in found if text], "\n".join(text for _, text in found)
    assert sum(kind == "right" for kind, _ in found) >= 5


def test_a_spec_that_ends_in_a_traceback_is_told_and_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(path: Path) -> int:
        raise KeyError(path.read_text("utf-8").count("conv2d") > 0)

    monkeypatch.setattr("tests.random_modules.judge", judge)
    kind, text = outcome(0)
    assert kind == "judge"
    assert "KeyError" in text
    assert len(text.splitlines()) < 40


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_a_module_that_was_wrong_is_right(path: Path) -> None:
    """Or its spec is refused, where its comment allows that."""
    found = judge(path)
    assert found is not None or "or is refused" in path.read_text("utf-8")


def test_sizes_in_comments_follow_the_arguments() -> None:
    code = netc.load(MODULES / "docstring_sizes.yaml").to_torch().partition("class Head")[2]
    assert "classes + 4" in code
    assert "84" not in code


def test_a_tap_is_no_slice_of_a_sequential() -> None:
    module = netc.load(MODULES / "sequential_slice.yaml").module().eval()
    image = torch.randn(2, 3, 16, 32)
    found = torch.fx.symbolic_trace(module)(image)
    assert all(map(torch.equal, found, module(image)))
    torch.jit.script(module)


def expressions() -> Iterator[str]:
    """Each operator around each other on either side, with and without a sign."""
    for (a, b, c), (one, two) in product(permutations(OPERANDS), product(OPERATORS, repeat=2)):
        yield f"(({a} {one} {b}) {two} {c})"
        yield f"({a} {one} ({b} {two} {c}))"
    for (a, b), one in product(permutations(OPERANDS, 2), OPERATORS):
        yield from (f"(-({a} {one} {b}))", f"((-{a}) {one} {b})", f"({a} {one} -{b})", f"(-{a} {one} {b})")
        yield from (f"(2 {one} (-{a} {one} {b}))", f"(({a} {one} -{b}) {one} 2)", f"(-(-({a} {one} {b})))")


def is_defined(text: str) -> bool:
    """No division by zero and no enormous numbers, at any turn and for the arguments that are tried."""
    try:
        return all(abs(_value(text, j, w)) < 1e5 for j, w in product((1, 2, 3), (2, 3, 5)))
    except ZeroDivisionError:
        return False


def is_a_count(text: str) -> bool:
    values = [_value(text, j, w) for j, w in product((1, 2, 3), (2, 3, 5))]
    return all(isinstance(v, int) and 0 < v < 40 for v in values)


def _value(text: str, j: int, w: int) -> int | float:
    found: int | float = eval(text.replace("in.C", "4"), {"j": j, "w": w})
    return found


def statements(texts: list[str]) -> list[str]:
    """Each expression in a loop: a loop with names or without, side by side or in a row, of blocks or operators."""
    lines, made = [], []
    for at, text in enumerate(texts):
        call, line = (f"unit {text}", f"conv2d {text} 1") if is_a_count(text) else (f"scaled {text}", f"mul {text}")
        turns = f"for: {{j: 1..{3 + at % 2}}}"
        made.append(f"@s{at}_$(1..3)" if at % 4 < 2 else f"@s{at}" if at % 4 == 2 else f"@s{at}_3")
        if at % 4 < 2:
            lines.append(f"s{at}_$j: {{for: {{j: 1..3}}, do: {(call, line)[at % 2]} @in}}")
        elif at % 4 == 2:
            lines.append(f's{at}: ["relu @in", {{{turns}, do: {(call, line)[at // 4 % 2]}}}]')
        else:
            lines += [f"r{at}: relu @in", f"s{at}_$j: {{for: {{j: 1..3}}, do: {call}}}"]
    return [*lines, f"all: concat {' '.join(made)}"]


def in_a_block(texts: list[str]) -> str:
    """As one class for all widths, or as a class for each."""
    body = "\n".join(f"      {line}" for line in statements(texts))
    net = "net: {three: all width @image, two: all 2 @image, five: all 5 @image, out: concat @three @two @five}"
    return f"{HEAD.replace('w:', 'width:')}  all:\n    args: w\n    net:\n{body}\n{net}\n"


def in_the_network(texts: list[str]) -> str:
    """Where `w` is an argument of the network."""
    body = "\n".join(f"  {line}" for line in statements(texts))
    return f"{HEAD}net:\n{body}\n"


HEAD = """\
netc: 1
name: precedence
args: {w: 3}
inputs: {image: [N, 4, h, v]}
blocks:
  unit: {args: width, net: {conv: conv2d width 1}}
  scaled: {args: a, net: {out: mul a @in}}
"""

DEFINED = [text for text in expressions() if is_defined(text)]
PIECE = 24


@pytest.mark.parametrize("first", range(0, len(DEFINED), PIECE))
def test_operators_bind_in_the_module_as_in_the_spec(first: int) -> None:
    texts = DEFINED[first : first + PIECE]
    for turn in (first // PIECE, first // PIECE + 1):
        turn %= 4
        mixed = [*texts[turn:], *texts[:turn]]
        assert judge((in_a_block, in_the_network)[turn % 2](mixed)) is not None


@pytest.mark.parametrize(("was", "instead"), [("w * 2", "w + 3"), ("conv2", "conv_2"), ("relu(", "tanh(")])
def test_wrong_modules_are_found(was: str, instead: str) -> None:
    """Also where only another constructor argument shows it, for `w` is 3."""
    spec = f"{HEAD}net:\n  conv2: conv2d w*2 1\n  act: tanh\n  again: relu\n"
    assert judge(spec) == 3
    with pytest.raises(Wrong):
        judge(spec, lambda code: code.replace(was, instead, 1 if was == "conv2" else -1))
