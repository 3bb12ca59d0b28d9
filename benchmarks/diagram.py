"""Time to a picture: `netc diagram` beside torchview, which draws the same network by Graphviz.

Goals: at most 1/15 of torchview's time on ResNet-50 and DenseNet-121, 1/8 on 2,000 statements. Whole processes, from a
spec and from a PyTorch module to an SVG file, take turns; medians. torchview (pip install torchview) is given the `dot`
that netc finds.

    python benchmarks/diagram.py [--runs 5]
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from turns import NETC, ROOT, alternate, options

GOALS = {"resnet50": 15.0, "densenet121": 15.0, "statements": 8.0}
SPECS = {"resnet50": "resnet.yaml:resnet50", "densenet121": "densenet.yaml:densenet121"}
COUNT = 2000
TORCHVIEW = """
import sys
from contextlib import suppress
import torch
from graphviz.backend import dot_command
from netc.backends.diagram.engine import find_engine
from torchview import draw_graph
from pathlib import Path
dot_command.DOT_BINARY = Path(find_engine())
sys.setrecursionlimit(100_000)
name, size = sys.argv[1], int(sys.argv[2])
if name != "statements":
    sys.path.insert(0, sys.argv[3])
    from vision import torchvision
if name == "statements":
    widths = [3, *(8 + i % 7 for i in range(2000))]
    model = torch.nn.Sequential(*(torch.nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:])))
else:
    model = torchvision.models.get_model(name, weights=None)
graph = draw_graph(model, input_size=(1, 3, size, size), device="meta", expand_nested=True, depth=10)
graph.visual_graph.render("torchview", format="svg")
"""


def commands(name: str, folder: Path) -> list[list[str]]:
    """netc's and torchview's for one network."""
    size = 16 if name == "statements" else 224
    spec = str(folder / "statements.yaml") if name == "statements" else str(ROOT / "specs" / SPECS[name])
    ours = [*NETC, "diagram", spec, "--bind", f"{size}x{size}", "--expand", "*", "-o", "netc.svg"]
    return [ours, [sys.executable, str(folder / "view.py"), name, str(size), str(ROOT / "tests")]]


def main() -> int:
    if importlib.util.find_spec("torchview") is None:
        print("torchview is not installed: pip install torchview")
        return 2
    runs = options(__doc__, 5).parse_args().runs
    missed = 0
    with TemporaryDirectory() as path:
        folder = Path(path)
        lines = "".join(f"  c{i}: conv2d {8 + i % 7} 3 padding=1\n" for i in range(COUNT))
        head = "netc: 1\nname: statements\ninputs: {image: [N, 3, H, W]}\nnet:\n"
        (folder / "statements.yaml").write_text(head + lines, encoding="utf-8")
        (folder / "view.py").write_text(TORCHVIEW, encoding="utf-8")
        for name, goal in GOALS.items():
            ours, theirs = (statistics.median(times) for times in alternate(commands(name, folder), folder, runs))
            missed += theirs / ours < goal
            print(f"{name}: netc {ours:.2f} s, torchview {theirs:.2f} s: 1/{theirs / ours:.1f} (goal 1/{goal:.0f})")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
