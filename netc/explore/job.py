"""What a sweep is: plain data, so that any process on any machine can be told to make a part of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from netc import __version__
from netc.explore.space import Axis, Space

Measure = Literal["parameters", "trainable", "macs", "activations", "field", "latency", "memory", "verify"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
COMPILED: frozenset[Measure] = frozenset(("parameters", "trainable", "macs", "activations", "field"))
"""Those that follow from the spec alone; the others need the network to be run."""

Status = Literal["ok", "excluded", "invalid", "failed"]
Cell = int | float | str | None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep.

    path, text: the spec and what it says. bind: numbers for symbols. where: a condition, or nothing. reference: the
    trial that every latency is compared with. rounds: how often each network is run for its latency. plugins, imports:
    entry points of operators, and folders that the spec may import from. limit: steps that checking a network may take.
    """

    path: str
    text: str
    variant: str | None = None
    bind: dict[str, int] = {}
    space: Space
    where: str = ""
    measures: tuple[Measure, ...] = ("parameters", "macs")
    seed: int = 0
    reference: int | None = None
    rounds: int = 20
    threads: int = 1
    plugins: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    limit: int | None = None

    @property
    def runs(self) -> bool:
        """Whether networks are run, not only compiled."""
        return not COMPILED.issuperset(self.measures)

    @property
    def digest(self) -> str:
        """Equal for sweeps whose rows are the same."""
        return hashlib.sha256(__version__.encode() + msgspec.json.encode(self)).hexdigest()


class TrialRow(msgspec.Struct, frozen=True):
    """A trial.

    status: `ok`; `excluded` by the condition; `invalid` where the network does not check; `failed` where it could not
    be measured, or computes something else in ONNX. reason: why it is not ok. cells: what was measured.
    """

    trial: int
    status: Status
    reason: str = ""
    cells: dict[str, Cell] = {}


def argument_columns(axes: Iterable[Axis]) -> dict[str, str]:
    """The columns of arguments by their names: these, but `arg.macs` for one that is called as another column is."""
    others = {"trial", "status", "pareto", "reason", *columns(MEASURES)}
    return {axis.name: f"arg.{axis.name}" if axis.name in others else axis.name for axis in axes}


def columns(measures: tuple[Measure, ...]) -> dict[str, type]:
    """What is measured by the names of the table's columns, and of which type it is."""
    kinds: dict[str, type] = {}
    for measure in measures:
        if measure == "latency":
            kinds |= {"latency_ms": float, "latency_ratio": float}
        elif measure == "verify":
            kinds["difference"] = float
        else:
            kinds[measure] = int
    return kinds
