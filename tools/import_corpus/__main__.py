"""`make import-corpus`: networks imported again and compared, one after another; writes docs/import_corpus.md."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from math import inf
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec

from tools.import_corpus.measure import measure
from tools.import_corpus.networks import SETS, SOURCES, Entry, entries
from tools.import_corpus.page import PAGE, page
from tools.import_corpus.rows import Key, Row, code, read, store

GIGABYTE = 1 << 30

PATIENCE = 20
"""How many times its processor time an import may take where others are busy, or where it waits for something."""


@click.command()
@click.option("--only", multiple=True, metavar="GLOB", help="Measure these networks; the others keep what they have.")
@click.option("--set", "sets", multiple=True, type=click.Choice(SETS), help="Measure networks of this set.")
@click.option("--source", "sources", multiple=True, metavar="SOURCE", help="module, onnx-dynamo, onnx-legacy-13, …")
@click.option("--names", multiple=True, type=click.Choice(["keep", "none"]), help="Names kept, or ignored; else both.")
@click.option("--missing", is_flag=True, help="Measure only what never was, whatever has changed since.")
@click.option("--unequal", is_flag=True, help="Measure again what was not equal.")
@click.option("--seconds", default=600, show_default=True, help="Processor time that one import may take.")
@click.option("--memory", default=8, show_default=True, help="Gigabytes that one import may take.")
@click.option("--page", "pages", is_flag=True, help="Measure nothing; write the page.")
def main(
    only: tuple[str, ...],
    sets: tuple[str, ...],
    sources: tuple[str, ...],
    names: tuple[str, ...],
    missing: bool,
    unequal: bool,
    seconds: int,
    memory: int,
    pages: bool,
) -> None:
    """Import the networks of torchvision, timm and specs/ and write docs/import_corpus.md.

    What was measured of netc as it stands is not measured again, so a run that was stopped goes on.
    """
    unknown = [source for source in sources if _kind(source) not in SOURCES]
    if unknown:
        raise click.UsageError(f"{unknown[0]} is not one of {', '.join(SOURCES)}")
    chosen = [entry for entry in entries() if not pages and (not sets or entry.set in sets) and _wanted(entry, only)]
    if only and not chosen:
        raise click.UsageError(f"no network is called {', '.join(only)}")
    version, known = code(), read()
    todo = []
    for entry in chosen:
        for source in _sources(entry, sources):
            keys = [Key(entry.set, entry.name, source, n) for n in names or ("keep", "none")]
            stale = [key for key in keys if is_stale(known.get(key), version, missing=missing, unequal=unequal)]
            todo += [(entry, stale)] if stale else []
    todo.sort(key=lambda one: _usual_seconds(one[0], known))
    for at, (entry, keys) in enumerate(todo, 1):
        click.echo(f"[{at}/{len(todo)}] {entry.set} {entry.name} from {keys[0].source}")
        for row in measured(entry, keys, version, seconds, memory):
            store(row)
            told = f"equal, {row.lines} lines" if row.equal else row.why
            click.echo(f"    names {row.key.names}: {told}  {row.seconds:.0f} s")
    PAGE.write_text(page(list(entries()), read()), "utf-8")


def _wanted(entry: Entry, only: tuple[str, ...]) -> bool:
    return not only or any(fnmatchcase(entry.name, glob) for glob in only)


def _sources(entry: Entry, asked: tuple[str, ...]) -> Sequence[str]:
    """What it is usually imported from, or those of them that are asked for, at any opset."""
    return [source for source in asked if _kind(source) in entry.sources] if asked else entry.sources


def _usual_seconds(entry: Entry, known: Mapping[Key, Row]) -> float:
    """How long it took from other sources: the quick ones come first, those that nothing is known of last."""
    rows = [row for key, row in known.items() if (key.set, key.network) == (entry.set, entry.name)]
    return max((row.seconds for row in rows), default=inf)


def _kind(source: str) -> str:
    """Without the opset that `onnx-legacy-13` asks for."""
    return source.rstrip("0123456789").rstrip("-")


def is_stale(row: Row | None, version: str, *, missing: bool, unequal: bool) -> bool:
    if row is None:
        return not unequal
    if unequal:
        return not row.equal and row.code != version
    return not missing and row.code != version


def measured(entry: Entry, keys: Sequence[Key], version: str, seconds: int, memory: int) -> Iterator[Row]:
    """In a process of its own, which may take neither longer nor more memory; forked, since loading PyTorch takes as
    long as many an import."""
    with TemporaryDirectory() as folder:
        target, told = Path(folder) / "rows.jsonl", Path(folder) / "told.txt"
        target.touch()
        process = get_context("fork").Process(target=_child, args=(entry, keys, version, seconds, memory, target, told))
        process.start()
        process.join(PATIENCE * seconds * len(keys))
        spent = process.is_alive() or process.exitcode == -signal.SIGXCPU
        why = f"takes longer than {seconds} s" if spent else f"ends with {process.exitcode}"
        process.kill()
        process.join()
        rows = [msgspec.json.decode(line, type=Row) for line in target.read_text("utf-8").splitlines()]
        why = (told.read_text("utf-8", "replace").strip().splitlines() or [why])[-1] if process.exitcode == 1 else why
    yield from rows
    for key in keys[len(rows) :]:
        yield Row(key, version, 0, entry.hand, why=why[:240])


def _child(
    entry: Entry, keys: Sequence[Key], version: str, seconds: int, memory: int, target: Path, told: Path
) -> None:
    """Rows are written as they are found, so that one which takes too long does not lose the others."""
    limit = int(time.process_time()) + seconds * len(keys)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (memory * GIGABYTE, memory * GIGABYTE))
    with told.open("wb") as words:
        os.dup2(words.fileno(), 1)
        os.dup2(words.fileno(), 2)
    with target.open("ab", buffering=0) as lines:
        for row in measure(entry, keys[0].source, [key.names for key in keys], version):
            lines.write(msgspec.json.encode(row) + b"\n")


if __name__ == "__main__":
    main()
