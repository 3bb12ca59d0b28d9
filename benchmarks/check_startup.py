"""How long `netc check` takes as a whole process, beside a process that only imports torch.

Goal: at most 1/17. Both run in turn, so a busy machine slows both; the medians are compared.

    python benchmarks/check_startup.py [--runs 9]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

GOAL = 1 / 17
ROOT = Path(__file__).parents[1]
SCRIPT = Path(sys.executable).with_name("netc")
NETC = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "netc"]
CHECK = [*NETC, "check", "specs/resnet.yaml:resnet50"]
IMPORT = [sys.executable, "-c", "import torch"]
COMPILED = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
"""Bytecode is cached, as it is where a package was installed."""


def seconds(command: list[str]) -> float:
    """Wall-clock time of one process, from start to exit."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=COMPILED, cwd=ROOT)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    for command in (CHECK, IMPORT):
        seconds(command)
    pairs = [(seconds(CHECK), seconds(IMPORT)) for _ in range(runs)]
    ours, theirs = (median(times) for times in zip(*pairs, strict=True))
    ratio = ours / theirs
    print(f"netc check {ours * 1000:.0f} ms, import torch {theirs * 1000:.0f} ms: 1/{1 / ratio:.1f} (goal 1/17)")
    return int(ratio > GOAL)


if __name__ == "__main__":
    sys.exit(main())
