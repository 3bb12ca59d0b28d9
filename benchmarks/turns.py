"""What the scripts here share: whole processes timed in turn, and ratios held against goals."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
NETC = [sys.executable, "-m", "netc"]
_COMPILED = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
"""Bytecode is cached, as it is where a package was installed."""
ENVIRONMENT = {**_COMPILED, "PYTHONPATH": str(ROOT)}


def options(about: str, runs: int) -> argparse.ArgumentParser:
    """A parser with the first line of a script's description, and --runs."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--runs", type=int, default=runs)
    return parser


def seconds(command: Sequence[str], folder: str | Path) -> float:
    """Wall-clock time of one process, from start to exit."""
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT)
    return time.perf_counter() - start


def alternate(
    commands: Sequence[Sequence[str]], folder: str | Path, runs: int, outputs: str | None = None
) -> list[list[float]]:
    """Times of each command; they take turns, so that a busy machine slows all of them.

    outputs: a glob over what they write, removed before each round: replacing a large file costs a file system more.
    """
    rounds = []
    for _ in range(runs):
        for path in Path(folder).glob(outputs) if outputs else ():
            path.unlink()
        rounds.append([seconds(command, folder) for command in commands])
    return [list(times) for times in zip(*rounds, strict=True)]


def fraction(ratio: float) -> str:
    """A ratio below one as 1/N."""
    return f"1/{1 / ratio:.1f}"


def spread(times: Sequence[float]) -> str:
    """Least and most."""
    return f"{min(times):.2f}…{max(times):.2f} s"
