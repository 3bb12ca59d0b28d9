"""Processor time and memory of compiling chains of up to a million layers, each in a process of its own.

Goal: ten times the layers take at most twelve times as long. Layers are convolutions of fifty kinds in a list without
names, as a file may have 32 MB.

    python benchmarks/layers.py [--sizes 1000 10000 100000 1000000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import pairwise

from turns import ENVIRONMENT

import netc

GOAL = 12.0
SIZES = [1_000, 10_000, 100_000]
UNLIMITED = 10**12


def chain(count: int) -> str:
    kinds = [f"  - conv2d {8 + i} {1 + i % 2 * 2} padding={i % 2}\n" for i in range(50)]
    head = "netc: 1\nname: chain\ninputs: {image: [N, 3, 8, 8]}\nnet:\n"
    return head + "".join(kinds[i % 50] for i in range(count))


def peak() -> float:
    """Largest resident set of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


def measure(count: int) -> tuple[float, float]:
    """Seconds, and bytes that the compile adds."""
    netc.load(chain(5))  # what it needs is loaded
    text = chain(count)
    before, start = peak(), time.process_time()
    held = netc.load(text, limit=UNLIMITED)
    seconds = time.process_time() - start
    assert held.outputs
    return seconds, peak() - before


def apart(count: int) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--apart", str(count)], check=True, stdout=subprocess.PIPE, env=ENVIRONMENT
    )
    seconds, added = json.loads(done.stdout)
    return seconds, added


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--apart", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.apart:
        print(json.dumps(measure(chosen.apart)))
        return 0
    taken = []
    for size in chosen.sizes:
        seconds, added = apart(size)
        taken.append(seconds)
        print(f"{size:>9,} layers: {seconds:.2f} s, {added / 1e6:.0f} MB", flush=True)
    growth = [large / small for small, large in pairwise(taken)]
    print(f"growth: {', '.join(f'{ratio:.1f}×' for ratio in growth)} (goal {GOAL:.0f}×)")
    return int(max(growth, default=0.0) > GOAL)


if __name__ == "__main__":
    sys.exit(main())
