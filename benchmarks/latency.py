"""How fast onnxruntime is with the file netc writes, beside the file `torch.onnx.export` writes of the same network.

Both have the same weights and are equally general: all sizes are fixed (`netc onnx --bind`), or with --free those of
images are fixed and the batch is free. They are run in rounds of random order.
Goal: netc's median is at most 1.00 of the exporter's. `cuda` needs a GPU.

    python benchmarks/latency.py [--runs 100] [--free] [--batch 1] [--threads 1] [--provider cpu] [NAME …]
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from turns import ROOT, options

import netc
from netc.backends.onnx import write_onnx_fresh
from netc.backends.pytorch import generate
from netc.runtime.bench import BenchPlan, BenchReport, bench
from netc.runtime.bench_measure import Rounds
from netc.runtime.bench_report import ALARMING
from netc.runtime.bench_subjects import export
from netc.runtime.module import import_network, load_strictly
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


def measured(name: str, chosen: Namespace) -> BenchReport:
    rounds = Rounds(count=chosen.runs)
    with TemporaryDirectory() as folder:
        ours, theirs = write(name, Path(folder), chosen.batch, chosen.free)
        batches = (chosen.batch,) if chosen.free else ()
        against, threads = (str(theirs),), chosen.threads
        plan = BenchPlan(against=against, batches=batches, rounds=rounds, provider=chosen.provider, threads=threads)
        return bench(ours, plan)


def held(name: str, report: BenchReport) -> bool:
    """Print what was found; is the goal met, to the hundredth that noise leaves?"""
    ours, theirs = report.timings
    ratio = 1 / theirs.ratio.median
    print(
        f"{name}: netc {ours.p50 * 1000:.1f} ms, exported {theirs.p50 * 1000:.1f} ms, {ours.runs} rounds: "
        f"{ratio:.3f}× (95%: {1 / theirs.ratio.high:.3f}…{1 / theirs.ratio.low:.3f}; goal {GOAL:.2f}×)",
        flush=True,
    )
    return round(ratio, 2) <= GOAL and theirs.farthest < ALARMING


def main() -> int:
    parser = options(__doc__, 100)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--free", action="store_true", help="the batch is free in both files")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="onnxruntime's choice by default")
    parser.add_argument("--provider", default="cpu", choices=("cpu", "cuda", "tensorrt"))
    chosen = parser.parse_args()
    found = [held(name, measured(name, chosen)) for name in chosen.names or NETWORKS]
    return int(not all(found))


if __name__ == "__main__":
    sys.exit(main())
