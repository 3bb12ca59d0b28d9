"""What remains of an ONNX file around nodes that netc has no word for: what such a node gives becomes an input of the
spec, what it reads an output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto

from netc.importing.graph import Gap, Left, Value
from netc.importing.readers.onnx import Reader
from netc.importing.readers.onnx_wholes import wholes
from netc.passes.sizes import bound_shape
from netc.run.inputs import random_input, usual_bound
from netc.run.model import open_exposed
from netc.types import TensorType


class PartialReader(Reader):
    """Reads on behind nodes that it cannot read. Sizes are numbers, so that ONNX Runtime can say what these give."""

    def __init__(self, model: Any, path: Path, name: str, types: Mapping[str, TensorType]) -> None:
        super().__init__(model, path.parent, name, types, wholes(model))
        self.path, self.types = path, types
        self.read_names = {name for node in model.graph.node for name in node.input}
        self.read_names |= {value.name for value in model.graph.output}

    def _read(self, node: NodeProto) -> None:
        try:
            super()._read(node)
        except Gap as gap:
            self._leave(node, gap)

    def _leave(self, node: NodeProto, gap: Gap) -> None:
        reads = [self.env[name] for name in node.input if name and name in self.env]
        values = [value for value in dict.fromkeys(v for v in reads if isinstance(v, Value)) if value.maker is not None]
        names = [name for name in node.output if name in self.read_names]
        gives = [self.graph.add_input(name, kind) for name, kind in zip(names, self._kinds(names), strict=True)]
        self.env.update(zip(names, gives, strict=True))
        taken = {value for _, value in self.graph.outputs}
        self.graph.outputs += [(f"to_{names[0] if names else 'gap'}", value) for value in values if value not in taken]
        self.graph.left.append(Left(gap.why, gap.place, values, gives))

    def _kinds(self, names: list[str]) -> list[TensorType]:
        """The types of tensors of the file, by running it."""
        generator = np.random.default_rng(0)
        arrays = {
            name: random_input(generator, bound_shape(kind.shape, {}), kind.dtype, usual_bound(kind))
            for name, kind in self.types.items()
        }
        arrays_ = open_exposed(self.path, names).run(None, arrays) if names else []
        return [TensorType(tuple(array.shape), str(array.dtype)) for array in arrays_]
