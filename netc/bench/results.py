"""What a benchmark found, as text."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from netc.bench.measure import NEEDED, Ratio
from netc.bench.profile import Hot, Profile
from netc.passes.sizes import Binding

ALARMING = 1e-3
"""Differences that are worth a line: whatever computes something else needs no comparing."""


class Timing(msgspec.Struct, frozen=True):
    """One contender at one batch size. Times are seconds; percentiles are null where the runs are too few to tell
    them. throughput: batch entries (runs, without a batch) per second at the median; ratio: to netc;
    farthest: largest difference from netc's outputs, as a share of their largest value."""

    name: str
    batch: int | None
    runs: int
    p50: float
    p90: float | None
    p99: float | None
    p999: float | None
    throughput: float
    ratio: Ratio
    farthest: float


class Skipped(msgspec.Struct, frozen=True):
    """What was not measured, and why; `batch` is null where that goes for all."""

    name: str
    batch: int | None
    reason: str


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, where, and with which libraries. memory: peak bytes of a process per contender, at the largest
    batch, libraries and all; empty where not asked for."""

    model: str
    device: str
    processor: str
    threads: int
    seed: int
    versions: dict[str, str]
    binding: dict[str, int]
    timings: tuple[Timing, ...]
    skipped: tuple[Skipped, ...] = ()
    memory: dict[str, int] = {}
    profile: Profile | None = None

    def lines(self) -> list[str]:
        """The report as text, a fact a line."""
        return [
            *self._about(),
            "",
            *aligned([_HEAD, *map(_row, self.timings)]),
            *_too_few(self.timings),
            *(f"skipped   {_who(each)}: {each.reason}" for each in self.skipped),
            *(f"differs   {_alarm(each)}" for each in self.timings if each.farthest > ALARMING),
            *(["", *aligned(_memory_rows(self.memory))] if self.memory else []),
            *(["", *_profile_lines(self.profile)] if self.profile else []),
        ]

    def _about(self) -> list[str]:
        threads = f", {self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return [
            f"model     {self.model}",
            f"device    {self.device} ({self.processor}){threads}",
            f"versions  {versions}",
            *([f"sizes     {sizes(self.binding)}"] if self.binding else []),
        ]


_HEAD = ("", "batch", "runs", "p50", "p90", "p99", "p99.9", "per second", "× netc", "95%")


def sizes(binding: Binding) -> str:
    return ", ".join(f"{name}={value}" for name, value in binding.items())


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as columns, the first flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_joined(row, widths) for row in rows]


def _joined(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()


def _row(timing: Timing) -> tuple[str, ...]:
    points = (timing.p50, timing.p90, timing.p99, timing.p999)
    ratio = timing.ratio
    return (
        timing.name,
        "" if timing.batch is None else str(timing.batch),
        str(timing.runs),
        *("—" if point is None else milliseconds(point) for point in points),
        f"{timing.throughput:.1f}",
        f"{ratio.median:.2f}",
        f"{ratio.low:.2f}…{ratio.high:.2f}",
    )


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _too_few(timings: Sequence[Timing]) -> list[str]:
    """Which percentiles nobody can tell from so few runs."""
    fewest = min((timing.runs for timing in timings), default=0)
    missing = [f"p{share:g} needs {least}" for share, least in NEEDED.items() if fewest < least]
    return [f"—         {', '.join(missing)} runs: there are {fewest}"] if missing else []


def _who(skipped: Skipped) -> str:
    return skipped.name if skipped.batch is None else f"{skipped.name} at batch {skipped.batch}"


def _alarm(timing: Timing) -> str:
    at = "" if timing.batch is None else f" at batch {timing.batch}"
    return (
        f"{timing.name}{at} computes something else: its output differs by {timing.farthest:.1e} of the largest value"
    )


def _memory_rows(memory: dict[str, int]) -> list[tuple[str, str]]:
    return [("", "peak memory"), *((name, f"{count / 1e6:.0f} MB") for name, count in memory.items())]


def _profile_lines(profile: Profile) -> list[str]:
    at = "" if profile.batch is None else f" at batch {profile.batch}"
    title = f"profile of netc{at}, mean of {profile.runs} runs"
    nodes = [("node", "operator", "time", "share"), *map(_hot_row, profile.nodes)]
    blocks = [("block", "", "time", "share"), *map(_hot_row, profile.blocks)]
    return [title, *aligned(nodes), "", *aligned(blocks)]


def _hot_row(hot: Hot) -> tuple[str, str, str, str]:
    return hot.path, hot.op, f"{hot.milliseconds:.3f} ms", f"{hot.share:.1%}"
