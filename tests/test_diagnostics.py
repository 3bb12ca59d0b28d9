"""What a diagnostic looks like, in every form; the registry of codes; suggestions; levels."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netc.budget import Budget, budgeted
from netc.diagnostics.codes import CODES, LINTS, explain, reference
from netc.diagnostics.codes_network import NETWORK_CODES
from netc.diagnostics.codes_syntax import SYNTAX_CODES
from netc.diagnostics.model import Diagnostic, Edit, Fix, Frame, Label, Source, Span
from netc.diagnostics.render import FORMS, LONGEST, render
from netc.diagnostics.suggest import closest, distance, in_order, listed, nearest
from netc.passes import compile_spec
from netc.syntax.parse import parse_spec

UNET = Source(
    "specs/unet.yaml", "netc: 1\nnet:\n  enc1: conv2d 64 3\n  a: relu\n  b: relu\n  merge1: concat @enc1 @up1\n"
)


def span(words: str, source: Source = UNET) -> Span:
    start = source.text.index(words)
    return Span(source, start, start + len(words))


MISMATCH = Diagnostic(
    "shape-mismatch",
    "concat inputs disagree on axis 2 (H): 225 and 224",
    span("@enc1"),
    label="N×64×225×225",
    secondary=(Label(span("@up1"), "N×64×224×224"), Label(span("enc1"), "N×64×225×225 comes from here")),
    notes=("where the row was lost\n    pool1  H = ⌊223/2⌋ + 1",),
    fixes=(Fix("add `output_padding=1` to up1"), Fix("use even inputs", (Edit(span("@up1"), "@up2"),))),
    trail=(Frame("unet_level", span("merge1"), "level1"),),
)

FULL = """\
error[shape-mismatch]: concat inputs disagree on axis 2 (H): 225 and 224
 --> specs/unet.yaml:6:18
  |
3 |   enc1: conv2d 64 3
  |   ---- N×64×225×225 comes from here
...
6 |   merge1: concat @enc1 @up1
  |                  ^^^^^ ---- N×64×224×224
  |                  N×64×225×225
  |
  = note: where the row was lost
        pool1  H = ⌊223/2⌋ + 1
  = help: add `output_padding=1` to up1
  = help: or use even inputs
  = in block `unet_level`, called at line 6 as `level1`"""


def test_full() -> None:
    assert render([MISMATCH]) == FULL
    assert render([MISMATCH, MISMATCH]) == f"{FULL}\n\n{FULL}"


def test_full_without_unicode() -> None:
    text = render([MISMATCH], unicode=False)
    assert text.isascii()
    assert "Nx64x225x225" in text
    assert "floor(223/2)" in text


def test_colour_changes_no_text() -> None:
    text = render([MISMATCH], color=True)
    for code in ("\x1b[1;31m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"):
        assert code in text
        text = text.replace(code, "")
    assert text == FULL


def test_concise() -> None:
    place = "specs/unet.yaml:6:18: error[shape-mismatch] concat inputs disagree on axis 2 (H): 225 and 224"
    assert render([MISMATCH, MISMATCH], "concise") == f"{place}\n{place}"


def test_json() -> None:
    (found,) = json.loads(render([MISMATCH], "json"))
    assert set(found) == {
        "code", "severity", "message", "path", "line", "column", "end_line", "end_column", "notes", "fixes"
    }  # fmt: skip
    assert (found["line"], found["column"], found["end_line"], found["end_column"]) == (6, 18, 6, 23)
    assert found["fixes"][0]["edits"] == []
    assert found["fixes"][1]["edits"] == [
        {
            "path": "specs/unet.yaml", "line": 6, "column": 24, "end_line": 6, "end_column": 28, "replacement": "@up2"
        }
    ]  # fmt: skip
    assert render([], "json") == "[]"


def test_github() -> None:
    text = render([Diagnostic("bad-name", "100% bad\nname: a,b", span("enc1"), severity="warning")], "github")
    assert text == (
        "::warning file=specs/unet.yaml,title=warning[bad-name],line=3,endLine=3,col=3,endColumn=7"
        "::100%25 bad%0Aname: a,b"
    )


def test_without_a_place() -> None:
    found = Diagnostic("missing-file", "no such file", None, path="a.yaml")
    assert render([found]).splitlines() == ["error[missing-file]: no such file", " --> a.yaml"]
    assert render([found], "concise") == "a.yaml: error[missing-file] no such file"


def underlined(text: str, words: str) -> tuple[str, str]:
    """The shown line with `words` marked, and the row of marks beneath it."""
    lines = render([Diagnostic("bad-name", "m", span(words, Source("a", text)))]).splitlines()
    return lines[3], lines[4]


@pytest.mark.parametrize(
    ("text", "words", "line", "marks"),
    [
        ("\ta: b", "b", "1 |     a: b", "  |        ^"),
        ("日本: b", "b", "1 | 日本: b", "  |       ^"),
        ("日本: b", "日本", "1 | 日本: b", "  | ^^^^"),
        ("e\u0301: b", "b", "1 | e\u0301: b", "  |    ^"),
        ("\x1b[2J b", "b", "1 | \\x1b[2J b", "  |         ^"),
        ("a\u202eb", "b", "1 | a\\u202eb", "  |        ^"),
        ("a: b\r\nc", "b\r\nc", "1 | a: b", "  |    ^"),
    ],
)
def test_marks_stand_beneath_their_characters(text: str, words: str, line: str, marks: str) -> None:
    assert underlined(text, words)[0] == line
    assert underlined(text, words)[1].rstrip().startswith(marks)


def test_long_lines_are_cut_around_the_mark() -> None:
    line, marks = underlined("y" * 5000 + " here " + "z" * 5000, "here")
    assert len(line) < 200
    assert line[marks.index("^") : marks.rindex("^") + 1] == "here"


def test_marks_in_other_files() -> None:
    other = Source("other.yaml", "a: b\n")
    found = Diagnostic("bad-name", "m", span("enc1"), secondary=(Label(span("b", other), "here"),))
    text = render([found])
    assert " ::: other.yaml:1" in text
    assert "1 | a: b" in text


@given(st.text(), st.text(max_size=20), st.data())
def test_output_never_commands_a_terminal(text: str, message: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    place = Span(Source(message, text), start, data.draw(st.integers(start, len(text))))
    found = Diagnostic("bad-name", message, place, label=message, notes=(message,), fixes=(Fix(message),))
    for form in FORMS:
        written = render([found], form)
        assert all(sign.isprintable() or sign == "\n" for sign in written), written
        assert render([found], form, unicode=False).isascii()


@pytest.mark.parametrize(
    ("left", "right", "steps"),
    [("", "", 0), ("a", "", 1), ("conv2d", "cnov2d", 1), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 1)],
)
def test_distance(left: str, right: str, steps: int) -> None:
    assert distance(left, right) == distance(right, left) == steps


def test_suggestions() -> None:
    assert closest("cnov2d", ["conv1d", "conv2d", "linear"]) == "conv2d"
    assert closest("banana", ["conv2d", "linear"]) is None
    assert closest("relu", ["relu"]) is None
    assert nearest("stage4", ["stage1", "stage2", "stage3", "stages"]) == ["stage3", "stage2", "stage1"]
    assert nearest("conv2_9", ["conv2_1", "conv2_10", "conv2_8"])[0] == "conv2_8"
    assert nearest("conv", ["conv1", "conv2", "linear", "cnv"]) == ["cnv", "conv1", "conv2"]


def test_every_code_is_explained() -> None:
    for code, info in CODES.items():
        assert code == info.code
        text = explain(code)
        assert info.cause in text
        assert info.remedy in text
        assert text in reference()
        assert info.remedy.endswith((".", ")"))
        assert info.cause.endswith(".")


@pytest.mark.parametrize(
    "code", [info.code for info in SYNTAX_CODES if info.code not in ("missing-file", "import-outside")]
)
def test_examples_of_syntax_codes(code: str) -> None:
    _, found = parse_spec(Source("example.yaml", CODES[code].spec()))
    assert {item.code for item in found} == {code}


@pytest.mark.parametrize("code", [info.code for info in NETWORK_CODES if info.example])
def test_examples_of_network_codes(code: str) -> None:
    _, found = compile_spec(Source("example.yaml", CODES[code].spec()), args={}, variant=None, bind={})
    assert {item.code for item in found} == {code}


def test_only_warnings_can_be_silenced() -> None:
    assert LINTS["lost-input"] == "warn"
    assert LINTS["inexact-size"] == "ignore"
    assert "shape-mismatch" not in LINTS


def test_the_full_form_shows_the_first_and_counts_the_rest() -> None:
    placed = [Diagnostic("unknown-argument", f"no {i}", span("enc1")) for i in range(30)]
    text = render([Diagnostic("lost-input", "a row", span("enc1"), severity="warning"), *placed])
    assert text.count("error[unknown-argument]") == 20
    assert "warning[" not in text
    assert text.endswith("… and 11 more: 10 unknown-argument, 1 lost-input")
    assert len(render(placed, "concise").splitlines()) == 30
    assert len(json.loads(render(placed, "json"))) == 30


def test_findings_without_a_place_are_few() -> None:
    found = [
        Diagnostic(code, f"{i}", None, path="w") for code in ("weights-missing", "weights-extra") for i in range(800)
    ]
    lines = render(found).splitlines()
    assert len(lines) < 70
    assert lines[-1] == "… and 1,580 more: 790 weights-missing, 790 weights-extra"


def test_a_line_of_the_full_form_has_an_end() -> None:
    text = render([Diagnostic("bad-name", "m" * 5000, span("enc1"), notes=("n" * 5000,), fixes=(Fix("f" * 5000),))])
    assert max(map(len, text.splitlines())) < 540
    assert "m" * 5000 in render([Diagnostic("bad-name", "m" * 5000, span("enc1"))], "json")


def test_a_message_is_cut_only_behind_what_fits() -> None:
    for length in (LONGEST - 1, LONGEST):
        assert render([Diagnostic("bad-name", "m" * length, None)]) == f"error[bad-name]: {'m' * length}"
    assert render([Diagnostic("bad-name", "m" * (LONGEST + 1), None)]) == f"error[bad-name]: {'m' * LONGEST} …"


LINE = Source("a.yaml", "abcdefghijklmnop\n")


def marked(first: tuple[int, int, str], *others: tuple[int, int, str]) -> list[str]:
    """The rows beneath a line with marks on it, the first of which is the primary one."""
    labels = tuple(Label(Span(LINE, start, end), text) for start, end, text in others)
    start, end, text = first
    found = Diagnostic("bad-name", "m", Span(LINE, start, end), label=text, secondary=labels)
    return [line.removeprefix("  | ") for line in render([found]).splitlines()[4:-1]]


@pytest.mark.parametrize(
    ("marks", "rows"),
    [
        ([(0, 2, "one"), (2, 4, "two")], ["^^-- two", "one"]),
        ([(0, 2, "one"), (1, 4, "two")], ["^^--", " two", "one"]),
        ([(0, 2, "one"), (5, 7, "")], ["^^   --", "one"]),
        ([(0, 10, "whole"), (2, 4, "part"), (12, 14, "next")], ["^^^^^^^^^^  -- next", "  part", "whole"]),
        ([(0, 10, "whole"), (2, 10, "part")], ["^^^^^^^^^^", "  part", "whole"]),
        ([(3, 3, "here")], ["   ^ here"]),
    ],
)
def test_marks_on_one_line(marks: list[tuple[int, int, str]], rows: list[str]) -> None:
    assert marked(*marks) == rows


@pytest.mark.parametrize(
    ("at", "length", "head", "tail"),
    [
        (0, 160, False, False),
        (159, 160, False, False),
        (0, 161, False, True),
        (40, 161, False, True),
        (41, 161, True, False),
        (160, 161, True, False),
        (100, 400, True, True),
        (279, 400, True, True),
        (280, 400, True, False),
    ],
)
def test_dots_stand_where_a_long_line_goes_on(at: int, length: int, head: bool, tail: bool) -> None:
    """160 characters are shown, from 40 before the first mark."""
    source = Source("a", "x" * length)
    shown = render([Diagnostic("bad-name", "m", Span(source, at, at + 1))]).splitlines()[3].removeprefix("1 | ")
    assert (shown.startswith("..."), shown.endswith("...")) == (head, tail)
    assert len(shown.strip(".")) == min(length - max(0, at - 40) if length > 160 else length, 160)


def test_suggestions_are_near_few_and_in_order() -> None:
    assert nearest("a", ["b", "A", "ab"]) == ["A"]
    assert nearest("ab", ["ac", "cd", "b", "abc", "abcd"]) == ["abc", "ac", "b"]
    assert nearest("conv2d", ["conv2x", "conv2y", "conv2z", "conv2w"], limit=2) == ["conv2w", "conv2x"]
    assert nearest("a" * 60, ["a" * 61]) == ["a" * 61]
    assert nearest("a" * 61, ["a" * 60]) == []
    assert nearest("relu", ["x"] * 2_000 + ["relu6"]) == []
    assert nearest("relu", ["x"] * 1_999 + ["relu6"]) == ["relu6"]


def test_lists_in_sentences() -> None:
    assert [in_order(texts) for texts in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert listed("abc", 3) == "a, b, c"
    assert listed("abc", 2) == "a, b, … and 1 more"


def test_comparing_words_is_counted_by_their_letters() -> None:
    """A table of 40 × 40 for each of a hundred words, some cells to a step."""
    with budgeted(Budget(10**9)) as budget:
        nearest("a" * 40, ["b" * 40] * 100)
    assert 100 * 40 * 40 / 8 < budget.spent < 100 * 40 * 40
