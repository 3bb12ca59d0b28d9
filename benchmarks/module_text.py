"""How long the text of a module takes to write, beside what comes before it: reading and checking the spec.

Both are timed in turn within one process, in seconds of processor time; the medians are compared. Goal: writing takes
at most twice as long as loading.

    python benchmarks/module_text.py [--runs 9] [NAME …]
"""

from __future__ import annotations

import gc
import sys
from statistics import median
from time import process_time

from turns import ROOT, options

import netc

NETWORKS = {"resnet50": "resnet", "densenet121": "densenet", "swin_t": "swin"}
GOAL = 2.0


def held(name: str, runs: int) -> bool:
    loads, writes = [], []
    for _ in range(runs):
        gc.collect()
        start = process_time()
        network = netc.load(ROOT / "specs" / f"{NETWORKS[name]}.yaml", variant=name)
        loaded = process_time()
        text = network.to_torch()
        loads.append(loaded - start)
        writes.append(process_time() - loaded)
    ratio = median(writes) / median(loads)
    print(
        f"{name}: {len(text.splitlines())} lines in {median(writes) * 1e3:.0f} ms ({min(writes) * 1e3:.0f}…"
        f"{max(writes) * 1e3:.0f}), loading {median(loads) * 1e3:.0f} ms, {runs} rounds: {ratio:.2f} (goal {GOAL:g})",
        flush=True,
    )
    return ratio <= GOAL


def main() -> int:
    parser = options(__doc__, 9)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; all by default")
    chosen = parser.parse_args()
    found = [held(name, chosen.runs) for name in chosen.names or NETWORKS]
    return int(not all(found))


if __name__ == "__main__":
    sys.exit(main())
