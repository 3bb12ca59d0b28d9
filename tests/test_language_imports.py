"""Imports: arguments, variants, sizes, pruning, and what an imported file may see."""

from __future__ import annotations

from pathlib import Path

import pytest
from specfolder import BODY, Folder, main
from spectext import Made, shown, spec


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.write("body.yaml", BODY)
    return made


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


def test_what_an_import_does_not_offer_is_not_reported(folder: Folder) -> None:
    outputs = "outputs: {a: a, more: {from: b, if: more}}"
    net = "net: {a: relu @v, b: tanh @v}"
    folder.write("lib.yaml", f"netc: 1\nargs: {{more: false}}\ninputs: {{v: [N, 3]}}\n{net}\n{outputs}")
    for line, codes in (("a: lib", []), ("a: lib more=true", ["pruned-import"])):
        _, found = folder.elaborate(main(line, "import: {lib: lib.yaml}", image="[N, 3]"))
        assert [d.code for d in found] == codes


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


def test_where_sizes_diverge_is_told_with_the_file(folder: Folder) -> None:
    folder.write("shrink.yaml", "netc: 1\ninputs: {image: [N, c, h, w]}\nnet: {conv: conv2d 3 3 @image}\n")
    head = "import: {shrink: shrink.yaml}"
    network, found = folder.elaborate(main("a: shrink @image\nb: conv2d 3 5 @a\nout: add @image @b", head))
    assert network is None
    (note,) = found[0].notes
    assert f"a.conv (line 3 of {folder.path / 'shrink.yaml'})" in note
    assert "b (line 6)  H" in note


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
