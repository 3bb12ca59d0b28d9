"""Operators and blocks given as values of arguments."""

from __future__ import annotations

import pytest
from spectext import net, refused

UNIT = "blocks: {inner: {args: k=5, net: conv2d k 1}, unit: {args: act=relu, net: [conv2d 3 1, act]}}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", {"a.0": "conv2d", "a.1": "relu"}),
        ("gelu", {"a.0": "conv2d", "a.1": "gelu"}),
        ("act=tanh", {"a.0": "conv2d", "a.1": "tanh"}),
        ('"leaky_relu 0.2"', {"a.0": "conv2d", "a.1": "leaky_relu"}),
        ("'leaky_relu negative_slope=0.2'", {"a.0": "conv2d", "a.1": "leaky_relu"}),
        ("inner", {"a.0": "conv2d", "a.1": "conv2d"}),
        ('"inner 7"', {"a.0": "conv2d", "a.1": "conv2d"}),
        ("none", {"a.0": "conv2d"}),
    ],
)
def test_an_operator_a_line_a_block_or_nothing(given: str, expected: dict[str, str]) -> None:
    m = net(f"a: unit {given}", head=UNIT)
    assert m.ops == expected
    if "0.2" in given:
        assert m.attribute("a.1", "negative_slope") == 0.2
    if "inner" in given:
        assert m.attribute("a.1", "out_channels") == (7 if "7" in given else 5)


def test_arguments_of_the_line_follow_those_of_the_value() -> None:
    head = "blocks: {unit: {args: conv, net: conv 3 padding=1}}"
    m = net('a: unit "conv2d 8"', head=head)
    assert (m.attribute("a", "out_channels"), m.attribute("a", "kernel_size")) == (8, (3, 3))


def test_names_in_a_quoted_line_are_those_where_it_is_written() -> None:
    head = "args: {k: 7}\nblocks: {unit: {args: act k=9, net: [conv2d k 1, act]}}"
    assert net('a: unit "conv2d k 1"', head=head).attributes("out_channels") == [9, 7]


def test_x_in_a_quoted_line_is_the_input_where_it_is_used() -> None:
    head = "blocks: {unit: {args: act, net: [conv2d 6 1, act]}}"
    assert net('a: unit "conv2d 2*x.C 1"', head=head).attributes("out_channels") == [6, 12]


def test_values_pass_through_several_blocks() -> None:
    head = "blocks: {inner: {args: f, net: f}, outer: {args: act=relu, net: inner act}}"
    assert list(net("a: outer\nb: outer gelu", head=head).ops.values()) == ["relu", "gelu"]


def test_lets_loop_variables_and_lists_hold_operators() -> None:
    assert net("a: act", head="let: {act: tanh}").ops == {"a": "tanh"}
    assert net("a: {for: {f: [relu, gelu]}, do: f}").ops == {"a.0": "relu", "a.1": "gelu"}
    assert net("a: {for: {f: fs}, do: f}", head="args: {fs: [relu, gelu]}").ops == {"a.0": "relu", "a.1": "gelu"}
    rows = "args: {rows: [[relu, 4], [tanh, 8]]}"
    m = net("a: {for: {f c: rows}, do: [conv2d c 1, f]}", head=rows)
    assert list(m.ops.values()) == ["conv2d", "relu", "conv2d", "tanh"]


@pytest.mark.parametrize(("given", "expected"), [("relu", ["relu", "tanh"]), ("none", ["tanh"]), ("gelu", ["tanh"])])
def test_values_are_compared(given: str, expected: list[str]) -> None:
    head = f"args: {{act: {given}}}"
    assert list(net("a: {if: act == relu, do: act}\nb: tanh", head=head).ops.values()) == expected


def test_none_in_a_chain_takes_no_number() -> None:
    m = net("a: [conv2d 8 1, norm, tanh]", head="args: {norm: none}")
    assert m.ops == {"a.0": "conv2d", "a.1": "tanh"}


def test_none_in_a_body_keeps_the_name() -> None:
    m = net("a: relu\nb: norm\nc: tanh @b", head="args: {norm: none}")
    assert m.shapes["c"] == "N×3×32×32"
    assert not m.weights


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("5", "unknown-op"),
        ("(1 2)", "unknown-op"),
        ("rellu", "unknown-name"),
        ('"rellu 5"', "unknown-op"),
        ('"relu x3"', "bad-argument"),
        ('"relu @image"', "bad-argument"),
        ('"@image"', "bad-argument"),
        ('"leaky_relu slope=1"', "unknown-argument"),
        ('"leaky_relu )"', "bad-expression"),
        ('""', "bad-line"),
    ],
)
def test_what_is_no_operator(value: str, code: str) -> None:
    assert refused(f"a: unit {value}", head=UNIT)[0][0] == code


def test_a_value_that_names_itself() -> None:
    assert refused("a: act", head="args: act=act")[0][0] == "unknown-name"
    assert refused("a: act", head="args: {act: '\"act 3\"'}")[0][0] == "unknown-op"
