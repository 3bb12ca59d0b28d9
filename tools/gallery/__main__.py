"""`make gallery`: measures every network at full size, draws it and writes docs/gallery.md."""

from __future__ import annotations

import sys
import time
from fnmatch import fnmatchcase

import click

from netc import NetcError
from tools.gallery.entries import Entry, all_entries
from tools.gallery.measure import Failed, is_stale, measure, store, valid
from tools.gallery.page import PAGE, page
from tools.gallery.thumbnails import draw_thumbnail, remove_strangers


@click.command()
@click.option("--only", multiple=True, metavar="GLOB", help="Measure these networks; the others keep what they have.")
@click.option("--stale", is_flag=True, help="Measure only networks that changed since they were measured.")
@click.option("--pages", is_flag=True, help="Measure nothing; write the page and the pictures.")
def main(only: tuple[str, ...], stale: bool, pages: bool) -> None:
    """Measure every network of the gallery at full size, draw it and write docs/gallery.md."""
    chosen = [] if pages else [entry for entry in all_entries() if _wanted(entry, only)]
    if only and not chosen and not pages:
        raise click.UsageError(f"no network is called {', '.join(only)}")
    if stale:
        chosen = [entry for entry in chosen if is_stale(entry)]
    start = time.perf_counter()
    failed = sum(not _measured(entry, f"[{n}/{len(chosen)}]") for n, entry in enumerate(chosen, 1))
    _write()
    click.echo(f"{len(chosen) - failed} measured, {failed} failed, {time.perf_counter() - start:.0f} s")
    sys.exit(1 if failed else 0)


def _wanted(entry: Entry, only: tuple[str, ...]) -> bool:
    return not entry.unmeasured and (not only or any(fnmatchcase(entry.name, glob) for glob in only))


def _measured(entry: Entry, place: str) -> bool:
    """Measure and keep; False, with the reason printed, for a network that fails."""
    click.echo(f"{place} {entry.name} … ", nl=False)
    start = time.perf_counter()
    try:
        found = measure(entry)
    except (Failed, NetcError, RuntimeError, AssertionError) as error:
        click.echo(f"FAILED\n{error}")
        return False
    store(entry, found)
    peer = f", torchvision {found.peer}" if found.peer else ""
    click.echo(f"{found.parity}{peer}  {time.perf_counter() - start:.1f} s")
    return True


def _write() -> None:
    for entry in all_entries():
        draw_thumbnail(entry)
    remove_strangers(all_entries())
    PAGE.write_text(page(valid()), "utf-8")


if __name__ == "__main__":
    main()
