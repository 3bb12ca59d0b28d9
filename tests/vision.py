"""torchvision's Python code, which imports without its compiled operators once the two it names are declared.

Suppression is given in Python, and crops are torchvision's own in Python, without a compiler: its detectors run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

if not hasattr(torch.ops.torchvision, "nms"):
    _declared = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        _declared.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import torchvision


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that overlap no better one too much, best first."""
    order = scores.argsort(descending=True, stable=True)
    ranked, kept = boxes[order], []
    alive = torch.ones_like(order, dtype=torch.bool)
    for place in range(len(order)):
        if alive[place]:
            kept.append(place)
            alive &= ~(torchvision.ops.box_iou(ranked[place : place + 1], ranked)[0] > iou_threshold)
    return order[kept]


def _with_no_boxes(crops: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(crops)
    def roi_align(x: Tensor, rois: Tensor, *options: object) -> Tensor:
        return crops(x, rois, *options) if len(rois) else crops(x, rois.new_zeros(1, 5), *options)[:0]

    return roi_align


def _with_zeros_outside(samples: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """As the compiled operator has it; the one in Python goes on with the last row and column."""

    @wraps(samples)
    def interpolate(x: Tensor, sample: Tensor, rows: Tensor, columns: Tensor, *masks: Tensor) -> Tensor:
        height, width = x.shape[2:]
        tall, wide = (rows >= -1) & (rows <= height), (columns >= -1) & (columns <= width)
        inside = tall[:, None, :, None, :, None] & wide[:, None, None, :, None, :]
        return samples(x, sample, rows, columns, *masks).masked_fill(~inside, 0)

    return interpolate


if not torchvision.extension._has_ops():
    _declared.impl("nms", nms, "CPU")
    torchvision.extension._has_ops = lambda: True
    _names = torchvision.ops.roi_align.__globals__
    _names["_bilinear_interpolate"] = _with_zeros_outside(_names["_bilinear_interpolate"])
    _names["_roi_align"] = _with_no_boxes(_names["_roi_align"].__wrapped__)

__all__ = ["torchvision"]
