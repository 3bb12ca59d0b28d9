"""Batch norms in eval mode are a factor and a summand per channel: they go into the weights of their neighbours."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from netc.optimise.absorb import Array, absorb_after, absorb_before
from netc.optimise.graph import Graph, attribute


def fold_batch_norm(graph: Graph) -> None:
    """Into the convolution (transposed or deformable too) or linear layer before it, where nothing else reads what that
    gives; else into the one after it, where nothing else reads the norm's and no zeros are padded between."""
    for norm in graph.all("BatchNormalization"):
        affine = _affine(graph, norm)
        if affine is not None:
            _fold(graph, norm, *affine)


def _fold(graph: Graph, norm: NodeProto, scale: Array, shift: Array) -> None:
    before = graph.maker(norm.input[0])
    if before is not None and graph.only_reader(norm.input[0]) is norm and absorb_after(graph, before, scale, shift):
        graph.join(before, norm)
        return
    after = graph.only_reader(norm.output[0])
    if after is not None and after.input[0] == norm.output[0] and absorb_before(graph, after, scale, shift):
        graph.skip(norm)


def _affine(graph: Graph, norm: NodeProto) -> tuple[Array, Array] | None:
    """scale·x + shift; None for a norm that is training, or whose numbers are not constant."""
    training = attribute(norm, "training_mode", 0) or any(norm.output[1:])
    if training or not all(graph.is_constant(name) for name in norm.input[1:5]):
        return None
    gamma, beta, mean, variance = (graph.array(name).astype("float64") for name in norm.input[1:5])
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = gamma / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
        return scale, beta - mean * scale
