"""What a verification found."""

from __future__ import annotations

from math import inf

import msgspec

TOLERANCE: dict[str, float] = {"float64": 1e-11, "float32": 2e-5, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference allowed, as a share of the output's largest absolute value; whole numbers must be equal."""

ROUNDINGS = 4.0
"""A network whose own rounding in PyTorch is larger (a hundred layers amplify it) may differ by so many times that."""

TINY = 1e-30

LIMIT = 1e-2
"""More than this share is never rounding."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was checked, and how it went."""

    name: str
    ok: bool
    detail: str


class Difference(msgspec.Struct, frozen=True):
    """PyTorch against onnxruntime on one output. `relative` is a share of the largest absolute value, as is `rounding`:
    how far PyTorch is from itself in float64, 0 where that was not needed."""

    output: str
    binding: dict[str, int]
    dtype: str
    absolute: float
    relative: float
    rounding: float = 0.0

    @property
    def tolerance(self) -> float:
        return max(TOLERANCE.get(self.dtype, 0.0), min(LIMIT, ROUNDINGS * self.rounding))

    @property
    def ok(self) -> bool:
        """Also False for NaN."""
        return self.relative <= self.tolerance

    @property
    def strain(self) -> float:
        """How much of the tolerance is used; infinite for NaN."""
        return self.relative / max(self.tolerance, TINY) if self.relative == self.relative else inf


class VerifyReport(msgspec.Struct, frozen=True):
    """All findings and differences of one network."""

    network: str
    findings: tuple[Finding, ...]
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        return all(f.ok for f in self.findings) and all(d.ok for d in self.differences) and bool(self.differences)

    def lines(self) -> list[str]:
        """The report as text, a fact a line: findings, then the largest difference of each output."""
        width = max((len(f.name) for f in self.findings), default=0)
        facts = [f"{'ok ' if f.ok else 'BAD'}  {f.name:{width}}  {f.detail}" for f in self.findings]
        return [*facts, *(_line(d, width) for d in self._largest())]

    def _largest(self) -> list[Difference]:
        worst: dict[str, Difference] = {}
        for found in self.differences:
            if found.output not in worst or found.strain > worst[found.output].strain:
                worst[found.output] = found
        return list(worst.values())


def _line(found: Difference, width: int) -> str:
    sizes = ", ".join(f"{name}={value}" for name, value in found.binding.items())
    where = f" at {sizes}" if sizes else ""
    amount = f"{found.absolute:.2e} at most, {found.relative:.1e} of the largest value"
    reason = f"{ROUNDINGS:.0f}× PyTorch's own distance to float64" if found.rounding else f"in {found.dtype}"
    allowed = f"(allowed {found.tolerance:.0e}, {reason})"
    verdict = "ok " if found.ok else "BAD"
    return f"{verdict}  {found.output:{width}}  PyTorch and onnxruntime differ by {amount} {allowed}{where}"
