"""Measuring: how fast models run beside one another, and where their time and memory go."""

from __future__ import annotations

from netc.bench.runner import BenchPlan, bench

__all__ = ["BenchPlan", "bench"]
