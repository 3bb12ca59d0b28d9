"""Loops and conditions."""

from __future__ import annotations

import pytest
from spectext import net, refused

# Loops


def test_a_loop_with_its_variable_in_the_name_makes_several_statements() -> None:
    m = net("layer$i:\n  for: {i: 1..3}\n  do: conv2d 8*i 1")
    assert m.reads == {"layer1": ["image"], "layer2": ["layer1"], "layer3": ["layer2"]}
    assert m.weights["layer3.weight"] == (24, 16, 1, 1)


def test_a_name_may_hold_an_expression() -> None:
    assert net("layer$(i-1).conv: {for: {i: 1..2}, do: relu}").paths == ["layer0.conv", "layer1.conv"]


def test_a_loop_without_its_variable_in_the_name_is_a_numbered_chain() -> None:
    m = net("stem: {for: {k: kernels}, do: conv2d 8 k}", head="args: {kernels: [1, 3, 5]}")
    assert m.paths == ["stem.0", "stem.1", "stem.2"]
    assert m.attributes("kernel_size") == [(1, 1), (3, 3), (5, 5)]


def test_rows_are_taken_apart() -> None:
    head = "args: {stages: [[1, 8, 1], [3, 16, 2]]}"
    m = net("stem: {for: {k c s: stages}, do: 'conv2d c k stride=s padding=k//2'}", head=head)
    assert [(n.node.op.out_channels, n.node.op.stride) for n in m.flat.nodes] == [(8, (1, 1)), (16, (2, 2))]


def test_a_loop_over_a_chain_numbers_every_member() -> None:
    m = net("stem: {for: {i: 1..2}, do: [conv2d 8*i 1, relu]}")
    assert m.ops == {"stem.0": "conv2d", "stem.1": "relu", "stem.2": "conv2d", "stem.3": "relu"}


def test_a_loop_inside_a_chain_splices() -> None:
    m = net("stem: [relu, {for: {i: 1..2}, do: conv2d 8*i 1}, tanh]")
    assert m.ops == {"stem.0": "relu", "stem.1": "conv2d", "stem.2": "conv2d", "stem.3": "tanh"}


def test_an_empty_range_is_the_identity() -> None:
    m = net("a: relu\nstem: {for: {i: 1..0}, do: conv2d 8 1}\nlayer$i: {for: {i: 1..0}, do: relu}\nb: relu")
    assert m.reads == {"a": ["image"], "b": ["a"]}


def test_loops_nest() -> None:
    m = net("b$i.u$j: {for: {i: 1..2}, do: {for: {j: 1..i}, do: relu}}")
    assert m.paths == ["b1.u1", "b2.u1", "b2.u2"]


def test_a_loop_may_run_backwards() -> None:
    assert net('dec$i: {for: {i: "range(3, 0, -1)"}, do: relu}').paths == ["dec3", "dec2", "dec1"]


def test_loop_names_may_be_dotted_and_make_the_containers_they_need() -> None:
    m = net("block.unit$i: {for: {i: 1..2}, do: [conv2d 8 1, relu]}\nend: tanh @block")
    assert m.paths == ["block.unit1.0", "block.unit1.1", "block.unit2.0", "block.unit2.1", "end"]
    assert m.reads["end"] == ["block.unit2.1"]


def test_siblings_may_alternate_between_containers() -> None:
    m = net("a.0: conv2d 4 1\nb.0: relu\na.1: conv2d 8 1\nb.1: relu")
    assert m.reads["a.1"] == ["b.0"]
    assert list(m.weights) == ["a.0.weight", "a.0.bias", "a.1.weight", "a.1.bias"]


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("{i: 5}", "bad-expression"),
        ("{i j: [[1, 2], [3]]}", "bad-argument"),
        ("{i: 1..1000000}", "too-large"),
        ("{i: 1..2, j: 1..2}", "bad-statement"),
        ("[i]", "wrong-kind"),
        ("{in: 1..2}", "bad-name"),
        ("{i i: [[1, 2]]}", "bad-name"),
        ("{i: 1.5..2}", "bad-expression"),
        ("{i: nothing}", "unknown-name"),
    ],
)
def test_wrong_loops(header: str, code: str) -> None:
    assert refused(f"layer$i: {{for: {header}, do: relu}}")[0][0] == code


def test_a_loop_that_gives_two_statements_one_name_is_refused() -> None:
    assert refused("layer$(i//2): {for: {i: 2..3}, do: relu}") == [("duplicate-name", "layer$(i//2)")]


# Conditions


def test_a_false_condition_without_else_passes_its_input_on() -> None:
    body = "a: relu\nextra: {if: wide, do: [conv2d 8 1, relu]}\nb: tanh"
    assert net(body, head="args: {wide: true}").paths == ["a", "extra.0", "extra.1", "b"]
    m = net(body, head="args: {wide: false}")
    assert m.reads == {"a": ["image"], "b": ["a"]}


def test_in_a_body_the_name_keeps_standing() -> None:
    m = net("a: relu\nextra: {if: false, do: conv2d 8 1}\nb: tanh @extra")
    assert m.reads["b"] == ["a"]


def test_do_with_a_reference_needs_else() -> None:
    statement = "{if: false, do: relu @a}"
    assert refused(f"a: relu\nextra: {statement}")[0] == ("missing-else", statement)
    assert refused(f"a: relu\nextra: {statement.replace('false', 'true')}")[0] == (
        "missing-else",
        statement.replace("false", "true"),
    )


def test_do_with_a_reference_and_else() -> None:
    body = 'a: relu\nb: conv2d 3 1 @a\nc: {if: deep, do: add @a @b, else: "@b"}\nd: tanh'
    assert net(body, head="args: {deep: true}").reads["d"] == ["c"]
    assert net(body, head="args: {deep: false}").reads["d"] == ["b"]


def test_else_may_name_a_tensor() -> None:
    body = 'a: relu\nc: {if: false, do: conv2d 8 1 @in, else: "@a"}\nd: tanh'
    assert net(body).reads["d"] == ["a"]


def test_conditions_may_look_at_sizes() -> None:
    assert net("b: {if: in.C != 8, do: conv2d 8 1}").paths == ["b"]
    assert net("b: {if: image.C != 3, do: conv2d 8 1}\nc: relu").paths == ["c"]
    assert net("a: conv2d 8 1\nb: {if: a.C == 8 and a.rank == 4, do: relu}").paths == ["a", "b"]


def test_x_in_a_condition_is_the_input_of_its_statement() -> None:
    assert net("a: conv2d 8 1\nb: {if: x.C == 8, do: relu}").paths == ["a", "b"]
    assert net("stem: [conv2d 8 1, {if: x.C != 8, do: conv2d 8 1}, tanh]").paths == ["stem.0", "stem.1"]


def test_in_a_chain_a_false_member_takes_no_number() -> None:
    assert net("stem: [relu, {if: false, do: conv2d 8 1}, tanh]").ops == {"stem.0": "relu", "stem.1": "tanh"}


def test_else_identity_keeps_the_number() -> None:
    m = net("stem: [relu, {if: false, do: conv2d 8 1, else: identity}, tanh]")
    assert m.ops == {"stem.0": "relu", "stem.1": "identity", "stem.2": "tanh"}


def test_a_true_member_of_several_splices() -> None:
    m = net("stem: [relu, {if: true, do: [conv2d 8 1, relu]}, tanh]")
    assert m.paths == ["stem.0", "stem.1", "stem.2", "stem.3"]


def test_a_condition_under_a_loop() -> None:
    m = net("p$i: {for: {i: 1..3}, if: i != 2, do: relu}\nend: tanh @p3")
    assert m.reads == {"p1": ["image"], "p3": ["p1"], "end": ["p3"]}


def test_a_condition_under_a_loop_in_a_chain() -> None:
    m = net("stem: [{for: {i: 1..3}, if: i != 2, do: [conv2d i 1, relu]}, tanh]")
    assert m.paths == [f"stem.{i}" for i in range(5)]
    assert m.attributes("out_channels") == [1, 3]


def test_a_condition_that_is_none_is_refused() -> None:
    assert refused("a: {if: (1 2), do: relu}") == [("bad-expression", "(1 2)")]
    assert refused("a: {if: image.H > 3, do: relu}", image="[N, 3, h, h]")[0][0] == "too-complex"
    assert refused("a: {else: relu, do: relu}")[0][0] == "bad-statement"
    assert refused("a: {if: true}")[0][0] == "bad-statement"


def test_a_condition_on_a_symbol_is_decided_where_it_always_holds() -> None:
    assert net("a: {if: image.H >= 32, do: relu}", image="[N, 3, 32*h, 32*h]").paths == ["a"]
    assert net("a: {if: image.H > 3, do: relu}", image="[N, 3, h, h]", bind={"h": 8}).paths == ["a"]
