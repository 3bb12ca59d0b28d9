"""No module of netc needs itself: not when it is loaded, and, where types are meant, only inside one package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
ANNOTATED = ("netc.dims", "netc.importing", "netc.importing.readers")
"""Packages whose files name each other's classes in annotations."""


def modules() -> dict[str, Path]:
    found = {}
    for path in (ROOT / "netc").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(node: ast.AST) -> Iterator[str]:
    """The modules of netc that a statement loads."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in MODULES)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            if inner in MODULES or node.module in MODULES:
                yield inner if inner in MODULES else node.module


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def edges(*, annotations: bool) -> dict[str, set[str]]:
    """Module → the modules it imports; those under TYPE_CHECKING too, if wanted."""
    found = {}
    for name, path in MODULES.items():
        tree = parsed(path)
        checked = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
        typing = {id(inner) for node in checked for part in node.body for inner in ast.walk(part)}
        nodes = (node for node in ast.walk(tree) if annotations or id(node) not in typing)
        found[name] = {other for node in nodes for other in imported(node)} - {name}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_loads_itself() -> None:
    assert circle(edges(annotations=False)) == []


def test_annotations_name_what_stands_below_except_inside_a_package() -> None:
    graph = {name: set(others) for name, others in edges(annotations=True).items()}
    graph["netc"].discard("netc.api")
    for name, others in graph.items():
        package = name.rpartition(".")[0]
        if package in ANNOTATED:
            graph[name] = {other for other in others if other.rpartition(".")[0] != package}
    assert circle(graph) == []


def test_there_is_something_to_look_at() -> None:
    graph = edges(annotations=False)
    assert len(graph) > 300
    assert "netc.dims" in graph["netc.types"]
