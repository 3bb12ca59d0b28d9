"""Lints find what is probably not meant, where it stands, and nothing in networks that people use."""

from __future__ import annotations

from pathlib import Path

import pytest

from netc.cli.spec import compile_variants
from netc.diagnostics.codes import LINTS
from tests.spectext import elaborate, warnings

ROOT = Path(__file__).parents[1]
SPECS = sorted([*ROOT.glob("specs/*.yaml"), *ROOT.glob("examples/*.yaml")])
NEW = {"missing-flatten", "mixes-samples", "double-softmax", "channels-last"}
HEAD = "netc: 1\nname: net\n"


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_no_false_alarm(path: Path) -> None:
    for _, network, found in compile_variants(str(path), {}, {}):
        assert network is not None
        assert [one.message for one in found if one.code in NEW] == []


@pytest.mark.parametrize(
    "net",
    [
        "[conv2d 8 3, permute (0 2 3 1), linear 10]",
        "[conv2d 8 3, flatten 2, transpose 1 2, linear 10, softmax -1]",
        "[conv2d 8 3, adaptive_avg_pool2d 1, flatten, linear 10, softmax 1]",
        "[flatten 2, linear 10]",
        "[mean (2 3), linear 10, log_softmax 1]",
        "[softmax 1, softmax 2]",
        "[flatten 2, lstm 8 batch_first=true]",
    ],
)
def test_what_is_meant_is_not_warned_about(net: str) -> None:
    text = f"{HEAD}inputs: {{image: [N, 3, 32, 32]}}\nnet: {net}"
    assert [code for code, _ in warnings(text) if code in NEW] == []


def test_sequences_with_steps_first_are_meant_so() -> None:
    assert warnings(f"{HEAD}inputs: {{steps: [t, N, 32]}}\nnet: lstm 8") == []


@pytest.mark.parametrize("net", ["multihead_attention 4 batch_first=true", "softmax 1", "transpose 1 2"])
def test_n_counts_tokens_where_b_counts_samples(net: str) -> None:
    assert warnings(f"{HEAD}inputs: {{tokens: [B, N, 32]}}\nnet: {net}") == []
    assert [code for code, _ in warnings(f"{HEAD}inputs: {{tokens: [B, N, 32]}}\nnet: softmax 0")] == ["mixes-samples"]


@pytest.mark.parametrize("code", sorted(NEW))
def test_each_can_be_silenced(code: str) -> None:
    """By `lint`, and by a comment on the line."""
    examples = {
        "missing-flatten": ("[N, 3, 32, 32]", "[conv2d 16 5, linear 120]"),
        "mixes-samples": ("[N, 30]", "softmax 0"),
        "double-softmax": ("[N, 30]", "[softmax 1, softmax 1]"),
        "channels-last": ("[N, 224, 224, 3]", "conv2d 64 3"),
    }
    shape, net = examples[code]
    text = f"{HEAD}inputs: {{image: {shape}}}\nnet: {net}"
    assert [found for found, _ in warnings(text)] == [code]
    assert warnings(f"{text}  # netc: ignore[{code}]") == []
    assert warnings(f"{text}\nlint: {{{code}: ignore}}") == []
    network, found = elaborate(f"{text}\nlint: {{{code}: error}}")
    assert network is None
    assert [(one.code, one.severity) for one in found] == [(code, "error")]
    assert LINTS[code] == "warn"


def test_a_finding_inside_a_block_says_the_way_there() -> None:
    text = f"""{HEAD}
inputs: {{image: [N, 3, 32, 32]}}
blocks:
  head: {{net: [conv2d 8 3, linear 10]}}
net: {{one: head}}
"""
    (found,) = elaborate(text)[1]
    assert [(frame.name, frame.path) for frame in found.trail] == [("head", "one")]
