"""`netc lsp`"""

from __future__ import annotations

import gc
import sys
from io import BytesIO
from typing import TYPE_CHECKING

import click

from netc.lazy import LazyModule

if TYPE_CHECKING:
    from netc.editor import server
else:
    server = LazyModule("netc.editor.server")


@click.command("lsp")
@click.option("--stdio", is_flag=True, help="The default; accepted because some editors pass it.")
def command(stdio: bool) -> None:
    """Serve an editor: findings as you type, sizes, completions, definitions, renaming, formatting.

    This is a Language Server Protocol server on standard input and output, started by the editor; docs/editors.md
    shows how to set up each one. It needs the extra `netc[editor]`.

    \b
      netc lsp
    """
    gc.enable()
    stdin = BytesIO() if sys.stdin is None else sys.stdin.buffer  # None: a caller closed it
    server.serve(server.make_server(), stdin, sys.stdout.buffer)
