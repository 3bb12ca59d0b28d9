"""`netc watch`"""

from __future__ import annotations

import gc
import webbrowser
from typing import TYPE_CHECKING

import click

from netc.api import split_variant
from netc.cli.options import one_spec
from netc.lazy import LazyModule
from netc.syntax.read import load_source

if TYPE_CHECKING:
    from netc.editor.watch import follow
    from netc.editor.watch import serve as serving
else:
    follow = LazyModule("netc.editor.watch.follow")
    serving = LazyModule("netc.editor.watch.serve")


@click.command("watch")
@one_spec
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port to listen on; any free one otherwise.")
@click.option("--open", "open_", is_flag=True, help="Open the page in the browser.")
def command(spec: str, args: dict[str, str], bind: dict[str, int], port: int, open_: bool) -> None:
    """Show a spec in the browser: picture, summary, module and findings, updated whenever it is saved.

    The page is served at the address that is printed, to this machine only. While there is an error, the last valid
    picture stays, with the layers at fault marked. Files that the spec imports are watched too. Stop with Ctrl-C. It
    needs the extra `netc[watch]`.

    \b
      netc watch model.yaml --open
      netc watch specs/resnet.yaml:resnet50 --size 224x224
    """
    path, _ = split_variant(spec)
    if path == "-":
        raise click.UsageError("standard input cannot be watched; give a file")
    load_source(path, protect=False)
    gc.enable()

    def ready(address: str) -> None:
        click.echo(f"watching {spec} at {address} (Ctrl-C to stop)")
        if open_:
            webbrowser.open(address)

    serving.serve(follow.Followed(spec, args, bind), port, ready)
