"""What optimising did and what it changed."""

from __future__ import annotations

from math import inf

import msgspec

from netc.verify import Difference


class StepReport(msgspec.Struct, frozen=True):
    """Nodes before and after a step, and the largest difference of any output from the file as it was."""

    name: str
    before: int
    after: int
    worst: Difference | None

    def line(self, width: int) -> str:
        nodes = f"{self.before} → {self.after} nodes"
        if self.worst is None:
            return f"ok   {self.name:{width}}  {nodes}, nothing to do"
        same = "outputs are equal to the last bit" if self.worst.absolute == 0 else ""
        return f"ok   {self.name:{width}}  {nodes}, {same or f'{self.worst.output} differs by {self.worst.amount()}'}"


class Drift(msgspec.Struct, frozen=True):
    """How far an output in 8 bits is from the same in floating point, over all samples: the cosine of the angle between
    them, signal over noise in decibels, and how often the largest class is the same, where there are classes."""

    output: str
    cosine: float
    snr: float
    top1: float | None

    def __str__(self) -> str:
        noise = "no noise" if self.snr == inf else f"{self.snr:.1f} dB over the noise"
        same = "" if self.top1 is None else f", the same first class in {self.top1:.1%}"
        return f"cosine {self.cosine:.5f}, {noise}{same}"


class Quantised(msgspec.Struct, frozen=True):
    """What was calibrated on what, and the drift on the samples it was evaluated on."""

    before: int
    after: int
    calibrated: str
    evaluated: str
    kept: tuple[str, ...]
    drift: tuple[Drift, ...]

    def lines(self, width: int) -> list[str]:
        kept = f", {len(self.kept)} node{'s' * (len(self.kept) > 1)} kept" if self.kept else ""
        head = f"ok   {'int8':{width}}  {self.before} → {self.after} nodes, calibrated on {self.calibrated}{kept}"
        return [head, *(f"     {'':{width}}  {d.output}: {d} on {self.evaluated}" for d in self.drift)]


class OptimiseReport(msgspec.Struct, frozen=True):
    """Sizes are bytes of the files a model consists of. still: outputs that no input moved,
    so that comparing them shows little."""

    model: str
    files: tuple[str, ...]
    steps: tuple[StepReport, ...]
    size_before: int
    size_after: int
    int8: Quantised | None = None
    still: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report as text, a fact a line."""
        names = [*(step.name for step in self.steps), "size"]
        width = max(map(len, names))
        change = f"{_bytes(self.size_before)} → {_bytes(self.size_after)}"
        return [
            *(step.line(width) for step in self.steps),
            *(self.int8.lines(width) if self.int8 else ()),
            *(
                [f"     {'':{width}}  {', '.join(self.still)}: hardly changes with the input, so this shows little"]
                if self.still
                else ()
            ),
            f"ok   {'size':{width}}  {change}, in {' and '.join(self.files)}",
        ]


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"
