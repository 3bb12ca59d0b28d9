"""Every diagnostic code there is."""

from __future__ import annotations

CODES: dict[str, object] = {}
