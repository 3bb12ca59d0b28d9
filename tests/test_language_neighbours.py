"""Things that are alike in a spec and must not be taken for one another: names, uses, loops, globs."""

from __future__ import annotations

from pathlib import Path

import pytest
from specfolder import Folder, main
from spectext import net, refused

from netc.ir.flat import flatten, parameters
from netc.passes.files import frozen
from netc.passes.init_rules import fills

BODY = """
netc: 1
args: {width: 8, act: relu}
inputs: {image: [N, c, h, w]}
net: {a: conv2d width 1, b: act, c: conv2d 2*width 1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    found = Folder(tmp_path)
    found.write("body.yaml", BODY)
    return found


def test_one_import_used_twice_with_other_arguments(folder: Folder) -> None:
    m = folder.made(
        main(
            "p: body width=3 @image\nq: body act=tanh @image\nr: body 5 gelu @p\nout: concat @q @r",
            "import: {body: body.yaml}",
        )
    )
    assert m.weights == {
        "p.a.weight": (3, 3, 1, 1), "p.a.bias": (3,), "p.c.weight": (6, 3, 1, 1), "p.c.bias": (6,),
        "q.a.weight": (8, 3, 1, 1), "q.a.bias": (8,), "q.c.weight": (16, 8, 1, 1), "q.c.bias": (16,),
        "r.a.weight": (5, 6, 1, 1), "r.a.bias": (5,), "r.c.weight": (10, 5, 1, 1), "r.c.bias": (10,),
    }  # fmt: skip
    assert [m.ops[f"{name}.b"] for name in "pqr"] == ["relu", "tanh", "gelu"]


@pytest.mark.parametrize(
    ("innermost", "middle", "outer", "expected"),
    [
        ("'*.weight': constant 1", "'*.weight': constant 2", "'*.weight': constant 3", (3.0, 3.0, 3.0)),
        ("'*.weight': constant 1", "'u.c.*': constant 2", "'v.a.*': constant 3", (1.0, 2.0, 3.0)),
        ("'a.*': constant 1", "'*': constant 2", "'*.c.weight': constant 3", (2.0, 3.0, 2.0)),
        ("'*.weight': constant 1, a.weight: constant 4", "'a.*': constant 2", "", (4.0, 1.0, 2.0)),
    ],
)
def test_globs_of_nested_imports_that_meet(
    innermost: str, middle: str, outer: str, expected: tuple[float, ...], folder: Folder
) -> None:
    """The caller's have the last word, and in a file the last that matches."""
    folder.write("body.yaml", f"{BODY}init: {{{innermost}}}\n")
    folder.write(
        "middle.yaml",
        "netc: 1\nimport: {body: body.yaml}\ninputs: {image: [N, 3, h, w]}\n"
        f"net: {{u: body, a: conv2d 2 1}}\ninit: {{{middle}}}\n",
    )
    m = folder.made(main("v: middle", f"import: {{middle: middle.yaml}}\ninit: {{{outer}}}"))
    found, problems = fills(m.network, flatten(m.network))
    assert not problems
    assert tuple(found[f"v.{name}.weight"].a for name in ("u.a", "u.c", "a")) == expected


@pytest.mark.parametrize(("learned", "weights"), [("true", {"scale": (3, 1, 1)}), ("false", {})])
def test_a_parameter_inside_a_condition(learned: str, weights: dict[str, tuple[int, ...]]) -> None:
    text = "scale: {if: learned, do: parameter (3 1 1), else: none}\nout: mul @image @scale"
    m = net(text, head="args: {learned: true}", args={"learned": learned})
    assert m.weights == weights
    assert m.outputs == {"out": "N×3×32×32"}


def test_a_loop_inside_another_needs_a_name_of_its_own() -> None:
    inner = "{for: {i: [1, 3]}, do: conv2d 2 i padding=half}"
    assert refused(f"outer: {{for: {{i: [4, 8]}}, do: {{inner: {inner}, last: conv2d i 1}}}}") == [
        ("ambiguous-name", inner)
    ]


def test_loops_one_after_another_may_share_a_name() -> None:
    m = net("a: {for: {i: [4, 8]}, do: conv2d i 1}\nb: {for: {i: [1, 3, 5]}, do: conv2d 2 i padding=half}")
    assert [m.attribute(f"a.{i}", "out_channels") for i in (0, 1)] == [4, 8]
    assert [m.attribute(f"b.{i}", "kernel_size") for i in (0, 1, 2)] == [(1, 1), (3, 3), (5, 5)]


def test_freezing_layer1_leaves_layer10_alone() -> None:
    layers = "".join(f"layer{i}: conv2d 3 1\n" for i in (1, 10, 11, 2))
    m = net(layers, head="freeze: [layer1]")
    keys = [(node, key) for key, _, node in parameters(m.flat)]
    assert {key for node, key in keys if frozen(m.network, node, key)} == {"layer1.weight", "layer1.bias"}
