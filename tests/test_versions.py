"""A text checked version by version is what each version is alone: network, findings, places and their order."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netc.budget import budgeted
from netc.diagnostics.model import Source, Span
from netc.dims import Domain
from netc.editor.server import Document
from netc.expr.evaluate import OperatorValue
from netc.expr.scope import Scope
from netc.expr.tree import Expr
from netc.passes import compile_spec
from netc.passes.elaborate.body import BodyBuilder, StatementResult
from netc.passes.elaborate.place import Incoming, Place
from netc.passes.versions import Versions
from netc.syntax.ast import Line
from netc.syntax.parse import parse_spec


class Likeness:
    """Compares two trees of objects: what is one object in the one is one object in the other, too."""

    def __init__(self, versions: Versions) -> None:
        self.place = versions.source.place
        self.pairs: dict[int, int] = {}
        self.back: dict[int, int] = {}
        self.left: list[tuple[Any, Any, str]] = []

    def check(self, ours: Any, theirs: Any) -> None:
        self.left.append((ours, theirs, ""))
        while self.left:
            self.one(*self.left.pop())

    def one(self, a: Any, b: Any, way: str) -> None:
        assert type(a) is type(b) or {type(a), type(b)} == {int, float}, f"{way}: {a!r} {b!r}"
        if isinstance(a, Span):
            assert (a.start, a.end, a.source.path, a.source.text) == (b.start, b.end, b.source.path, b.source.text), way
        elif isinstance(a, OperatorValue):
            assert a.text == b.text, way
        elif isinstance(a, Expr):
            assert (self.place(a.start), self.place(a.end)) == (b.start, b.end), way
            self.fields(a, b, way, leave=("start", "end"))
        elif isinstance(a, Scope):
            if self.is_new(a, b, way):
                self.left += [(getattr(a, n), getattr(b, n), f"{way}.{n}") for n in ("parent", "bindings", "owner")]
        elif isinstance(a, Domain):
            assert (a.bounds, [*a.decided]) == (b.bounds, [*b.decided]), way
        elif isinstance(a, msgspec.Struct):
            if self.is_new(a, b, way):
                self.fields(a, b, way)
        elif isinstance(a, Mapping):
            assert [*a] == [*b], way
            self.left += [(a[key], b[key], f"{way}[{key}]") for key in a]
        elif isinstance(a, list | tuple):
            assert len(a) == len(b), way
            self.left += [(x, y, f"{way}[{i}]") for i, (x, y) in enumerate(zip(a, b, strict=True))]
        else:
            assert a == b, f"{way}: {a!r} {b!r}"

    def is_new(self, a: Any, b: Any, way: str) -> bool:
        known = id(a) in self.pairs or id(b) in self.back
        shared = type(a).__eq__ is object.__eq__
        assert not known or not shared or (self.pairs.get(id(a)), self.back.get(id(b))) == (id(b), id(a)), way
        self.pairs[id(a)], self.back[id(b)] = id(b), id(a)
        return not known

    def fields(self, a: Any, b: Any, way: str, leave: tuple[str, ...] = ()) -> None:
        self.left += [(getattr(a, n), getattr(b, n), f"{way}.{n}") for n in a.__struct_fields__ if n not in leave]


def same(versions: Versions, path: str, text: str) -> bool:
    """Check a version, and compare. Whether it is valid."""
    source = Source(path, text)
    with budgeted() as ours:
        network, found, spec = versions.check(source)
    with budgeted() as theirs:
        fresh, findings = compile_spec(source)
    assert ours.spent == theirs.spent
    told, known = ([(d.code, d.message, d.span and d.span.start) for d in one] for one in (found, findings))
    assert told == known
    Likeness(versions).check((found, network), (findings, fresh))
    Likeness(versions).check(spec, parse_spec(source)[0])
    return network is not None


WORDS = (
    "conv2d", "relu", "linear", "padding=1", "stride=2", "x2", "64", "@in", "batch_norm2d", "none", "@stem", "-", ":",
    ",", "#", "(", "]", '"', "'",
)  # fmt: skip


def edited(text: str, choose: random.Random) -> str:
    """What the text may become next: small changes, most of them near what people do."""
    lines = text.split("\n")
    at = choose.randrange(len(lines))
    line = lines[at]
    kind = choose.randrange(11)
    if kind == 0:
        lines[at:at] = ["", "# a comment"][: choose.randint(1, 2)]
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines[at] = re.sub(r"\d+", lambda m: str(int(m[0]) + 1)[-4:], line, count=1)
    elif kind == 3:
        lines[at] = line + " " + choose.choice(WORDS)
    elif kind == 4:
        column = choose.randrange(len(line) + 1)
        lines[at] = line[:column] + choose.choice('abx1 :@[{(=.,\t"') + line[column:]
    elif kind == 5:
        column = choose.randrange(len(line) + 1)
        lines[at] = line[:column] + line[column + 1 :]
    elif kind == 6:
        lines[at:at] = [line]
    elif kind == 7 and at + 1 < len(lines):
        lines[at], lines[at + 1] = lines[at + 1], line
    elif kind == 8:
        words = [m[0] for m in re.finditer(r"[a-z_]\w+", text)]
        old, new = choose.choice(words), choose.choice([*words, "other"])
        return re.sub(rf"\b{old}\b", new, text)
    elif kind == 9:
        lines[at] = re.sub(r"\d+", lambda m: str(2 * int(m[0]))[-4:], line)
    else:
        lines[0:0] = ["# above"]
    return "\n".join(lines)


def typed(path: str, text: str, seed: int, changes: int) -> int:
    """Change a text again and again, and now and then back; how many versions were valid."""
    choose, versions, past = random.Random(seed), Versions(path), [text]
    valid = int(same(versions, path, text))
    for _ in range(changes):
        now = past[-1]
        if choose.random() < 0.45 and len(past) > 1:
            now = choose.choice(past[-4:])
        else:
            now = edited(now, choose)
        past.append(now)
        valid += same(versions, path, now)
    return valid


EXAMPLES = ("digits", "imports", "library", "operator_values", "vae", "variants", "shared", "lint")


@pytest.mark.parametrize("name", EXAMPLES)
def test_versions_of_examples(name: str) -> None:
    path = Path("examples") / f"{name}.yaml"
    assert typed(str(path), path.read_text(encoding="utf-8"), 1, 10) > 2


@pytest.mark.parametrize("name", ["resnet", "mobilenet_v2", "faster_rcnn_fpn"])
def test_versions_of_the_gallery(name: str) -> None:
    path = Path("specs") / f"{name}.yaml"
    assert typed(str(path), path.read_text(encoding="utf-8"), 2, 5) > 1


WIRED = """
netc: 1
name: wired
args: {width: 8, slope: 0.1, act: relu}
let: {half: width//2, twice: 2*width}
inputs: {image: [N, 3, 8*h, 8*w]}
defaults: {conv2d: {padding: 1}}
blocks:
  unit:
    args: c act="leaky_relu slope"
    net:
      conv: conv2d c 3
      act: act
  pair:
    args: c
    net:
      one: unit c
      two: unit c act=relu
      far: unit twice act="leaky_relu 0.2"
      out: conv2d c 1 padding=0
  down:
    net:
      pool: max_pool2d 2
      conv: conv2d half 3
net:
  stem: unit width act=act
  a: pair width
  b: down @a
  c: [pair 16, unit 8 act=gelu, down]
  probe: conv2d 4 1 padding=0 @a.one.conv
  tail: conv2d 4 1 padding=0 @c
outputs: {probe: probe, tail: tail}
"""

CHANGES = [
    ("name: wired", "name: wired\ndoc: What is typed here"),
    ("args: {width: 8,", "args: {width: 12,"),
    ("half: width//2", "half: width//4"),
    ("padding: 1}}", "padding: 1, bias: false}}"),
    ("blocks:", "# blocks\n\nblocks:"),
    ("conv: conv2d c 3", "conv: conv2d c 3 dilation=1"),
    ("act=relu\n      far", "act=silu\n      far"),
    ("leaky_relu slope", "leaky_relu 2*slope"),
    ("  down:", "  below:"),
    ("pool: max_pool2d 2", "pool: max_pool2d 3 stride=2"),
    ("pool: max_pool2d 2", "pool: max_pool2d 2\n      pool: relu"),
    ("b: down @a", "b: [down @a, down]"),
    ("@a.one.conv", "@a.two.conv"),
    ("@a.one.conv", "@a"),
    ("act=gelu", "act=gelu act=gelu"),
    ("      out: conv2d c 1 padding=0", "      out: conv2d c 1"),
    ("      out: conv2d c 1 padding=0", "      out: pair c"),
    ("far: unit twice", "far: unit twice x2"),
    ("c: [pair 16", "c: [pair 16, pair 16"),
    ("stem: unit width act=act", "stem: unit width"),
    ("width: 8, slope", "depth: 8, slope"),
]


@pytest.mark.parametrize("seed", range(3))
def test_versions_of_blocks_that_call_each_other(seed: int) -> None:
    choose, versions, past, right = random.Random(seed), Versions("wired.yaml"), [WIRED], [WIRED]
    for _ in range(40):
        text = past[-1]
        if choose.random() < (0.2 if text == right[-1] else 0.7):
            text = choose.choice(right[-5:])
        elif choose.random() < 0.7:
            text = text.replace(*choose.choice(CHANGES), 1)
        else:
            text = edited(text, choose)
        past.append(text)
        if same(versions, "wired.yaml", text):
            right.append(text)
    assert len(right) > 12


def test_only_what_an_edit_touches_is_elaborated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The statements of the blocks that changed, those of the blocks that call them, and the network's own."""
    made: list[str] = []
    leaf = BodyBuilder._leaf

    def counted(self: BodyBuilder, line: Line, place: Place, flow: Incoming, again: bool = False) -> StatementResult:
        made.append(place.names.definition.name)
        return leaf(self, line, place, flow, again)

    monkeypatch.setattr(BodyBuilder, "_leaf", counted)
    versions, source = Versions("wired.yaml"), WIRED.replace("@a.one.conv", "@a")

    def after(before: str, now: str) -> dict[str, int]:
        nonlocal source
        made.clear()
        source = source.replace(before, now, 1)
        assert versions.check(Source("wired.yaml", source))[0] is not None
        return dict(Counter(made))

    every = after("", "")
    own = {"wired": every["wired"]}
    assert every == {"wired": 8, "pair": 8, "unit": 16, "down": 4}
    assert after("b: down @a", "b: down @a  # a comment") == own
    assert after("name: wired", "name: wired\ndoc: typed") == own
    assert after("defaults:", "\n\ndefaults:") == own
    assert after("pool: max_pool2d 2", "pool: avg_pool2d 2") == {**own, "down": 4}
    # The units that get their operator from the text of `pair`, which is another text, are made again as well.
    assert after("out: conv2d c 1 padding=0", "out: conv2d c 1 padding=0 bias=false") == {**own, "pair": 8, "unit": 4}
    assert after("conv2d c 3", "conv2d c 3 bias=false") == {**own, "unit": every["unit"], "pair": 8}
    # The input of the second pair is another one then.
    assert after("half: width//2", "half: width//4") == {**own, "down": 4, "pair": 4, "unit": 4}
    assert after("half: width//4", "half: width//2") == own, "what is undone was there before"


def test_operators_that_name_themselves() -> None:
    text = WIRED.replace('act="leaky_relu slope"', 'act="act slope"').replace("act: relu}", 'act: "act act"}')
    versions = Versions("wired.yaml")
    assert not same(versions, "wired.yaml", text)
    assert same(versions, "wired.yaml", WIRED.replace("act: relu}", "relu: relu, act: relu}"))


def test_imported_files_that_change(tmp_path: Path) -> None:
    imported = tmp_path / "part.yaml"
    text = "netc: 1\nname: part\nargs: {width: 8}\ninputs: {image: [N, C, h, w]}\nnet: {conv: conv2d width 1}\n"
    whole = "netc: 1\nname: whole\nimport: {part: part.yaml}\ninputs: {image: [N, 8, h, w]}\n"
    whole += "blocks:\n  twice: {net: [part, part]}\nnet: {a: twice, b: part width=8 @a}\n"
    path = str(tmp_path / "whole.yaml")
    versions = Versions(path)
    valid = []
    for width, broken in ((8, False), (8, False), (9, False), (8, True), (8, False)):
        now = text.replace("width: 8", f"width: {width}").replace("conv2d", "conv9d" if broken else "conv2d")
        imported.write_text(now, encoding="utf-8")
        valid.append(same(versions, path, whole))
        valid.append(same(versions, path, whole.replace("blocks:", "# more\nblocks:")))
    imported.unlink()
    assert not same(versions, path, whole)
    assert valid == [True] * 6 + [False] * 2 + [True] * 2


def test_hints_stay_behind_their_lines() -> None:
    """Those of the last right text, where lines were added above it and there is an error now."""
    document = Document("wired.yaml", "utf-16")
    document.text = WIRED
    before = [hint.label for hint in document.hints()]
    document.text = WIRED.replace("blocks:", "# above\n\nblocks:")
    moved = document.hints()
    assert [hint.label for hint in moved] == before
    others = [hint.label for hint in moved if not _line_of(document.text, hint.offset).startswith("stem")]
    document.text = document.text.replace("stem: unit", "stem: unitt")
    kept = document.hints()
    assert [hint.label for hint in kept] == others
    lines = [_line_of(document.text, hint.offset) for hint in kept]
    assert lines[:2] == ["conv: conv2d c 3", "act: act"]
    assert lines[-1] == "tail: conv2d 4 1 padding=0 @c"


def _line_of(text: str, offset: int) -> str:
    """What stands on a line before an offset."""
    return text[:offset].rpartition("\n")[2].strip()
