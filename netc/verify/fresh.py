"""Fresh weights made fit for comparing: what starts at a constant gets small random values around it.

A head of zeros, a scale of zero or a class token of zeros hides everything before it: any two programs agree then.
"""

from __future__ import annotations

from math import prod

import msgspec

from netc.ir.flat import flatten, parameters
from netc.ir.model import Network
from netc.ops.records import Fill
from netc.verify.differences import CheckResult
from netc.weights import WeightsIndex, plan
from netc.weights.fill import filled

SPREAD = 0.1
"""Standard deviation around zero and small constants; of larger ones this share of the constant, so signs stay."""


def stir_constants(network: Network, index: WeightsIndex, seed: int) -> CheckResult:
    """Overwrite the trainable parameters of fresh weights that are one constant, in their file."""
    trainable = {key for key, param, _ in parameters(flatten(network)) if param.trainable}
    constant = {p.spec.name: p.fill for p in plan(network) if p.spec.name in trainable and p.fill.kind == "constant"}
    for name, fill in constant.items():
        _overwrite(index, name, _around(fill), seed)
    detail = f"{len(constant)} parameters that start at a constant were given small random values around it"
    return CheckResult("fresh weights", True, detail if constant else "no parameter starts at a constant")


def _around(fill: Fill) -> Fill:
    return msgspec.structs.replace(fill, kind="normal", b=SPREAD * (abs(fill.a) if abs(fill.a) >= SPREAD else 1))


def _overwrite(index: WeightsIndex, name: str, fill: Fill, seed: int) -> None:
    entry = index.tensors[name]
    with entry.file.open("r+b") as file:
        file.seek(entry.start)
        for chunk in filled(fill, entry.dtype, prod(entry.shape), seed, f"{name} around {fill.a}"):
            file.write(chunk)
