"""How fast the module `netc torch` writes is, beside torchvision's own of the same network and the same weights.

Both run eagerly in inference mode, in rounds of random order. Goal: netc's median is at most 1.02 of torchvision's.
`cuda` needs a GPU.

    python benchmarks/eager.py [--runs 60] [--batch 1] [--threads 1] [--provider cpu] [NAME …]
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from turns import ROOT, options

import netc
from netc.backends.pytorch import generate
from netc.bench.measure import Rounds, in_turn, percentile, ratio
from netc.bench.subjects import Arrays, farthest, running
from netc.run.module import import_network

sys.path.append(str(ROOT / "tests"))
from vision import torchvision

GOAL = 1.02
EQUAL = 1e-6
NETWORKS = {
    "resnet50": "resnet.yaml:resnet50",
    "vgg16": "vgg.yaml:vgg16",
    "densenet121": "densenet.yaml:densenet121",
    "mobilenet_v2": "mobilenet_v2.yaml",
}


def generated(spec: str) -> torch.nn.Module:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.py"
        path.write_text(generate(netc.load(ROOT / "specs" / spec).ir), "utf-8")
        return import_network(path).eval()


def held(name: str, arrays: Arrays, device: str, runs: int) -> bool:
    ours, theirs = generated(NETWORKS[name]), getattr(torchvision.models, name)().eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    both = {side: running(module.to(device), arrays, device) for side, module in (("netc", ours), ("peer", theirs))}
    times = in_turn({side: each.run for side, each in both.items()}, Rounds(count=runs), 0, lambda done, total: None)
    found = ratio(times["netc"], times["peer"])
    apart = farthest(both["peer"].results(), both["netc"].results())
    print(
        f"{name}: netc {percentile(times['netc'], 50) * 1000:.1f} ms, "
        f"torchvision {percentile(times['peer'], 50) * 1000:.1f} ms, {runs} rounds: {found.median:.3f}× "
        f"(95%: {found.low:.3f}…{found.high:.3f}; goal {GOAL:.2f}×), outputs differ by {apart:.0e}",
        flush=True,
    )
    return found.median <= GOAL and apart <= EQUAL


def main() -> int:
    parser = options(__doc__, 60)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="PyTorch's choice by default")
    parser.add_argument("--provider", default="cpu", choices=("cpu", "cuda"))
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    image = np.random.default_rng(0).standard_normal((chosen.batch, 3, 224, 224), dtype="float32")
    names = chosen.names or NETWORKS
    found = [held(name, {"image": image}, chosen.provider, chosen.runs) for name in names]
    return int(not all(found))


if __name__ == "__main__":
    sys.exit(main())
