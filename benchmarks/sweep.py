"""`netc sweep` over ResNets beside a loop that builds torchvision's and counts with torchinfo: processor time of each.

Goals: at most 1/50 of the loop's time per variant; 100,000 variants in ten minutes of two processors, that is 12 ms
each; and memory that stays level. Both sides count the same networks where torchvision has them, and their parameters
must agree. torchinfo runs the network once on one image, as it must to count.

    python benchmarks/sweep.py [--widths 1] [--loop 5] [--folder DIR]
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from netc.explore.engines import here
from netc.explore.job import Job
from netc.explore.space import Axis, Space, read_axis
from netc.explore.sweep import planned, sweep

SPEC = Path(__file__).with_name("sweep_resnet.yaml")
RATIO = 50
BUDGET = 2 * 600 / 100_000
"""Seconds of processor time that each of 100,000 variants may take."""
LEVEL = 1.25
"""Memory at the end over that at half."""


def job(axes: tuple[Axis, ...]) -> Job:
    return planned(Job(path=str(SPEC), text=SPEC.read_text("utf-8"), bind={"h": 7, "w": 7}, space=Space(axes)))


def family(widths: int | None = None) -> tuple[Axis, ...]:
    """100,800 ResNets: two kinds of blocks, 45 widths or so many of them, 4·4·10·7 depths."""
    ranges = {"block": "basic,bottleneck", "width": "16..192:4", "first": "2..5", "second": "2..5", "third": "2..11"}
    axes = {name: read_axis(name, values) for name, values in (*ranges.items(), ("fourth", "2..8"))}
    every = len(axes["width"].values) // (widths or len(axes["width"].values))
    axes["width"] = Axis("width", axes["width"].values[every // 2 :: every])
    return tuple(axes.values())


def resident() -> float:
    """Bytes of this process in memory now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * float(os.sysconf("SC_PAGE_SIZE"))


def ours(axes: tuple[Axis, ...], folder: Path) -> tuple[float, float, float]:
    """Seconds per variant, and memory at half and at the end. What is made before the first row counts too."""
    held: list[float] = []

    def told(done: int, total: int) -> None:
        held.append(resident())

    start = time.process_time()
    sweep(job(axes), here, folder / "sweep.csv", [], told)
    return (time.process_time() - start) / Space(axes).size, held[len(held) // 2], held[-1]


def theirs(count: int) -> Iterator[tuple[float, str, list[int], int]]:
    """Seconds, block, depths and parameters of some of torchvision's."""
    import torch

    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from torchinfo import summary
    from vision import torchvision

    resnet = torchvision.models.resnet
    kinds = {"basic": resnet.BasicBlock, "bottleneck": resnet.Bottleneck}
    depths = [[2, 2, 2, 2], [3, 4, 6, 3], [2, 3, 4, 2], [3, 4, 8, 3], [3, 4, 11, 3]]
    torch.set_num_threads(1)
    for (name, kind), depth in list(product(kinds.items(), depths))[:: max(1, 10 // count)][:count]:
        start = time.process_time()
        found = summary(resnet.ResNet(kind, depth), input_size=(1, 3, 224, 224), verbose=0)
        yield time.process_time() - start, name, depth, found.total_params


def agree(name: str, depth: list[int], parameters: int, folder: Path) -> bool:
    """Do both count the same parameters?"""
    axes = (Axis("block", (name,)), *(Axis(at, (str(n),)) for at, n in zip(NAMES, depth, strict=True)))
    sweep(job(axes), here, folder / "one.csv", [], lambda done, total: None)
    with (folder / "one.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    return int(row["parameters"]) == parameters


NAMES = ("first", "second", "third", "fourth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, default=1, help="of the 45 widths, each with 2,240 networks")
    parser.add_argument("--loop", type=int, default=5, help="networks that torchinfo counts, one at least")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        axes = family(options.widths)
        each, half, end = ours(axes, folder)
        loop = list(theirs(options.loop))
        same = all(agree(*one[1:], folder) for one in loop)
    built, size = sum(one[0] for one in loop) / len(loop), Space(family()).size
    print(f"netc sweep  {1000 * each:7.2f} ms per variant, {Space(axes).size:,} of {size:,}")
    print(f"torchinfo   {1000 * built:7.2f} ms per variant, {len(loop)} networks; the same parameters: {same}")
    print(f"ratio       1/{built / each:.0f} (goal 1/{RATIO})")
    print(f"100,000 on two processors: {100_000 * each / 2 / 60:.1f} minutes (goal 10)")
    print(f"memory      {half / 1e6:.0f} MB at half, {end / 1e6:.0f} MB at the end")
    missed = each > BUDGET or built / each < RATIO or not same or end > LEVEL * half
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
