"""Blocks and shared modules."""

from __future__ import annotations

import pytest
from spectext import Made, elaborate, errors, made, net, refused, shown, spec, warnings

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


def test_a_block_without_inputs_reads_nothing_and_feeds_nothing() -> None:
    found, problems = elaborate(
        spec(
            """
a: relu
scale: half
b: sigmoid @a
out: mul @b @scale
""",
            "blocks:\n  half: {inputs: [], net: {value: constant 0.5}}",
        )
    )
    assert found is not None, shown(problems)
    assert [leaf.path for leaf in found.block.leaves()] == ["a", "scale", "b", "out"]
