"""Which tensors a network's weights file holds, and what each is filled with."""

from __future__ import annotations

import msgspec

from netc.diagnostics.model import NetcError
from netc.ir.flat import flatten, parameters
from netc.ir.model import Network
from netc.ops.records import Fill
from netc.passes.init_rules import fills
from netc.weights.safetensors import TensorSpec


class Planned(msgspec.Struct, frozen=True):
    """A tensor of the weights file and what fresh weights hold in it."""

    spec: TensorSpec
    fill: Fill


def tensors(network: Network) -> tuple[TensorSpec, ...]:
    """The tensors of the network's state_dict, in its order; shared ones once."""
    states = parameters(flatten(network))
    return tuple(TensorSpec(key, param.dtype, param.shape) for key, param, _ in states if param.persistent)


def provenance(network: Network, seed: int | None = None) -> dict[str, str]:
    """The metadata of a weights file: the spec it is for, and what fresh tensors were drawn from."""
    drawn = {} if seed is None else {"seed": str(seed)}
    return {"spec": network.name, "spec_sha256": network.file.sha256, **drawn, "format": "pt"}


def plan(network: Network) -> tuple[Planned, ...]:
    """`tensors`, each with its fill: the operator's own unless an `init` rule of the spec says another.

    Raises NetcError when a rule cannot be carried out.
    """
    filling, problems = fills(network, flatten(network))
    if problems:
        raise NetcError(tuple(problems))
    return tuple(Planned(spec, filling[spec.name]) for spec in tensors(network))
