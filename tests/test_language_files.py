"""Keys, arguments, variants and inputs of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from specfolder import BODY, Folder, main
from spectext import codes, elaborate, errors, made, net, refused


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write("body.yaml", BODY)
    return made


# Arguments and variants


def test_a_file_builds_alone_with_its_defaults() -> None:
    assert made(BODY).weights["layer2.0.0.weight"] == (16, 8, 3, 3)


def test_arguments_change_it() -> None:
    assert made(BODY, args={"width": 4}).weights["fc.weight"] == (10, 8)
    assert made(BODY, args={"width": "2*2"}).weights["fc.weight"] == (10, 8)


def test_the_first_variant_is_the_default_and_names_the_network() -> None:
    assert made(BODY).network.name == "small"
    large = made(BODY, variant="large")
    assert (large.network.name, large.network.variant) == ("large", "large")
    assert large.weights["fc.weight"] == (10, 32)


def test_given_arguments_win_over_the_variant() -> None:
    assert made(BODY, variant="large", args={"width": 2}).weights["fc.weight"] == (10, 4)


def test_arguments_given_as_text_are_expressions() -> None:
    head = "args: {ks: [1, 3], deep: false, act: relu, k: none}"
    body = "a: {for: {k: ks}, do: conv2d 3 k}\nb: {if: deep, do: tanh}\nc: act"
    m = net(body, head=head.replace(", k: none", ""), args={"ks": "(3 3 5)", "deep": "true", "act": "gelu"})
    assert m.attributes("kernel_size") == [(3, 3), (3, 3), (5, 5)]
    assert list(m.ops.values())[-2:] == ["tanh", "gelu"]


def test_lists_given_from_python() -> None:
    m = net("a: {for: {k: ks}, do: conv2d 3 k}", head="args: {ks: [1]}", args={"ks": [3, 5]})
    assert m.attributes("kernel_size") == [(3, 3), (5, 5)]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"args": {"widht": 3}}, "unknown-argument"),
        ({"args": {"width": "3 +"}}, "bad-expression"),
        ({"args": {"width": "zzz"}}, "unknown-name"),
        ({"args": {"width": "relu"}}, "bad-expression"),
        ({"args": {"width": 0}}, "bad-argument"),
        ({"args": {"width": -3}}, "bad-argument"),
        ({"args": {"width": 1.5}}, "bad-argument"),
        ({"args": {"width": "10**40"}}, "too-large"),
        ({"args": {"width": 10**40}}, "too-large"),
        ({"args": {"width": None}}, "bad-expression"),
        ({"args": {"act": 5}}, "unknown-op"),
        ({"args": {"act": "5"}}, "unknown-op"),
        ({"variant": "huge"}, "unknown-variant"),
        ({"bind": {"q": 3}}, "unknown-name"),
    ],
)
def test_wrong_options(options: dict[str, Any], code: str) -> None:
    assert codes(BODY, **options)[0] == code


@pytest.mark.parametrize("value", [0, -1])
def test_a_symbol_is_bound_to_a_positive_number(value: int) -> None:
    assert errors(BODY, bind={"h": value})


def test_bind_makes_sizes_concrete() -> None:
    m = made(BODY, bind={"h": 2, "w": 3})
    assert m.shapes["layer2.1"] == "N×16×32×48"


def test_variants_with_unknown_arguments_are_refused() -> None:
    assert codes(BODY.replace("large: {width", "large: {witdh"), variant="large") == ["unknown-argument"]


def test_unknown_arguments_of_a_variant_are_found_although_it_is_not_chosen() -> None:
    assert codes(BODY.replace("large: {width", "large: {witdh")) == ["unknown-argument"]


def test_a_file_whose_argument_has_no_default() -> None:
    assert refused("a: relu", head="args: width") == [("missing-default", "width")]


def test_args_as_signature_and_as_mapping_say_the_same() -> None:
    body = "a: conv2d width 1\nb: act"
    one = net(body, head="args: width=8 act=relu")
    two = net(body, head="args: {width: 8, act: relu}")
    assert (one.weights, one.ops) == (two.weights, two.ops)


def test_lets_see_arguments_and_the_lets_before_them() -> None:
    head = "args: {depth: 3}\nlet: {n: ceil(2.5*depth), m: n + 1}"
    assert net("a: [conv2d n 1, conv2d m 1]", head=head).attributes("out_channels") == [8, 9]


def test_a_let_that_needs_a_later_one() -> None:
    assert refused("a: conv2d n 1", head="let: {n: m, m: 3}")[0] == ("unknown-name", "m")


@pytest.mark.parametrize(
    "head",
    [
        "args: {a: 1, a: 2}", "args: a=1 a=2", "args: {a: 1}\nlet: {a: 2}", "let: {a: 1, a: 2}",
        "blocks: {u: {net: relu}}\nimport: {u: body.yaml}", "blocks: {u: {net: relu}}\nshared: {u: relu}",
        "blocks: {u: {args: c c, net: relu}}", "blocks: {u: {inputs: [a, a], net: add @a}}",
    ],
)  # fmt: skip
def test_two_things_of_one_name(head: str) -> None:
    assert refused("z: relu", head=head)[0][0] in ("duplicate-key", "duplicate-name")


def test_the_symbol_of_a_size_is_a_name() -> None:
    m = net("a: adaptive_avg_pool2d (h w)\nb: conv2d 8 1", image="[N, 3, 4*h, 4*w]", bind={"h": 2, "w": 3})
    assert m.shapes["b"] == "N×8×2×3"


def test_an_argument_with_the_name_of_a_symbol_is_ambiguous() -> None:
    assert codes("netc: 1\nargs: {h: 7}\ninputs: {image: [N, 3, 32*h, 32]}\nnet: relu")[0] == "ambiguous-name"


# Inputs


def test_several_inputs_with_dtypes() -> None:
    m = made(
        """
        netc: 1
        inputs: {words: {shape: [N, 12], dtype: int64}, image: [N, 8, 12]}
        net: {e: embedding 100 8, t: transpose 1 2, out: add @t @image}
        """
    )
    assert m.shapes == {"e": "N×12×8", "t": "N×8×12", "out": "N×8×12"}
    assert m.nodes["e"].inputs[0].type.dtype == "int64"


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ("{a: [N, 3, 0]}", "bad-argument"),
        ("{a: [N, -3, 4]}", "bad-argument"),
        ("{a: [N, 3.5]}", "bad-argument"),
        ("{a: [N, h/2]}", "bad-expression"),
        ("{a: [N, hh]}", "unknown-name"),
        ("{a: {shape: [N, 3], dtype: int65}}", "bad-value"),
        ("{a: {shap: [N, 3]}}", "unknown-key"),
        ("{a: 3}", "wrong-kind"),
        ("{x: [N, 3]}", "bad-name"),
        ("{in: [N, 3]}", "bad-name"),
        ("[a]", "wrong-kind"),
        ("{a: [N, 1, 1, 1, 1, 1, 1, 1, 1]}", "too-large"),
        ("{}", "bad-arity"),
    ],
)
def test_wrong_inputs(inputs: str, code: str) -> None:
    assert code in codes(f"netc: 1\ninputs: {inputs}\nnet: relu")


def test_one_symbol_in_two_inputs_is_one_size() -> None:
    text = "netc: 1\ninputs: {a: [N, 3, 2*h, w], b: [N, 3, h, w]}\nnet: {p: max_pool2d (2 1) @a, out: add @p @b}"
    assert made(text).shapes["out"] == "N×3×h×w"


# Keys


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("inputs: {a: [N, 3]}\nnet: relu", "missing-key"),
        ("netc: 2\ninputs: {a: [N, 3]}\nnet: relu", "bad-edition"),
        ("netc: 1\nnet: relu", "missing-key"),
        ("netc: 1\ninputs: {a: [N, 3]}", "missing-key"),
        ("netc: 1\ninputs: {a: [N, 3]}\nnet: relu\noutput: {b: a}", "unknown-key"),
        ("netc: 1\nname: ResNet\ninputs: {a: [N, 3]}\nnet: relu", "bad-name"),
        ("netc: 1\nname: class\ninputs: {a: [N, 3]}\nnet: relu", "bad-name"),
        ("netc: 1\nname: aux\ninputs: {a: [N, 3]}\nnet: relu", "bad-name"),
        ("netc: 1\ninputs: {a: [N, 3]}\nnet: relu\nblocks: {u: relu}", "wrong-kind"),
        ("netc: 1\ninputs: {a: [N, 3]}\nnet: relu\nblocks: {u: {args: c}}", "missing-key"),
        ("netc: 1\ninputs: {a: [N, 3]}\nnet: relu\nblocks: {u: {net: relu, init: {}}}", "unknown-key"),
        ("netc: 1\ninputs: {a: [N, 3]}\nnet: relu\nvariants: [a]", "wrong-kind"),
        ("netc: 1\ninputs: {a: [N, 3]}\nnet: {}", "bad-statement"),
        ("netc: 1\ninputs: {a: [N, 3]}\nnet: []", "bad-statement"),
        ("", "bad-yaml"),
        ("[1, 2]", "bad-yaml"),
    ],
)
def test_wrong_files(text: str, code: str) -> None:
    network, found = elaborate(text)
    assert network is None
    assert found[0].code == code


def test_a_name_is_taken_from_the_file_where_none_is_given(folder: Folder) -> None:
    assert folder.made(main("a: body")).network.name == "main"
    assert folder.made("name: other\n" + main("a: body")).network.name == "other"


@pytest.mark.parametrize("name", ["name", "shape", "self", "values"])
def test_an_init_line_with_any_word_as_argument(name: str) -> None:
    assert refused("a: conv2d 8 3", head=f"init: {{conv2d: normal {name}=1}}")[0][0] == "bad-argument"
