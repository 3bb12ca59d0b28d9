"""What is known about one diagnostic code."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["error", "warn", "ignore"]

_HEAD = "netc: 1\ninputs: {image: [N, 3, 32, 32]}\n"


class CodeInfo(msgspec.Struct, frozen=True):
    """A code, the level it has by default, and what a user needs to hear about it.

    `example` is a spec that causes it, without the two lines every example begins with unless it begins
    with `netc:` itself; empty where no spec alone can cause it.
    """

    code: str
    level: Level
    title: str
    cause: str
    example: str
    remedy: str

    def spec(self) -> str:
        """The whole example."""
        return self.example if self.example.startswith(("netc:", "#")) or not self.example else _HEAD + self.example
