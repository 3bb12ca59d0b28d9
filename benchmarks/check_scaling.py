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


def seconds(spec: Path) -> float:
    """Wall-clock time of `netc check` on a file."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "netc", "check", str(spec)], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - start


def growth(make: Callable[[int], str], runs: int, folder: Path) -> float:
    """How many times longer the large file takes; both take turns, so a busy machine slows both."""
    specs = [folder / f"{make.__name__}_{count}.yaml" for count in (SMALL, LARGE)]
    for spec, count in zip(specs, (SMALL, LARGE), strict=True):
        spec.write_text(make(count), encoding="utf-8")
    small, large = (min(times) for times in zip(*([seconds(s) for s in specs] for _ in range(runs)), strict=True))
    print(f"{make.__name__}: {small:.2f} s and {large:.2f} s: {large / small:.1f}× (goal {GOAL:.0f}×)")
    return large / small


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with TemporaryDirectory() as folder:
        ratios = [growth(make, runs, Path(folder)) for make in (chain, body)]
    return int(max(ratios) > GOAL)


if __name__ == "__main__":
    sys.exit(main())
