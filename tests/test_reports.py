"""Reports for other programs: each is what its public schema asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from netc.cli.main import cli
from netc.diagnostics.model import Diagnostic, Source, Span
from netc.diagnostics.render import render

ERRORS = Path(__file__).parent / "errors"

REGION = {
    "type": "object",
    "required": ["startLine", "startColumn", "endLine", "endColumn"],
    "properties": {
        name: {"type": "integer", "minimum": 1} for name in ("startLine", "startColumn", "endLine", "endColumn")
    },
    "additionalProperties": False,
}
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
ARTIFACT = {"type": "object", "required": ["uri"], "properties": {"uri": {"type": "string", "format": "uri-reference"}}}
PLACE = {
    "type": "object",
    "required": ["physicalLocation"],
    "properties": {
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation"],
            "properties": {"artifactLocation": ARTIFACT, "region": REGION},
            "additionalProperties": False,
        },
        "message": TEXT,
    },
    "additionalProperties": False,
}
FIX = {
    "type": "object",
    "required": ["artifactChanges"],
    "properties": {
        "description": TEXT,
        "artifactChanges": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["artifactLocation", "replacements"],
                "properties": {
                    "artifactLocation": ARTIFACT,
                    "replacements": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "required": ["deletedRegion"],
                            "properties": {"deletedRegion": REGION, "insertedContent": {"type": "object"}},
                            "additionalProperties": False,
                        },
                    },
                },
            },
        },
    },
}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {"type": "object", "required": ["driver"]},
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId", "level", "locations"],
                            "properties": {
                                "message": TEXT,
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "locations": {"type": "array", "items": PLACE},
                                "relatedLocations": {"type": "array", "items": PLACE},
                                "fixes": {"type": "array", "items": FIX},
                            },
                        },
                    },
                },
            },
        },
    },
}
"""What SARIF 2.1.0 (OASIS, errata 01) asks of the parts that a log of netc has."""

GITLAB = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string"},
            "check_name": {"type": "string"},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {"path": {"type": "string"}, "lines": {"type": "object", "required": ["begin"]}},
            },
        },
    },
}
"""What GitLab's page on the Code Quality report lists."""


@pytest.fixture(scope="module")
def files() -> list[str]:
    return [path.name for path in sorted(ERRORS.glob("*.yaml"))[::4]]


def report(form: str, files: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(ERRORS)
    return json.loads(CliRunner().invoke(cli, ["check", "--format", form, *files]).stdout)


def test_sarif(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    log = report("sarif", files, monkeypatch)
    Draft202012Validator(SARIF).validate(log)
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == sorted(set(rules))
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    assert sum(bool(result.get("fixes")) for result in run["results"]) > 20
    assert sum(bool(result.get("relatedLocations")) for result in run["results"]) > 5


def test_sarif_points_at_the_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    log = report("sarif", ["add_channels.yaml"], monkeypatch)
    data = report("json", ["add_channels.yaml"], monkeypatch)
    for result, told in zip(log["runs"][0]["results"], data, strict=True):
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "add_channels.yaml"
        region = place["region"]
        assert [region[key] for key in ("startLine", "startColumn", "endLine", "endColumn")] == [
            told[key] for key in ("line", "column", "end_line", "end_column")
        ]


def test_gitlab(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    issues = report("gitlab", [*files, *files[:3]], monkeypatch)
    Draft202012Validator(GITLAB).validate(issues)
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) > 40


@pytest.mark.parametrize("form", ["sarif", "gitlab"])
def test_what_has_no_place_and_odd_paths(form: str) -> None:
    source = Source("a folder/ü.yaml", "netc: 1\n")
    found = [
        Diagnostic("missing-file", "no file", None, path="/nowhere/a b.yaml"),
        Diagnostic("x", "y", Span(source, 0, 4)),
    ]
    data = json.loads(render(found, form))
    Draft202012Validator(SARIF if form == "sarif" else GITLAB).validate(data)
    if form == "sarif":
        uris = [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in data["runs"][0]["results"]]
        assert uris == ["file:///nowhere/a%20b.yaml", "a%20folder/%C3%BC.yaml"]


@pytest.mark.parametrize(("form", "empty"), [("sarif", 0), ("gitlab", [])])
def test_nothing_found_is_a_report_too(form: str, empty: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERRORS.parent.parent)
    data = report(form, ["../../specs/mlp.yaml"], monkeypatch)
    assert (data if form == "gitlab" else len(data["runs"][0]["results"])) == empty


def test_rules_have_the_level_of_their_code_and_places_their_lines() -> None:
    source = Source("nets/a b.yaml", "netc: 1\nnet:\n  a: relu\n")
    found = [
        Diagnostic("unknown-argument", "m", Span(source, 11, 20)),
        Diagnostic("lost-input", "m", Span(source, 15, 16), severity="warning"),
        Diagnostic("missing-file", "m", None, path="b.yaml"),
    ]
    (run,) = json.loads(render(found, "sarif"))["runs"]
    levels = {rule["id"]: rule["defaultConfiguration"]["level"] for rule in run["tool"]["driver"]["rules"]}
    assert levels == {"unknown-argument": "error", "lost-input": "warning", "missing-file": "error"}
    assert [one["level"] for one in run["results"]] == ["error", "warning", "error"]
    places = [one["locations"][0]["physicalLocation"] for one in run["results"]]
    assert places[0]["region"] == {"startLine": 2, "startColumn": 4, "endLine": 3, "endColumn": 8}
    assert [place["artifactLocation"]["uri"] for place in places] == ["nets/a%20b.yaml"] * 2 + ["b.yaml"]
    issues = json.loads(render(found, "gitlab"))
    assert [one["location"] for one in issues] == [
        {"path": "nets/a b.yaml", "lines": {"begin": 2, "end": 3}},
        {"path": "nets/a b.yaml", "lines": {"begin": 3, "end": 3}},
        {"path": "b.yaml", "lines": {"begin": 1, "end": 1}},
    ]
    assert [one["severity"] for one in issues] == ["major", "minor", "major"]
    twice = [one["fingerprint"] for one in json.loads(render([found[0], found[0]], "gitlab"))]
    assert len(set(twice)) == 2
