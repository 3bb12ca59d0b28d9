"""Lines, long forms, chains, nested bodies and names."""

from __future__ import annotations

import pytest
from spectext import made, net, refused, spec, warnings

# Lines


def test_a_line_is_an_operator_then_positional_then_named_arguments() -> None:
    m = net("conv: conv2d 8 (3 5) stride=2 padding=(1 2)")
    assert m.shapes == {"conv": "N×8×16×16"}
    assert m.weights["conv.weight"] == (8, 3, 3, 5)


def test_inputs_and_repeats_stand_anywhere_after_the_operator() -> None:
    m = net("a: conv2d 3 1\nb: conv2d x2 @a 3 3 padding=1\nc: relu @b.1")
    assert m.paths == ["a", "b.0", "b.1", "c"]
    assert m.reads["b.0"] == ["a"]
    assert m.reads["b.1"] == ["b.0"]


def test_positional_arguments_leave_out_what_is_inferred() -> None:
    m = net("conv: conv2d 8 3\nbn: batch_norm2d 1e-3\nflat: flatten\nfc: linear 10 false")
    assert m.attribute("bn", "eps") == 1e-3
    assert m.weights["fc.weight"] == (10, 8 * 30 * 30)
    assert "fc.bias" not in m.weights


@pytest.mark.parametrize("written", ["(1 7)", "(1, 7)", "(1,7)", "[1 7]"])
def test_spaces_and_commas_separate_inside_parentheses(written: str) -> None:
    assert net(f"conv: conv2d 8 {written}").weights["conv.weight"] == (8, 3, 1, 7)


def test_a_sign_joins_with_spaces_on_both_sides_or_on_neither() -> None:
    assert net("p: permute (0 2 3 1)\nt: transpose 1 -1").shapes["t"] == "N×3×32×32"
    assert net("conv: conv2d (4 - 1) (2+1 2 + 1)").weights["conv.weight"] == (3, 3, 3, 3)
    assert net("s: select (0 - 1) 0", image="[N, 3, 5]").shapes["s"] == "N×3"
    assert net("p: permute (0 2 -2)", image="[N, 3, 5]").attribute("p", "dims") == (0, 2, -2)


@pytest.mark.parametrize("written", ["(4 *2)", "(4* 2)", "(4 / 2 /1)"])
def test_a_sign_with_one_space_is_refused(written: str) -> None:
    assert [c for c, _ in refused(f"conv: conv2d {written} 1")] == ["bad-expression"]


def test_one_item_in_parentheses_is_the_item() -> None:
    assert net("conv: conv2d (8) (3) stride=(2) padding=(1)").shapes["conv"] == "N×8×16×16"


def test_a_named_argument_may_not_precede_a_positional_one() -> None:
    assert refused("conv: conv2d 8 stride=2 3") == [("bad-line", "3")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("conv2d 8 3 out_channels=8", ("duplicate-argument", "out_channels=8")),
        ("conv2d 8 3 stride=1 stride=2", ("duplicate-argument", "stride=2")),
        ("conv2d 8 3 strides=2", ("unknown-argument", "strides")),
        ("conv2d 8", ("missing-argument", "conv2d")),
        ("relu 1 2 3", ("unknown-argument", "1 2 3")),
        ("conv2 8 3", ("unknown-op", "conv2")),
        ("conv2d 8 3 x2 x3", ("bad-line", "x3")),
        ("conv2d 8 3 padding=mirror", ("bad-argument", "mirror")),
        ("conv2d 8 3 stride=0", ("bad-argument", "0")),
        ("conv2d 8 3 bias=1", ("bad-argument", "1")),
        ("conv2d 7/2 3", ("bad-argument", "7/2")),
    ],
)
def test_wrong_lines_are_refused_at_their_characters(line: str, expected: tuple[str, str]) -> None:
    assert refused(f"conv: {line}")[0] == expected


def test_a_quotient_counts_as_whole_number_where_it_divides_exactly() -> None:
    assert net("conv: conv2d 12/4 1").shapes["conv"] == "N×3×32×32"
    assert net("conv: conv2d 3/2*2 1").shapes["conv"] == "N×3×32×32"


# The long form


LONG = """
    stem:
      op: conv2d
      args: {out_channels: 8, kernel_size: [3, 5], stride: 2, padding: [1, 2]}
      inputs: [in]
      repeat: 2
    act: relu
"""


def test_the_long_form_says_what_the_line_says() -> None:
    long, line = net(LONG), net("stem: conv2d 8 (3 5) stride=2 padding=(1 2) @in x2\nact: relu")
    assert long.weights == line.weights
    assert (long.shapes, long.reads, long.ops) == (line.shapes, line.reads, line.ops)


def test_long_forms_take_positional_lists_ports_and_references() -> None:
    m = net(
        """
        halves: {op: chunk, args: [2]}
        left: {op: relu, inputs: ["@halves.0"]}
        out: {op: concat, inputs: [left, halves.1]}
        """,
        image="[N, 4, 8, 8]",
    )
    assert m.reads["out"] == ["left", "halves.1"]
    assert m.shapes["out"] == "N×4×8×8"


def test_the_long_form_stands_in_chains_and_under_do() -> None:
    m = net(
        """
        stem: [{op: conv2d, args: {out_channels: 8, kernel_size: 1}}, relu]
        tail: {if: true, do: {op: relu}}
        """
    )
    assert m.paths == ["stem.0", "stem.1", "tail"]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("{op: conv2d, args: {out_channels: 8, kernel_size: 1}, input: [in]}", "unknown-key"),
        ("{args: {out_channels: 8}}", "bad-statement"),
        ("{op: conv2d 8 3}", "bad-line"),
        ("{op: [relu]}", "wrong-kind"),
        ("{op: conv2d, args: {out_channels: {a: 1}, kernel_size: 1}}", "wrong-kind"),
    ],
)
def test_wrong_long_forms(statement: str, code: str) -> None:
    assert refused(f"conv: {statement}")[0][0] == code


# Chains


def test_members_of_a_chain_are_numbered() -> None:
    m = net("stem: [conv2d 8 3 padding=1, batch_norm2d, relu]")
    assert m.reads == {"stem.0": ["image"], "stem.1": ["stem.0"], "stem.2": ["stem.1"]}


def test_a_nested_chain_is_a_member() -> None:
    assert net("stem: [relu, [relu, relu], relu]").paths == ["stem.0", "stem.1.0", "stem.1.1", "stem.2"]


def test_a_nested_body_is_a_member() -> None:
    m = net("stem: [relu, {do: {a: conv2d 3 1 @in, out: add @in @a}}, relu]")
    assert m.reads["stem.1.out"] == ["stem.0", "stem.1.a"]
    assert m.reads["stem.2"] == ["stem.1.out"]


def test_a_net_may_be_a_chain() -> None:
    assert made("netc: 1\ninputs: {image: [N, 3, 8, 8]}\nnet: [conv2d 4 1, relu]").paths == ["0", "1"]


def test_a_net_of_one_line_is_the_block_itself() -> None:
    assert made("netc: 1\ninputs: {image: [N, 3, 8, 8]}\nnet: conv2d 4 1").weights == {
        "weight": (4, 3, 1, 1),
        "bias": (4,),
    }


def test_a_repeat_makes_a_chain_of_copies() -> None:
    m = net("stack: conv2d 8 3 padding=1 x3")
    assert m.paths == ["stack.0", "stack.1", "stack.2"]
    assert m.weights["stack.0.weight"] == (8, 3, 3, 3)
    assert m.weights["stack.2.weight"] == (8, 8, 3, 3)


def test_a_repeat_of_an_expression() -> None:
    assert len(net("stack: relu x(n-1)", head="args: {n: 4}").paths) == 3


def test_a_repeat_inside_a_chain_splices() -> None:
    m = net("stack: [conv2d 8 1 stride=1, conv2d 8 3 padding=1 x3, relu]")
    assert m.paths == [f"stack.{i}" for i in range(5)]


def test_x1_still_makes_a_chain_of_one() -> None:
    assert net("stack: relu x1").paths == ["stack.0"]
    assert net("stack: [conv2d 8 1, relu x1]").paths == ["stack.0", "stack.1"]


def test_x0_is_the_identity() -> None:
    m = net("a: relu\nstack: conv2d 8 1 x0\nb: relu")
    assert m.paths == ["a", "b"]
    assert m.reads["b"] == ["a"]


def test_x0_passes_on_the_tensor_that_its_line_names() -> None:
    m = net(
        "a: relu\nb: tanh @a\nstack: conv2d 8 1 @a x0\nc: add @stack @b\n"
        "d: [relu, conv2d 8 1 @a x0, tanh]\ne: add @d.0 @d"
    )
    assert m.reads["c"] == ["a", "b"]
    assert m.reads["d.1"] == ["a"]


def test_x0_in_a_chain_takes_no_number() -> None:
    assert net("stack: [relu, conv2d 8 1 x0, relu]").paths == ["stack.0", "stack.1"]


def test_the_name_of_x0_still_stands_for_its_input() -> None:
    assert net("a: relu\nstack: conv2d 8 1 x0\nb: tanh @stack").reads["b"] == ["a"]


@pytest.mark.parametrize("count", ["x(0-1)", "x(1/2)", "x(2**40)", "x(true)", "x99999999"])
def test_impossible_repeats_are_refused(count: str) -> None:
    assert refused(f"stack: relu {count}")[0][0] in ("bad-argument", "too-large")


# Nested bodies


def test_a_nested_body_has_its_own_in_and_sees_outward() -> None:
    m = net(
        """
        stem: relu @image
        unit:
          do:
            a: conv2d 3 1 @in
            b: tanh @image
            out: add @in @a @b @stem
        """
    )
    assert m.reads["unit.a"] == ["stem"]
    assert m.reads["unit.b"] == ["image"]
    assert m.reads["unit.out"] == ["stem", "unit.a", "unit.b", "stem"]


def test_an_inner_name_hides_an_outer_one() -> None:
    m = net("a: relu\nunit: {do: {b: tanh, a: gelu, out: sigmoid @a}}")
    assert m.reads["unit.out"] == ["unit.a"]


def test_a_statement_may_read_the_outer_tensor_of_its_own_name() -> None:
    m = net("a: relu\nunit: {do: {a: tanh @a, out: sigmoid @unit.a}}")
    assert m.reads == {"a": ["image"], "unit.a": ["a"], "unit.out": ["unit.a"]}


def test_the_outside_reaches_into_a_body_by_path() -> None:
    m = net("unit: {do: {a: conv2d 3 1 @in, b: tanh @a}}\nout: add @unit.a @unit")
    assert m.reads["out"] == ["unit.a", "unit.b"]


def test_a_name_inside_a_body_is_not_seen_from_outside_without_the_path() -> None:
    assert refused("unit: {do: {a: conv2d 3 1 @in, b: tanh @a}}\nout: add @a @unit")[0] == ("unknown-tensor", "@a")


def test_a_mapping_without_do_is_no_statement() -> None:
    assert refused("unit: {a: relu}")[0][0] == "bad-statement"


# Names


@pytest.mark.parametrize(
    "name",
    [
        "in",
        "x",
        "x1",
        "N",
        "C",
        "H",
        "shape",
        "rank",
        "train",
        "forward",
        "type",
        "half",
        "children",
        "class",
        "lambda",
        "if",
        "self",
        "torch",
        "a-b",
        "2a",
        "é",
        "__x",
    ],
)
def test_names_that_nothing_can_carry_are_refused(name: str) -> None:
    assert refused(f"{name}: relu")[0][0] in ("bad-name", "bad-statement")


@pytest.mark.parametrize(
    "name", ["features", "relu", "fc", "conv1", "avgpool", "downsample", "inception3a", "layer1", "x_y"]
)
def test_the_names_of_torchvision_stay_free(name: str) -> None:
    assert net(f"{name}: relu").paths == [name]


def test_names_that_differ_only_in_case_are_refused() -> None:
    assert refused("Conv: relu\nconv: relu") == [("bad-name", "conv")]


def test_numbers_of_dotted_names_have_no_leading_zeros() -> None:
    assert refused("a.01: relu")[0][0] == "bad-name"


def test_the_members_of_a_container_may_have_hyphens() -> None:
    made = net("a.b-$i: {for: {i: 0..1}, do: conv2d 3 1 @in}\nlast: add @a.b-0 @a.b-1")
    assert made.paths == ["a.b-0", "a.b-1", "last"]
    for name in ("a.b-", "a.-b", "a.b--c", "a-b.c"):
        assert refused(f"{name}: relu")[0][0] == "bad-name"


@pytest.mark.parametrize(
    "body",
    [
        "image: relu",
        "a: relu\na.b: relu",
        "a.b: relu\na: relu",
        "a: [relu, relu]\na.1: relu",
        "layer$i: {for: {i: 1..2}, do: relu}\nlayer2: relu",
    ],
)
def test_two_things_of_one_name_are_refused(body: str) -> None:
    assert "duplicate-name" in [c for c, _ in refused(body)]


def test_a_chain_takes_no_members_from_outside() -> None:
    assert ("duplicate-name", "a.2") in refused("a: [relu, relu]\na.2: relu")


def test_lints_see_only_the_statement_they_stand_at() -> None:
    text = spec("a: conv2d 8 3 stride=2 # netc: ignore[lost-input]\nb: conv2d 8 2 stride=2")
    assert warnings(text) == [("lost-input", "conv2d 8 2 stride=2")]
