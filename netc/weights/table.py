"""JSON objects out of files nobody vouches for: bounded, and without the same name twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import msgspec

from netc.diagnostics.model import NetcError, failure

MAX_TENSORS = 250_000
MAX_SIGNS = 20 * MAX_TENSORS
"""Each of `:,[{` in a JSON text makes an object that costs memory; a tensor of four axes needs fifteen."""

Value = TypeVar("Value")


def weights_error(path: Path, problem: str) -> NetcError:
    """The error for a weights file that cannot be used at all."""
    return failure("weights-file", f"{path}: {problem}")


def decode_table(path: Path, text: bytes, kind: type[Value]) -> dict[str, Value]:
    """The object of named values that `text` holds as JSON; raises NetcError (`weights-file`)."""
    if sum(map(text.count, (b":", b",", b"[", b"{"))) > MAX_SIGNS:
        raise weights_error(path, f"the header is too large: more than {MAX_TENSORS} tensors")
    try:
        table = msgspec.json.decode(text, type=dict[str, kind])  # type: ignore[valid-type]
        doubled = _doubled(text)
    except (ValueError, RecursionError) as error:
        raise weights_error(path, f"the header is not valid: {error}") from error
    if doubled is not None:
        raise weights_error(path, f"the header lists {doubled} twice")
    if len(table) > MAX_TENSORS:
        raise weights_error(path, f"has {len(table)} tensors; the limit is {MAX_TENSORS}")
    for name in table:
        _check_name(path, name)
    return table


def _check_name(path: Path, name: str) -> None:
    if not name.isprintable():
        raise weights_error(path, f"has a tensor name with characters that cannot be shown: {name!a}")


def _doubled(text: bytes) -> str | None:
    """A key that an object holds twice, which readers understand differently."""
    twice: list[str] = []

    def keep(pairs: list[tuple[str, object]]) -> dict[str, object]:
        entries = dict(pairs)
        if len(entries) < len(pairs) and not twice:
            names = [name for name, _ in pairs]
            twice.append(next(name for at, name in enumerate(names) if name in names[:at]))
        return entries

    json.loads(text, object_pairs_hook=keep)
    return ascii(twice[0]) if twice else None
