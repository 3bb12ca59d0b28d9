"""Every diagnostic code: what `netc explain` prints and docs/errors.md lists."""

from __future__ import annotations

from netc.diagnostics.code_info import CodeInfo, Level
from netc.diagnostics.codes_network import NETWORK_CODES
from netc.diagnostics.codes_syntax import SYNTAX_CODES
from netc.diagnostics.codes_use import USE_CODES

__all__ = ["CODES", "LINTS", "CodeInfo", "Level", "explain", "reference"]

_ALL = sorted((*SYNTAX_CODES, *NETWORK_CODES, *USE_CODES), key=lambda info: info.code)

CODES: dict[str, CodeInfo] = {info.code: info for info in _ALL}
"""Code → what there is to know about it, in alphabetical order."""

LINTS: dict[str, Level] = {code: info.level for code, info in CODES.items() if info.level != "error"}
"""The codes whose level `lint:` and `# netc: ignore[…]` may change, and the level they have without."""

_LEVELS = {"error": "an error", "warn": "a warning", "ignore": "not reported unless `lint:` asks for it"}


def explain(code: str) -> str:
    """Cause, example and remedy of one code as Markdown. Raises: KeyError for a code that does not exist."""
    info = CODES[code]
    parts = [f"## {info.code}", f"{info.title} ({_LEVELS[info.level]}).", info.cause]
    if info.example:
        parts.append(f"```yaml\n{info.spec().rstrip()}\n```")
    return "\n\n".join([*parts, f"Remedy: {info.remedy}"]) + "\n"


def reference() -> str:
    """docs/errors.md."""
    head = "# Diagnostics\n\nEvery code that netc reports, with a spec that causes it. Generated: do not edit.\n"
    return "\n".join([head, *(explain(code) for code in CODES)])
