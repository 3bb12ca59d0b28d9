"""ONNX files made smaller and faster step by step, each step named, chosen, and compared with the file as it was."""

from __future__ import annotations

from netc.optimise.outcome import Drift, OptimiseReport, StepReport
from netc.optimise.plan import Calibration, OptimisePlan, Step
from netc.optimise.run import optimise

__all__ = ["Calibration", "Drift", "OptimisePlan", "OptimiseReport", "Step", "StepReport", "optimise"]
