"""The classes a classifier finds most probable, with their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from netc.files import read_input
from netc.libraries import numpy
from netc.run.inputs import bad_input

IMAGENET = Path(__file__).with_name("imagenet.txt")
"""The 1000 classes of ImageNet (ILSVRC 2012), in the order that torchvision's networks have them."""

MAX_BYTES = 16_000_000
"""Of a file of labels."""

NEAR_ONE = 1e-3


class Prediction(msgspec.Struct, frozen=True):
    """A class, its name ("" where there are none) and its probability."""

    index: int
    label: str
    probability: float


class Top(msgspec.Struct, frozen=True):
    """The most probable classes of each row of `output`; `softmax` says whether its values had to be made
    probabilities, `scores` that they are none, and stand in their places."""

    output: str
    softmax: bool
    rows: tuple[tuple[Prediction, ...], ...]
    scores: bool = False

    def lines(self) -> list[str]:
        """A line per guess, numbered rows where there are several."""
        plain = "which are scores" if self.scores else "which are probabilities"
        lines = [f"top      of {self.output}, {'softmax of its values' if self.softmax else plain}"]
        for number, row in enumerate(self.rows):
            head = f"{number}: " if len(self.rows) > 1 else ""
            lines += [f"         {head}{self._shown(g.probability)}  {g.index:>4}  {g.label}".rstrip() for g in row]
        return lines

    def _shown(self, value: float) -> str:
        return f"{value:7.4g}" if self.scores else f"{value:7.2%}"


def read_labels(name: str) -> tuple[str, ...]:
    """The lines of a text file, or those of `imagenet`. Raises NetcError (`bad-input`)."""
    path = IMAGENET if name == "imagenet" else Path(name)
    try:
        labels = tuple(line.strip() for line in read_input(path, MAX_BYTES).decode("utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise bad_input(f"{name}: cannot be read as labels, one per line: {error}") from error
    if not labels:
        raise bad_input(f"{name}: the file is empty; write one label per line")
    return labels


def most_probable(outputs: Mapping[str, Any], count: int, labels: tuple[str, ...]) -> Top | None:
    """Of the first output that is rows of scores of classes; None where there is none. Scores of boxes are not: beside
    them are a box and a class for each.

    Raises NetcError (`bad-input`) where there are labels, and not one for each class.
    """
    scores = next(((name, a) for name, a in outputs.items() if is_of_classes(a, outputs)), None)
    if scores is None:
        return None
    name, array = scores
    if labels and len(labels) != array.shape[1]:
        raise bad_input(f"there are {len(labels)} labels for the {array.shape[1]} classes of {name}")
    values = array.astype("float64")
    needed = not _are_probabilities(values)
    shares = _softmax(values) if needed else values
    return Top(name, needed, tuple(_row(row, count, labels) for row in shares))


def largest(outputs: Mapping[str, Any], count: int, labels: tuple[str, ...], *, scores: bool) -> Top | None:
    """Of a model that puts out the largest `values` itself, with their `indices`; None where these are no rows.

    scores: the values are no probabilities.

    Raises NetcError where there are labels, and too few.
    """
    values, indices = outputs.get("values"), outputs.get("indices")
    if values is None or indices is None or values.ndim != 2 or values.shape != indices.shape:
        return None
    if labels and values.size and indices.max() >= len(labels):
        raise bad_input(f"there are {len(labels)} labels, and class {indices.max()} has none")
    rows = [zip(indices[i, :count].tolist(), values[i, :count].tolist(), strict=True) for i in range(len(values))]
    told = tuple(tuple(Prediction(at, labels[at] if labels else "", value) for at, value in row) for row in rows)
    return Top("values", False, told, scores)


def is_of_classes(array: Any, outputs: Mapping[str, Any]) -> bool:
    """Is an output rows of scores, one for each class?"""
    if array.ndim != 2 or array.dtype.kind != "f":
        return False
    alike = (other for other in outputs.values() if other.shape[:2] == array.shape)
    return not any(other.ndim > 2 or other.dtype.kind == "i" for other in alike)


def _are_probabilities(values: Any) -> bool:
    return bool((values >= 0).all() and (abs(values.sum(1) - 1) < NEAR_ONE).all())


def _softmax(values: Any) -> Any:
    powers = numpy().exp(values - values.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _row(shares: Any, count: int, labels: tuple[str, ...]) -> tuple[Prediction, ...]:
    order = numpy().argsort(-shares, kind="stable")[:count]
    return tuple(Prediction(int(i), labels[i] if labels else "", float(shares[i])) for i in order)
