"""What netc says of every file under tests/errors, word for word; `pytest --update-golden` rewrites the texts.

NAME.txt is all that `netc check` prints about NAME.yaml. Whatever is offered as a change of the text is made, and the
finding is gone. The same file with its lines in the long form gets the same findings with as many remedies.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from netc.diagnostics.model import Diagnostic, Source
from netc.diagnostics.render import full
from netc.passes import compile_spec
from tests.long_form import in_long_form
from tests.test_remedies import applied

FOLDER = Path(__file__).parent / "errors"
FILES = sorted(FOLDER.glob("*.yaml"))

POSITIONAL = {"mistake_pytorch_conv", "mistake_transpose_order", "mistake_unflatten_arguments"}
"""Mistakes with positional arguments, which the long form names."""


@pytest.fixture(autouse=True)
def _in_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imported files are found beside the file."""
    monkeypatch.chdir(FOLDER)


def findings(text: str, name: str) -> list[Diagnostic]:
    return compile_spec(Source(name, text))[1]


def told(found: list[Diagnostic]) -> Counter[tuple[str, str]]:
    return Counter((one.code, one.message) for one in found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_says_what_it_should(path: Path, update_golden: bool) -> None:
    text = path.read_text(encoding="utf-8")
    found = findings(text, path.name)
    assert found
    said, expected = "\n\n".join(map(full, found)) + "\n", path.with_suffix(".txt")
    if update_golden:
        expected.write_text(said, encoding="utf-8")
    assert said == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_offered_mends_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = findings(text, path.name)
    _check_fixes(text, path.name, found)
    long = in_long_form(text)
    if long is not None and long != text:
        again = findings(long, path.name)
        assert told(again) == told(found), long
        if path.stem not in POSITIONAL:
            assert [_offered(one) for one in again] == [_offered(one) for one in found], long
        _check_fixes(long, path.name, again)


def _offered(found: Diagnostic) -> list[bool]:
    return [bool(fix.edits) for fix in found.fixes]


def _check_fixes(text: str, name: str, found: list[Diagnostic]) -> None:
    for one in found:
        for fix in one.fixes:
            if fix.edits:
                assert all(edit.span.source.path == name for edit in fix.edits)
                mended = applied(text, fix.edits)
                assert told(findings(mended, name))[one.code, one.message] < told(found)[one.code, one.message], mended


def test_there_are_enough() -> None:
    assert len(FILES) >= 250
    assert {path.stem for path in FILES} == {path.stem for path in FOLDER.glob("*.txt")}
