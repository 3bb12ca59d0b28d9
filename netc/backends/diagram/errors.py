"""What can go wrong while a picture is made."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class PictureError(Exception):
    """A picture that could not be made; the text says why and what helps."""


def optional(module: str, what: str) -> Any:
    """A package of the extra `pictures`. Raises PictureError, saying how to get it."""
    try:
        return import_module(module)
    except ImportError:
        raise PictureError(f"{what} needs the package {module}; `pip install 'netc[pictures]'` installs it") from None
