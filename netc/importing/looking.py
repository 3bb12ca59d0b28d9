"""What is looked at of the tensors inside a network while it runs: small ones whole, of large ones every k-th element.

All statements are compared in one run, as runs may take long, and in memory that does not grow with the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod
from pathlib import Path
from typing import Any

import msgspec

from netc.libraries import onnx
from netc.run.model import Session, open_bytes, read_opened

SLICES = 10
"""The opset from which on a slice may take every k-th element."""

END = (1 << 63) - 1


class Probe(msgspec.Struct, frozen=True):
    """A tensor by its name, and which elements are taken: each `step`-th, as they lie."""

    name: str
    step: int = 1


class ProbedValue(msgspec.Struct, frozen=True, eq=False):
    """The shape of a tensor, and the elements that were taken: all in that shape where `step` is 1."""

    shape: tuple[int, ...]
    values: Any


def steps(shapes: Sequence[tuple[int, ...]], most: int) -> list[int]:
    """Steps with which no more than about `most` elements of tensors of these shapes are taken: as many of each as
    there is room for. A step has no divisor in common with a size, so that it meets every index of every axis."""
    sizes = sorted(map(prod, shapes))
    left, room = most, most
    for at, size in enumerate(sizes):
        room = max(left // (len(sizes) - at), 1)
        if size > room:
            break
        left -= size
    else:
        return [1] * len(sizes)
    return [_step(shape, room) for shape in shapes]


def _step(shape: tuple[int, ...], room: int) -> int:
    step = -(-prod(shape) // room)
    while step > 1 and any(gcd(step, size) > 1 for size in shape if size > 1):
        step += 1
    return max(step, 1)


def taken(array: Any, step: int) -> ProbedValue:
    """What is looked at of an array, as a copy of its own."""
    shape = tuple(array.shape)
    return ProbedValue(shape, array.copy() if step == 1 else array.reshape(-1)[::step].copy())


class ProbedSession:
    """An ONNX file on the CPU, node by node, of whose inside some is looked at. Raises NetcError (`model-file`)."""

    def __init__(self, path: Path, looks: Sequence[Probe]) -> None:
        model = read_opened(path)
        opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
        self.looks = list(looks)
        self.inside = opset >= SLICES
        """Whether the model takes the elements itself."""
        del model.graph.output[:]
        for name in self._exposed(model.graph):
            model.graph.output.add().name = name
        self.session: Session = open_bytes(model.SerializeToString(), path.parent, str(path), as_it_is=True)

    def _exposed(self, graph: Any) -> list[str]:
        helper, names = onnx().helper, []
        sampled = [look for look in self.looks if look.step > 1] if self.inside else []
        if sampled:
            for name, numbers in (("flat", [-1]), ("first", [0]), ("last", [END])):
                graph.initializer.append(helper.make_tensor(f"look/{name}", 7, [1], numbers))
        for at, look in reversed(list(enumerate(self.looks))):  # onnxruntime computes what stands last first
            if not self.inside or look.step == 1:
                names.append(look.name)
                continue
            shape, flat, step, part = (f"look/{at}/{word}" for word in ("shape", "flat", "step", "part"))
            graph.initializer.append(helper.make_tensor(step, 7, [1], [look.step]))
            graph.node.append(helper.make_node("Shape", [look.name], [shape]))
            graph.node.append(helper.make_node("Reshape", [look.name, "look/flat"], [flat]))
            inputs = [flat, "look/first", "look/last", "look/first", step]
            graph.node.append(helper.make_node("Slice", inputs, [part]))
            names += [part, shape]
        return names[::-1]

    def run(self, arrays: dict[str, Any]) -> list[ProbedValue]:
        """What is seen with these inputs, in the order of the looks."""
        arrays_ = iter(self.session.run(None, arrays))
        results = []
        for look in self.looks:
            array = next(arrays_)
            if look.step == 1:
                results.append(ProbedValue(tuple(array.shape), array))
            elif self.inside:
                results.append(ProbedValue(tuple(int(n) for n in array), next(arrays_)))
            else:
                results.append(taken(array, look.step))
        return results
