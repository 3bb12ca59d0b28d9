"""How long `netc onnx` takes, beside a process that exports the same network from PyTorch.

The peer imports the module `netc torch` wrote, builds it (which draws its weights), loads weights where they are given,
and calls `torch.onnx.export`. Goals: at most 1/25 with given weights, at most 1/8 with fresh ones. Both run in turn, so
a busy machine slows both, and into a folder without earlier outputs; the medians are compared.

    python benchmarks/onnx_export.py [--runs 3] [--fresh] [--classic] [NAME …]
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from turns import NETC, ROOT, alternate, fraction, options, seconds, spread

GIVEN, FRESH = 25, 8
NETWORKS = {"resnet50": "resnet.yaml:resnet50", "vgg16": "vgg.yaml:vgg16", "densenet121": "densenet.yaml:densenet121"}
PEER = """
import sys, torch, model
network = [value for value in vars(model).values() if getattr(value, "__module__", "") == "model"][-1]().eval()
if "given" in sys.argv:
    network.load_state_dict(torch.load("given.pth", weights_only=True))
torch.onnx.export(network, (torch.zeros(1, 3, 224, 224),), "written_peer.onnx", dynamo="classic" not in sys.argv)
"""
SAVE = "import torch; from safetensors.torch import load_file; torch.save(load_file('given.safetensors'), 'given.pth')"


def held(name: str, runs: int, fresh: bool, classic: bool) -> bool:
    spec = str(ROOT / "specs" / NETWORKS[name])
    how, goal = ("fresh", FRESH) if fresh else ("given", GIVEN)
    ours = [
        *NETC,
        "onnx",
        spec,
        "-o",
        "written.onnx",
        *(["--seed", "0"] if fresh else ["--weights", "given.safetensors"]),
    ]
    theirs = [sys.executable, "-c", PEER, how, *(["classic"] if classic else [])]
    with TemporaryDirectory() as folder:
        seconds([*NETC, "torch", spec, "-o", "model.py"], folder)
        seconds([*NETC, "weights", "init", spec, "-o", "given.safetensors"], folder)
        seconds([sys.executable, "-c", SAVE], folder)
        own, peer = alternate((ours, theirs), folder, runs, outputs="written*")
        written = Path(folder, "written.onnx").stat().st_size
    ratio = median(own) / median(peer)
    print(
        f"{name}, {how} weights: netc onnx {median(own):.2f} s ({spread(own)}), {written / 1e3:.0f} kB; "
        f"torch.onnx.export {median(peer):.2f} s ({spread(peer)}), {runs} rounds: {fraction(ratio)} (goal 1/{goal})",
        flush=True,
    )
    return ratio <= 1 / goal


def main() -> int:
    parser = options(__doc__, 3)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--fresh", action="store_true", help="fresh weights instead of given ones")
    parser.add_argument("--classic", action="store_true", help="PyTorch's older exporter, without onnxscript")
    chosen = parser.parse_args()
    found = [held(name, chosen.runs, chosen.fresh, chosen.classic) for name in chosen.names or NETWORKS]
    return int(not all(found))


if __name__ == "__main__":
    sys.exit(main())
