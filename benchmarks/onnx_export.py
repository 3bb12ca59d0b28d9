"""How long `netc onnx` takes with fresh weights, beside a process that exports the same network from PyTorch.

The peer imports the module `netc torch` wrote, builds it (which draws its weights) and calls `torch.onnx.export`.
Goal: at most 1/10. Both run in turn, so a busy machine slows both; the medians are compared.

    python benchmarks/onnx_export.py [--runs 3] [--classic]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

GOAL = 1 / 10
ROOT = Path(__file__).parents[1]
SPEC = f"{ROOT / 'specs' / 'densenet.yaml'}:densenet121"
NETC = [sys.executable, "-m", "netc"]
PEER = """
import sys, torch, model
network = [value for value in vars(model).values() if getattr(value, "__module__", "") == "model"][-1]().eval()
torch.onnx.export(network, (torch.zeros(1, 3, 224, 224),), "peer.onnx", dynamo=sys.argv[1] == "dynamo")
"""
COMPILED = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
"""Bytecode is cached, as it is where a package was installed."""
ENVIRONMENT = {**COMPILED, "PYTHONPATH": str(ROOT)}


def seconds(command: list[str], folder: str) -> float:
    """Wall-clock time of one process, from start to exit."""
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, capture_output=True, env=ENVIRONMENT)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--classic", action="store_true", help="PyTorch's older exporter, without onnxscript")
    options = parser.parse_args()
    ours = [*NETC, "onnx", SPEC, "-o", "model.onnx", "--seed", "0"]
    theirs = [sys.executable, "-c", PEER, "classic" if options.classic else "dynamo"]
    with TemporaryDirectory() as folder:
        subprocess.run([*NETC, "torch", SPEC, "-o", "model.py"], check=True, cwd=folder, env=ENVIRONMENT)
        seconds(ours, folder)
        pairs = [(seconds(ours, folder), seconds(theirs, folder)) for _ in range(options.runs)]
    own, peer = (median(times) for times in zip(*pairs, strict=True))
    print(f"netc onnx {own:.2f} s, torch.onnx.export {peer:.2f} s: 1/{peer / own:.1f} (goal 1/10)")
    return int(own / peer > GOAL)


if __name__ == "__main__":
    sys.exit(main())
