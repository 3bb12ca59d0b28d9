"""What a YAML file of Ultralytics says: its layers in rows, and the scales that they come in.

A row is `[from, repeats, module, arguments]`. A scale is a depth, by which repeats are multiplied, a width, by which
channels are, and what channels are at most before that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from netc.diagnostics.model import NetcError, Source
from netc.importing.graph import Gap
from netc.importing.readers.listed import read_text
from netc.syntax import nodes
from netc.syntax.findings import SourceFindings
from netc.syntax.yaml import load_tree

MOST_ROWS = 1_000
MOST_SCALES = 20
LARGEST = 1 << 20
"""Of any whole number in a file."""

_STEM = re.compile(r"(?P<family>yolo(e-)?v?\d+)(?P<scale>[nsmblx]?)(?P<rest>[-_]\w.*|)")
_INTEGER = re.compile(r"[-+]?\d{1,9}", re.ASCII)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?", re.ASCII)
_CONSTANTS: Mapping[str, Any] = {"None": None, "True": True, "False": False, "true": True, "false": False}


class Scale(msgspec.Struct, frozen=True):
    """How deep and wide a network is."""

    name: str = ""
    depth: float = 1.0
    width: float = 1.0
    most: float = math.inf

    def channels(self, count: int) -> int:
        """A multiple of 8."""
        return math.ceil(min(count, self.most) * self.width / 8) * 8

    def repeats(self, count: int) -> int:
        return max(round(count * self.depth), 1) if count > 1 else count


class ModuleRow(msgspec.Struct, frozen=True):
    """A layer. `sources`: the rows that it reads, -1 for the picture."""

    at: int
    place: str
    sources: tuple[int, ...]
    repeats: int
    module: str
    arguments: tuple[Any, ...]

    def gap(self, why: str) -> Gap:
        return Gap(why, f"{self.place}, layer {self.at} [{self.module}]")


class Described(msgspec.Struct, frozen=True):
    """A file. `scales`: the one that is meant first; `bins`: of the distances to the sides of a box."""

    name: str
    scales: tuple[Scale, ...]
    rows: tuple[ModuleRow, ...]
    classes: int
    channels: int
    bins: int
    once: bool
    points: tuple[int, ...]
    activation: str


def found(path: Path) -> Path:
    """The file that is meant: `yolov8s.yaml` is scale s of `yolov8.yaml` where it is not there itself."""
    match = _STEM.fullmatch(path.stem)
    if path.exists() or match is None or not match["scale"]:
        return path
    return path.with_name(match["family"] + match["rest"] + path.suffix)


def described(path: Path) -> Described:
    """Raises Gap, and NetcError for a text that is not YAML."""
    text = read_text(found(path))
    entries = _mapping(path, text)
    if "backbone" not in entries and "head" not in entries:
        netc = "netc" in entries
        raise Gap("is already a netc spec" if netc else "has neither a backbone nor a head, as Ultralytics's have")
    match = _STEM.fullmatch(path.stem)
    name = match["family"] + match["rest"] if match else path.stem
    rows = _rows([*_listed(entries.get("backbone"), "backbone"), *_listed(entries.get("head"), "head")], text)
    return Described(
        name=name,
        scales=_scales(entries, match["scale"] if match else ""),
        rows=rows,
        classes=_whole(entries, "nc", 80),
        channels=_whole(entries, "channels", _whole(entries, "ch", 3)),
        bins=_whole(entries, "reg_max", 16),
        once=_plain(entries.get("end2end")) is True,
        points=tuple(_plain(entries.get("kpt_shape")) or ()),
        activation=str(_plain(entries.get("activation")) or ""),
    )


def _mapping(path: Path, text: str) -> dict[str, nodes.Node]:
    report = SourceFindings(Source(str(path), text))
    tree = load_tree(report)
    if report.failed or tree is None:
        raise NetcError(tuple(report.diagnostics))
    if not isinstance(tree, nodes.Mapping):
        raise Gap("is not a mapping with a backbone and a head")
    return {key.text: value for key, value in tree.entries}


def _plain(node: nodes.Node | None) -> Any:
    """A value as Python has it; words stay texts."""
    if isinstance(node, nodes.Sequence):
        return tuple(_plain(item) for item in node.items)
    if isinstance(node, nodes.Mapping):
        return {key.text: _plain(value) for key, value in node.entries}
    if not isinstance(node, nodes.Scalar) or node.empty:
        return None
    text = node.text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _whole(entries: Mapping[str, nodes.Node], key: str, default: int) -> int:
    value = _plain(entries.get(key))
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise Gap(f"{key} must be a whole number from 1 to {LARGEST:,}")
    return value


def _scales(entries: Mapping[str, nodes.Node], wanted: str) -> tuple[Scale, ...]:
    listed = _plain(entries.get("scales"))
    if not listed:
        depth, width = (_factor(_plain(entries.get(key)), key) for key in ("depth_multiple", "width_multiple"))
        return (Scale(depth=depth, width=width),)
    if not isinstance(listed, dict) or len(listed) > MOST_SCALES:
        raise Gap(f"scales must be a mapping of at most {MOST_SCALES} names to [depth, width, max_channels]")
    scales = []
    for name, numbers in listed.items():
        if not isinstance(numbers, tuple) or len(numbers) != 3 or not re.fullmatch(r"[A-Za-z]\w{0,20}", name):
            raise Gap(f"scale {name[:40]} must be [depth, width, max_channels]")
        scales.append(Scale(name, *(_factor(number, f"scale {name}") for number in numbers)))
    return tuple(sorted(scales, key=lambda scale: scale.name != wanted))


def _factor(value: Any, what: str) -> float:
    value = 1.0 if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST:
        raise Gap(f"{what} must have numbers from 0 to {LARGEST:,}")
    return value


def _listed(node: nodes.Node | None, key: str) -> tuple[nodes.Node, ...]:
    if node is None:
        return ()
    if not isinstance(node, nodes.Sequence):
        raise Gap(f"{key} must be a list of rows")
    return node.items


def _rows(items: list[nodes.Node], text: str) -> tuple[ModuleRow, ...]:
    if len(items) > MOST_ROWS:
        raise Gap(f"has more than {MOST_ROWS:,} layers")
    return tuple(_row(at, item, f"line {text.count(chr(10), 0, item.start) + 1}") for at, item in enumerate(items))


def _row(at: int, item: nodes.Node, place: str) -> ModuleRow:
    row = _plain(item)
    if not isinstance(row, tuple) or len(row) != 4:
        raise Gap("a row is [from, repeats, module, arguments]", place)
    sources, repeats, module, arguments = row
    several = sources if isinstance(sources, tuple) else (sources,)
    if not several or any(not isinstance(n, int) or isinstance(n, bool) for n in several):
        raise Gap("`from` must be a layer's number, or a list of them", place)
    if not isinstance(repeats, int) or isinstance(repeats, bool) or not 1 <= repeats <= MOST_ROWS:
        raise Gap(f"repeats must be a whole number from 1 to {MOST_ROWS:,}", place)
    if not isinstance(module, str):
        raise Gap("the module must be a word", place)
    places = tuple(n if n >= 0 else at + n for n in several)
    if any(not (-1 if at == 0 or n == -1 else 0) <= n < at for n in places):
        raise Gap("reads a layer that does not come before it", place)
    listed = arguments if isinstance(arguments, tuple) else () if arguments is None else (arguments,)
    return ModuleRow(at, place, places, repeats, module, listed)
