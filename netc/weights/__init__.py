"""Weights as safetensors files whose tensor names are state_dict keys: one, or several with an index."""

from __future__ import annotations

from netc.weights.check import check_weights, fitting_weights
from netc.weights.initialise import fresh_index, fresh_layout, fresh_tensors, init_weights, write_fresh
from netc.weights.plan import Planned, plan, tensors
from netc.weights.safetensors import TensorEntry, TensorSpec, WeightsIndex, lay_out
from netc.weights.shards import Shard, ShardLayout, lay_out_shards, read_index
from netc.weights.write import write_layout

__all__ = [
    "Planned",
    "Shard",
    "ShardLayout",
    "TensorEntry",
    "TensorSpec",
    "WeightsIndex",
    "check_weights",
    "fitting_weights",
    "fresh_index",
    "fresh_layout",
    "fresh_tensors",
    "init_weights",
    "lay_out",
    "lay_out_shards",
    "plan",
    "read_index",
    "tensors",
    "write_fresh",
    "write_layout",
]
