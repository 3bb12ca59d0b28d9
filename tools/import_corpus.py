"""`make import-corpus`: networks exported, imported again and compared; writes docs/import_corpus.md.

Every spec of specs/ goes to ONNX and comes back; torchvision's classifiers go through PyTorch's TorchScript exporter.
Each is imported with the names of its file, and with every name ignored. ARGS="resnet vgg" measures these alone and
keeps the other rows.
"""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import netc
from netc.diagnostics.model import NetcError

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "import_corpus.md"
HEAD = """# Networks imported again

Measured by `make import-corpus` with fresh weights; generated, do not edit. *Source* is lines of the spec, with the
files and library blocks that it imports, for networks of [specs/](../specs), and nodes of the ONNX file for
torchvision's. *Named* and *unnamed* are lines of the imported spec with the names of the file and with every name
ignored. Equal means: operators, attributes, wiring, parameters and multiply-accumulates are the same, and so is the
value of every statement in onnxruntime, at two sizes where these are open.

| network | source | named | unnamed | equal, or why not | seconds |
|---|---|---|---|---|---|
"""
FAMILIES = (
    *("alexnet", "vgg11", "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "googlenet"),
    *("inception_v3", "mobilenet_v2", "mobilenet_v3_large", "mnasnet1_0", "shufflenet_v2_x1_0", "squeezenet1_1"),
    *(
        "efficientnet_b0",
        "efficientnet_v2_s",
        "regnet_y_400mf",
        "regnet_x_400mf",
        "convnext_tiny",
        "vit_b_16",
        "swin_t",
    ),
)
IMPORT = re.compile(r"import:|  \w+: (netc:|\"?\S+\.yaml)")
ROW = re.compile(r"\| (?P<name>\S+) \|.*\|")
Make = Callable[[Path], int]
"""Writes the ONNX file; the size of its source."""


def networks() -> Iterator[tuple[str, Make]]:
    for path in sorted((ROOT / "specs").glob("*.yaml")):
        yield path.stem, lambda target, path=path: _from_spec(path, target)  # type: ignore[misc]
    for name in FAMILIES:
        yield f"torchvision.{name}", lambda target, name=name: _from_torchvision(name, target)  # type: ignore[misc]


def _from_spec(path: Path, target: Path) -> int:
    netc.load(path).write_onnx(target)
    return sum(map(_lines_of, _with_imports(path, set())))


def _with_imports(path: Path, known: set[Path]) -> set[Path]:
    """A spec, the files that it imports and the blocks of the library that it uses."""
    if path in known or not path.is_file():
        return known
    known.add(path)
    imports = [line for line in path.read_text("utf-8").splitlines() if IMPORT.match(line)]
    for name in re.findall(r"[\w/]+\.yaml", " ".join(imports)):
        _with_imports(path.parent / name, known)
    for name in re.findall(r"netc:(\w+)", " ".join(imports)):
        _with_imports(ROOT / "netc" / "library" / f"{name}.yaml", known)
    return known


def _lines_of(path: Path) -> int:
    lines = path.read_text("utf-8").splitlines()
    return sum(1 for line in lines if line.strip() and not line.strip().startswith("#"))


def _from_torchvision(name: str, target: Path) -> int:
    import onnx

    from tests.vision import torchvision

    more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    module = getattr(torchvision.models, name)(weights=None, **more).eval()
    size = 299 if name == "inception_v3" else 224
    axes = {"image": {0: "batch"}}
    image = torch.randn(1, 3, size, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (image,), str(target), dynamo=False, input_names=["image"], dynamic_axes=axes)
    return len(onnx.load(str(target)).graph.node)


def measured(name: str, make: Make) -> str:
    """A row of the table."""
    started = time.perf_counter()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        source = make(path)
        found: list[str] = []
        told = "equal"
        for names in ("keep", "none"):
            try:
                imported = netc.import_onnx(path, names=names)  # type: ignore[arg-type]
                found.append(str(imported.report.lines))
                worst = imported.report.shown.worst
                if worst is not None and worst.absolute and names == "keep":
                    told = f"equal, to {worst.relative:.0e}"
            except NetcError as error:
                found.append("–")
                told = str(error).replace(f"{path}: ", "")[:160].replace("|", "\\|")
    return f"| {name} | {source} | {' | '.join(found)} | {told} | {time.perf_counter() - started:.0f} |"


def main(wanted: list[str]) -> None:
    known = {match["name"]: match[0] for match in map(ROW.fullmatch, _lines()) if match and match["name"] != "network"}
    for name, make in networks():
        if wanted and name not in wanted:
            continue
        known[name] = measured(name, make)
        print(known[name], flush=True)
        order = [other for other, _ in networks() if other in known]
        PAGE.write_text(HEAD + "\n".join(known[other] for other in order) + "\n\n" + _summed(known) + "\n", "utf-8")


def _lines() -> list[str]:
    return PAGE.read_text("utf-8").splitlines() if PAGE.exists() else []


def _summed(rows: dict[str, str]) -> str:
    own = [row for name, row in rows.items() if "." not in name]
    other = [row for name, row in rows.items() if "." in name]
    specs, families = len(list((ROOT / "specs").glob("*.yaml"))), len(FAMILIES)
    return f"{_share(own, specs, 'specs')} {_share(other, families, 'networks of torchvision')}"


def _share(rows: list[str], there: int, what: str) -> str:
    equal = sum("| equal" in row for row in rows)
    return f"Of {there} {what} {len(rows)} have been measured; {equal} of these came back equal."


if __name__ == "__main__":
    main(sys.argv[1:])
