"""Pictures for the commands that draw: trouble with the engine becomes a diagnostic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from netc.backends.diagram import PictureError
from netc.diagnostics.model import failure


@contextmanager
def drawing() -> Iterator[None]:
    """Raises NetcError for what the drawing inside cannot do."""
    try:
        yield
    except PictureError as error:
        raise failure("no-picture", str(error)) from error
