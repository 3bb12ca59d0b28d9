"""Every file under tests/errors states what netc must say of it, in comments on the lines concerned.

    conv1: conv2d 8 3 stride=0  # error[bad-argument] at least 1 ^0^

means: an error `bad-argument` on this line, whose message, notes or remedies hold the words `at least 1` and whose span
is exactly the text `0`. A comment that stands alone speaks of the next line. Nothing else may be reported.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from netc.api import compile_spec
from netc.diagnostics.model import Diagnostic

FOLDER = Path(__file__).parent / "errors"
FILES = sorted(FOLDER.glob("*.yaml"))
EXPECTED = re.compile(
    r"# (?P<severity>error|warning)\[(?P<code>[a-z0-9-]+)\] ?(?P<words>.*?)"
    r"(?: ?\^(?P<place>.+?)\^)?(?= *# (?:error|warning)\[| *$)"
)
IMPORTED = re.compile(r"lib/\w+\.yaml")


class Expected(NamedTuple):
    file: str
    line: int
    severity: str
    code: str
    words: str
    place: str | None

    def matches(self, found: Diagnostic) -> bool:
        return (
            (_file(found), _line(found), found.severity, found.code) == self[:4]
            and self.words in _said(found)
            and self.place in (None, found.span and found.span.text)
        )


def _file(found: Diagnostic) -> str:
    return Path(found.span.source.path).name if found.span else ""


def _line(found: Diagnostic) -> int:
    return found.span.source.position(found.span.start)[0] if found.span else 0


def _said(found: Diagnostic) -> str:
    return "\n".join([found.message, *found.notes, *(fix.title for fix in found.fixes)])


def _expectations(path: Path) -> list[Expected]:
    """What a file states, and the files it imports."""
    text = path.read_text(encoding="utf-8")
    imported = [FOLDER / name for name in sorted(set(IMPORTED.findall(text))) if (FOLDER / name).exists()]
    return [*_stated(path.name, text), *(e for file in imported for e in _expectations(file))]


def _stated(file: str, text: str) -> list[Expected]:
    found, waiting = [], []
    for number, line in enumerate(text.splitlines(), 1):
        here = [m.groupdict() for m in EXPECTED.finditer(line)]
        if line.lstrip().startswith(("# error[", "# warning[")):
            waiting += here
        else:
            found += [Expected(file, number, **match) for match in waiting + here]
            waiting = []
    return found + [Expected(file, len(text.splitlines()), **match) for match in waiting]


def _shown(found: Diagnostic) -> str:
    column = found.span.source.position(found.span.start)[1] if found.span else 0
    place = found.span.text if found.span else ""
    return f"  {_line(found)}:{column}: {found.severity}[{found.code}] {found.message} ^{place}^"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_says_what_the_file_states(path: Path) -> None:
    expected = _expectations(path)
    network, found = compile_spec(str(path), args={}, variant=None, bind={})
    assert (network is None) == any(e.severity == "error" for e in expected)
    shown = "\n".join(map(_shown, found))
    unexpected = list(found)
    for wanted in expected:
        match = next((f for f in unexpected if wanted.matches(f)), None)
        assert match is not None, f"missing {wanted}; found:\n{shown}"
        unexpected.remove(match)
    assert not unexpected, f"more than the file states:\n{shown}"


def test_there_are_enough() -> None:
    assert len(FILES) >= 60
    assert all(_expectations(path) for path in FILES)
