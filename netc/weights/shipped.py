"""Files of rules that come with netc: `netc:timm/vit` names one wherever a file of names is given."""

from __future__ import annotations

from pathlib import Path

from netc.diagnostics.model import failure
from netc.diagnostics.suggest import did_you_mean

PREFIX = "netc:"
FOLDER = Path(__file__).parent / "names"


def shipped_names() -> list[str]:
    """Every name there is, in alphabetical order."""
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.yaml"))


def shipped_file(name: str) -> Path:
    """The file that `netc:NAME` is; only names that are listed are looked up, so that none leads out.

    Raises NetcError (`missing-file`).
    """
    stem, names = name.removeprefix(PREFIX), shipped_names()
    if stem in names:
        return FOLDER / f"{stem}.yaml"
    fixes = did_you_mean(stem, names, PREFIX)
    notes = (f"available: {', '.join(names)}",)
    raise failure("missing-file", f"netc has no rules `{stem}`", notes, fixes, path=name)
