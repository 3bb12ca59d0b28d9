"""What a service does around a network, in PyTorch's own functions: what the same steps in an ONNX file must equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from netc.ir.model import Network, Value
from netc.libraries import numpy, torch
from netc.passes.serve import Normalisation, Serving, is_image, served
from netc.run.eager import Arrays, evaluate, evaluate_in_float64
from netc.types import FLOATS
from netc.verify.compare import Trial, difference
from netc.verify.differences import Difference
from netc.verify.layers import are_places


class Service(msgspec.Struct, frozen=True, eq=False):
    """A network as its file calls it. `whole` has the file's inputs and outputs; PyTorch's side is the module of
    `network` between steps written here, which share nothing with the statements that `whole` is made of."""

    network: Network
    serving: Serving
    whole: Network

    def evaluate(self, module: Any, arrays: Arrays) -> Arrays:
        """What `whole` puts out, in the types it has."""
        return self._answers(evaluate(module, self._ready(arrays, exact=False)), exact=False)

    def evaluate_in_float64(self, module: Any, arrays: Arrays) -> Arrays:
        """The same, all of it computed in float64."""
        return self._answers(evaluate_in_float64(module, self._ready(arrays, exact=True)), exact=True)

    def _ready(self, arrays: Arrays, *, exact: bool) -> Arrays:
        pairs = zip(self.network.block.inputs, arrays, strict=True)
        return [_ready(array, value, self.serving, exact=exact) for value, array in pairs]

    def _answers(self, results: Arrays, *, exact: bool) -> Arrays:
        declared, computed = self.network.block.outputs, iter(results)
        absent = len(results) < len(declared)
        outputs = [(o, None if absent and o.train_only else next(computed)) for o in declared]
        return [a for o, result in outputs for a in _answers(result, o.train_only, self.serving, exact=exact)]

    def sized(self, bindings: Sequence[dict[str, int]], fixed: Mapping[str, int]) -> list[dict[str, int]]:
        """The bindings with images larger and smaller than what they are resized to, of unequal sides."""
        if self.serving.resize is None:
            return list(bindings)
        high, wide = self.serving.resize
        sides = (high * 3 // 2 + 1, wide * 2 // 3 + 1), (high // 3 + 1, wide * 2 + 3), (high + 1, wide)
        rows, columns = self._sides()
        pairs = zip(bindings, sides, strict=False)
        return [{**binding, rows: height, columns: width, **fixed} for binding, (height, width) in pairs]

    def _sides(self) -> tuple[str, str]:
        """The names of the height and the width of images of any size."""
        at = 1 if self.serving.layout == "nhwc" else 2
        pairs = zip(self.network.block.inputs, self.whole.block.inputs, strict=True)
        shape = next(there.type.shape for here, there in pairs if is_image(here))
        return str(shape[at]), str(shape[at + 1])

    def settled(self, trial: Trial, module: Any, tolerance: float | None) -> Trial:
        """The trial with the other side's indices of the largest where PyTorch's scores there are as large.

        Scores nearer to each other than the tolerance have no order that two programs must agree on.
        """
        at = self._of_indices()
        if at is None or trial.found[at] is None or numpy().array_equal(trial.expected[at], trial.found[at]):
            return trial
        bare = msgspec.structs.replace(self, serving=msgspec.structs.replace(self.serving, topk=None))
        scores = [o.train_only for o in self.network.block.outputs].index(False)
        actual, exact = bare.evaluate(module, trial.inputs)[scores], bare.evaluate_in_float64(module, trial.inputs)
        if not _as_large(trial.expected[at - 1], trial.found[at], actual, exact[scores], tolerance):
            return trial
        return msgspec.structs.replace(
            trial, expected=[*trial.expected[:at], trial.found[at], *trial.expected[at + 1 :]]
        )

    def _of_indices(self) -> int | None:
        """Where the indices of the largest scores are among the outputs, behind the scores."""
        first = [output.train_only for output in self.network.block.outputs].index(False)
        return None if self.serving.topk is None else first + 1


def _as_large(largest: Any, indices: Any, scores: Any, exact: Any, tolerance: float | None) -> bool:
    """Do `indices` name different elements along axis 1 of `scores`, as large as the `largest`?"""
    if not are_places(indices, largest, scores, 1):
        return False
    np = numpy()
    apart: Difference = difference("", {}, largest, np.take_along_axis(scores, indices, 1), tolerance)
    return msgspec.structs.replace(apart, rounding=difference("", {}, scores, exact).relative).ok


def around(network: Network, serving: Serving) -> Service:
    """Raises NetcError (`cannot-serve`) for what does not fit the network."""
    return Service(network, serving, served(network, serving))


def _ready(array: Any, value: Value, serving: Serving, *, exact: bool) -> Any:
    """An array as it is given, made what the network takes."""
    if not (is_image(value) and serving.of_images):
        kept = exact or str(array.dtype) == value.type.dtype
        return array if kept else array.astype(value.type.dtype)
    library, (height, width) = torch(), value.type.shape[2:]
    pixels = library.from_numpy(array)
    if serving.layout == "nhwc":
        pixels = pixels.permute(0, 3, 1, 2)
    working = library.float64 if exact or array.dtype == "float64" else library.float32
    pixels = pixels.to(working)
    if serving.resize:
        pixels = library.nn.functional.interpolate(pixels, serving.resize, mode="bilinear", antialias=True)
        pixels = _centre(pixels, height, width)
    if serving.normalise:
        pixels = _normalised(pixels, serving.normalise, 255 if str(array.dtype) == "uint8" else 1)
    target = working if exact else getattr(library, value.type.dtype)
    return pixels.to(target).contiguous().numpy()


def _centre(pixels: Any, height: Any, width: Any) -> Any:
    """torchvision's `center_crop` of what is no smaller."""
    top, left = (round((size - kept) / 2.0) for size, kept in zip(pixels.shape[2:], (height, width), strict=True))
    return pixels[..., top : top + height, left : left + width]


def _normalised(pixels: Any, how: Normalisation, white: int) -> Any:
    """torchvision's `normalize` behind a division by the value of white."""
    mean, std = (torch().tensor(numbers, dtype=pixels.dtype).view(-1, 1, 1) for numbers in (how.mean, how.std))
    scaled = pixels / white if how.scale is None else pixels * how.scale
    return (scaled - mean) / std


def _answers(result: Any, train_only: bool, serving: Serving, *, exact: bool) -> Iterator[Any]:
    """The arrays that an output of the network becomes."""
    if train_only or result is None:
        yield result
        return
    scores = torch().from_numpy(result)
    if serving.keep_io and str(result.dtype) in FLOATS and not exact:
        scores = scores.float()
    if serving.softmax:
        scores = scores.softmax(1)
    if serving.topk is None:
        yield scores.numpy()
        return
    largest = scores.topk(serving.topk, 1)
    yield from (largest.values.numpy(), largest.indices.numpy())
