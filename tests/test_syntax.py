"""Tree → SpecFile: every statement form and key, every finding with its place, and never an exception."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_expr_parser import shown

from netc.diagnostics.model import Diagnostic, Source
from netc.diagnostics.render import FORMS, render
from netc.syntax.ast import (
    Alias,
    Body,
    Chain,
    Conditional,
    Line,
    Loop,
    Named,
    SpecFile,
    Statement,
)
from netc.syntax.names import MODULE_ATTRIBUTES, file_objection, name_from_stem, objection
from netc.syntax.parse import parse_spec

SPECS = sorted((Path(__file__).parent.parent / "specs").glob("*.yaml"))

HEAD = "netc: 1\ninputs: {image: [N, 3, 32*h, 32]}\n"


def parse(text: str) -> SpecFile:
    spec, found = parse_spec(Source("my_net.yaml", text))
    assert not found
    assert spec is not None
    return spec


def errors(text: str) -> list[tuple[str, str]]:
    spec, found = parse_spec(Source("my_net.yaml", text))
    assert spec is None
    assert found
    return [(item.code, item.span.text if item.span else "") for item in found]


def statement(text: str) -> Statement:
    net = parse(HEAD + f"net:\n  name: {text}\n").net
    assert isinstance(net, Body)
    return net.statements[0].statement


def said(node: Statement | None) -> str:
    """A statement in one line, every expression with its parentheses."""
    match node:
        case Line():
            words = [node.op, *(f"{a.name}={shown(a.value)}" if a.name else shown(a.value) for a in node.arguments)]
            words += [shown(ref) for ref in node.inputs or ()]
            return " ".join([*words, *([f"x({shown(node.repeat)})"] if node.repeat else [])])
        case Alias():
            return " ".join(map(shown, node.refs))
        case Chain():
            return f"[{', '.join(map(said, node.items))}]"
        case Body():
            return f"{{{', '.join(f'{named.text}: {said(named.statement)}' for named in node.statements)}}}"
        case Conditional():
            return f"if {shown(node.condition)} do {said(node.then)} else {said(node.otherwise)}"
        case Loop():
            return f"for {' '.join(node.names)} in {shown(node.iterable)} do {said(node.body)}"
    return "nothing"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("relu", "relu"),
        ("conv2d 64 7 stride=2 padding=3", "conv2d 64 7 stride=2 padding=3"),
        ("conv2d 4*width (1 7) stride=stride @in", "conv2d (4 * width) [1, 7] stride=stride @in"),
        ("conv2d @in 64 x3 3", "conv2d 64 3 @in x(3)"),
        ("block 32*2**i x(depths[i-1]-1)", "block (32 * (2 ** i)) x((depths[(i - 1)] - 1))"),
        ("concat @p$(2..6).scores @q$i", "concat @p$(2..6).scores @q$(i)"),
        ("interpolate like=@c3 mode=nearest @in", "interpolate like=@c3 mode=nearest @in"),
        ("conv2d x.C 3 groups=x.C", "conv2d x.C 3 groups=x.C"),
        ("dense norm='group_norm 32' drop=(a if b else 0.5)", "dense norm='group_norm 32' drop=(a if b else 0.5)"),
        ("permute (0 2 -1)", "permute [0, 2, -1]"),
        ('"@in"', "@in"),
        ('"@a @b"', "@a @b"),
        ("[conv2d 64 7, batch_norm2d, relu x2]", "[conv2d 64 7, batch_norm2d, relu x(2)]"),
        ("[a, [b, c], {if: p, do: d}]", "[a, [b, c], if p do d else nothing]"),
        ("{do: [a, b], if: p == 1, else: '@in'}", "if (p == 1) do [a, b] else @in"),
        ("{for: {i: 1..4}, do: a i}", "for i in 1..4 do a i"),
        ("{for: {k c: stages}, if: k > 1, do: a k}", "for k c in stages do if (k > 1) do a k else nothing"),
        ("{for: {i: 'range(depth, 0, -1)'}, do: a i}", "for i in range(depth, 0, -1) do a i"),
        ("{for: {k: [3, [5, 7]]}, do: a}", "for k in [3, [5, 7]] do a"),
        ("{do: {conv: conv2d 3 1, pool: max_pool2d 2 @conv}}", "{conv: conv2d 3 1, pool: max_pool2d 2 @conv}"),
        ("{op: conv2d, args: {out_channels: 64}, inputs: [in]}", "conv2d out_channels=64 @in"),
        ("{op: conv2d, args: [64, [1, 7]], inputs: ['@a', b], repeat: n-1}", "conv2d 64 [1, 7] @a @b x((n - 1))"),
    ],
)
def test_statement_forms(text: str, meaning: str) -> None:
    assert said(statement(text)) == meaning


def test_long_form_says_what_the_line_says() -> None:
    line = statement("conv2d 64 3 padding=1 @in")
    long = statement("{op: conv2d, args: {out_channels: 64}, inputs: [in]}")
    assert isinstance(line, Line)
    assert isinstance(long, Line)
    assert line.inputs is not None
    assert long.inputs is not None
    assert shown(line.inputs[0]) == shown(long.inputs[0])


def test_spans_are_the_characters_themselves() -> None:
    line = statement('[a, "conv2d 8 (1 7) stride=2*s @in x3"]')
    assert isinstance(line, Chain)
    conv = line.items[1]
    assert isinstance(conv, Line)
    assert conv.inputs
    assert conv.repeat
    text = conv.span.source.text
    assert conv.op_span.text == "conv2d"
    assert [argument.span.text for argument in conv.arguments] == ["8", "(1 7)", "stride=2*s"]
    stride = conv.arguments[2]
    assert stride.name_span is not None
    assert stride.name_span.text == "stride"
    assert text[stride.value.start : stride.value.end] == "2*s"
    assert text[conv.inputs[0].start : conv.inputs[0].end] == "@in"
    assert text[conv.repeat.start : conv.repeat.end] == "3"
    assert conv.span.text == "conv2d 8 (1 7) stride=2*s @in x3"


EVERY_KEY = """\
netc: 1
name: all_keys
doc: |
  Everything: at once
args: {classes: 1000, act: relu, norm: "group_norm 32", depths: [3, 4]}
let: {n2: ceil(2*classes)}
variants: {small: {}, large: {classes: 10, depths: [1, 2]}, odd: }
inputs: {image: [N, 3, 32*h, 32], words: {shape: [N, L], dtype: int64}}
import: {body: "sub/resnet.yaml:resnet50", other: x.yaml}
shared: {head: [conv2d 8 1, relu]}
blocks:
  unit:
    args: width stride=1 act=relu
    let: {mid: width//4}
    inputs: [top, lateral]
    net: {a: conv2d width 1 @top, b: "@lateral"}
    outputs: {first: a, second: {from: "@b", if: stride == 1}}
defaults: {conv2d: {bias: false}}
init: {conv2d: kaiming_normal mode=fan_out, "*.bias": zeros}
freeze: [body.layer1]
checks: [body.H == image.H]
lint: {inexact-size: error, lost-input: ignore}
net:
  conv1: conv2d 64 7   # netc: ignore[lost-input, inexact-size]
  layer$(i-1).conv: {for: {i: 1..4}, do: unit 8}
outputs:
  logits: conv1
  aux: {from: layer1.conv, when: train}
"""


def test_every_key() -> None:
    spec = parse(EVERY_KEY)
    assert (spec.name, spec.doc, spec.path) == ("all_keys", "Everything: at once\n", "my_net.yaml")
    assert {p.name: shown(p.default) for p in spec.parameters} == {
        "classes": "1000",
        "act": "relu",
        "norm": "'group_norm 32'",
        "depths": "[3, 4]",
    }
    assert [(v.name, [(a.name, shown(a.value)) for a in v.values]) for v in spec.variants] == [
        ("small", []),
        ("large", [("classes", "10"), ("depths", "[1, 2]")]),
        ("odd", []),
    ]
    assert [(i.name, [shown(s) for s in i.shape or ()], i.dtype) for i in spec.inputs or ()] == [
        ("image", ["N", "3", "(32 * h)", "32"], "float32"),
        ("words", ["N", "L"], "int64"),
    ]
    assert [(i.name, i.path, i.variant) for i in spec.imports.values()] == [
        ("body", "sub/resnet.yaml", "resnet50"),
        ("other", "x.yaml", None),
    ]
    assert [(r.pattern, said(r.line)) for r in spec.init] == [
        ("conv2d", "kaiming_normal mode=fan_out"),
        ("*.bias", "zeros"),
    ]
    assert [(d.op, [(a.name, shown(a.value)) for a in d.values]) for d in spec.defaults] == [
        ("conv2d", [("bias", "False")])
    ]
    assert [text.value for text in spec.freeze] == ["body.layer1"]
    assert [shown(check.that) for check in spec.checks] == ["(body.H == image.H)"]
    assert {code: level.value for code, level in spec.lint.items()} == {"inexact-size": "error", "lost-input": "ignore"}
    line = EVERY_KEY[: EVERY_KEY.index("# netc")].count("\n") + 1
    assert spec.ignores == {line: frozenset({"lost-input", "inexact-size"})}
    assert [(o.name, shown(o.source), o.train_only) for o in spec.outputs or ()] == [
        ("logits", "@conv1", False),
        ("aux", "@layer1.conv", True),
    ]
    assert [named.text for named in spec.shared] == ["head"]
    assert isinstance(spec.net, Body)
    assert [_template(named) for named in spec.net.statements] == ["conv1", "layer((i - 1)).conv"]


def _template(named: Named) -> str:
    return "".join(part if isinstance(part, str) else f"({shown(part)})" for part in named.name)


def test_a_block_has_its_own_keys() -> None:
    spec = parse(EVERY_KEY)
    unit = spec.blocks["unit"]
    assert unit.file is spec
    assert unit.span.text == "unit"
    assert [(p.name, shown(p.default)) for p in unit.parameters] == [("width", ""), ("stride", "1"), ("act", "relu")]
    assert [(i.name, i.shape) for i in unit.inputs or ()] == [("top", None), ("lateral", None)]
    assert [(o.name, shown(o.condition)) for o in unit.outputs or ()] == [("first", ""), ("second", "(stride == 1)")]


def test_absent_inputs_and_outputs_of_a_block_are_none() -> None:
    unit = parse(HEAD + "blocks: {unit: {net: relu}}\nnet: unit\n").blocks["unit"]
    assert unit.inputs is None
    assert unit.outputs is None


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_specs_parse(path: Path) -> None:
    spec, found = parse_spec(Source(str(path), path.read_text(encoding="utf-8")))
    assert spec is not None
    assert not found


@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        ("net: relu\nnets: relu", "unknown-key", "nets"),
        ("net:\n  a: {do: relu, iff: b}", "unknown-key", "iff"),
        ("net:\n  a: {op: relu, arg: {}}", "unknown-key", "arg"),
        ("net:\n  a: {conv: relu}", "bad-statement", "conv"),
        ("net:\n  a: {if: b}", "bad-statement", "if"),
        ("net:\n  a: {do: relu, else: relu}", "bad-statement", "relu"),
        ("net:\n  a:", "bad-statement", ""),
        ("net: []", "bad-statement", "[]"),
        ("net: {}", "bad-statement", "{}"),
        ("net: [a: relu]", "bad-statement", "a"),
        ("net:\n  a: {op: conv2d 3}", "bad-line", "conv2d 3"),
        ("net: conv2d(64, 3)", "bad-line", "conv2d(64, 3)"),
        ("net: 64 conv2d", "bad-line", "64"),
        ("net: x3 conv2d", "bad-line", "x3"),
        ("net: conv2d 1 x2 x3", "bad-line", "x3"),
        ("net: conv2d 1 stride= 2", "bad-line", "stride="),
        ("net: conv2d 8 stride =2", "bad-line", "=2"),
        ("net: conv2d a=1 2", "bad-line", "2"),
        ("net: conv2d a=1 a=2", "duplicate-argument", "a=2"),
        ("net: conv2d 8 (1 7", "bad-expression", "("),
        ("net: [max_pool2d (3, 3), relu]", "bad-expression", "max_pool2d (3, 3)"),
        ("net: conv2d 8 @a..b", "bad-reference", "a..b"),
        ("net: conv2d 8\n  3", "bad-yaml", "conv2d 8\n  3"),
        ("net:\n  train: relu", "bad-name", "train"),
        ("net:\n  class: relu", "bad-name", "class"),
        ("net:\n  in: relu", "bad-name", "in"),
        ("net:\n  x3: relu", "bad-name", "x3"),
        ("net:\n  H: relu", "bad-name", "H"),
        ("net:\n  torch: relu", "bad-name", "torch"),
        ("net:\n  conv-1: relu", "bad-name", "conv-1"),
        ("net:\n  a.train: relu", "bad-name", "a.train"),
        ("net:\n  a.01: relu", "bad-name", "a.01"),
        ("net:\n  $i: relu", "bad-name", "$i"),
        ("net:\n  ünet: relu", "bad-name", "ünet"),
        ("net: relu\nname: My-Net", "bad-name", "My-Net"),
        ("net: relu\nname: con", "bad-name", "con"),
        ("net: relu\nargs: lambda=1", "bad-name", "lambda"),
        ("net: relu\nargs: {min: 1}", "bad-name", "min"),
        ("net: relu\nargs: depth", "missing-default", "depth"),
        ("net: relu\nargs: a=1 a=2", "duplicate-name", "a"),
        ("net: relu\nargs: a=1\nlet: {a: 2}", "duplicate-name", "a"),
        ("net: relu\nargs: 3", "bad-line", "3"),
        ("net: relu\nlet: {a: (1}", "bad-expression", "("),
        ("net: relu\nvariants: [a]", "wrong-kind", "[a]"),
        ("net: relu\nblocks: {a: relu}", "wrong-kind", "relu"),
        ("net: relu\nblocks: {a: {args: b}}", "missing-key", "a"),
        ("net: relu\nblocks: {a: {net: relu, name: b}}", "unknown-key", "name"),
        ("net: relu\noutputs: {out: {from: a, when: eval}}", "bad-value", "eval"),
        ("net: relu\noutputs:", "wrong-kind", ""),
        ("net: relu\nlint: {nothing: error}", "unknown-lint", "nothing"),
        ("net: relu\nlint: {shape-mismatch: ignore}", "unknown-lint", "shape-mismatch"),
        ("net: relu\nlint: {lost-input: loud}", "bad-value", "loud"),
        ("net: relu  # netc: ignore[lost-inputs]", "unknown-lint", "lost-inputs"),
        ("net: relu\ninit: {conv2d: [a, b]}", "wrong-kind", "[a, b]"),
        ("net: relu\nimport: {relu: {}}", "wrong-kind", "{}"),
        ("net: a\nimport: {a: b.yaml}\nblocks: {a: {net: relu}}", "duplicate-name", "a"),
        ("net: {for: {i: 1..3, j: 1..3}, do: relu}", "bad-statement", "j"),
        ("net: {for: {i i: a}, do: relu}", "bad-name", "i i"),
        ("net: {for: 1..3, do: relu}", "wrong-kind", "1..3"),
    ],
)
def test_refused(body: str, code: str, place: str) -> None:
    assert errors(HEAD + body + "\n") == [(code, place)]


def test_each_line_of_a_block_list_is_read_by_itself() -> None:
    assert errors(HEAD + "net:\n  - conv2d (1\n  - relu 2)\n") == [("bad-expression", "("), ("bad-expression", ")")]


HOSTILE = {
    "aliases": "net: [" + "*a, " * 200_000 + "b]",
    "blanks behind a wrong sign": "net: @" + " " * 2_000_000 + "x",
    "references": "net:\n" + ("  - a " + "@b " * 6000 + "\n") * 10,
    "ignore comments": "net: relu" + " # netc: ignore[" * 200_000,
    "one long key": "net:\n  ? " + "a" * 3_000_000 + "\n  : relu\n",
    "escapes": "net:\n" + ("  - '" + "a''" * 6000 + "'\n") * 20,
    "continued lines": "net:\n" + ('  - "' + "\\x41\\\n  " * 3000 + '"\n') * 20,
    "equal keys": "net:\n" + "  a: relu\n" * 50_000,
    "open parentheses": "net:\n" + "  - conv2d (\n" * 50_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_takes_linear_time(text: str) -> None:
    start = time.process_time()
    parse_spec(Source("a.yaml", HEAD + text))
    assert time.process_time() - start < 10


def test_missing_keys() -> None:
    assert [code for code, _ in errors("name: a\n")] == ["missing-key"] * 3


def test_unknown_edition() -> None:
    assert errors("netc: 2\ninputs: {a: [N]}\nnet: relu\n") == [("bad-edition", "2")]


def test_all_errors_at_once() -> None:
    text = HEAD + "net:\n  a: conv2d (1 @b..c y=\n  b: conv2d 1+ 2- @b..c\n  in: relu\nnope: 1\nlet: {c: 1 2}\n"
    assert [code for code, _ in errors(text)] == [
        "bad-expression",
        "bad-expression",
        "bad-expression",
        "bad-reference",
        "bad-name",
        "unknown-key",
        "bad-expression",
    ]


def test_did_you_mean() -> None:
    _, found = parse_spec(Source("a.yaml", HEAD + "net: relu\noutput: {a: b}\n"))
    assert [(fix.title, fix.edits[0].replacement) for fix in found[0].fixes] == [("did you mean `outputs`?", "outputs")]


def test_ignore_comments_are_comments() -> None:
    quoted = parse(HEAD + "doc: 'a # netc: ignore[lost-input]'\nnet: relu\n")
    assert quoted.ignores == {}


def test_module_attributes_are_those_of_torch() -> None:
    module = torch.nn.Module()
    present = {name for name in {*dir(module), *torch.nn.Module.__annotations__} if not name.startswith("__")}
    assert present <= MODULE_ATTRIBUTES


@pytest.mark.parametrize(
    "name", ["features", "relu", "fc", "classifier", "avgpool", "downsample", "conv1", "aux1", "norm"]
)
def test_names_of_torchvision_are_free(name: str) -> None:
    assert objection(name, "statement") is None


@pytest.mark.parametrize("stem", ["resnet", "My-Net 2", "2d", "", "con", "ü", "a" * 300, "class"])
def test_every_stem_makes_a_name(stem: str) -> None:
    assert file_objection(name_from_stem(stem)) is None


def check(text: str) -> list[Diagnostic]:
    """Parses any text; every finding must stand in it and be printable."""
    spec, found = parse_spec(Source("a.yaml", text))
    assert spec is not None or found
    for item in found:
        assert item.span is not None
        assert 0 <= item.span.start <= item.span.end <= len(text)
    for form in FORMS:
        written = render(found, form, unicode=False)
        assert written.isascii()
        assert all(sign.isprintable() or sign == "\n" for sign in written)
    return found


PIECES = [*"=()[]{}*'\"1#|>&.\\\t\n\x07é ", "conv2d", "x3", "@in", ": ", ", ", "- ", "\n  ", "$i", "..", "true"]
PIECES += ["do", "if", "else", "for", "op", "net", "args", "inputs"]
KEYS = ["net", "args", "let", "inputs", "outputs", "shared", "blocks", "variants", "import", "init", "freeze", "checks"]
TEXTS = [EVERY_KEY, *(path.read_text(encoding="utf-8") for path in SPECS)]
TREES = st.recursive(
    st.sampled_from(["relu", "1", "", "@in", "a b", "1..3", "x2"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["do", "op", "if", "for", "else", "args", "inputs", "a", "in"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=60))
def test_any_text_under_net(text: str) -> None:
    check(HEAD + "net:\n  a: " + text)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([EVERY_KEY, *(path.read_text(encoding="utf-8") for path in SPECS)]),
    st.randoms(use_true_random=False),
)
def test_any_mutation_of_a_spec(text: str, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randint(0, len(text)), chance.choice([0, 0, 1, 1, 3, 20])
        text = (
            text[:at] + chance.choice(["", chance.choice(PIECES), chr(chance.randint(1, 0x2FFF))]) + text[at + size :]
        )
    check(text)


@settings(max_examples=60, deadline=None)
@given(TREES, st.sampled_from(KEYS))
def test_any_value_of_any_key(value: object, key: str) -> None:
    check(f"netc: 1\n{key}: {value!r}\n")
