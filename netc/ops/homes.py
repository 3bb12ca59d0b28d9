"""Where each operator's class stands, so that a spec loads the modules of the operators it uses and no others."""

from __future__ import annotations

MODULES = {
    "merge": "concat stack",
    "activation": (
        "relu relu6 leaky_relu sigmoid tanh silu gelu hardswish hardsigmoid elu softplus mish prelu identity "
        "detach softmax log_softmax dropout dropout1d dropout2d dropout3d"
    ),
    "adaptive": (
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
        "adaptive_max_pool3d"
    ),
    "arithmetic": "add sub rsub mul pow maximum minimum",
    "anchors": "anchors",
    "attention": "scaled_dot_product_attention",
    "linear": "linear embedding matmul",
    "bag": "embedding_bag",
    "bilinear": "bilinear",
    "masks": "where masked_fill tril triu",
    "blend": "lerp addcmul addcdiv",
    "boxes": "decode_boxes encode_boxes clip_boxes box_convert",
    "cells": "rnn_cell gru_cell lstm_cell",
    "comparison": (
        "eq ne lt le gt ge logical_and logical_or logical_xor logical_not isnan isinf isposinf isneginf isfinite"
    ),
    "cross": "cross",
    "conv": "conv1d conv2d conv3d",
    "conv_transpose": "conv_transpose1d conv_transpose2d conv_transpose3d",
    "fractional": "fractional_max_pool2d",
    "functions": "exp log sqrt rsqrt reciprocal sin cos erf neg abs sign square floor ceil round clamp",
    "curves": "tan asin acos atan sinh cosh asinh acosh atanh sinc deg2rad rad2deg exp2 expm1 log2 log10 log1p logit",
    "deform": "deform_conv2d",
    "reduce": "mean sum amax amin logsumexp prod norm",
    "deviation": "var std",
    "quantifier": "any all",
    "dropout": "alpha_dropout feature_alpha_dropout stochastic_depth",
    "einsum": "einsum",
    "elementwise": (
        "celu selu hardtanh hardshrink softshrink tanhshrink softsign logsigmoid threshold rrelu glu softmin softmax2d"
    ),
    "expand": "expand",
    "splitting": "chunk split unbind select narrow channel_shuffle pixel_shuffle pixel_unshuffle",
    "extremes": "argmax argmin max min topk",
    "unfold": "unfold fold",
    "local": "locally_connected1d locally_connected2d",
    "lookup": "index_select take_along_dim",
    "multihead": "multihead_attention",
    "noise": "randn rand",
    "norm": (
        "batch_norm1d batch_norm2d batch_norm3d instance_norm1d instance_norm2d instance_norm3d layer_norm "
        "group_norm local_response_norm"
    ),
    "normalise": "rms_norm normalize l2_norm layer_norm2d frozen_batch_norm2d",
    "order": "cumsum sort argsort",
    "running": "cumprod cummax cummin logcumsumexp",
    "pairs": "atan2 hypot logaddexp logaddexp2 fmax fmin copysign xlogy isclose bitwise_and bitwise_or bitwise_xor",
    "pool": "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d",
    "power_pool": "lp_pool1d lp_pool2d lp_pool3d",
    "quotient": "div remainder fmod floor_divide",
    "rearrange": "repeat slice gather flip roll cast",
    "recurrent": "rnn gru lstm",
    "relative": "relative_position_index",
    "resize": "interpolate",
    "pad": "pad",
    "roi": "roi_pool roi_align",
    "roi_levels": "multiscale_roi_align",
    "roi_position": "ps_roi_align",
    "rounding": "trunc frac signbit nan_to_num bitwise_not",
    "sample": "grid_sample affine_grid",
    "scatter": "scatter scatter_add scatter_reduce one_hot repeat_interleave",
    "shape": "flatten reshape unflatten permute transpose squeeze unsqueeze",
    "similarity": "cosine_similarity pairwise_distance",
    "source": "parameter buffer constant arange",
    "squareplus": "squareplus",
    "suppress": "nms",
    "unpool": "max_unpool1d max_unpool2d max_unpool3d",
}
"""The operators of each module, in the order of docs/ops.md."""

HOMES = {name: module for module, names in MODULES.items() for name in names.split()}
"""The module of each operator."""
