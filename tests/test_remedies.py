"""Remedies are changes of the text: applied, they leave a spec that is right (or has the finding no more)."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest

from netc.diagnostics.model import Diagnostic, Edit
from tests.spectext import elaborate

HEAD = "netc: 1\nname: net\n"


def applied(text: str, edits: tuple[Edit, ...]) -> str:
    for edit in sorted(edits, key=lambda one: one.span.start, reverse=True):
        text = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
    return text


def found_in(text: str) -> tuple[str, list[Diagnostic]]:
    text = HEAD + dedent(text)
    return text, elaborate(text)[1]


def titles(finding: Diagnostic) -> list[str]:
    return [fix.title for fix in finding.fixes]


def check_all(text: str, finding: Diagnostic) -> None:
    """Every remedy with edits, applied, leaves fewer findings, and none like this one. It writes what it says."""
    before = elaborate(text)[1]
    for fix in finding.fixes:
        if fix.edits:
            for values in re.findall(r"`(\w+=[^`]+)`", fix.title.partition(" instead of ")[0]):
                for value in re.findall(r"\w+=(\([^)]*\)|\S+)", values):
                    assert any(value in edit.replacement for edit in fix.edits), fix
            after = elaborate(applied(text, fix.edits))[1]
            assert len(after) < len(before), (fix.title, [one.message for one in after])
            assert (finding.code, finding.message) not in [(one.code, one.message) for one in after]


UNET = """\
    inputs: {image: [N, 3, SIZES]}
    blocks:
      double: {args: width, net: [conv2d width 3 padding=1, relu]}
    net:
      e1: double 8 @image
      e2: [max_pool2d 2 @e1, double 16]
      e3: [max_pool2d 2 @e2, double 32]
      e4: [max_pool2d 2 @e3, double 64]
      d3: [interpolate scale_factor=2 @e4, double 32]
      s3: concat @e3 @d3
      d2: [interpolate scale_factor=2 @s3, double 16]
      s2: concat @e2 @d2
      d1: [interpolate scale_factor=2 @s2, double 8]
      out: concat @e1 @d1
    """

VALID_UNET = """\
    inputs: {image: [N, 1, SIZES]}
    blocks:
      two: {args: c, net: [conv2d c 3, relu, conv2d c 3, relu]}
    net:
      e1: two 4 @in
      e2: [max_pool2d 2 @e1, two 4]
      e3: [max_pool2d 2 @e2, two 4]
      e4: [max_pool2d 2 @e3, two 4]
      mid: [max_pool2d 2 @e4, two 4]
      u4: conv_transpose2d 4 2 stride=2
      c4: [slice 2 4 -4 @e4, slice 3 4 -4]
      d4: [concat @c4 @u4, two 4]
      u3: conv_transpose2d 4 2 stride=2
      c3: [slice 2 16 -16 @e3, slice 3 16 -16]
      d3: [concat @c3 @u3, two 4]
    """

SHORTCUT = """\
    inputs: {image: [N, 3, 32, 32]}
    net:
      stem: conv2d 64 3 padding=1
      body: [conv2d 128 3 stride=2 padding=1 @stem, relu]
      out: add @body @stem
    """

CASES = [
    (UNET.replace("SIZES", "300, 300"), ["`image: [N, 3, 296, 296]`", "`image: [N, 3, 304, 304]`", "like=@e3"]),
    (UNET.replace("SIZES", "304, 300"), ["`image: [N, 3, 304, 296]`", "`image: [N, 3, 304, 304]`", "like=@e3"]),
    (
        UNET.replace("SIZES", "side, side").replace("    inputs", "    args: {side: 300}\n    inputs", 1),
        ["`image: [N, 3, 296, 296]`", "`image: [N, 3, 304, 304]`", "like=@e3"],
    ),
    (UNET.replace("SIZES", "h, w"), ["declare `image: [N, 3, 8*h, 8*w]`"]),
    (UNET.replace("SIZES", "2*h, 2*w"), ["declare `image: [N, 3, 8*h, 8*w]`"]),
    (VALID_UNET.replace("SIZES", "h, w"), ["declare `image: [N, 1, 16*h+12, 16*w+12]`"]),
    (VALID_UNET.replace("SIZES", "200, 200"), ["[N, 1, 191, 191]", "[N, 1, 204, 204]"]),
    (SHORTCUT, ["`shortcut: conv2d 128 1 stride=2 @stem` before this, and `@shortcut` here"]),
    (
        """\
        inputs: {image: [N, 3, 32, 32]}
        blocks:
          unit:
            args: width
            net: {conv: conv2d width 3 padding=1 @in, out: [add @conv @in, relu]}
        net: {one: unit 3, two: unit 8}
        """,
        ["`shortcut: conv2d conv.C 1 @in` before this"],
    ),
    (
        """\
        inputs: {image: [N, 3, 50, 40]}
        net: {a: conv2d 8 3 @image, b: conv2d 8 1 @image, out: add @a @b}
        """,
        ["add `padding=1` to `a` (gives N×8×50×40)"],
    ),
    (
        """\
        inputs: {image: [N, 3, 50, 40]}
        net: {a: "conv2d 8 (3 5) @image", n: [batch_norm2d, relu], b: conv2d 8 1 @image, out: add @n @b}
        """,
        ["add `padding=(1 2)` to `a` (gives N×8×50×40)"],
    ),
    (
        """\
        inputs: {image: [N, 3, 4*h, 4*w]}
        net: {a: conv2d 8 3 stride=2 @image, b: conv2d 8 1 stride=2 @image, out: add @a @b}
        """,
        ["add `padding=1` to `a` (gives N×8×2h×2w)"],
    ),
    (
        """\
        inputs: {image: [N, 3, 2*h, 3*w]}
        net: {a: "conv2d 8 (3 5) stride=(2 3) @image", n: relu, b: "conv2d 8 (2 3) stride=(2 3) @image", out: add @n @b}
        """,
        ["add `padding=(1 2)` to `a` (gives N×8×h×w)"],
    ),
    (
        """\
        inputs: {image: [N, 3, h, w]}
        net: {a: [conv2d 8 3 @image, relu, conv2d 8 5, relu], b: conv2d 8 1 @image, out: add @a @b}
        """,
        ["add `padding=1` to `a.0` and `padding=2` to `a.2`"],
    ),
    (
        """\
        inputs: {image: [N, 3, 28, 28]}
        net: {a: conv2d 64 1 @image, b: conv2d 192 1 @image, c: conv2d 16 1 @image, out: concat dim=2 @a @b @c}
        """,
        ["use `dim=1` (gives N×272×28×28)"],
    ),
    (
        """\
        inputs: {image: [N, 8, 8*h, 8*w]}
        net:
          stage$i: {for: {i: 1..3}, do: "conv2d 8 2 stride=2 @in"}
          stage2b: conv2d 8 1 @stage2
          up: interpolate scale_factor=2 @stage2b
          out: add @up @stage1 @stage3
        """,
        [],
    ),
    (
        """\
        inputs: {image: [N, 8, 8*h, 8*w]}
        net:
          stage1: conv2d 8 2 stride=2
          stage2: conv2d 8 2 stride=2 @stage1
          stage3: conv2d 8 2 stride=2 @stage2
          up: interpolate scale_factor=2 @stage3
          out: concat @stage1 @up
        """,
        ["like=@stage1", "read `@stage2`, which fits"],
    ),
    (
        """\
        inputs: {image: [N, 3, 30, 30]}
        net:
          a: conv2d 8 3 stride=2 padding=1 @image
          up: conv_transpose2d 8 3 stride=2 padding=1
          b: conv2d 8 1 @image
          out: add @up @b
        """,
        ["[N, 3, 29, 29]", "[N, 3, 31, 31]", "add `output_padding=1` to `up` (gives N×8×30×30)"],
    ),
    (
        """\
        inputs: {image: [N, 8, 8*h, 8*w]}
        net:
          stage$i: {for: {i: 1..3}, do: conv2d 8 2 stride=2}
          side: conv2d 8 1 @stage2
          up: interpolate scale_factor=2 @stage3
          out: add @side @up
        """,
        ['write `@stage$(i-1)` here, and `stage0: "@image"` above'],
    ),
    (
        """\
        inputs: {image: [N, 8, 8*h, 8*w]}
        net: {a: conv2d 8 1, b: conv2d 8 1 @image, out: add @a @b}
        """,
        ["write `@image` here"],
    ),
    (
        """\
        inputs: {image: [N, 8, 8*h, 8*w]}
        net: {a: conv2d 8 1 @image, b: conv2d 8 1 @image, out: add a b}
        """,
        ["write `@a` `@b`"],
    ),
    ('inputs: {a: [N, 3, 4], b: [N, 4, 5]}\nnet: [einsum "bij,bjk->bik" @a @b, relu]', ["quote this"]),
    ("inputs: {v: [N, 1470]}\nnet: reshape (N 7 7 25)", ["use `shape=(N 7 7 30)` (gives N×7×7×30)"]),
    ("inputs: {v: [N, 1470]}\nnet: reshape (7 7 30)", ["use `shape=(N 7 7 30)` (gives N×7×7×30)"]),
    ("inputs: {v: [N, 100]}\nnet: batch_norm2d", ["use `batch_norm1d`, which takes N×100"]),
    ("inputs: {v: [N, 8, 100]}\nnet: conv2d 8 3", ["use `conv1d`, which takes N×8×100"]),
    ("inputs: {v: [N, 8, 9, 9, 9]}\nnet: max_pool2d 3", ["use `max_pool3d`, which takes N×8×9×9×9"]),
    ("inputs: {v: [N, 4, 6]}\nnet: layer_norm 5", ["use `normalized_shape=6` (gives"]),
    ("inputs: {v: [N, 4, h]}\nnet: layer_norm 5", ["declare `v: [N, 4, 5]`"]),
    ("inputs: {v: [N, 4, h, 2*w]}\nnet: rms_norm (5 6)", ["declare `v: [N, 4, 5, 6]`"]),
    ("inputs: {v: [N, 96, h, w]}\nnet: layer_norm 96", ["`layer_norm2d` is over the channels of N×C×H×W"]),
    ("inputs: {a: [N, 4, h], b: [N, 5, 7]}\nnet: matmul @a @b", ["declare `a: [N, 4, 5]`"]),
    ('inputs: {a: [N, 4, h], b: [N, 5, 7]}\nnet: einsum "bij,bjk->bik" @a @b', ["declare `a: [N, 4, 5]`"]),
    (
        "inputs: {q: [N, t, 8], k: [N, s, 8], v: [N, 7, 8]}\nnet: scaled_dot_product_attention @q @k @v",
        ["declare `k: [N, 7, 8]`"],
    ),
    (
        "inputs: {v: [N, 4, 8, 8]}\nnet: [relu, flatten 0, linear 10]",
        ["write `start_dim=1` in `1`: axis 0 holds the batch"],
    ),
    ("inputs: {v: [N, 4, h, w]}\nnet: {flat: flatten, fc: linear 10}", ["put `adaptive_avg_pool2d 1` before `flat`"]),
    (
        "inputs: {v: [N, 4, h, w]}\nnet:\n  - relu\n  - flatten\n  - linear 10",
        ["put `adaptive_avg_pool2d 1` before `flatten`"],
    ),
    ("inputs: {image: [N, 3, 32, 32]}\nnet: conv2d 8 3 groups=2", ["use `groups=1` (gives N×8×30×30)"]),
    (
        "inputs: {image: [N, 3, h, w]}\nnet: conv2d 8 3 padding=same stride=2 padding_mode=replicate",
        ["use `padding=half` (gives"],
    ),
    ("inputs: {image: [N, 3, 10, 10]}\nnet: conv2d 8 3 stride=2", ["[N, 3, 9, 9]", "[N, 3, 11, 11]", "(0 0 1 1)"]),
    (UNET.replace("SIZES", "h, 300"), ["the input `image: [N, 3, 8*h, 296]`", "`image: [N, 3, 8*h, 304]`"]),
    (UNET.replace("SIZES", "304, w"), ["declare `image: [N, 3, 304, 8*w]`"]),
    (UNET.replace("SIZES", "257, w"), ["the input `image: [N, 3, 256, 8*w]`", "`image: [N, 3, 264, 8*w]`"]),
    (
        """\
        inputs: {sound: [N, 1, t]}
        net: {a: conv1d 4 3 stride=2 @sound, b: conv_transpose1d 1 3 stride=2, out: add @b @sound}
        """,
        ["declare `sound: [N, 1, 2*t+1]`", "write `like=@sound` in `b`"],
    ),
    (
        """\
        inputs: {image: [N, 3, 64, 64]}
        net:
          a: conv2d 3 3 stride=2 padding=1 @image
          b: conv_transpose2d 3 3 stride=2 padding=1
          out: add @b @image
        """,
        ["[N, 3, 63, 63]", "[N, 3, 65, 65]", "`like=@image` in `b`", "`output_padding=1` to `b`"],
    ),
    ("inputs: {sound: [N, 3, 227]}\nnet: max_pool1d 2", ["226", "228", "`kernel_size=3 stride=2`"]),
    ("inputs: {image: [N, 3, 227, 64]}\nnet: conv2d 8 2 stride=2", ["226", "228", "(0 0 1 0)", "`kernel_size=(3 2)`"]),
]


@pytest.mark.parametrize(("text", "words"), CASES)
def test_remedies_mend_the_network(text: str, words: list[str]) -> None:
    text, found = found_in(text)
    finding = found[-1]
    told = titles(finding)
    assert [word for word, title in zip(words, told, strict=False) if word not in title] == [], told
    assert len(told) >= len(words), told
    check_all(text, finding)


LONG = """\
    inputs: {image: [N, 3, 8*h, 8*w]}
    net:
      a:
        op: conv2d
        args:
          out_channels: 8
          kernel_size: 3
        inputs: [image]
      b:
        op: conv2d
        args: [8, 1]
        inputs: ["@image"]
      out: {op: add, inputs: [a, b]}
    """


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        (LONG, "      kernel_size: 3\n      padding: 1\n"),
        (LONG.replace("          kernel_size: 3\n", "          kernel_size: 3\n          padding: 2\n"), "padding: 1"),
        (
            LONG.replace("out_channels: 8\n          kernel_size: 3", "[8, 3]"),
            "{out_channels: 8, kernel_size: 3, padding: 1}",
        ),
        (
            """\
            inputs: {v: [N, 3, 32, 32]}
            net:
              conv: conv2d 8 3
              fc:
                op: linear
                args: {out_features: 10}
                inputs: [conv]
            """,
            "fc:\n    - flatten @conv\n    - op: linear\n      args: {out_features: 10}\n",
        ),
        (
            """\
            inputs: {v: [N, 8, 8, 8]}
            net:
              a:
                op: conv2d
                args: {out_channels: 8, kernel_size: 1}
              b: conv2d 8 1 @v
              out: add @a @b
            """,
            "kernel_size: 1}\n    inputs: [v]\n",
        ),
        (
            """\
            inputs: {v: [N, 8, 8*h, 8*w]}
            net:
              a: {op: max_pool2d, args: [2], inputs: [v]}
              up: {op: interpolate, args: {scale_factor: 4, mode: nearest}}
              out: {op: add, inputs: [up, v]}
            """,
            'args: {mode: nearest, like: "@v"}',
        ),
    ],
)
def test_remedies_of_the_long_form(text: str, changed: str) -> None:
    text, found = found_in(text)
    (fix,) = [fix for fix in found[-1].fixes if fix.edits][:1]
    assert changed in applied(text, fix.edits)
    check_all(text, found[-1])


def test_what_the_library_holds_is_not_to_be_edited() -> None:
    _, found = found_in(
        """\
        import: {boxes: netc:yolo_boxes}
        inputs: {image: [N, 3, 32, 32]}
        net: {head: conv2d 60 1, b: boxes classes=7}
        """
    )
    assert not [
        edit for one in found for fix in one.fixes for edit in fix.edits if edit.span.source.path != "case.yaml"
    ]


def test_a_remedy_that_only_moves_the_error_is_no_remedy() -> None:
    """16*h mends the first concatenation and breaks the second."""
    _, found = found_in(VALID_UNET.replace("SIZES", "h, w"))
    assert all("16*h," not in title for title in titles(found[0]))


def test_the_note_speaks_of_the_pair_that_disagrees() -> None:
    """Three inputs, of which the last has lost rows: the windows of the second, which fits, are not its story."""
    _, found = found_in(
        """\
        inputs: {image: [N, 3, 32, 32]}
        net:
          a: conv2d 8 1 @image
          b: [conv2d 8 3 @image, pad (1 1 1 1)]
          c: conv2d 8 5 @image
          out: concat @a @b @c
        """
    )
    (note,) = found[0].notes
    assert "c (line 7)" in note
    assert "line 6" not in note


@pytest.mark.parametrize("image", ["[N, 3, 512, 512]", "[N, 3, H, 512]", "[N, 3, 16*h+12, 500]"])
@pytest.mark.parametrize(
    "line", ["conv2d 4 40 stride=40", "avg_pool2d 300", "max_pool2d (33 90)", "conv2d 4 3 stride=50 padding=1"]
)
def test_long_strides_have_remedies_too(image: str, line: str) -> None:
    text, found = found_in(f"inputs: {{image: {image}}}\nnet: {{a: {line}, b: adaptive_avg_pool2d 1}}\n")
    assert {one.code for one in found} <= {"lost-input"}
    for one in found:
        check_all(text, one)


def test_a_long_stride_has_inputs_that_fit() -> None:
    text, (found,) = found_in("inputs: {image: [N, 3, 512, 512]}\nnet: {a: conv2d 4 40 stride=40}\n")
    assert titles(found)[:2] == ["make the input `image: [N, 3, 480, 480]`", "make the input `image: [N, 3, 520, 520]`"]
    check_all(text, found)


def test_an_input_without_the_axis_that_would_follow_is_told_by_its_rank() -> None:
    _, found = found_in("inputs: {image: [N, 8, 7, 7]}\nnet: {a: flatten 0, b: conv_transpose2d 31 3}\n")
    assert [(one.code, one.span.text if one.span else "") for one in found] == [
        ("rank-mismatch", "conv_transpose2d 31 3"),
    ]


def test_a_remedy_that_two_inputs_lead_to_is_offered_once() -> None:
    text, (found,) = found_in("""\
        inputs: {image: [N, 3, 28, 28]}
        net:
          a: conv2d 8 1 @image
          b: conv2d 8 3 @image
          d: conv2d 8 5 padding=2 @image
          c: concat @a @b @d
    """)
    assert titles(found) == ["add `padding=1` to `b` (gives N×8×28×28)"]
    check_all(text, found)
