"""Inputs, module paths, ports, forks, outputs, shared modules, and what reaches nothing."""

from __future__ import annotations

import pytest
from spectext import Made, elaborate, errors, made, net, refused, spec, warnings

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
    assert net("u: head\nout: concat @u.a @u.b", head=head).reads["out"] == ["u.a", "u.b"]


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
        ("{a: {when: train}}", "wrong-kind"),
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


# Shared modules


def test_shared_weights_exist_once() -> None:
    m = net("a: head @image\nb: head @image\nout: concat @a @b", head="shared: {head: conv2d 8 1}")
    assert m.weights == {"head.weight": (8, 3, 1, 1), "head.bias": (8,)}
    assert m.ops == {"a": "conv2d", "b": "conv2d", "out": "concat"}


def test_shared_chains_and_blocks() -> None:
    head = """
        blocks: {two: {args: c, net: {conv: conv2d c 1, act: relu}}}
        shared: {head: [conv2d 8 1, relu, conv2d 3 1], unit: two 3}
    """
    m = net("a: head\nb: head\nc: unit\nd: unit", head=head)
    assert list(m.weights) == [
        "head.0.weight", "head.0.bias", "head.2.weight", "head.2.bias", "unit.conv.weight", "unit.conv.bias",
    ]  # fmt: skip
    assert m.reads["b.0"] == ["a.2"]


def test_shared_modules_are_called_in_chains_repeats_and_loops() -> None:
    head = "shared: {act: prelu, mix: conv2d 3 1}"
    m = net("s: [mix, act, mix x2]\np$i: {for: {i: 1..2}, do: mix}", head=head)
    assert list(m.weights) == ["mix.weight", "mix.bias", "act.weight"]
    assert m.paths == ["s.0", "s.1", "s.2", "s.3", "p1", "p2"]


def test_ports_of_a_shared_block() -> None:
    head = """
        blocks: {two: {net: {box: conv2d 4 1 @in, score: conv2d 1 1 @in}, outputs: {boxes: box, scores: score}}}
        shared: {rpn: two}
    """
    body = """
        p$i: {for: {i: 2..3}, do: conv2d 8 1 @image}
        rpn$i: {for: {i: 2..3}, do: rpn @p$i}
        out: concat @rpn$(2..3).scores @rpn2.boxes @rpn3.boxes
    """
    m = net(body, head=head)
    assert m.reads["out"] == ["rpn2.score", "rpn3.score", "rpn2.box", "rpn3.box"]
    assert [k for k in m.weights if k.startswith("rpn")] == [
        "rpn.box.weight",
        "rpn.box.bias",
        "rpn.score.weight",
        "rpn.score.bias",
    ]


def test_a_block_may_share() -> None:
    head = "blocks: {unit: {shared: {c: conv2d 3 1}, net: {a: c, b: c}}}"
    assert list(net("u: unit\nv: unit", head=head).weights) == ["u.c.weight", "u.c.bias", "v.c.weight", "v.c.bias"]


def test_calls_of_a_shared_module_must_agree() -> None:
    found = refused(
        "a: head @image\nb: conv2d 8 1 @image\nc: head @b\nout: concat @a @c", head="shared: {head: conv2d 8 1}"
    )
    assert [c for c, _ in found] == ["shared-mismatch"]


def test_a_shared_module_takes_no_arguments() -> None:
    found = refused("a: head 16\nb: head", head="shared: {head: conv2d 3 1}")
    assert [c for c, _ in found] == ["bad-argument"]


def test_a_shared_module_nobody_calls_is_idle() -> None:
    assert [c for c, _ in refused("a: relu", head="shared: {head: conv2d 8 1}")] == ["unused-statement"]


def test_a_shared_module_may_call_another() -> None:
    m = net("a: outer\nb: inner", head="shared: {inner: conv2d 3 1, outer: [inner, relu]}")
    assert list(m.weights) == ["inner.weight", "inner.bias"]


# Blocks


def test_blocks_take_several_inputs_in_order() -> None:
    head = "blocks: {merge: {inputs: [top, lateral], net: {out: sub @top @lateral}}}"
    m = net("a: relu @image\nb: tanh @image\nc: merge @b @a", head=head)
    assert m.reads["c.out"] == ["b", "a"]


def test_the_first_input_of_a_block_flows_in() -> None:
    head = "blocks: {merge: {inputs: [top, lateral], net: {a: relu, out: add @a @lateral @in}}}"
    assert refused("a: relu @image\nb: tanh @image\nc: merge @a @b", head=head) == [("implicit-fork", "relu")]


@pytest.mark.parametrize("call", ["merge", "merge @a @b @a"])
def test_a_block_needs_all_its_inputs(call: str) -> None:
    head = "blocks: {merge: {inputs: [top, lateral], net: {out: add @top @lateral}}}"
    assert ("bad-arity", call) in refused(f"a: relu @image\nb: tanh @image\nc: {call}", head=head)


def test_blocks_see_the_arguments_and_lets_of_their_file_and_never_its_tensors() -> None:
    head = "args: {w: 4}\nlet: {v: w + 1}\nblocks: {unit: {net: [conv2d w 1, conv2d v 1]}}"
    assert net("u: unit", head=head).attributes("out_channels") == [4, 5]
    head = "blocks: {unit: {net: {a: relu, b: add @a @image}}}"
    assert refused("u: unit", head=head)[0] == ("unknown-tensor", "@image")
    head = "blocks: {unit: {net: {a: conv2d image.C 1}}}"
    assert refused("u: unit", head=head)[0][0] == "unknown-tensor"


def test_blocks_do_not_see_loop_variables_of_their_callers() -> None:
    head = "blocks: {unit: {net: conv2d i 1}}"
    assert refused("u$i: {for: {i: 1..2}, do: unit}", head=head)[0] == ("unknown-name", "i")


def test_arguments_of_blocks() -> None:
    head = "blocks: {unit: {args: c k=1 s=1, net: 'conv2d c k stride=s padding=k//2'}}"
    m = net("a: unit 8\nb: unit 8 3\nc: unit 8 s=2\nd: unit c=8 k=5", head=head)
    assert m.attributes("kernel_size") == [(1, 1), (3, 3), (1, 1), (5, 5)]
    assert m.attributes("stride") == [(1, 1), (1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("unit", ("missing-argument", "unit")),
        ("unit 1 2 3", ("unknown-argument", "3")),
        ("unit 8 w=1", ("unknown-argument", "w")),
        ("unit 8 c=1", ("duplicate-argument", "c=1")),
        ("unit width", ("unknown-name", "width")),
    ],
)
def test_wrong_arguments_of_blocks(call: str, expected: tuple[str, str]) -> None:
    head = "blocks: {unit: {args: c k=1, net: 'conv2d c k'}}"
    assert refused(f"a: {call}", head=head)[0] == expected


def test_defaults_of_a_block_may_use_the_arguments_of_the_file() -> None:
    head = "args: {w: 6}\nblocks: {unit: {args: c=2*w, net: conv2d c 1}}"
    assert net("a: unit", head=head).attributes("out_channels") == [12]


def test_lets_of_a_block_see_its_arguments_and_sizes() -> None:
    head = "blocks: {unit: {args: e, let: {mid: in.C*e, out: mid + 1}, net: [conv2d mid 1, conv2d out 1]}}"
    assert net("a: unit 4", head=head).attributes("out_channels") == [12, 13]


def test_equal_calls_share_one_block() -> None:
    head = "blocks: {unit: {args: c, net: conv2d c 1}}"
    m = net("a: unit 3\nb: unit 3\nc: unit 4", head=head)
    first, second, third = m.network.block.leaves()
    assert first.block is second.block  # type: ignore[union-attr]
    assert third.block is not second.block  # type: ignore[union-attr]


def test_an_error_inside_a_block_tells_how_it_was_reached() -> None:
    head = "blocks: {inner: {net: conv2d 8 99}, outer: {net: {a: relu, b: inner}}}"
    network, found = elaborate(spec("top: outer", head=head))
    assert network is None
    assert [(d.code, [f.path for f in d.trail]) for d in found] == [("too-small", ["top", "b"])]


def test_an_error_inside_a_repeated_block_is_reported_once() -> None:
    head = "blocks: {unit: {net: conv2d 8 99}}"
    assert refused("top: unit x3", head=head) == [("too-small", "99")]


def test_a_block_may_have_a_line_chain_or_mapping_as_net() -> None:
    head = "blocks: {a: {net: relu}, b: {net: [relu, tanh]}, c: {net: {one: relu}}}"
    assert net("u: a\nv: b\nw: c", head=head).paths == ["u", "v.0", "v.1", "w.one"]


def test_a_block_that_shadows_an_operator() -> None:
    text = spec("a: relu", head="blocks: {relu: {net: tanh}}")
    assert warnings(text) == [("shadows-operator", "relu")]
    network, _ = elaborate(text)
    assert network is not None
    assert Made(network).ops == {"a": "tanh"}
    assert made(spec("a: relu", head="blocks: {relu: {net: tanh}}\nlint: {shadows-operator: ignore}")).ops == {
        "a": "tanh"
    }


def test_blocks_that_contain_themselves_are_refused() -> None:
    assert "recursive-block" in [c for c, _ in refused("a: u", head="blocks: {u: {net: [relu, u]}}")]
    assert "recursive-block" in [c for c, _ in refused("a: u", head="blocks: {u: {net: v}, v: {net: u}}")]


def test_a_block_may_not_contain_itself_with_other_arguments_either() -> None:
    assert "recursive-block" in [c for c, _ in refused("a: u 1", head="blocks: {u: {args: n, net: [relu, u n+1]}}")]


def test_calls_within_calls_are_bounded() -> None:
    blocks = "\n".join(f"  b{i}: {{net: b{i + 1}}}" for i in range(300))
    found = refused("a: b0", head=f"blocks:\n{blocks}\n  b300: {{net: relu}}")
    assert [c for c, _ in found] == ["too-complex"]


def test_ten_calls_within_calls_are_fine() -> None:
    blocks = "\n".join(f"  b{i}: {{net: {{u: b{i + 1}}}}}" for i in range(10))
    assert len(net("a: b0", head=f"blocks:\n{blocks}\n  b10: {{net: {{r: relu}}}}").paths) == 1


def test_a_block_that_is_never_called_is_not_elaborated_but_may_stand() -> None:
    assert errors(spec("a: relu @b", head="blocks: {u: {net: relu}}"))[0] == ("unknown-tensor", "@b")


def test_a_shared_chain_takes_one_input() -> None:
    found = refused("a: head @image @image\nb: head", head="shared: {head: [conv2d 3 1, relu]}")
    assert ("bad-arity", "head @image @image") in found


def test_a_shared_repeat_is_repeated_in_each_call() -> None:
    m = net("a: head\nb: head", head="shared: {head: conv2d 3 1 x2}")
    assert m.paths == ["a.0", "a.1", "b.0", "b.1"]
    assert list(m.weights) == ["head.0.weight", "head.0.bias", "head.1.weight", "head.1.bias"]


def test_a_shared_body_has_its_own_in() -> None:
    m = net("a: head\nb: head @a", head="shared: {head: {do: {c: conv2d 3 1 @in, out: add @in @c}}}")
    assert m.reads["b.out"] == ["a.out", "b.c"]
    assert list(m.weights) == ["head.c.weight", "head.c.bias"]


@pytest.mark.parametrize("statement", ["conv2d 3 1 @image", "[relu, 'conv2d 3 1 @in']"])
def test_inputs_of_a_shared_module_stand_where_it_is_called(statement: str) -> None:
    assert "bad-argument" in [c for c, _ in refused("a: head\nb: head", head=f"shared: {{head: {statement}}}")]
