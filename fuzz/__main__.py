"""`python -m fuzz`: one harness or all in turns, guided by coverage where atheris is installed; or so many random
networks, which needs no atheris."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
FOUND = ROOT / "build" / "fuzz"
NAMES = ("loader", "line", "expression", "compile", "rewrite", "weights", "onnx-import", "onnx-optimize", "networks")
FINDS = ("crash", "timeout", "oom", "leak", "slow-unit")
"""How the names begin that libFuzzer gives to inputs that show something."""

ABSENT = """fuzzing is guided by atheris, which is not installed.
It has wheels for Linux on x86-64 and CPython 3.11 to 3.13:
  pip install -c constraints.txt atheris
Without it, `python -m fuzz NAME FILE…` and the tests run inputs that are kept."""


@click.command()
@click.argument("name", type=click.Choice(NAMES), required=False)
@click.argument("files", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1)
@click.option("--minutes", default=5.0, show_default=True, help="How long, all harnesses together.")
@click.option(
    "--seed", default=0, help="Of the random choices, 0 draws another each time; of --count, the first number."
)
@click.option("--count", "many", type=click.IntRange(min=1), help="Judge so many random networks: one of each number.")
@click.option("--jobs", default=1, show_default=True, help="Processes that judge networks.")
@click.option("--folder", type=click.Path(path_type=Path), default=FOUND, help="Where finds go, instead of build/fuzz.")
def main(
    name: str | None,
    files: tuple[Path, ...],
    minutes: float,
    seed: int,
    many: int | None,
    jobs: int,
    folder: Path,
) -> None:
    """Feed a harness, or all in turns, with what nobody would write; or run a harness on FILES.

    What a harness raises, and what takes too long, is kept in build/fuzz/NAME; exit code 1 where there is any.

    \b
      python -m fuzz --minutes 60
      python -m fuzz expression --minutes 10
      python -m fuzz expression build/fuzz/expression/crash-8a1c…
      python -m fuzz networks --count 3000 --seed 600000 --jobs 2
    """
    if many is not None:
        if name != "networks":
            raise click.UsageError("--count is for random networks: python -m fuzz networks --count 3000")
        _count(seed, many, jobs)
        return
    if files:
        assert name is not None
        _replay(name, files)
        return
    if find_spec("atheris") is None:
        raise click.ClickException(ABSENT)
    names = (name,) if name else NAMES
    found = [path for one in names for path in _fuzz(one, 60 * minutes / len(names), seed, folder / one)]
    if found:
        raise click.ClickException("found:\n" + "\n".join(map(str, found)))


def _count(first: int, networks: int, jobs: int) -> None:
    from fuzz.counting import count

    count(first, networks, jobs)


def _replay(name: str, files: tuple[Path, ...]) -> None:
    from fuzz.harnesses import HARNESSES

    for path in files:
        HARNESSES[name].run(path.read_bytes())
        click.echo(f"{path}: nothing is raised")


def _fuzz(name: str, seconds: float, seed: int, folder: Path) -> list[Path]:
    """Run one harness in a process of its own; what it found."""
    folder.mkdir(parents=True, exist_ok=True)
    before, started = _finds(folder), time.monotonic()
    command = [sys.executable, "-m", "fuzz.guided", name, str(folder), str(max(1, round(seconds))), str(seed)]
    with (folder / "log").open("w", encoding="utf-8") as log:
        code = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
    runs = re.findall(r"number_of_executed_units:\s*(\d+)", (folder / "log").read_text("utf-8", "replace"))
    new = [path for path in _finds(folder) if path not in before]
    took = time.monotonic() - started
    click.echo(f"{name}: {int(runs[-1]) if runs else 0:,} runs in {took:.0f} s, {len(new)} new findings")
    if code and not new:
        raise click.ClickException(f"the run of {name} ended with exit code {code}: see {folder / 'log'}")
    return new


def _finds(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*-*") if path.name.startswith(FINDS) and path.suffix != ".txt")


if __name__ == "__main__":
    main()
