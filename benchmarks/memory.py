"""Peak memory of `netc onnx` on a network with 4 GB of weights, beside the size of those weights.

Goal: under 300 MB, and hardly more than for a network of a few kilobytes; the file is as large as the network.

    python benchmarks/memory.py [--gigabytes 4] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

GOAL = 300e6
NETC = [sys.executable, "-m", "netc"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
WIDTH = 8192
"""A layer of this width has 268 MB of weights."""

SPEC = """netc: 1
name: wide
inputs: {{features: [N, {width}]}}
net: [linear {width} x{layers}]
"""


def peak(command: list[str], folder: str) -> float:
    """Largest resident set of one process, in bytes."""
    process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def export(folder: str, width: int, layers: int) -> tuple[float, int]:
    """Peak memory, and bytes of weights."""
    Path(folder, "wide.yaml").write_text(SPEC.format(width=width, layers=layers), "utf-8")
    used = peak([*NETC, "onnx", "wide.yaml", "-o", "wide.onnx"], folder)
    return used, Path(folder, "wide.safetensors").stat().st_size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--folder", help="where to write; the system's temporary folder by default")
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder) as folder:
        small, _ = export(folder, 8, 1)
        large, weights = export(folder, WIDTH, max(1, round(options.gigabytes * 1e9 / (4 * WIDTH * WIDTH))))
    print(
        f"netc onnx with {weights / 1e9:.2f} GB of weights: peak {large / 1e6:.0f} MB, 1/{weights / large:.0f} of them"
        f" (a tiny network: {small / 1e6:.0f} MB; goal: under {GOAL / 1e6:.0f} MB)"
    )
    return int(large > GOAL)


if __name__ == "__main__":
    sys.exit(main())
