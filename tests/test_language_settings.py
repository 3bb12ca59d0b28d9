"""Defaults, init, freeze, checks and lint."""

from __future__ import annotations

import pytest
from spectext import codes, made, net, refused, spec, warnings

# Defaults


def test_defaults_come_before_the_line_and_after_the_operator() -> None:
    m = net(
        "a: conv2d 8 3\nb: conv2d 8 3 padding=0\nc: conv2d 8 3 1 2",
        head="defaults: {conv2d: {padding: 1, bias: false}}",
    )
    assert m.attributes("padding") == [1, 0, 2]
    assert m.attributes("bias") == [False, False, False]


def test_defaults_are_expressions_of_the_file() -> None:
    m = net("a: batch_norm2d", head="args: {e: 0.01}\ndefaults: {batch_norm2d: {eps: e/2}}")
    assert m.attribute("a", "eps") == 0.005


def test_defaults_may_use_the_input_of_their_statement() -> None:
    m = net("a: conv2d 8 1\nb: conv2d 8 3", head="defaults: {conv2d: {groups: 'x.C if x.C == 8 else 1'}}")
    assert m.attributes("groups") == [1, 8]


@pytest.mark.parametrize(
    ("defaults", "code"),
    [
        ("{conv2d: {biass: false}}", "unknown-argument"),
        ("{conv2: {bias: false}}", "unknown-op"),
        ("{conv2d: {bias: 3}}", "bad-argument"),
        ("{conv2d: 5}", "wrong-kind"),
        ("[conv2d]", "wrong-kind"),
    ],
)
def test_wrong_defaults(defaults: str, code: str) -> None:
    assert refused("a: conv2d 8 3", head=f"defaults: {defaults}")[0][0] == code


# init and freeze


@pytest.mark.parametrize(
    "rule",
    [
        "conv2d: kaiming_normal mode=fan_out nonlinearity=relu",
        "conv2d.bias: zeros",
        "'a.*': normal std=0.01",
        "'*': zeros",
        "'*.weight': xavier_uniform",
        "a.weight: ones",
        "'*bias': constant 0.1",
    ],
)
def test_init_rules_that_match(rule: str) -> None:
    assert net("a: conv2d 8 3", head=f"init: {{{rule}}}").paths == ["a"]


@pytest.mark.parametrize("pattern", ["linear", "linear.weight", "'b.*'", "a", "conv2d.scale"])
def test_init_rules_that_match_nothing(pattern: str) -> None:
    assert refused("a: conv2d 8 3", head=f"init: {{{pattern}: zeros}}")[0][0] == "unmatched-init"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("conv2d: kaming_normal", "unknown-init"),
        ("conv2d: normal sdt=1", "bad-argument"),
        ("conv2d: normal 0 std=none", "bad-argument"),
        ("conv2d: [zeros, ones]", "wrong-kind"),
    ],
)
def test_wrong_init_lines(rule: str, code: str) -> None:
    assert refused("a: conv2d 8 3", head=f"init: {{{rule}}}")[0][0] == code


def test_an_operator_of_an_init_rule_means_its_weight() -> None:
    assert refused("a: relu", head="init: {relu: zeros}")[0][0] == "unmatched-init"


@pytest.mark.parametrize("path", ["a", "stem", "stem.0", "'stem.*'"])
def test_frozen_paths(path: str) -> None:
    assert net("a: conv2d 8 3\nstem: [conv2d 8 3, batch_norm2d, relu]", head=f"freeze: [{path}]").paths[0] == "a"


@pytest.mark.parametrize("path", ["b", "ste", "stem.2", "stem.0.weight.x", "stem.9"])
def test_frozen_paths_that_match_nothing(path: str) -> None:
    found = refused("a: conv2d 8 3\nstem: [conv2d 8 3, batch_norm2d, relu]", head=f"freeze: [{path}]")
    assert found == [("unmatched-freeze", path)]


# Checks


def test_checks_that_hold() -> None:
    head = "checks: [a.H == image.H, a.C == 8, 'a.shape == (image.N, 8, 32, 32)', b.rank == 2, not (a.C < 8)]"
    assert net("a: conv2d 8 3 padding=1\nb: flatten", head=head).paths == ["a", "b"]


def test_checks_are_proofs_over_symbols() -> None:
    head = "checks: [a.H == 16*h, a.H < image.H]"
    assert net("a: conv2d 8 3 stride=2 padding=1", head=head, image="[N, 3, 32*h, 32]").paths == ["a"]


@pytest.mark.parametrize("check", ["a.H == image.H", "a.C > 8", "false", "a.C in (1 2)"])
def test_checks_that_fail(check: str) -> None:
    assert refused("a: conv2d 8 3", head=f"checks: [{check!r}]")[0][0] == "check-failed"


@pytest.mark.parametrize(
    ("check", "code"), [("a.Q == 3", "unknown-name"), ("b.H == 3", "unknown-tensor"), ("1 +", "bad-expression")]
)
def test_checks_that_are_none(check: str, code: str) -> None:
    assert refused("a: conv2d 8 3", head=f"checks: [{check!r}]")[0][0] == code


def test_a_check_may_be_one_expression() -> None:
    assert refused("a: conv2d 8 3", head="checks: a.C == 3")[0][0] == "check-failed"


# Lint


def test_levels() -> None:
    text = spec("a: conv2d 8 3 stride=2")
    assert warnings(text) == [("lost-input", "conv2d 8 3 stride=2")]
    assert [c for c, _ in warnings(text + "lint: {inexact-size: warn, lost-input: ignore}")] == ["inexact-size"]
    assert codes(text + "lint: {lost-input: error}") == ["lost-input"]
    assert made(text + "lint: {lost-input: ignore}").paths == ["a"]


def test_an_ignore_comment() -> None:
    assert made(spec("a: conv2d 8 3 stride=2  # netc: ignore[lost-input]")).paths == ["a"]


def test_an_ignore_comment_against_a_level_of_the_file() -> None:
    text = spec("a: conv2d 8 3 stride=2  # netc: ignore[lost-input]") + "lint: {lost-input: error}"
    assert made(text).paths == ["a"]


@pytest.mark.parametrize("code", ["unused-statement", "implicit-fork", "shape-mismatch", "losst-input"])
def test_errors_cannot_be_turned_off(code: str) -> None:
    assert codes(spec("a: relu", f"lint: {{{code}: ignore}}")) == ["unknown-lint"]
    assert codes(spec(f"a: relu # netc: ignore[{code}]")) == ["unknown-lint"]
