"""Weights as one safetensors file whose tensor names are state_dict keys."""

from __future__ import annotations

from netc.weights.check import check_weights, fitting_weights
from netc.weights.initialise import fresh_index, init_weights
from netc.weights.plan import Planned, plan, tensors
from netc.weights.safetensors import TensorEntry, TensorSpec, WeightsIndex, lay_out, read_index

__all__ = [
    "Planned",
    "TensorEntry",
    "TensorSpec",
    "WeightsIndex",
    "check_weights",
    "fitting_weights",
    "fresh_index",
    "init_weights",
    "lay_out",
    "plan",
    "read_index",
    "tensors",
]
