"""A run with its numbers: inputs, weights and results as small arrays, layer by layer if that is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from netc.libraries import numpy, onnx
from netc.passes.serve_metadata import read_serving
from netc.run.given import feed, read_sources
from netc.run.images import Preprocess
from netc.run.model import bounds, open_exposed, open_model, read_opened, refuse_unknown

MOST = 256
"""Elements of an array that is printed; of a larger one the shape is."""
DIGITS = 5


class ShownTensor(msgspec.Struct, frozen=True):
    """A tensor of a run: what it is (`input`, `weight`, `layer`, `output`), its name and its numbers."""

    role: str
    name: str
    array: Any

    def lines(self) -> Iterator[str]:
        """A heading and the rows of the array; a heading per plane where there are several."""
        shape = "×".join(map(str, self.array.shape)) or "scalar"
        yield f"{self.role:8}{self.name} {shape}"
        if self.array.size > MOST:
            yield f"        {self.array.size:,} elements, not printed"
            return
        width, texts = _texts(self.array)
        *outer, rows, columns = (1, 1, *self.array.shape)[-max(2, self.array.ndim) :]
        table = texts.reshape(*outer, rows, columns)
        for place in product(*map(range, outer)):
            if any(size > 1 for size in outer):
                yield f"        [{', '.join(map(str, place))}]"
            for row in table[place]:
                yield "        " + " ".join(text.rjust(width) for text in row)

    def as_json(self) -> dict[str, object]:
        """The numbers as nested lists; none where the array is large."""
        values = self.array.tolist() if self.array.size <= MOST else None
        return {"role": self.role, "name": self.name, "shape": [*self.array.shape], "values": values}


def show_run(
    path: Path,
    inputs: Sequence[str],
    bind: Mapping[str, int],
    seed: int,
    chosen: Preprocess,
    *,
    layers: bool,
    inner: bool,
) -> list[ShownTensor]:
    """Run an ONNX file on the CPU and give what goes in, the weights and what comes out; with `layers` the results of
    all nodes, and each weight before the first that reads it. Not `inner`: without what netc names `path/part`, the
    steps and constants that an operator of a spec becomes. Raises NetcError."""
    session = open_model(path, "cpu")
    refuse_unknown([kind.shape for kind in session.inputs.values()], bind)
    serving = read_serving(session.metadata, str(path))
    fed = feed(session.inputs, read_sources(inputs, session.inputs), bounds(session), bind, seed, chosen, serving)
    model = read_opened(path)
    weights = {t.name: t for t in model.graph.initializer if inner or "/" not in t.name}
    lines = [ShownTensor("input", name, array) for name, array in fed.arrays.items()]
    if not layers:
        lines += [ShownTensor("weight", name, _array(tensor, path)) for name, tensor in weights.items()]
        results = session.run(None, fed.arrays)
        return [*lines, *(ShownTensor("output", *pair) for pair in zip(session.outputs, results, strict=True))]
    names = [name for each in model.graph.node for name in each.output if name and (inner or "/" not in name)]
    values = dict(zip(names, open_exposed(path, names).run(None, fed.arrays), strict=True))
    for each in model.graph.node:
        read = [name for name in each.input if name in weights]
        lines += [ShownTensor("weight", name, _array(weights.pop(name), path)) for name in read]
        lines += [
            ShownTensor("output" if n in session.outputs else "layer", n, values[n]) for n in each.output if n in values
        ]
    return lines


def _array(tensor: Any, path: Path) -> Any:
    return onnx().numpy_helper.to_array(tensor, str(path.parent))


def _texts(array: Any) -> tuple[int, Any]:
    """Every element as text, whole numbers without a point, and the width of the longest."""
    flat = array.reshape(-1)
    whole = flat.dtype.kind in "biu" or all(float(v).is_integer() and abs(v) < 1e15 for v in flat)
    texts = [str(int(v)) if whole else f"{float(v):.{DIGITS}g}" for v in flat]
    return max(map(len, texts), default=1), numpy().array(texts, dtype=object)
