"""Diagnostics in the files that other programs read: SARIF 2.1.0, and GitLab's Code Quality report."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from netc import __version__
from netc.diagnostics.codes import CODES
from netc.diagnostics.model import Diagnostic, Edit, Label, Span

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_GITLAB_SEVERITY = {"error": "major", "warning": "minor"}


def sarif(found: Iterable[Diagnostic]) -> str:
    """A SARIF log of one run, for GitHub's code scanning and others."""
    told = list(found)
    codes = sorted({one.code for one in told})
    driver = {"name": "netc", "version": __version__, "rules": [_rule(code) for code in codes]}
    results = [_result(one, codes.index(one.code)) for one in told]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: str) -> dict[str, Any]:
    info = CODES.get(code)
    if info is None:
        return {"id": code}
    return {
        "id": code,
        "shortDescription": {"text": f"{info.title}."},
        "fullDescription": {"text": info.cause},
        "help": {"text": f"Remedy: {info.remedy}"},
        "defaultConfiguration": {"level": "error" if info.level == "error" else "warning"},
    }


def _result(found: Diagnostic, rule: int) -> dict[str, Any]:
    remedies = [f"help: {fix.title}" for fix in found.fixes]
    result: dict[str, Any] = {
        "ruleId": found.code,
        "ruleIndex": rule,
        "level": found.severity,
        "message": {"text": "\n".join((found.message, *found.notes, *remedies))},
        "locations": _places(found),
    }
    related = [_related(label) for label in found.secondary]
    changes = [_fix(fix.title, fix.edits) for fix in found.fixes if fix.edits]
    return result | ({"relatedLocations": related} if related else {}) | ({"fixes": changes} if changes else {})


def _places(found: Diagnostic) -> list[dict[str, Any]]:
    if found.span is not None:
        return [{"physicalLocation": _physical(found.span)}]
    return [{"physicalLocation": {"artifactLocation": {"uri": _uri(found.path)}}}] if found.path else []


def _physical(span: Span) -> dict[str, Any]:
    return {"artifactLocation": {"uri": _uri(span.source.path)}, "region": _region(span)}


def _region(span: Span) -> dict[str, int]:
    line, column = span.source.position(span.start)
    end, end_column = span.source.position(span.end)
    return {"startLine": line, "startColumn": column, "endLine": end, "endColumn": end_column}


def _related(label: Label) -> dict[str, Any]:
    return {"physicalLocation": _physical(label.span), "message": {"text": label.text or "here"}}


def _fix(title: str, edits: tuple[Edit, ...]) -> dict[str, Any]:
    by_file: dict[str, list[dict[str, Any]]] = {}
    for edit in edits:
        change = {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.replacement}}
        by_file.setdefault(edit.span.source.path, []).append(change)
    changed = [{"artifactLocation": {"uri": _uri(path)}, "replacements": made} for path, made in by_file.items()]
    return {"description": {"text": title}, "artifactChanges": changed}


def _uri(path: str | None) -> str:
    """A path as a URI reference: relative ones stay so."""
    pure = PurePath(path or "")
    return pure.as_uri() if pure.is_absolute() else quote(pure.as_posix())


def gitlab(found: Iterable[Diagnostic]) -> str:
    """GitLab's Code Quality report: a list of issues, each with a fingerprint that no other has."""
    seen: Counter[str] = Counter()
    return json.dumps([_issue(one, seen) for one in found], indent=2)


def _issue(found: Diagnostic, seen: Counter[str]) -> dict[str, Any]:
    path = (found.span.source.path if found.span else found.path) or ""
    line, end = found.span.lines if found.span else (1, 1)
    what = "\0".join((path, found.code, found.message))
    seen[what] += 1
    return {
        "description": found.message,
        "check_name": found.code,
        "fingerprint": hashlib.sha256(f"{what}\0{seen[what]}".encode()).hexdigest(),
        "severity": _GITLAB_SEVERITY[found.severity],
        "location": {"path": PurePath(path).as_posix(), "lines": {"begin": line, "end": end}},
    }
