"""How the time of everything netc does grows with the network: chains of 1,000, 10,000 and 100,000 layers.

Goal: ten times the layers take at most twelve times as long. Processor time of the work alone, each size in a process
of its own; the sizes take turns, so that a busy machine slows all. Layers come in fifty kinds, but `check` has a chain
and a body in which no two are alike.

    python benchmarks/check_scaling.py [--sizes 1000 10000 100000] [--runs 3] [PART …]
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from turns import ENVIRONMENT

import netc
from netc.api import Network
from netc.backends.onnx import write_onnx, write_onnx_fresh
from netc.budget import limited
from netc.passes import compile_spec
from netc.weights import init_weights

GOAL = 12.0
UNLIMITED = 10**12
LEAST = 0.02
"""Seconds below which a time says nothing; ratios to such a one are left out."""

HEAD = "netc: 1\nname: chain\ninputs: {image: [N, 3, 8, 8]}\nnet:\n"


def layer(width: int) -> str:
    return f"conv2d {8 + width} {1 + width % 2 * 2} padding={width % 2}"


def chain(count: int) -> str:
    return HEAD + "".join(f"  - {layer(i)}\n" for i in range(count))


def body(count: int) -> str:
    return HEAD + "".join(f"  layer{i}: {layer(i)}\n" for i in range(count))


def network_of(count: int) -> str:
    return HEAD + "".join(f"  layer{i}: {layer(i % 50)}\n" for i in range(count))


def check(text: str) -> Callable[[], object]:
    return lambda: compile_spec(netc.api.Source("chain.yaml", text))


def parts(count: int, folder: Path) -> Mapping[str, Callable[[], object]]:
    """What is measured, by name; what a part needs of another has been done when it comes."""
    held: list[Network] = []

    def load() -> None:
        held.append(netc.load(network_of(count), limit=UNLIMITED))

    return {
        "check a chain": check(chain(count)),
        "check a body": check(body(count)),
        "load": load,
        "summary": lambda: str(held[0].summary()),
        "module": lambda: held[0].to_torch(),
        "DOT": lambda: held[0].to_dot(),
        "picture": lambda: held[0].diagram().svg,
        "init": lambda: init_weights(held[0].ir, folder / "given.safetensors"),
        "export, fresh weights": lambda: write_onnx_fresh(held[0].ir, folder / "fresh.onnx"),
        "export, given weights": lambda: write_onnx(held[0].ir, folder / "given.onnx", folder / "given.safetensors"),
    }


def measure(count: int, wanted: list[str]) -> dict[str, float]:
    """Seconds of each part in this process; the first small network loads what they need."""
    gc.disable()
    needed = {"load", *wanted, *(["init"] if "export, given weights" in wanted else [])}
    found: dict[str, float] = {}
    with TemporaryDirectory() as folder, limited(UNLIMITED):
        for size in (5, count):
            for name, run in parts(size, Path(folder)).items():
                if name in needed:
                    start = time.process_time()
                    run()
                    found[name] = time.process_time() - start
    return {name: seconds for name, seconds in found.items() if name in wanted}


def apart(count: int, wanted: list[str]) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--apart", str(count), *wanted]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=ENVIRONMENT)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = [*parts(1, Path())]
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--apart", type=int, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="PART", help=f"of: {', '.join(every)}; all by default")
    chosen = parser.parse_args()
    wanted = chosen.names or every
    if chosen.apart:
        print(json.dumps(measure(chosen.apart, wanted)))
        return 0
    rounds = [[apart(size, wanted) for size in chosen.sizes] for _ in range(chosen.runs)]
    worst = 0.0
    for name in wanted:
        best = [min(turn[at][name] for turn in rounds) for at in range(len(chosen.sizes))]
        growth = [large / small for small, large in pairwise(best) if small >= LEAST]
        worst = max([worst, *growth])
        times = ", ".join(f"{seconds:.2f}" for seconds in best)
        print(f"{name}: {times} s: {', '.join(f'{ratio:.1f}×' for ratio in growth)} (goal {GOAL:.0f}×)")
    return int(worst > GOAL)


if __name__ == "__main__":
    sys.exit(main())
