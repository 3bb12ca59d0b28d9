"""Peak memory of `netc onnx` on a network of many gigabytes, beside the size of its weights.

By default the weights are given: sparse files of zeros, which take no room on the disk, in as many shards as
`--shards` says. `--fresh` draws and writes them. Goal: under 400 MB, and hardly more than for a network of a few
kilobytes, however large the network is.

    python benchmarks/memory.py [--gigabytes 20] [--shards 1] [--fresh] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from turns import ENVIRONMENT, NETC

GOAL = 400e6
WIDTH = 8192
"""A layer of this width has 268 MB of weights."""
GIVEN = "given.safetensors"

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


def lay_out(path: Path, width: int, layers: int, shards: int) -> int:
    """Safetensors files of zeros that nothing was written to, with an index where there are several; their bytes."""
    if shards == 1:
        return lay_out_part(path, width, range(layers))
    total, where = 0, {}
    for at in range(shards):
        part = range(layers * at // shards, layers * (at + 1) // shards)
        shard = path.with_name(f"{path.stem}-{at + 1:05}-of-{shards:05}.safetensors")
        total += lay_out_part(shard, width, part)
        where |= {f"{i}.{name}": shard.name for i in part for name in ("weight", "bias")}
    path.with_name(f"{path.name}.index.json").write_text(json.dumps({"weight_map": where}), "utf-8")
    return total


def lay_out_part(path: Path, width: int, layers: range) -> int:
    header, end = {}, 0
    for i in layers:
        for name, shape in ((f"{i}.weight", [width, width]), (f"{i}.bias", [width])):
            start, end = end, end + 4 * width ** len(shape)
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return 8 + len(text) + end


def export(folder: str, width: int, layers: int, shards: int, fresh: bool) -> tuple[float, int]:
    """Peak memory, and bytes of weights."""
    weights = 0
    Path(folder, "wide.yaml").write_text(SPEC.format(width=width, layers=layers), "utf-8")
    if not fresh:
        weights = lay_out(Path(folder, GIVEN), width, layers, shards)
    given = [] if fresh else ["--weights", GIVEN if shards == 1 else f"{GIVEN}.index.json"]
    used = peak([*NETC, "onnx", "wide.yaml", "-o", "wide.onnx", *given], folder)
    return used, Path(folder, "wide.safetensors").stat().st_size if fresh else weights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--shards", type=int, default=1, help="files that given weights are in")
    parser.add_argument("--fresh", action="store_true", help="draw the weights, and write them all")
    parser.add_argument("--folder", help="where to write; the system's temporary folder by default")
    chosen = parser.parse_args()
    with TemporaryDirectory(dir=chosen.folder) as folder:
        small, _ = export(folder, 8, 1, 1, chosen.fresh)
        layers = max(1, round(chosen.gigabytes * 1e9 / (4 * WIDTH * WIDTH)))
        large, weights = export(folder, WIDTH, layers, chosen.shards, chosen.fresh)
    print(
        f"netc onnx with {weights / 1e9:.2f} GB of {'fresh' if chosen.fresh else 'given'} weights: peak "
        f"{large / 1e6:.0f} MB, 1/{weights / large:.0f} of them (a tiny network: {small / 1e6:.0f} MB; "
        f"goal: under {GOAL / 1e6:.0f} MB)"
    )
    return int(large > GOAL)


if __name__ == "__main__":
    sys.exit(main())
