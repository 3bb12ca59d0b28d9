"""A `graphviz.Digraph` that renders by the engine netc finds, also where no `dot` is on PATH."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import graphviz
from graphviz.backend import dot_command

from netc.backends.diagram.engine import find_engine

UNSET = dot_command.DOT_BINARY
"""What the package runs unless it is told otherwise."""


class EngineDigraph(graphviz.Digraph):  # type: ignore[misc] # the package has no types
    """Raises EngineMissing where no engine is installed."""

    def pipe(self, *args: Any, **kwargs: Any) -> Any:
        """The picture as bytes or, with `encoding`, as text."""
        with _engine():
            return super().pipe(*args, **kwargs)

    def render(self, *args: Any, **kwargs: Any) -> Any:
        """Write the DOT text and the picture to files."""
        with _engine():
            return super().render(*args, **kwargs)


@contextmanager
def _engine() -> Iterator[None]:
    """The package's own setting while one picture is made; what the user has set stays."""
    if dot_command.DOT_BINARY != UNSET:
        yield
        return
    dot_command.DOT_BINARY = Path(find_engine())
    try:
        yield
    finally:
        dot_command.DOT_BINARY = UNSET
