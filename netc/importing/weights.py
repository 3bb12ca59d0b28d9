"""The tensors of the source under the names of the spec: which is which, and the file that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from netc.importing.graph import Gap, Graph, Node, Weight, held_array, whole
from netc.ir.flat import flatten, parameters
from netc.ir.model import Network
from netc.progress import Progress
from netc.weights import TensorEntry, TensorSpec, lay_out_shards, tensors, write_layout

COUNTERS = frozenset({"num_batches_tracked"})
"""What PyTorch counts in training and no file of another tool has; it starts at 0."""


class Assigned(msgspec.Struct, frozen=True, eq=False):
    """A tensor of the spec, and what it is in the source."""

    spec: TensorSpec
    weight: Weight

    def array(self) -> Any:
        """Its values, C-contiguous. Raises Gap where the source holds another type or shape than it says."""
        return np.asarray(self._view(), order="C")

    def blocks(self) -> Iterator[memoryview]:
        """The bytes of its values, some at a time, so that no tensor need be in memory as a whole. Raises Gap."""
        array = self._view()
        if array.flags.c_contiguous:
            data = memoryview(array.reshape(-1)).cast("B") if array.size else memoryview(b"")
            yield from (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))
            return
        rows = max(CHUNK // max(array[:1].nbytes, 1), 1)
        for start in range(0, len(array), rows):
            yield np.ascontiguousarray(array[start : start + rows]).reshape(-1).data.cast("B")

    def _view(self) -> Any:
        array = self.weight.view()
        if tuple(array.shape) != self.spec.shape or str(array.dtype) != self.spec.dtype:
            held = f"{array.dtype} {list(array.shape)}"
            raise Gap(f"is {held}, but should be {self.spec.dtype} {list(self.spec.shape)}", self.weight.held.name)
        return array


def assign(network: Network, places: Mapping[str, Node]) -> dict[str, Assigned]:
    """State_dict key → tensor of the source, for every parameter of the network. Raises Gap where one has none."""
    nodes = {
        key: (places[node.path], param.name) for key, param, node in parameters(flatten(network)) if param.persistent
    }
    found = {}
    for spec in tensors(network):
        node, role = nodes[spec.name]
        weight = node.params.get(role)
        if weight is None and spec.name.rpartition(".")[2] in COUNTERS:
            weight = whole(held_array("", np.zeros(spec.shape, spec.dtype)))
        if weight is None:
            raise Gap(f"the source has no tensor for {spec.name}", node.origin)
        found[spec.name] = Assigned(spec, weight)
    return found


def unused(graph: Graph, assigned: Mapping[str, Assigned], names: Mapping[str, int]) -> dict[str, str]:
    """Tensors of the source that are in no tensor of the spec: name → why. names: with their numbers of elements."""
    if not assigned:
        return {}
    used = {one.weight.held.name for one in assigned.values()}
    return {
        name: graph.unused.get(name, "folded" if size <= 64 else "not needed")
        for name, size in names.items()
        if name not in used
    }


def write(path: Path, assigned: Mapping[str, Assigned], metadata: Mapping[str, str], progress: Progress | None) -> None:
    """Write the tensors as safetensors, one after another, in blocks."""

    def send(entry: TensorEntry, file: BinaryIO) -> Iterator[int]:
        return map(file.write, assigned[entry.name].blocks())

    layout = lay_out_shards(path, [one.spec for one in assigned.values()], metadata)
    write_layout(layout, [path], send, progress)


CHUNK = 1 << 24


def elements(assigned: Mapping[str, Assigned]) -> int:
    return sum(prod(one.spec.shape) for one in assigned.values())
