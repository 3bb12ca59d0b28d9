"""What a user installs: metadata, pins, and a wheel that holds the whole package."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import netc
from netc.diagnostics.codes import CODES
from netc.editor.starting import KINDS
from netc.syntax import library
from netc.weights import shipped
from tools import pythons

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split())


in_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git tells what belongs to the project")


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


def test_every_dependency_is_pinned() -> None:
    pinned = {name.lower().replace("_", "-") for name in PINS}
    wanted = names(PROJECT["dependencies"]) | names(PROJECT["optional-dependencies"]["dev"])
    assert wanted - pinned == {"onnxruntime"}, "onnxruntime is for machines other than the one the pins are from"


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]])
def test_pins_lie_within_what_the_project_allows(text: str) -> None:
    wanted = Requirement(text)
    pinned = {canonicalize_name(name): version for name, version in PINS.items()}
    if canonicalize_name(wanted.name) in pinned:
        assert pinned[canonicalize_name(wanted.name)] in wanted.specifier


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["images"]])
def test_dependencies_of_users_have_an_oldest_and_a_next_major_version(text: str) -> None:
    assert {bound.operator for bound in Requirement(text).specifier} == {">=", "<"}


def test_pythons_are_those_from_the_oldest_on() -> None:
    oldest = int(PROJECT["requires-python"].removeprefix(">=3."))
    assert pythons.versions() == tuple(f"3.{minor}" for minor in range(oldest, 15))


def test_the_licence_is_said_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["license"] == citation["license"] == "Apache-2.0"
    (file,) = PROJECT["license-files"]
    assert "Apache License\n                           Version 2.0, January 2004" in (ROOT / file).read_text("utf-8")


def test_torch_is_the_version_tested() -> None:
    assert PINS["torch"] == "2.13.0"


def test_one_onnxruntime_per_machine() -> None:
    gpu, cpu = sorted((d for d in PROJECT["dependencies"] if d.startswith("onnxruntime")), reverse=True)
    assert "sys_platform == 'linux' and platform_machine == 'x86_64'" in gpu + cpu
    assert "sys_platform != 'linux' or platform_machine != 'x86_64'" in gpu + cpu


def test_the_version_is_said_once() -> None:
    assert PROJECT["dynamic"] == ["version"]
    done = subprocess.run(
        [sys.executable, "-m", "netc", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"netc, version {netc.__version__}\n"
    assert f"## {netc.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def imports(path: Path) -> Iterator[str]:
    """The packages that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_every_import_is_of_a_declared_dependency() -> None:
    third_party = {"yaml": "pyyaml", "graphviz": "graphviz", "lsprotocol": "pygls"}
    servers = {"editor/server.py": "editor", "editor/protocol.py": "editor", "editor/watch/serve.py": "watch"}
    extras = {ROOT / "netc" / path: names(PROJECT["optional-dependencies"][extra]) for path, extra in servers.items()}
    for path in (ROOT / "netc").rglob("*.py"):
        imported = {third_party.get(name, name) for name in imports(path)} - {*sys.stdlib_module_names, "netc"}
        assert imported <= names(PROJECT["dependencies"]) | extras.get(path, set()), path


def test_every_package_has_an_init() -> None:
    folders = {path.parent for path in (ROOT / "netc").rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


@in_git
def test_the_library_of_blocks_is_part_of_the_package() -> None:
    """hatchling takes every file in these folders that git does not ignore."""
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert hatch["wheel"]["packages"] == ["netc"]
    assert "netc" in hatch["sdist"]["include"]
    blocks, rules = sorted((ROOT / "netc/library").rglob("*.yaml")), sorted(shipped.FOLDER.rglob("*.yaml"))
    assert [path.stem for path in blocks] == library.names()
    assert len(rules) == len(shipped.shipped_names()) > 0
    starters = sorted((ROOT / "netc/editor/starters").glob("*.yaml"))
    assert sorted(path.stem for path in starters) == sorted(KINDS)
    layers = [ROOT / "netc/importing/readers/ultralytics.yaml"]
    assert sorted((ROOT / "netc").rglob("*.yaml")) == sorted([*blocks, *rules, *starters, *layers])
    pages = [path for path in (ROOT / "netc/editor/watch").iterdir() if path.suffix in (".html", ".css", ".js")]
    assert len(pages) == 4
    ignored = subprocess.run(
        ["git", "check-ignore", *blocks, *rules, *starters, *layers, *pages],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ignored.returncode, ignored.stdout) == (1, "")


@in_git
def test_the_source_distribution_holds_all_that_is_worked_with() -> None:
    """hatchling adds pyproject.toml; what begins with a dot is for the repository."""
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    top = {path.partition("/")[0] for path in tracked}
    assert {name for name in top if not name.startswith(".")} == {*hatch["sdist"]["include"], "pyproject.toml"}


def test_every_code_that_is_reported_is_explained() -> None:
    reported = set()
    for path in (ROOT / "netc").rglob("*.py"):
        reported |= set(re.findall(r"""(?:Diagnostic|failure)\(\s*"([a-z-]+)",""", path.read_text(encoding="utf-8")))
    assert len(reported) > 10
    assert reported <= set(CODES)
