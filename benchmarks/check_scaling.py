"""How the time of `netc check` grows: chains of 10,000 and of 100,000 layers, no two alike.

Goal: ten times the layers take at most twelve times as long. Whole processes are timed, the best of a few runs each.

    python benchmarks/check_scaling.py [--runs 3]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
GOAL = 12.0
SMALL, LARGE = 10_000, 100_000
HEAD = "netc: 1\nname: chain\ninputs: {image: [N, 3, H, W]}\nnet:\n"


def layer(i: int) -> str:
    """A line unlike all others: a width of its own."""
    return f"conv2d {8 + i} {1 + i % 2 * 2} padding={i % 2}"


def chain(count: int) -> str:
    return HEAD + "".join(f"  - {layer(i)}\n" for i in range(count))


def body(count: int) -> str:
    return HEAD + "".join(f"  layer{i}: {layer(i)}\n" for i in range(count))


def seconds(spec: Path, runs: int) -> float:
    """The best wall-clock time of `netc check` on a file."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "netc", "check", str(spec)], check=True, stdout=subprocess.DEVNULL, cwd=ROOT
        )
        times.append(time.perf_counter() - start)
    return min(times)


def growth(make: Callable[[int], str], runs: int, folder: Path) -> float:
    """How many times longer the large file takes."""
    times = []
    for count in (SMALL, LARGE):
        spec = folder / f"{make.__name__}_{count}.yaml"
        spec.write_text(make(count), encoding="utf-8")
        times.append(seconds(spec, runs))
    ratio = times[1] / times[0]
    print(f"{make.__name__}: {times[0]:.2f} s and {times[1]:.2f} s: {ratio:.1f}× for 10× the layers (goal {GOAL:.0f}×)")
    return ratio


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with TemporaryDirectory() as folder:
        ratios = [growth(make, runs, Path(folder)) for make in (chain, body)]
    return int(max(ratios) > GOAL)


if __name__ == "__main__":
    sys.exit(main())
