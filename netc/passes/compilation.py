"""A network on its way through the passes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from netc.ir.model import Block, Call, Network
from netc.passes.elaborate.files import FileInstance
from netc.passes.elaborate.namespace import Elaborated
from netc.passes.elaborate.session import CompileSession

Read = tuple[Block, frozenset[str] | None]
"""A block and the names of the outputs that are read of it; None for all."""


class Eliminated(msgspec.Struct, frozen=True, eq=False):
    """What became of a block whose dead code was taken out. leaves: how many it had."""

    before: Block
    after: Block
    leaves: int
    calls: list[EliminatedCall]

    def reached(self, visited: dict[Eliminated, None]) -> Iterator[Eliminated]:
        """This block and all that are called, each once, callers first."""
        if self not in visited:
            visited[self] = None
            yield self
            for call in self.calls:
                yield from call.callee.reached(visited)


class EliminatedCall(msgspec.Struct, frozen=True, eq=False):
    """A call that is used. lost: paths inside that an imported file's own outputs need, and this use of it does not."""

    call: Call
    callee: Eliminated
    lost: list[str]


class Compilation(msgspec.Struct, eq=False, kw_only=True):
    """network: as the passes so far have made it; root: its file as elaboration left it, used as `instance`.

    eliminated: what is known of blocks, of other networks too; blocks: those of this network, callers first.
    """

    session: CompileSession
    network: Network
    root: Elaborated
    instance: FileInstance
    eliminated: dict[Read, Eliminated] = {}
    blocks: list[Eliminated] = []
