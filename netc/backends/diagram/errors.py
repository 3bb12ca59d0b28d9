"""What can go wrong while a picture is made."""

from __future__ import annotations


class PictureError(Exception):
    """A picture that could not be made; the text says why and what helps."""
