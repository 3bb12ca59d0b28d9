"""`make modules`: lines are counted and checkers run as somebody else would run them."""

from __future__ import annotations

from pathlib import Path

from tools.modules import findings, lines_of_code, table

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


def test_lines_are_compared_module_by_module() -> None:
    lines = list(table({"a": 6, "b": 3}, {"a": 12, "c": 1}, "v1"))
    assert lines[1].split() == ["a", "12", "6", "0.50"]
    assert lines[-2].split() == ["1", "modules", "12", "6", "0.50"]
    assert lines[-1] == "of one side only: b, c"
