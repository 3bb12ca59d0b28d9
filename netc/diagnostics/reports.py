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


def sarif(diagnostics: Iterable[Diagnostic]) -> str:
    """A SARIF log of one run, for GitHub's code scanning and others."""
    told = list(diagnostics)
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


def _result(diagnostic: Diagnostic, rule: int) -> dict[str, Any]:
    remedies = [f"help: {fix.title}" for fix in diagnostic.fixes]
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": diagnostic.severity,
        "message": {"text": "\n".join((diagnostic.message, *diagnostic.notes, *remedies))},
        "locations": _places(diagnostic),
    }
    related = [_related(label) for label in diagnostic.secondary]
    changes = [_fix(fix.title, fix.edits) for fix in diagnostic.fixes if fix.edits]
    return result | ({"relatedLocations": related} if related else {}) | ({"fixes": changes} if changes else {})


def _places(diagnostic: Diagnostic) -> list[dict[str, Any]]:
    if diagnostic.span is not None:
        return [{"physicalLocation": _physical(diagnostic.span)}]
    return [{"physicalLocation": {"artifactLocation": {"uri": _uri(diagnostic.path)}}}] if diagnostic.path else []


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
    changed = [
        {"artifactLocation": {"uri": _uri(path)}, "replacements": replacements}
        for path, replacements in by_file.items()
    ]
    return {"description": {"text": title}, "artifactChanges": changed}


def _uri(path: str | None) -> str:
    """A path as a URI reference: relative ones stay so."""
    pure = PurePath(path or "")
    return pure.as_uri() if pure.is_absolute() else quote(pure.as_posix())


def gitlab(diagnostics: Iterable[Diagnostic]) -> str:
    """GitLab's Code Quality report: a list of issues, each with a fingerprint that no other has."""
    counts: Counter[str] = Counter()
    return json.dumps([_issue(one, counts) for one in diagnostics], indent=2)


def _issue(diagnostic: Diagnostic, counts: Counter[str]) -> dict[str, Any]:
    path = (diagnostic.span.source.path if diagnostic.span else diagnostic.path) or ""
    line, end = diagnostic.span.lines if diagnostic.span else (1, 1)
    what = "\0".join((path, diagnostic.code, diagnostic.message))
    counts[what] += 1
    return {
        "description": diagnostic.message,
        "check_name": diagnostic.code,
        "fingerprint": hashlib.sha256(f"{what}\0{counts[what]}".encode()).hexdigest(),
        "severity": _GITLAB_SEVERITY[diagnostic.severity],
        "location": {"path": PurePath(path).as_posix(), "lines": {"begin": line, "end": end}},
    }
