"""How long `netc onnx` takes to draw and write VGG-16's 553 MB, beside NumPy drawing and writing as many random bytes.

Goal: at most twice as long. Both are whole processes that run in turn; the medians are compared.

    python benchmarks/fresh_weights.py [--runs 5] [--folder DIR]
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from turns import NETC, ROOT, alternate, options, seconds, spread

GOAL = 2.0
SPEC = f"{ROOT / 'specs' / 'vgg.yaml'}:vgg16"
PEER = """
import sys, numpy
generator, left = numpy.random.default_rng(0), int(sys.argv[1])
with open("random.bin", "wb") as file:
    while left:
        left -= file.write(generator.bytes(min(left, 1 << 22)))
"""


def main() -> int:
    parser = options(__doc__, 5)
    parser.add_argument("--folder", help="where to write; the system's temporary folder by default")
    chosen = parser.parse_args()
    ours = [*NETC, "onnx", SPEC, "-o", "model.onnx", "--seed", "0"]
    with TemporaryDirectory(dir=chosen.folder) as folder:
        seconds(ours, folder)
        size = Path(folder, "model.safetensors").stat().st_size
        own, peer = alternate((ours, [sys.executable, "-c", PEER, str(size)]), folder, chosen.runs, outputs="*.*")
    ratio = median(own) / median(peer)
    print(
        f"vgg16, {size / 1e6:.0f} MB: netc onnx {median(own):.2f} s ({spread(own)}), "
        f"NumPy {median(peer):.2f} s ({spread(peer)}), {chosen.runs} rounds: {ratio:.2f}× (goal {GOAL:.0f}×)"
    )
    return int(ratio > GOAL)


if __name__ == "__main__":
    sys.exit(main())
