"""What a call of PyTorch is in a spec: `nn.Conv2d(3, 64, 3)` is `conv2d 64 3`. Loaded only where one is found."""

from __future__ import annotations

import re
from collections.abc import Iterator

from netc.ops.base import OPERATORS

_CALL = re.compile(r"(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)\((.*)\)", re.ASCII | re.DOTALL)
_PART = re.compile(r"[^,()\[\]]+|[,()\[\]]")
_FUNCTION = re.compile(r"(?:F|functional|nn\.functional|torch|torch\.nn\.functional)\.[a-z]")
_DOTTED = re.compile(r"(?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*", re.ASCII)
_CONSTANTS = frozenset(("None", "True", "False"))
_ELSEWHERE = frozenset(("inplace", "device", "dtype"))
"""Arguments of PyTorch that a spec leaves out."""


def line_of(text: str) -> str | None:
    """The line that does what the call does; None where this is no call of an operator. `reshape (N, 4, -1)` is none: a
    space before the parenthesis makes it the list of a line."""
    call = _CALL.fullmatch(text)
    if call is None:
        return None
    name = _named(call[1])
    if name is None:
        return None
    arguments = [_argument(part) for part in _split(call[2])]
    if _FUNCTION.match(text):
        arguments = [f"@{one}" if one.isidentifier() and one not in _CONSTANTS else one for one in arguments]
    follows, needed = OPERATORS[name].follows[0], OPERATORS[name].required
    positional = [one for one in arguments if "=" not in one]
    left = len(positional) - 1 + sum(one.partition("=")[0] in needed for one in arguments)
    if follows and positional and name != "group_norm" and left >= len(needed):
        arguments.remove(positional[0])
    elif follows and len(positional) > 1 and name == "group_norm":
        arguments.remove(positional[1])
    return " ".join([name, *[one for one in arguments if one and one.partition("=")[0] not in {follows, *_ELSEWHERE}]])


def operator_of(word: str) -> str | None:
    """The operator that `nn.Conv2d` or `F.relu` names."""
    return _named(word.rpartition(".")[2]) if _DOTTED.fullmatch(word) else None


def _named(word: str) -> str | None:
    plain = {name.replace("_", ""): name for name in OPERATORS}
    return plain.get(word.lower().replace("_", ""))


def _split(text: str) -> Iterator[str]:
    """The arguments of a call."""
    depth, start = 0, 0
    for match in _PART.finditer(text):
        depth += (match.group() in "([") - (match.group() in ")]")
        if match.group() == "," and not depth:
            yield text[start : match.start()]
            start = match.end()
    yield text[start:]


def _argument(text: str) -> str:
    """An argument as a line writes it: `(3, 5)` is `(3 5)`, and there is no space around `=`."""
    text = re.sub(r"\s*=\s*", "=", text.strip())
    return " ".join(text.replace(",", " ").split())
