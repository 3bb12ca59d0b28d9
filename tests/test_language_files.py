"""Keys of files: arguments, variants, imports, defaults, init, freeze, checks, lint."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from spectext import Made, codes, elaborate, errors, made, net, refused, shown, spec, warnings

from netc.passes.elaborate import elaborate_file

BODY = """
    netc: 1
    args: {width: 8, act: relu}
    let: {wide: 2*width}
    variants: {small: {}, large: {width: 16}}
    inputs: {image: [N, 3, 32*h, 32*w]}
    defaults: {conv2d: {bias: false}}
    blocks:
      unit: {args: c, net: [conv2d c 3 padding=1, act]}
    net:
      layer1: unit width
      layer2: [unit wide, max_pool2d 2]
      pool: adaptive_avg_pool2d 1
      flatten: flatten
      fc: linear 10 bias=false
"""


class Folder:
    """Spec files in a folder; the one called main.yaml is elaborated."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(text), encoding="utf-8")

    def elaborate(self, main: str, **options: Any) -> Any:
        self.write("main.yaml", main)
        return elaborate_file(str(self.path / "main.yaml"), **options)

    def made(self, main: str, ignore: tuple[str, ...] = (), **options: Any) -> Made:
        network, found = self.elaborate(main, **options)
        assert network is not None, "\n".join(shown(found))
        assert [d.code for d in found if d.code not in ignore] == []
        return Made(network)

    def codes(self, main: str, **options: Any) -> list[str]:
        network, found = self.elaborate(main, **options)
        assert network is None
        return [d.code for d in found]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write("body.yaml", BODY)
    return made


def main(net: str, head: str = "import: {body: body.yaml}", image: str = "[N, 3, 32*h, 32*w]") -> str:
    return spec(net, head, image)


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


# Imports


def test_an_imported_file_is_used_like_a_block(folder: Folder) -> None:
    m = folder.made(main("net: body"))
    assert next(iter(m.weights)) == "net.layer1.0.weight"
    assert m.sources == {"out": "net.fc"}


def test_callers_pass_arguments_and_imports_select_variants(folder: Folder) -> None:
    head = "import: {small: body.yaml, large: 'body.yaml:large'}"
    m = folder.made(main("a: small width=4 @image\nb: large @image\nc: large 2 @image\nout: concat @a @b @c", head))
    assert [m.weights[f"{k}.fc.weight"] for k in "abc"] == [(10, 8), (10, 32), (10, 4)]


def test_operators_are_values_across_files(folder: Folder) -> None:
    head = "import: {body: body.yaml}\nblocks: {own: {net: [tanh, gelu]}}"
    m = folder.made(main("a: body act=own", head))
    assert [m.ops[f"a.layer1.1.{i}"] for i in (0, 1)] == ["tanh", "gelu"]
    m = folder.made(main("a: body act=none", head))
    assert "relu" not in m.ops.values()
    m = folder.made(main('a: body act="leaky_relu s"', "import: {body: body.yaml}\nargs: {s: 0.3}"))
    assert m.attribute("a.layer1.1", "negative_slope") == 0.3


def test_defaults_hold_in_their_own_file_only(folder: Folder) -> None:
    m = folder.made(main("a: conv2d 3 1\nb: body"))
    assert "a.bias" in m.weights
    assert "b.layer1.0.bias" not in m.weights


def test_sizes_are_rebound_for_the_caller(folder: Folder) -> None:
    m = folder.made(main("a: conv2d 3 3 padding=1 stride=2\nb: body", image="[N, 3, 10*h, 44]"))
    assert m.shapes["b.layer1.0"] == "N×8×5h×22"


def test_a_symbol_of_the_imported_file_has_the_size_of_this_use(folder: Folder) -> None:
    folder.write(
        "lib.yaml", "netc: 1\ninputs: {v: [N, c, L]}\nnet: {a: conv1d 2*c 1, b: conv1d c 1}".replace("L]", "l]")
    )
    m = folder.made(main("a: lib", "import: {lib: lib.yaml}", image="[N, 5, 7]"))
    assert m.weights["a.a.weight"] == (10, 5, 1)


def test_rank_and_fixed_sizes_are_required(folder: Folder) -> None:
    assert folder.codes(main("a: flatten\nb: body")) == ["rank-mismatch"]
    assert folder.codes(main("a: conv2d 4 1\nb: body")) == ["shape-mismatch"]


def test_equal_symbols_of_an_import_need_equal_sizes(folder: Folder) -> None:
    folder.write("lib.yaml", "netc: 1\ninputs: {v: [N, 3, s, s]}\nnet: relu")
    assert folder.codes(main("a: lib", "import: {lib: lib.yaml}", image="[N, 3, 7, 8]")) == ["shape-mismatch"]


def test_each_use_of_an_import_has_its_own_sizes(folder: Folder) -> None:
    folder.write("lib.yaml", "netc: 1\ninputs: {v: [N, 3, s, s]}\nblocks: {u: {net: conv2d s 1}}\nnet: {a: u}")
    m = folder.made(
        main(
            "a: lib @image\nb: max_pool2d 2 @image\nc: lib @b\nd: adaptive_avg_pool2d 1 @a\n"
            "e: adaptive_avg_pool2d 1 @c\nout: concat @d @e",
            "import: {lib: lib.yaml}",
            "[N, 3, 8, 8]",
        )
    )
    assert m.attributes("out_channels") == [8, 4]


@pytest.mark.parametrize(("side", "expected"), [("64", 2), ("96", 3), ("65", None)])
def test_symbols_of_multiples_are_solved_for(folder: Folder, side: str, expected: int | None) -> None:
    folder.write("lib.yaml", "netc: 1\ninputs: {v: [N, 3, 32*s, 32*s]}\nnet: {a: conv2d s 1}")
    text = main("a: lib", "import: {lib: lib.yaml}", f"[N, 3, {side}, {side}]")
    if expected is None:
        assert folder.codes(text) == ["unknown-name"]
    else:
        assert folder.made(text).attributes("out_channels") == [expected]


def test_equal_symbols_need_provably_equal_sizes(folder: Folder) -> None:
    folder.write("lib.yaml", "netc: 1\ninputs: {v: [N, 3, s, s]}\nnet: relu")
    head = "import: {lib: lib.yaml}"
    assert folder.made(main("a: lib", head, image="[N, 3, 2*h, 2*h]")).shapes == {"a": "N×3×2h×2h"}
    assert folder.codes(main("a: lib", head, image="[N, 3, 2*h, h]")) == ["shape-mismatch"]


def test_dtypes_of_an_import_are_required(folder: Folder) -> None:
    folder.write("lib.yaml", "netc: 1\ninputs: {v: {shape: [N, s], dtype: int64}}\nnet: embedding 9 4")
    assert folder.codes(main("a: lib", "import: {lib: lib.yaml}", image="[N, 3]")) == ["dtype-mismatch"]


def test_what_a_caller_does_not_use_is_left_out_and_reported(folder: Folder) -> None:
    network, found = folder.elaborate(main("a: body\nout: relu @a.layer1"))
    assert network is not None, "\n".join(shown(found))
    assert [(d.code, d.severity) for d in found] == [("pruned-import", "warning")]
    m = Made(network)
    assert m.paths == ["a.layer1.0", "a.layer1.1", "out"]
    assert m.sources == {"out": "out"}


def test_a_lint_silences_the_pruning_report(folder: Folder) -> None:
    head = "import: {body: body.yaml}\nlint: {pruned-import: ignore}"
    assert folder.made(main("a: body\nout: relu @a.layer1", head)).paths[-1] == "out"
    assert folder.made(main("a: body # netc: ignore[pruned-import]\nout: relu @a.layer1")).paths[-1] == "out"


def test_references_reach_deep_into_an_import(folder: Folder) -> None:
    m = folder.made(main("a: body\nout: concat @a.layer1.0 @a.layer2.0 @a.layer2.0.0"), ignore=("pruned-import",))
    assert m.reads["out"] == ["a.layer1.0", "a.layer2.0.1", "a.layer2.0.0"]


def test_imports_are_relative_to_their_file_and_nest(folder: Folder) -> None:
    folder.write("lib/mid.yaml", spec("a: leaf 5", "import: {leaf: parts/leaf.yaml}\nargs: {w: 3}"))
    folder.write("lib/parts/leaf.yaml", spec("b: conv2d w 1", "args: {w: 3}"))
    m = folder.made(main("m: mid", "import: {mid: lib/mid.yaml}", image="[N, 3, 32, 32]"))
    assert m.weights["m.a.b.weight"] == (5, 3, 1, 1)


def test_an_import_has_outputs_as_ports(folder: Folder) -> None:
    folder.write("lib.yaml", spec("a: relu @image\nb: conv2d 4 1 @image", "outputs: {first: a, second: b}"))
    m = folder.made(main("u: lib\nout: concat @u.first @u.second", "import: {lib: lib.yaml}", image="[N, 3, 32, 32]"))
    assert m.reads["out"] == ["u.a", "u.b"]


def test_an_import_sees_neither_arguments_nor_blocks_of_its_caller(folder: Folder) -> None:
    folder.write("lib.yaml", spec("a: conv2d w 1"))
    head = "import: {lib: lib.yaml}\nargs: {w: 5}"
    assert folder.codes(main("u: lib", head, image="[N, 3, 32, 32]")) == ["unknown-name"]
    folder.write("lib.yaml", spec("a: unit"))
    head = "import: {lib: lib.yaml}\nblocks: {unit: {net: relu}}"
    assert folder.codes(main("u: lib\nv: unit", head, image="[N, 3, 32, 32]")) == ["unknown-op"]


def test_a_shared_import(folder: Folder) -> None:
    head = "import: {body: body.yaml}\nshared: {twin: body}"
    m = folder.made(main("a: twin @left\nb: twin @left\nout: sub @a @b", head).replace("image:", "left:"))
    assert {k.partition(".")[0] for k in m.weights} == {"twin"}


def test_init_and_freeze_of_an_import_do_not_trouble_its_caller(folder: Folder) -> None:
    folder.write("body.yaml", BODY + "    init: {conv2d: kaiming_normal}\n    freeze: [layer1]\n")
    assert folder.made(main("a: body")).sources == {"out": "a.fc"}


def test_checks_of_an_import_hold_for_each_use(folder: Folder) -> None:
    folder.write("body.yaml", BODY + "    checks: [layer1.C == 8]\n")
    assert folder.made(main("a: body"))
    assert folder.codes(main("a: body width=4")) == ["check-failed"]


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("import: {body: nowhere.yaml}", "missing-file"),
        ("import: {body: /etc/passwd}", "missing-file"),
        ("import: {body: .}", "missing-file"),
        ("import: {body: 'body.yaml:huge'}", "unknown-variant"),
        ("import: {body: 5}", "missing-file"),
        ("import: {body: [a]}", "wrong-kind"),
        ("import: {body: main.yaml}", "import-cycle"),
        ("import: {2body: body.yaml}", "bad-name"),
    ],
)
def test_wrong_imports(folder: Folder, head: str, code: str) -> None:
    assert folder.codes(main("a: body", head))[0] == code


def test_import_cycles_of_two_files(folder: Folder) -> None:
    folder.write("one.yaml", spec("a: two", "import: {two: two.yaml}"))
    folder.write("two.yaml", spec("a: one", "import: {one: one.yaml}"))
    assert "import-cycle" in folder.codes(main("a: one", "import: {one: one.yaml}", image="[N, 3, 32, 32]"))


def test_errors_of_an_imported_file_point_into_it(folder: Folder) -> None:
    folder.write("lib.yaml", "netc: 1\ninputs: {v: [N, 3]}\nnet: {a: conv2 8}")
    network, found = folder.elaborate(main("a: lib", "import: {lib: lib.yaml}", image="[N, 3]"))
    assert network is None
    assert [(d.code, d.span.text, Path(d.span.source.path).name) for d in found] == [
        ("unknown-op", "conv2", "lib.yaml")
    ]


def test_an_imported_file_with_wrong_yaml(folder: Folder) -> None:
    folder.write("lib.yaml", "netc: 1\nnet: [")
    network, found = folder.elaborate(main("a: lib", "import: {lib: lib.yaml}", image="[N, 3]"))
    assert network is None
    assert {Path(d.span.source.path).name for d in found if d.span} == {"lib.yaml"}


def test_an_import_nobody_calls_is_read_all_the_same(folder: Folder) -> None:
    assert folder.codes(main("a: relu", "import: {body: nowhere.yaml}"))[0] == "missing-file"


def test_lint_levels_of_a_file_hold_for_its_own_lines(folder: Folder) -> None:
    folder.write("lib.yaml", "netc: 1\ninputs: {v: [N, 3, 33, 33]}\nlint: {lost-input: ignore}\nnet: max_pool2d 2")
    assert folder.made(main("a: lib", "import: {lib: lib.yaml}", image="[N, 3, 33, 33]"))


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
