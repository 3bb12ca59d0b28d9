"""The specs that come with netc: `netc:NAME` names one wherever a spec file is named."""

from __future__ import annotations

import os

from netc.diagnostics.model import Diagnostic
from netc.diagnostics.suggest import did_you_mean

PREFIX = "netc:"
FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "library")


def names() -> list[str]:
    """Every name there is, in alphabetical order."""
    return sorted(stem for stem, ending in map(os.path.splitext, os.listdir(FOLDER)) if ending == ".yaml")


def is_shipped(path: str) -> bool:
    """Does this name a spec of the library, there or not? `./netc:name` is a file."""
    return path.startswith(PREFIX)


def split_shipped(spec: str) -> tuple[str, str | None] | None:
    """`netc:NAME:VARIANT` taken apart, or None for what names a file."""
    name, colon, variant = spec.removeprefix(PREFIX).partition(":")
    return (PREFIX + name, variant if colon else None) if is_shipped(spec) else None


def import_of(word: str) -> str | None:
    """What to write so that `word` means the block of that name, where there is one."""
    return f"`import: {{{word}: {PREFIX}{word}}}` makes netc's block known here" if word in names() else None


def file_of(path: str) -> str | Diagnostic:
    """The file that `netc:NAME` is, or `missing-file`. Only names that are listed are looked up, so none leads out."""
    name = path.removeprefix(PREFIX)
    shipped = names()
    if name in shipped:
        return os.path.join(FOLDER, f"{name}.yaml")
    fixes = did_you_mean(name, shipped, PREFIX)
    notes = (f"it has {', '.join(shipped)}",)
    return Diagnostic("missing-file", f"netc's library has no `{name}`", None, path=path, notes=notes, fixes=fixes)
