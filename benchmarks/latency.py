"""How fast onnxruntime is with the file netc writes, beside the file `torch.onnx.export` writes of the same network.

Each round also runs netc's file once more: how far a file lies from itself is what the ratio may lie from 1 by chance.
Both have the same weights and are equally general: all sizes are fixed (`netc onnx --bind`), or with --free those of
images are fixed and the batch is free. Each round runs each file in a process of its own, in turn; within one process,
the file that is loaded first is slower by up to a hundredth. The medians are compared; in parentheses is the range of
the rounds' ratios. Goal: at most 1.00, to the hundredth that noise leaves. `cuda` needs a GPU.

    python benchmarks/latency.py [--rounds 12] [--runs 20] [--free] [--batch 1] [--threads 1] [--provider cpu] [NAME …]
"""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from turns import ENVIRONMENT, NETC, ROOT, options

import netc
from netc.backends.onnx import write_onnx_fresh
from netc.backends.pytorch import generate
from netc.bench.results import ALARMING
from netc.bench.subjects import export
from netc.run.module import import_network, load_strictly
from netc.weights import read_index

GOAL = 1.00
NETWORKS = {
    "resnet50": ("resnet.yaml:resnet50", {"h": 7, "w": 7}),
    "vgg16": ("vgg.yaml:vgg16", {"h": 7, "w": 7}),
    "densenet121": ("densenet.yaml:densenet121", {"h": 7, "w": 7}),
    "mobilenet_v2": ("mobilenet_v2.yaml", {"h": 7, "w": 7}),
}


def write(name: str, folder: Path, batch: int, free: bool) -> tuple[Path, Path]:
    """netc's file, and the exporter's."""
    spec, sizes = NETWORKS[name]
    network = netc.load(ROOT / "specs" / spec, bind=sizes if free else {**sizes, "N": batch}).ir
    ours, theirs, code = folder / "netc.onnx", folder / "exported.onnx", folder / "model.py"
    weights = write_onnx_fresh(network, ours)
    code.write_text(generate(network), "utf-8")
    module = import_network(code).eval()
    load_strictly(module, read_index(weights))
    export(module, {"image": np.zeros((max(2, batch) if free else batch, 3, 224, 224), "float32")}, theirs, free)
    return ours, theirs


def measured(file: Path, chosen: Namespace, *options: str) -> list[dict[str, Any]]:
    """What `netc bench` finds of a file in a process of its own, and of what it is compared with."""
    command = [*NETC, "bench", str(file), "--runs", str(chosen.runs), "--provider", chosen.provider, "--json", *options]
    command += ["--threads", str(chosen.threads)] if chosen.threads else []
    command += ["--batch", str(chosen.batch)] if chosen.free else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=ENVIRONMENT)
    found: list[dict[str, Any]] = json.loads(done.stdout)["timings"]
    return found


def held(name: str, chosen: Namespace) -> bool:
    """Print what was found; is the goal met?"""
    with TemporaryDirectory() as folder:
        files = write(name, Path(folder), chosen.batch, chosen.free)
        apart = measured(files[0], chosen, "--against", str(files[1]))[1]["farthest"]
        rounds = [[measured(file, chosen)[0]["p50"] for file in (*files, files[0])] for _ in range(chosen.rounds)]
    ratios = [ours / theirs for ours, theirs, _ in rounds]
    itself = [ours / again for ours, _, again in rounds]
    ours, theirs, _ = (median(times) * 1000 for times in zip(*rounds, strict=True))
    ratio = ours / theirs
    print(
        f"{name}: netc {ours:.1f} ms, exported {theirs:.1f} ms, {chosen.rounds} rounds of {chosen.runs} runs: "
        f"{ratio:.3f}× ({min(ratios):.3f}…{max(ratios):.3f}; goal {GOAL:.2f}×), "
        f"netc's file against itself {median(itself):.3f}× ({min(itself):.3f}…{max(itself):.3f}), "
        f"outputs differ by {apart:.0e}",
        flush=True,
    )
    return round(ratio, 2) <= GOAL and apart < ALARMING


def main() -> int:
    parser = options(__doc__, 20)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--free", action="store_true", help="the batch is free in both files")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="onnxruntime's choice by default")
    parser.add_argument("--provider", default="cpu", choices=("cpu", "cuda", "tensorrt"))
    chosen = parser.parse_args()
    found = [held(name, chosen) for name in chosen.names or NETWORKS]
    return int(not all(found))


if __name__ == "__main__":
    sys.exit(main())
