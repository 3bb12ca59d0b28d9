"""Writes the module of every network of specs/, counts lines, and has mypy, pyright and ruff look: `make modules`.

The checkers run with their defaults, as they do for somebody who puts such a module into a project of their own.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import click

ROOT = Path(__file__).parent.parent
SHOWN = 20
"""Findings of one checker that are printed without `--all`."""

WRITE = """\
import pathlib, sys, netc
target = pathlib.Path(sys.argv[1])
for path in sorted(pathlib.Path("specs").glob("*.yaml")):
    first = netc.load(path)
    for variant in [v.name for v in first.ir.file.variants] or [None]:
        network = first if variant is None else netc.load(path, variant=variant)
        name = path.stem if variant is None or variant == path.stem else f"{path.stem}_{variant}"
        (target / f"{name}.py").write_text(network.to_torch(), "utf-8")
"""
"""What any revision of netc runs in its root to write its modules."""


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=ROOT / "build/modules")
@click.option("--against", metavar="REV", help="Compare lines with the modules that this revision of git writes.")
@click.option("--no-check", "unchecked", is_flag=True, help="Only write and count.")
@click.option("--all", "everything", is_flag=True, help=f"Print every finding, not {SHOWN} of each checker.")
def main(directory: Path, against: str | None, unchecked: bool, everything: bool) -> None:
    """Write all modules into DIRECTORY (build/modules), count their lines and check them.

    \b
      python -m tools.modules
      python -m tools.modules --against main --no-check
      python -m tools.modules build/mine --all
    """
    directory.mkdir(parents=True, exist_ok=True)
    for left in directory.glob("*.py"):
        left.unlink()
    write(ROOT, directory)
    before = None if against is None else counts_of_revision(against)
    click.echo("\n".join(table(counts(directory), before, against or "")))
    if not unchecked and sum([report(*found, everything) for found in findings(directory)]):
        raise SystemExit(1)


def write(root: Path, directory: Path) -> None:
    """The modules of the specs in `root`, written by the netc in `root`."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", WRITE, str(directory.resolve())], cwd=root, env=environment, check=True)


def counts(directory: Path) -> dict[str, int]:
    """Module → its lines of code."""
    return {path.stem: lines_of_code(path.read_text("utf-8")) for path in sorted(directory.glob("*.py"))}


def counts_of_revision(revision: str) -> dict[str, int]:
    with TemporaryDirectory(prefix="netc-") as folder:
        root, target = Path(folder) / "root", Path(folder) / "modules"
        root.mkdir()
        target.mkdir()
        archive = subprocess.run(
            ["git", "archive", revision, "netc", "specs"], cwd=ROOT, stdout=subprocess.PIPE, check=True
        )
        subprocess.run(["tar", "-x", "-C", str(root)], input=archive.stdout, check=True)
        write(root, target)
        return counts(target)


def lines_of_code(text: str) -> int:
    """Lines that hold more than a comment or a docstring."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING and begins:
            continue
        if token.type not in silent:
            lines.update(range(token.start[0], token.end[0] + 1))
        if token.type != tokenize.NL and token.type != tokenize.COMMENT:
            begins = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    return len(lines)


def table(now: Mapping[str, int], before: Mapping[str, int] | None, revision: str) -> Iterator[str]:
    """A line per module, and all together."""
    width = max(map(len, now))
    if before is None:
        yield f"{'module':{width}}  lines of code"
        yield from (f"{name:{width}}  {count:13,}" for name, count in now.items())
        yield f"{f'{len(now)} modules':{width}}  {sum(now.values()):13,}"
        return
    shared = {name: count for name, count in now.items() if name in before}
    yield f"{'module':{width}}  {revision[:12]:>12}     now  ratio"
    for name, count in shared.items():
        yield f"{name:{width}}  {before[name]:12,}  {count:6,}  {count / before[name]:5.2f}"
    then, total = sum(before[name] for name in shared), sum(shared.values())
    yield f"{f'{len(shared)} modules':{width}}  {then:12,}  {total:6,}  {total / then:5.2f}"
    if others := sorted(now.keys() ^ before.keys()):
        yield f"of one side only: {', '.join(others)}"


def findings(directory: Path) -> Iterator[tuple[str, list[str]]]:
    """Checker → what it finds, a line each."""
    mypy = _output("mypy", "--config-file=", "--no-error-summary", ".", cwd=directory)
    yield "mypy", [line for line in mypy if ": note:" not in line]
    yield "pyright", list(_pyright(directory))
    yield (
        "ruff",
        [
            line
            for line in _output(
                "ruff", "check", "--isolated", "--no-cache", "--output-format=concise", ".", cwd=directory
            )
            if line.count(":") >= 3
        ],
    )


def _pyright(directory: Path) -> Iterator[str]:
    """Without a project file it takes the nearest above."""
    project = directory / "pyrightconfig.json"
    project.write_text("{}\n", "utf-8")
    words = ("--outputjson", "--pythonpath", sys.executable, "--project", project.name)
    found = json.loads("\n".join(_output("pyright", *words, cwd=directory)))
    for item in found["generalDiagnostics"]:
        place = f"{Path(item['file']).name}:{item['range']['start']['line'] + 1}"
        if item["severity"] == "error":
            yield f"{place}: {item['message'].splitlines()[0]} ({item.get('rule', 'syntax')})"


def _output(tool: str, *words: str, cwd: Path) -> list[str]:
    done = subprocess.run([sys.executable, "-m", tool, *words], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise click.ClickException(f"{tool} fails: {done.stderr or done.stdout}")
    return done.stdout.splitlines()


def report(tool: str, found: list[str], everything: bool) -> int:
    """How many findings there are."""
    click.echo(f"\n{tool}: {len(found)} findings")
    shown = found if everything else found[:SHOWN]
    click.echo("\n".join(f"  {line}" for line in (*shown, *(["…"] if len(shown) < len(found) else []))))
    return len(found)


if __name__ == "__main__":
    main()
