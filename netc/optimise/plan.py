"""What is to be done to a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from netc.run import Preprocess

Step = Literal["fuse-constants", "drop-no-ops", "fold-batch-norm"]

FLOAT_STEPS: tuple[Step, ...] = ("fuse-constants", "drop-no-ops", "fold-batch-norm")
"""In the order they are taken: constants are computed before they are folded into others."""

Method = Literal["minmax", "entropy", "percentile"]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """How 8-bit whole numbers stand for real ones.

    data: a folder of pictures, an `.npy` or `.npz` whose first axis is that of the samples, or `random`; evaluate: the
    same, for measuring the drift, by default `data`. samples: how many are used at most, of random ones how many are
    made. method: how ranges are chosen. keep: globs over node names (spec paths) that stay in floating point.
    symmetric: zero is zero in what is computed too, as TensorRT wants it; it always is in weights.
    """

    data: str
    evaluate: str | None = None
    samples: int = 64
    method: Method = "minmax"
    keep: tuple[str, ...] = ()
    symmetric: bool = False


class OptimisePlan(msgspec.Struct, frozen=True, kw_only=True):
    """steps: those to take, in whatever order. bind: values of symbolic sizes for comparing; several are tried where
    they are free. inputs: given ones to compare on besides random ones, as `netc run --input` takes them. seed, runs,
    tolerance: as for `netc verify`. single: weights inside the ONNX file. preprocess: of pictures. int8: quantise after
    these steps. spare: files that must not be replaced.
    """

    steps: tuple[Step, ...] = ()
    bind: Mapping[str, int] = {}
    inputs: tuple[str, ...] = ()
    seed: int = 0
    runs: int = 2
    tolerance: float | None = None
    single: bool = False
    preprocess: Preprocess = Preprocess()
    int8: Calibration | None = None
    spare: tuple[Path, ...] = ()
