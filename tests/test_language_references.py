"""Inputs, module paths, ports, forks, outputs, and what reaches nothing."""

from __future__ import annotations

import pytest
from spectext import elaborate, made, net, refused, spec, warnings

# Inputs


def test_without_a_reference_a_statement_takes_the_one_before_it() -> None:
    assert net("a: relu\nb: tanh\nc: sigmoid").reads == {"a": ["image"], "b": ["a"], "c": ["b"]}


def test_with_references_exactly_those() -> None:
    m = net("a: relu @image\nb: tanh @image\nc: add @b @a")
    assert m.reads["c"] == ["b", "a"]


def test_the_first_input_is_also_called_in() -> None:
    text = "netc: 1\ninputs: {left: [N, 3, 8, 8], right: [N, 3, 8, 8]}\nnet: {a: relu @in, out: add @a @right}"
    assert made(text).reads == {"a": ["left"], "out": ["a", "right"]}


def test_a_reference_looks_only_back() -> None:
    assert refused("a: relu\nb: add @a @c\nc: tanh @a")[0] == ("unknown-tensor", "@c")


def test_an_unknown_tensor_is_reported_once_and_alone() -> None:
    assert refused("a: relu\nb: tanh @aa\nc: conv2d 8 3\nd: linear 10") == [("unknown-tensor", "@aa")]


def test_operators_without_input_never_feed_the_next_statement() -> None:
    m = net("a: relu\nscale: parameter (1 3 1 1)\nb: tanh @a\nout: mul @b @scale")
    assert m.reads == {"a": ["image"], "scale": [], "b": ["a"], "out": ["b", "scale"]}
    m = net("a: relu\nscale: parameter (1 3 1 1)\nb: tanh\nout: mul @b @scale")
    assert m.reads["b"] == ["a"]


# Module paths


def test_a_reference_walks_into_chains() -> None:
    m = net("stem: [relu, conv2d 3 1, tanh]\nout: add @stem.0 @stem.1 @stem")
    assert m.reads["out"] == ["stem.0", "stem.1", "stem.2"]


def test_a_reference_walks_into_blocks_and_exposes_what_they_keep() -> None:
    m = net(
        "unit: two 8\nout: concat @unit.conv @unit @unit.act.0",
        head="blocks: {two: {args: c, net: {conv: conv2d c 1, act: [relu, tanh]}}}",
    )
    assert m.reads["out"] == ["unit.conv", "unit.act.1", "unit.act.0"]
    assert m.shapes["out"] == "N×24×32×32"


def test_a_reference_walks_through_two_blocks() -> None:
    head = """
        blocks:
          inner: {net: {a: conv2d 4 1, b: relu}}
          outer: {net: {u: inner, v: tanh}}
    """
    assert net("big: outer\nout: concat @big.u.a @big.u @big", head=head).reads["out"] == [
        "big.u.a",
        "big.u.b",
        "big.v",
    ]


def test_copies_of_a_repeat_may_be_reached() -> None:
    m = net(
        "units: two 3 x2\nout: concat @units.0.conv @units.1.conv @units",
        head="blocks: {two: {args: c, net: {conv: conv2d c 1, act: relu}}}",
    )
    assert m.reads["out"] == ["units.0.conv", "units.1.conv", "units.1.act"]


def test_templates_stand_for_several_references() -> None:
    m = net("p$i: {for: {i: 2..6}, do: relu @image}\nout: concat @p$(2..6)")
    assert m.reads["out"] == ["p2", "p3", "p4", "p5", "p6"]


def test_holes_take_loop_variables_arguments_and_lists() -> None:
    body = "p$i: {for: {i: 1..3}, do: relu @image}\nout: concat @p$k @p$ks"
    assert net(body, head="args: {k: 2, ks: [3, 1]}").reads["out"] == ["p2", "p3", "p1"]
    m = net("p$i: {for: {i: 0..2}, do: relu @image}\nq$i: {for: {i: 0..2}, do: tanh @p$(2-i)}\nout: concat @q$(0..2)")
    assert m.reads["q0"] == ["p2"]


def test_a_star_is_all_numbered_members_in_order() -> None:
    m = net("convs.$i: {for: {i: 0..11}, do: conv2d 1 1 @image}\nout: concat @convs.*")
    assert m.reads["out"] == [f"convs.{i}" for i in range(12)]


def test_a_star_of_a_chain() -> None:
    assert net("stem: [relu, tanh, sigmoid]\nout: add @stem.*").reads["out"] == ["stem.0", "stem.1", "stem.2"]


def test_a_star_of_something_without_numbers_is_refused() -> None:
    assert refused("a: relu\nout: concat @a.*")[0] == ("unknown-tensor", "@a.*")


@pytest.mark.parametrize("reference", ["@a..b", "@", "@-1", "@a.", "@.a", "@a[0]", "@$"])
def test_what_is_no_reference(reference: str) -> None:
    assert refused(f"a: relu\nout: add @a {reference}")[0][0] in ("bad-reference", "bad-expression")


def test_a_step_that_leads_nowhere() -> None:
    assert refused("stem: [relu, tanh]\nout: add @stem.0 @stem.5")[0] == ("unknown-tensor", "@stem.5")
    assert refused("a: relu\nout: tanh @a.weight")[0] == ("unknown-tensor", "@a.weight")


# Ports


def test_outputs_of_an_operator_are_numbered() -> None:
    m = net("halves: chunk 2\nleft: relu @halves.0\nout: concat @left @halves.1", image="[N, 4, 8, 8]")
    assert m.reads == {"halves": ["image"], "left": ["halves.0"], "out": ["left", "halves.1"]}


def test_the_bare_name_is_the_first_output() -> None:
    m = net("halves: chunk 2\nout: concat @halves @halves.1", image="[N, 4, 8, 8]")
    assert m.reads["out"] == ["halves.0", "halves.1"]


def test_a_statement_after_several_outputs_takes_the_first() -> None:
    m = net("halves: chunk 2\na: relu\nout: concat @a @halves.1", image="[N, 4, 8, 8]")
    assert m.reads["a"] == ["halves.0"]


def test_outputs_of_a_block_are_ports() -> None:
    head = "blocks: {head: {net: {box: conv2d 4 1 @in, score: conv2d 1 1 @in}, outputs: {boxes: box, scores: score}}}"
    m = net("rpn: head\nout: concat @rpn.scores @rpn.boxes @rpn", head=head)
    assert m.reads["out"] == ["rpn.score", "rpn.box", "rpn.box"]


def test_modules_come_before_ports() -> None:
    head = "blocks: {head: {net: {a: conv2d 4 1 @in, b: conv2d 1 1 @in}, outputs: {b: a, a: b}}}"
    text = "u: head\nout: concat @u.a @u.b"
    assert warnings(spec(text, head)) == [("hidden-output", "b"), ("hidden-output", "a")]
    assert net(text, f"{head}\nlint: {{hidden-output: ignore}}").reads["out"] == ["u.a", "u.b"]


def test_an_output_of_the_tensor_that_has_its_name_is_not_hidden() -> None:
    head = "blocks: {head: {net: {a: [conv2d 4 1, relu], b: conv2d 1 1}, outputs: {a: a, c: b}}}"
    assert net("u: head\nout: concat @u.a @u.c", head=head).reads["out"] == ["u.a.1", "u.b"]


def test_nobody_calls_the_network_itself() -> None:
    assert warnings(spec("a: relu\nb: tanh", "outputs: {a: b}")) == []


def test_a_port_that_does_not_exist() -> None:
    assert refused("halves: chunk 2\nout: concat @halves.0 @halves.2", image="[N, 4, 8, 8]")[0] == (
        "unknown-tensor",
        "@halves.2",
    )


def test_outputs_nobody_reads_are_no_idle_statement() -> None:
    assert net("halves: chunk 2\nout: relu @halves.1", image="[N, 4, 8, 8]").shapes["out"] == "N×2×8×8"


# Forks


def test_a_forgotten_reference_cannot_pass() -> None:
    head = "blocks: {unit: {net: {a: conv2d 3 1, b: conv2d 3 1, out: add @a @b}}}"
    assert refused("u: unit", head=head) == [("implicit-fork", "conv2d 3 1")]


def test_both_readers_must_name_the_tensor() -> None:
    assert refused("a: relu\nb: tanh\nc: add @a @b") == [("implicit-fork", "tanh")]
    assert net("a: relu\nb: tanh @a\nc: add @a @b").paths == ["a", "b", "c"]


def test_the_links_inside_a_chain_are_excepted() -> None:
    m = net("stem: [relu, tanh]\nout: add @stem.0 @stem")
    assert m.reads["out"] == ["stem.0", "stem.1"]


def test_the_first_member_of_a_chain_is_not() -> None:
    assert refused("a: relu\nstem: [tanh, relu]\nout: add @a @stem") == [("implicit-fork", "tanh")]


def test_of_and_like_are_excepted() -> None:
    m = net("a: max_pool2d 2\nb: relu\nup: interpolate like=@a mode=nearest @b")
    assert m.reads["up"] == ["b", "a"]


def test_declared_outputs_are_no_second_reader() -> None:
    head = "outputs: {first: a, second: b}"
    assert net("a: relu\nb: tanh", head=head).sources == {"first": "a", "second": "b"}


def test_two_branches_from_an_input_must_name_it() -> None:
    assert refused("a: conv2d 3 1\nb: conv2d 3 1 @image\nc: add @a @b") == [("implicit-fork", "conv2d 3 1")]


def test_reading_one_tensor_twice_in_one_statement_is_no_fork() -> None:
    assert net("a: relu\nb: add @a @a").reads["b"] == ["a", "a"]


# What reaches nothing


def test_a_statement_that_reaches_no_output_is_refused() -> None:
    assert refused("a: relu @image\nb: tanh @image") == [("unused-statement", "relu @image")]


def test_a_whole_idle_branch() -> None:
    found = refused("a: relu @image\nb: tanh\nc: sigmoid @image")
    assert [c for c, _ in found] == ["unused-statement"] * len(found)
    assert {text for _, text in found} <= {"relu @image", "tanh"}


def test_an_idle_statement_of_a_block() -> None:
    head = "blocks: {unit: {net: {a: conv2d 3 1 @in, b: relu @in}}}"
    assert refused("u: unit", head=head) == [("unused-statement", "conv2d 3 1 @in")]


def test_a_statement_used_in_one_of_its_uses_is_not_idle() -> None:
    head = 'blocks: {unit: {args: last, net: {a: conv2d 3 1 @in, b: {if: last, do: relu @in, else: "@a"}}}}'
    assert [c for c, _ in refused("u: unit true", head=head)] == ["unused-statement"]
    m = net("u: unit false\nv: unit true", head=head)
    assert "u.a" in m.paths


def test_what_reaches_only_a_switched_off_output_is_pruned() -> None:
    body = "a: relu @image\nside: conv2d 8 1 @a\nb: tanh @a"
    head = "args: {aux: true}\noutputs: {main: b, side: {from: side, if: aux}}"
    assert net(body, head=head).sources == {"main": "b", "side": "side"}
    m = net(body, head=head, args={"aux": False})
    assert (m.paths, m.sources, m.weights) == (["a", "b"], {"main": "b"}, {})


def test_train_outputs_keep_their_weights_and_are_marked() -> None:
    m = net(
        "a: relu @image\nside: conv2d 8 1 @a\nb: tanh @a",
        head="outputs: {main: b, side: {from: side, when: train}}",
    )
    assert [n.path for n in m.flat.nodes if n.train_only] == ["side"]
    assert list(m.weights) == ["side.weight", "side.bias"]
    assert [o.train_only for o in m.flat.outputs] == [False, True]


def test_train_and_if_together() -> None:
    head = "args: {aux: false}\noutputs: {main: b, side: {from: side, when: train, if: aux}}"
    m = net("a: relu @image\nside: conv2d 8 1 @a\nb: tanh @a", head=head)
    assert m.sources == {"main": "b"}


def test_a_train_output_through_a_block() -> None:
    head = """
        blocks:
          unit: {net: {a: relu @in, side: conv2d 4 1 @in}, outputs: {main: a, aux: {from: side, when: train}}}
        outputs: {main: u, aux: {from: u.aux, when: train}}
    """
    m = net("u: unit", head=head)
    assert [n.path for n in m.flat.nodes if n.train_only] == ["u.side"]


# Outputs


def test_without_outputs_the_last_statement_is_the_output() -> None:
    assert net("a: relu\nb: tanh").sources == {"out": "b"}


def test_outputs_name_tensors_of_any_path() -> None:
    head = "blocks: {two: {net: {a: conv2d 4 1, b: relu}}}\noutputs: {first: u.a, second: u, third: s.0, fourth: s}"
    m = net("u: two\ns: [tanh, relu]", head=head)
    assert m.sources == {"first": "u.a", "second": "u.b", "third": "s.0", "fourth": "s.1"}


def test_outputs_may_be_quoted_references() -> None:
    assert net("a: relu", head='outputs: {first: "@a"}').sources == {"first": "a"}


@pytest.mark.parametrize(
    ("outputs", "code"),
    [
        ("{a: nothing}", "unknown-tensor"),
        ("{a: {from: s, when: eval}}", "bad-value"),
        ("{a: {when: train}}", "missing-key"),
        ("{a: {from: s, unless: true}}", "unknown-key"),
        ("{a: s.*}", "bad-arity"),
        ("{}", "wrong-kind"),
        ("[s]", "wrong-kind"),
        ("{a: {from: s, if: (1 2)}}", "bad-expression"),
        ("{a: {from: s, if: nothing}}", "unknown-name"),
    ],
)
def test_wrong_outputs(outputs: str, code: str) -> None:
    assert refused("s: [relu, tanh]", head=f"outputs: {outputs}")[0][0] == code


def test_an_input_may_be_an_output() -> None:
    assert net("a: relu @image", head="outputs: {a: a, same: image}").sources == {"a": "a", "same": "image"}


def test_a_network_whose_outputs_are_all_switched_off_is_refused() -> None:
    network, found = elaborate(spec("a: relu", head="outputs: {a: {from: a, if: false}}"))
    assert network is None
    assert found


def test_an_output_that_is_switched_off_may_name_one_that_is_switched_off_inside() -> None:
    block = "blocks: {b: {net: {a: relu @in, c: tanh @in}, outputs: {a: a, c: {from: c, if: false}}}}"
    assert net("b: b", head=f"{block}\noutputs: {{a: b.a, c: {{from: b.c, if: false}}}}").sources == {"a": "b.a"}


def test_a_line_that_is_wrong_in_itself_is_no_fork() -> None:
    assert refused("a: relu\nb: nothing 3\nc: add @a @b") == [("unknown-op", "nothing")]


def test_named_outputs_of_an_operator() -> None:
    m = net("lstm1: lstm 8\nlast: select 0 -1 @lstm1.h_n\nfc: linear 3", image="[t, N, 4]")
    assert m.reads["last"] == ["lstm1.h_n"]
    assert refused("lstm1: lstm 8\nout: relu @lstm1.hidden", image="[t, N, 4]")[0] == (
        "unknown-tensor",
        "@lstm1.hidden",
    )


def test_unpooling_names_its_pool() -> None:
    m = net("pool1: max_pool2d 2\na: conv2d 3 1\nup: max_unpool2d of=@pool1")
    assert m.shapes["up"] == "N×3×32×32"


@pytest.mark.parametrize("reference", ["of=@image", "of=3", "of=@nothing"])
def test_unpooling_needs_a_pool(reference: str) -> None:
    assert refused(f"pool1: max_pool2d 2\nup: max_unpool2d {reference}")
