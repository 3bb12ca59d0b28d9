"""Where the time of a model goes: onnxruntime's own profile, by the paths that nodes have in the spec."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from netc.artifacts import temporary_folder
from netc.bench.subjects import Arrays, Device
from netc.run.model import Settings, open_model, read_opened

_KERNEL = "_kernel_time"
RUNTIME = "(onnxruntime)"
"""What onnxruntime puts in by itself, such as a change of layout."""
_WIDENED = "InsertedPrecisionFreeCast_"
"""Before the names of nodes that compute in float32 instead of float16, and of casts around them."""
_WARMUP = 2


class Hot(msgspec.Struct, frozen=True):
    """Time of a node, or of a block: milliseconds per run, and the share of all kernels."""

    path: str
    op: str
    milliseconds: float
    share: float


class Profile(msgspec.Struct, frozen=True):
    """Of one batch size; longest first. `runs` are those the means are over; profiling slows them."""

    batch: int | None
    runs: int
    nodes: tuple[Hot, ...]
    blocks: tuple[Hot, ...]


class _Event(msgspec.Struct, frozen=True):
    path: str
    op: str
    seconds: float


def profile(path: str | Path, place: Device, arrays: Arrays, batch: int | None, runs: int, top: int) -> Profile:
    """Run a model with onnxruntime's profiling, and add up what nodes and what the blocks at the top take."""
    names = {node.name for node in read_opened(path).graph.node}
    with temporary_folder() as folder:
        settings = Settings(place.threads, profile=str(Path(folder) / "profile"), named=True)
        session = open_model(path, place.provider, settings)
        for _ in range(_WARMUP + runs):
            session.run(None, dict(arrays))
        recorded = json.loads(Path(session.handle.end_profiling()).read_text("utf-8"))
    events = list(_events(_timed(recorded), names))
    hottest = _added((each.path, each.op, each.seconds) for each in events)
    blocks = _added((each.path.partition(".")[0], "", each.seconds) for each in events)
    return Profile(batch, runs, tuple(_hot(hottest, runs))[:top], tuple(_hot(blocks, runs)))


def _timed(recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Kernels of the runs that count, by the runs' own spans."""
    whole = sorted(each["ts"] for each in recorded if each.get("name") == "model_run")
    first = whole[_WARMUP]
    return [each for each in recorded if each.get("name", "").endswith(_KERNEL) and each["ts"] >= first]


def _events(kernels: Iterable[dict[str, Any]], names: set[str]) -> Iterable[_Event]:
    for each in kernels:
        op, name = each["args"].get("op_name", ""), each["name"].removesuffix(_KERNEL)
        path = spec_path(name if op == "Cast" else name.removeprefix(_WIDENED), names)
        yield _Event(path or RUNTIME, op, each["dur"] / 1e6)


def spec_path(node: str, names: set[str]) -> str:
    """The path in the spec of what onnxruntime runs, which it names after one of the nodes it fused; empty for its own.

    netc's nodes are named by path, with the operator behind a slash where a path has several.
    """
    for end in range(len(node), 0, -1):
        if node[:end] in names:
            return node[:end].partition("/")[0]
    return ""


def _added(events: Iterable[tuple[str, str, float]]) -> list[_Event]:
    total: dict[tuple[str, str], float] = {}
    for path, op, seconds in events:
        total[path, op] = total.get((path, op), 0.0) + seconds
    return sorted((_Event(path, op, seconds) for (path, op), seconds in total.items()), key=lambda e: -e.seconds)


def _hot(events: list[_Event], runs: int) -> Iterable[Hot]:
    whole = sum(each.seconds for each in events) or 1.0
    return (Hot(each.path, each.op, each.seconds * 1000 / runs, each.seconds / whole) for each in events)
