"""Operators and blocks given as values of arguments."""

from __future__ import annotations

import pytest
from spectext import elaborate, net, refused, spec

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


@pytest.mark.parametrize("value", ["0.5", "true", "(1 2)", "8"])
def test_an_argument_that_holds_no_operator_hides_none(value: str) -> None:
    head = f"args: {{dropout: {value!r}}}"
    assert net("a: conv2d 8 3\nb: dropout", head=head).ops == {"a": "conv2d", "b": "dropout"}
    block = f"blocks: {{dropout: {{net: relu}}, unit: {{args: dropout={value}, net: [dropout, tanh]}}}}"
    assert list(net("a: unit", head=f"lint: {{shadows-operator: ignore}}\n{block}").ops.values()) == ["relu", "tanh"]


def test_its_value_is_an_argument_of_that_operator() -> None:
    m = net("a: unit 0.25\nb: unit", head="blocks: {unit: {args: dropout=0.5, net: [relu, dropout dropout]}}")
    assert m.attributes("p") == [0.25, 0.5]


def test_a_number_hides_an_argument_further_out() -> None:
    head = "args: {act: gelu}\nblocks: {unit: {args: act=3, net: [conv2d act 1, act]}}"
    assert refused("a: unit\nb: act", head=head) == [("unknown-op", "act")]


def test_an_operator_shadows_the_one_of_its_name() -> None:
    assert net("a: dropout", head="args: {dropout: relu}").ops == {"a": "relu"}
    assert net("a: [relu, dropout]", head="args: {dropout: none}").ops == {"a.0": "relu"}


@pytest.mark.parametrize(
    ("value", "code", "place"),
    [
        ("rel", "unknown-name", "rel"),
        ('"leaky_rel 0.1"', "unknown-op", "leaky_rel"),
        ('"leaky_relu slope=0.1"', "unknown-argument", "slope"),
        ('"leaky_relu )"', "bad-expression", ")"),
        ('"leaky_relu widht"', "unknown-name", "widht"),
        ('"relu x2"', "bad-argument", '"relu x2"'),
        ("(relu", "bad-expression", "("),
        ("[relu, rel]", "unknown-name", "rel"),
    ],
)
def test_a_finding_in_an_argument_from_outside_points_at_it(value: str, code: str, place: str) -> None:
    network, found = elaborate(spec("a: act\nb: act", head="args: {act: relu, width: 3}"), args={"act": value})
    assert network is None
    assert [(d.code, d.span and (d.span.source.path, d.span.text)) for d in found] == [(code, ("-p act", place))]


def test_operators_in_a_list_from_outside() -> None:
    text = spec("a: {for: {f: fs}, do: f}", head="args: {fs: [relu], k: 3}\nlint: {unused-argument: ignore}")
    network, found = elaborate(text, args={"fs": '[tanh, "conv2d k 1"]'})
    assert not found
    assert network is not None
    assert [leaf.op.name for leaf in network.block.leaves()] == ["tanh", "conv2d"]


def test_a_quoted_value_that_is_wrong_is_marked_where_it_is_written() -> None:
    assert refused('a: unit "leaky_rel 0.1"', head=UNIT) == [("unknown-op", "leaky_rel")]
    assert refused("a: act\nb: act", head="args: {act: 'leaky_relu )'}") == [("bad-expression", ")")]
    assert refused("a: unit rellu", head=UNIT) == [("unknown-name", "rellu")]
