"""Specs made smaller as long as they fail in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

Spec = dict[str, Any]
Files = dict[str, Spec]
Path = tuple[str | int, ...]

KEPT = {("main.yaml", "netc"), ("main.yaml", "name"), ("main.yaml", "net"), ("main.yaml", "inputs")}


def shrink(files: Files, fails: Callable[[Files], bool], most: int = 2000) -> Files:
    """The smallest found with `most` attempts of which `fails` is still true."""
    left, found = most, True
    while found and left > 0:
        found = False
        for name in list(files)[1:]:
            without = {n: spec for n, spec in files.items() if n != name}
            files = without if fails(without) else files
        for place in sorted(_places(files, ()), key=lambda place: -_weight(_at(files, place))):
            for smaller in _smaller(files, place):
                left -= 1
                if left > 0 and fails(smaller):
                    files, found = smaller, True
                    break
    return files


def _smaller(files: Files, place: Path) -> Iterator[Files]:
    if place not in set(_places(files, ())) or "inputs" in place or place in KEPT:
        return
    value = _at(files, place)
    yield from _without(files, place)
    for simpler in _simpler(value):
        yield _with(files, place, simpler)


def _places(value: Any, at: Path) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*at, key)
        yield from _places(part, (*at, key))


def _weight(value: Any) -> int:
    return len(str(value))


def _at(files: Any, place: Path) -> Any:
    for key in place:
        files = files[key]
    return files


def _with(files: Files, place: Path, value: Any) -> Files:
    changed = deepcopy(files)
    _at(changed, place[:-1])[place[-1]] = value
    return changed


def _without(files: Files, place: Path) -> Iterator[Files]:
    """Without one part; where that is a statement, what read it reads what it read, or nothing."""
    if len(place) < 2 or place in KEPT:
        return
    gone = _at(files, place)
    changed = deepcopy(files)
    parent = _at(changed, place[:-1])
    if isinstance(parent, list) and len(parent) == 1:
        return
    del parent[place[-1]]
    yield changed
    if isinstance(place[-1], str) and place[-2] in ("args", "let"):
        yield _rewritten(
            _rewritten(changed, rf"\b{place[-1]}=(\([^()]*\)|\S+)", ""), rf"\b{place[-1]}\b", _literal(gone)
        )
    elif isinstance(place[-1], str):
        stem = re.sub(r"\$.*", "", place[-1])
        reads = re.findall(r"@[\w.]+", str(gone))
        for instead in (*dict.fromkeys(reads), "@in", ""):
            yield _rewritten(changed, rf"@{re.escape(stem)}(\$\([^)]*\)|[\w.$])*", instead)


def _literal(value: Any) -> str:
    """A value as a line has it."""
    return f"({' '.join(map(str, value))})" if isinstance(value, list) else "none" if value is None else str(value)


def _rewritten(value: Any, pattern: str, instead: str) -> Any:
    if isinstance(value, dict):
        return {key: _rewritten(part, pattern, instead) for key, part in value.items()}
    if isinstance(value, list):
        return [_rewritten(part, pattern, instead) for part in value]
    if not isinstance(value, str):
        return value
    text = re.sub(" +", " ", re.sub(pattern, lambda _: instead, value)).strip()
    return re.sub(r"^concat (@\S+)$", r"relu \1", text)


def _simpler(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (value[key] for key in ("do", "else", "from") if key in value)
    elif isinstance(value, list):
        yield from value if len(value) == 1 else ()
    elif isinstance(value, str):
        yield from _shorter(value)
    elif isinstance(value, int) and not isinstance(value, bool) and value > 2:
        yield value - 1


def _shorter(text: str) -> Iterator[str]:
    words = text.split(" ")
    for i in range(1, len(words)):
        yield " ".join(words[:i] + words[i + 1 :])
    if text != "relu":
        reads = " ".join(re.findall(r"@\S+", text)[:1])
        yield f"relu {reads}".strip()
        yield f"conv2d 2 1 {reads}".strip()
    for group in re.finditer(r"(?:ceil|abs|max|min|make_divisible)?\([^()]*\)", text):
        inner = group.group()
        for instead in ("2", "1", *re.findall(r"[A-Za-z_]\w*(?:\.\w)?", inner)):
            yield text[: group.start()] + instead + text[group.end() :]
        pieces = re.split(r" (?:[-+*/%]|//|\*\*) ", inner[inner.index("(") + 1 : -1])
        for piece in pieces if len(pieces) > 1 else ():
            yield text[: group.start()] + piece + text[group.end() :]
