"""`make modules`: lines are counted and checkers run as somebody else would run them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

import netc
from tools.modules import ROOT, findings, lines_of_code, table

TEXT = '''\
"""A docstring

of three lines."""

import os  # imported


class Empty:
    """Another."""

    # a comment
    size = """a text
of two lines"""

    def call(self) -> int:
        return (
            "1"
        )
'''


def test_lines_of_code_are_neither_comments_nor_docstrings() -> None:
    assert lines_of_code(TEXT) == 8
    assert lines_of_code("") == 0


def test_all_checkers_run_with_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(TEXT, "utf-8")
    (tmp_path / "right.py").write_text("size = 1\n", "utf-8")
    found = dict(findings(tmp_path))
    assert found.keys() == {"mypy", "pyright", "ruff"}
    assert all(len(lines) == 1 and lines[0].startswith("wrong.py:") for lines in found.values()), found


SPECS = {
    "without_forward": """
        netc: 1
        name: tiny
        inputs: {image: [N, 8]}
        net: [linear 4 @image, softmax 1]
        """,
    "training": """
        netc: 1
        name: auxiliary
        inputs: {image: [N, 3, 8*h, 8*w]}
        net:
          stem: [conv2d 4 3 padding=1 stride=2 @image, relu]
          side: [conv2d 4 1 @stem, relu]
          logits: [mean (2 3) @stem, linear 5]
          aux: [mean (2 3) @side, linear 5]
          more: [flatten 1 @side, mean 1]
        outputs: {logits: logits, aux: {from: aux, when: train}, more: {from: more, when: train}}
        """,
    "recurrent": """
        netc: 1
        name: recurrent
        args: {n: 6}
        inputs: {words: [N, T, 12]}
        net: [lstm (n if n > 4 else 4) 2 batch_first=true bidirectional=true @words, linear (3 if 3 > n else n)]
        init: {lstm.weight_ih_l1_reverse: ones, lstm.weight_hh_l0: xavier_normal, lstm.bias_ih_l0: zeros}
        """,
    "packed": """
        netc: 1
        name: packed
        inputs: {words: [N, T, 8], counts: {shape: [N], dtype: int64}}
        net:
          read: lstm 6 batch_first=true lengths=@counts @words
          again: gru 5 batch_first=true lengths=@counts @read
          last: rnn 4 batch_first=true lengths=@counts @again
        """,
    "parts": """
        netc: 1
        name: parts
        args: {act: relu, depth: 2, hidden: none, flag: false}
        inputs: {image: [N, 3, 8*h, 8*w]}
        blocks:
          unit:
            args: {width, act: none, residual: true}
            net:
              body: [conv2d width 3 padding=1 @in, batch_norm2d, act]
              scale: parameter (width 1 1)
              scaled: mul @body @scale
              out: {if: residual, do: add @scaled @in, else: "@scaled"}
        net:
          layer0: [conv2d 8 3 stride=2 padding=1 @image, unit 8 act x(depth)]
          layer1: [conv2d 16 3 stride=2 padding=1 @layer0, unit 16 act]
          side$i: {for: {i: 0..1}, do: [unit 4 residual=flag @layer$i, adaptive_avg_pool2d 1, flatten 1]}
          all: concat @side$(0..1)
          wide: {if: hidden != none, do: linear (16 if hidden == none else hidden)}
          head: linear 5
        outputs: {scores: head, map: layer1}
        """,
}
"""What findings have been made in, each kind once."""


def test_checkers_find_nothing_in_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYPY_CACHE_DIR", str(ROOT / ".mypy_cache/modules"))  # what mypy read of PyTorch once
    for name, text in SPECS.items():
        (tmp_path / f"{name}.py").write_text(netc.load(dedent(text)).to_torch(), "utf-8")
    assert dict(findings(tmp_path)) == {"mypy": [], "pyright": [], "ruff": []}


def test_lines_are_compared_module_by_module() -> None:
    lines = list(table({"a": 6, "b": 3}, {"a": 12, "c": 1}, "v1"))
    assert lines[1].split() == ["a", "12", "6", "0.50"]
    assert lines[-2].split() == ["1", "modules", "12", "6", "0.50"]
    assert lines[-1] == "of one side only: b, c"
