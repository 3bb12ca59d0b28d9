"""A point of a design space as an entry of a spec's `variants`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_PLAIN = re.compile(r"[\w.+-]+|\[[\w.+,\s()-]*\]|\"[^\"\\]*\"")
"""What stands for itself in a flow mapping of YAML: numbers, words, lists of them, texts in quotes."""


def entry(name: str, point: Mapping[str, str]) -> str:
    """`best: {width: 96, depth: 3}`"""
    values = ", ".join(f"{key}: {_scalar(value)}" for key, value in point.items())
    return f"{name}: {{{values}}}"


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
