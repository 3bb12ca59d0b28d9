"""What a verification found."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import msgspec

from netc.diagnostics.suggest import elided, few

TOLERANCE: dict[str, float] = {"float64": 1e-11, "float32": 2e-5, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference allowed, as a share of the output's largest absolute value; whole numbers must be equal."""

ROUNDINGS = 4.0
"""A network whose own rounding in PyTorch is larger (a hundred layers amplify it) may differ by so many times that."""

TINY = 1e-30

LIMIT = 1e-2
"""More than this share is never rounding."""


class CheckResult(msgspec.Struct, frozen=True):
    """One thing that was checked, and how it went."""

    name: str
    ok: bool
    detail: str


class Difference(msgspec.Struct, frozen=True):
    """Two programs compared on one tensor. `relative` is a share of the largest absolute value, as is `rounding`: how
    far PyTorch is from itself in float64 or whatever `measure` says, 0 where that was not needed; `given`: a tolerance
    that someone asked for; `nans`: how many elements are NaN in both."""

    output: str
    binding: dict[str, int]
    dtype: str
    absolute: float
    relative: float
    rounding: float = 0.0
    given: float | None = None
    measure: str = "PyTorch's own distance to float64"
    nans: int = 0

    @property
    def tolerance(self) -> float:
        if self.given is not None:
            return self.given
        if self.dtype not in TOLERANCE:
            return 0.0
        return max(TOLERANCE[self.dtype], min(LIMIT, ROUNDINGS * self.rounding))

    @property
    def ok(self) -> bool:
        """Also False where one of the two is NaN."""
        return self.relative <= self.tolerance

    @property
    def strain(self) -> float:
        """How much of the tolerance is used; infinite where one of the two is NaN."""
        return self.relative / max(self.tolerance, TINY) if self.relative == self.relative else inf

    def amount(self) -> str:
        """`1.2e-06 at most, 3.4e-07 of the largest value (allowed 2e-05, in float32) at h=7`."""
        sizes = ", ".join(f"{name}={value}" for name, value in sorted(self.binding.items()))
        where = f" at {sizes}" if sizes else ""
        nans = f"; {self.nans:,} {'element is' if self.nans == 1 else 'elements are'} NaN in both" if self.nans else ""
        return f"{self.absolute:.2e} at most, {self.relative:.1e} of the largest value {self._allowed()}{where}{nans}"

    def _allowed(self) -> str:
        return f"(allowed {self.tolerance:.0e}, {self._reason()})"

    def _reason(self) -> str:
        if self.given is not None:
            return "as asked"
        widened = self.tolerance > TOLERANCE.get(self.dtype, 0.0)
        return f"{ROUNDINGS:.0f}× {self.measure}" if widened else f"in {self.dtype}"


class LayerDifference(msgspec.Struct, frozen=True):
    """A value inside the network that was compared: `path` of the statement that makes it, `place` its file and line,
    `inputs` what the statement reads, with the relative difference where that was compared too; `joined` statements
    before it whose own values the file does not give, so that they were computed together with it."""

    path: str
    operator: str
    place: str
    difference: Difference
    inputs: dict[str, float | None]
    joined: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Where it is, its numbers, and those of what it reads."""
        reads = ", ".join(f"{name} {'not compared' if d is None else f'{d:.1e}'}" for name, d in self.inputs.items())
        return [
            self.where(),
            f"differs by {self.difference.amount()}",
            *([f"its inputs differ by: {reads}"] if reads else []),
        ]

    def where(self) -> str:
        """`head.fc (linear, specs/net.yaml:7)`, and what was computed together with it."""
        together = f", together with {few(self.joined)}" if self.joined else ""
        return f"{self.path} ({self.operator}{f', {self.place}' if self.place else ''}){together}"


class StepsReport(msgspec.Struct, frozen=True):
    """Every statement computed in PyTorch from onnxruntime's own values of what it reads.

    statements: so many, in `steps` steps as onnxruntime fuses them; joined: those whose values the file does not name,
    so that they were computed together with what reads them; missing: those that nothing the file gives depends on.
    outputs: those that the steps end in. culprit: the first statement that makes something else from equal inputs;
    worst: what is nearest to its tolerance. parts: what differs end to end though what it is made from does not: where
    rounding decides. equals: what names other ones of exactly equal elements, which its operator leaves open. astray:
    outputs that PyTorch's module as a whole computes differently from its statements one by one; unlike: those that
    onnxruntime computes differently when asked for intermediate values.
    """

    statements: int
    steps: int
    joined: tuple[str, ...]
    missing: tuple[str, ...]
    outputs: tuple[str, ...]
    culprit: LayerDifference | None
    worst: LayerDifference | None
    parts: tuple[LayerDifference, ...]
    equals: tuple[str, ...] = ()
    astray: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        wrong = self.culprit is not None or bool(self.astray or self.unlike)
        return not wrong and self.steps > 0 and self.worst is not None

    def lines(self, width: int) -> list[str]:
        """The report as text: the verdict, then what there is to know about it."""
        first, *more = self._failure() if not self.ok else [*self._agreement(), *self._remarks()]
        head = f"{'ok ' if self.ok else 'BAD'}  {'steps':{width}}"
        return [f"{head}  {first}", *(f"     {'':{width}}  {line}" for line in more)]

    def _agreement(self) -> Iterator[str]:
        yield f"given equal inputs, each of the {self.statements} statements computes the same on both sides"
        if self.worst is not None:
            yield f"nearest to its tolerance is {self.worst.path}: {self.worst.difference.amount()}"
        for part in self.parts:
            where, differs, *reads = part.lines()
            yield f"rounding decides in {where}"
            yield from (f"  {differs}", *(f"  {line}" for line in reads))

    def _failure(self) -> list[str]:
        if self.culprit is not None:
            where, *more = self.culprit.lines()
            return [f"different results from equal inputs: {where}", *more]
        if self.astray:
            return [f"PyTorch's module computes {few(self.astray)} differently from its statements one by one"]
        if self.unlike:
            return [f"onnxruntime computes {few(self.unlike)} differently when asked for intermediate values"]
        return ["the file gives no value that the network has"]

    def _remarks(self) -> Iterator[str]:
        if self.joined:
            why = "the file does not give their values"
            yield f"{len(self.joined)} compared together with what reads them, as {why}: {few(self.joined)}"
        if self.missing:
            yield f"{len(self.missing)} have no counterpart in the file and were not compared: {few(self.missing)}"
        if self.equals:
            yield f"ties are broken differently, as they may be: {few(self.equals)}"


class LayersReport(msgspec.Struct, frozen=True):
    """Every value inside compared, in the order it is computed.

    first: the first that differs by more than its tolerance; worst: the one nearest to its tolerance, or farthest past
    it; absent: statements without a value of that name on the other side; astray: outputs that PyTorch's module as a
    whole computes differently from its statements one by one, so that its code is at fault and no operator.
    """

    compared: int
    absent: tuple[str, ...]
    first: LayerDifference | None
    worst: LayerDifference | None
    astray: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.first is None and self.compared > 0 and not self.astray

    def agrees(self, steps: StepsReport | None) -> bool:
        """Whether all values are equal, or those that are not come from statements that are."""
        return self.ok or (steps is not None and steps.ok and self.compared > 0 and not self.astray)

    def lines(self, width: int, steps: StepsReport | None = None) -> list[str]:
        """The report as text, the first that differs with its numbers."""
        verdict, name = ("ok " if self.agrees(steps) else "BAD"), f"{'layers':{width}}"
        head = f"{verdict}  {name}  {self.compared} values compared{self._left_out()}"
        if self.first is not None:
            first, *more = self.first.lines()
            return [f"{head}; the first to differ: {first}", *(f"     {'':{width}}  {line}" for line in more)]
        if self.astray:
            names = ", ".join(self.astray)
            return [
                f"{head} and equal, but PyTorch's module computes {names} differently from its statements one by one"
            ]
        if self.worst is None:
            return [f"{head}: no intermediate value has the same name on both sides"]
        return [f"{head}; nearest to its tolerance is {self.worst.path}: {self.worst.difference.amount()}"]

    def _left_out(self) -> str:
        return f", {len(self.absent)} without a counterpart ({elided(self.absent)})" if self.absent else ""


class VerifyReport(msgspec.Struct, frozen=True):
    """All findings and differences of one network, between the two `sides`; `steps` where any output or value differed.

    sensitivity: per output, how far another input moves it, as a share of its largest value: what never moves shows
    little.
    """

    network: str
    findings: tuple[CheckResult, ...]
    differences: tuple[Difference, ...]
    sensitivity: dict[str, float] = {}
    layers: LayersReport | None = None
    sides: tuple[str, str] = ("PyTorch", "onnxruntime")
    steps: StepsReport | None = None

    @property
    def ok(self) -> bool:
        passed = all(f.ok for f in self.findings) and all(map(self.agrees, self.differences)) and bool(self.differences)
        return passed and (self.layers is None or self.layers.agrees(self.steps))

    @property
    def failed(self) -> tuple[str, ...]:
        """The findings that are not as they must be, by name; the sides may agree all the same."""
        return tuple(finding.name for finding in self.findings if not finding.ok)

    def agrees(self, difference: Difference) -> bool:
        """Whether an output is equal, or else what it comes from, step by step."""
        return difference.ok or self._stepwise(difference)

    def _stepwise(self, difference: Difference) -> bool:
        return (
            not difference.ok and self.steps is not None and self.steps.ok and difference.output in self.steps.outputs
        )

    @property
    def still(self) -> tuple[str, ...]:
        """Outputs that are the same for every input."""
        return tuple(name for name, share in self.sensitivity.items() if share == 0)

    def lines(self) -> list[str]:
        """The report as text, a fact a line: findings, then the largest difference of each output."""
        width = max((len(f.name) for f in self.findings), default=0)
        facts = [f"{'ok ' if f.ok else 'BAD'}  {f.name:{width}}  {f.detail}" for f in self.findings]
        layers = self.layers.lines(width, self.steps) if self.layers is not None else []
        steps = self.steps.lines(width) if self.steps is not None else []
        return [*facts, *self._moves(width), *layers, *(self._line(d, width) for d in self._largest()), *steps]

    def outcome(self) -> list[str]:
        """The differences alone, a line for each output."""
        width = max((len(d.output) for d in self.differences), default=0)
        return [self._line(d, width) for d in self._largest()]

    def _moves(self, width: int) -> list[str]:
        if not self.sensitivity:
            return []
        shares = ", ".join(f"{name} by {share:.0%}" for name, share in self.sensitivity.items())
        whole = "its largest value" if len(self.sensitivity) == 1 else "their largest values"
        note = (
            f"; {', '.join(self.still)}: the same for every input, so the comparison shows little" if self.still else ""
        )
        return [f"ok   {'sensitivity':{width}}  another input changes {shares} of {whole}{note}"]

    def _line(self, difference: Difference, width: int) -> str:
        verdict, how = (
            ("ok " if self.agrees(difference) else "BAD"),
            ("; equal step by step" if self._stepwise(difference) else ""),
        )
        return (
            f"{verdict}  {difference.output:{width}}  {' and '.join(self.sides)} differ by {difference.amount()}{how}"
        )

    def _largest(self) -> list[Difference]:
        worst: dict[str, Difference] = {}
        for difference in self.differences:
            if difference.output not in worst or difference.strain > worst[difference.output].strain:
                worst[difference.output] = difference
        return list(worst.values())
