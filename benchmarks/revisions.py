"""How long specs take to load, and modules to be written, beside another revision of netc.

Both revisions take turns, a process each, and count their own processor time; the least of the rounds is compared.
10,000 different convolutions are loaded (goal: at most 0.7 of revision 0056277). Networks of `specs/`, each revision's
own, are written as modules (goal: no slower than there).

    python benchmarks/revisions.py [--against 0056277] [--runs 5] [NAME …]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from turns import ENVIRONMENT, ROOT, options

LOADED, WRITTEN = 0.7, 1.0
"""Goals, as shares of the other revision's processor time."""
CONVOLUTIONS = 10_000
WRITES = 7
NETWORKS = {"resnet50": "resnet", "swin_t": "swin", "densenet121": "densenet", "mobilenet_v3_large": "mobilenet_v3"}
LOAD = """
import sys, time, netc
begin = time.process_time()
netc.load(sys.argv[1])
print(time.process_time() - begin)
"""
WRITE = """
import sys, time, netc
network, times = netc.load(sys.argv[1], variant=sys.argv[2]), []
for _ in range(int(sys.argv[3])):
    begin = time.process_time()
    network.to_torch()
    times.append(time.process_time() - begin)
print(min(times))
"""


def convolutions(folder: Path) -> Path:
    """A body of named statements, each with other numbers than those near it."""
    lines = [f"  a{i}: conv2d {8 + i % 97} {1 + 2 * (i % 3)} padding={i % 3}" for i in range(CONVOLUTIONS)]
    path = folder / "convolutions.yaml"
    path.write_text("\n".join(["netc: 1", "name: many", "inputs: {image: [N, 3, 64, 64]}", "net:", *lines, ""]))
    return path


def checkout(revision: str, folder: Path) -> Path:
    """The package and the specs of a revision."""
    archive = subprocess.run(["git", "archive", revision, "netc", "specs"], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def least(roots: list[Path], code: str, arguments: Callable[[Path], list[str]], runs: int) -> list[float]:
    """The least processor time of each, in turns."""
    times: dict[Path, list[float]] = {root: [] for root in roots}
    for _ in range(runs):
        for root in roots:
            command = [sys.executable, "-c", code, *arguments(root)]
            environment = {**ENVIRONMENT, "PYTHONPATH": str(root)}
            done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
            times[root].append(float(done.stdout))
    return [min(times[root]) for root in roots]


def variant(name: str, root: Path) -> list[str]:
    """What is written: the revision's own spec."""
    return [str(root / "specs" / f"{NETWORKS[name]}.yaml"), name, str(WRITES)]


def held(name: str, ours: float, theirs: float, goal: float) -> bool:
    print(
        f"{name:24} {ours * 1e3:6.0f} ms, {theirs * 1e3:6.0f} ms there: {ours / theirs:.2f} (goal {goal})", flush=True
    )
    return ours <= goal * theirs


def main() -> int:
    parser = options(__doc__, 5)
    parser.add_argument("--against", default="0056277", metavar="REV", help="a revision of git (default: 0056277)")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; all by default")
    chosen = parser.parse_args()
    with TemporaryDirectory(prefix="netc-") as folder:
        roots = [ROOT, checkout(chosen.against, Path(folder))]
        many = str(convolutions(Path(folder)))
        loaded = least(roots, LOAD, lambda _: [many], chosen.runs)
        met = [held(f"{CONVOLUTIONS:,} convolutions", loaded[0], loaded[1], LOADED)]
        for name in chosen.names or NETWORKS:
            written = least(roots, WRITE, partial(variant, name), chosen.runs)
            met.append(held(name, written[0], written[1], WRITTEN))
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
