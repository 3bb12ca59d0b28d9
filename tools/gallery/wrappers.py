"""How networks of torchvision that do not take plain tensors are called: `wrapper` of a peer names one of these.

Each takes the peer and our inputs and returns a tensor, a mapping, a tuple or an object for `outputs` to pick from.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from tests.vision import torchvision

Detections = dict[str, Tensor]


def rcnn(module: Any, image: Tensor) -> Detections:
    """A detector of regions behind its transform: images of one size, already normalised. Boxes, scores, labels and
    masks N×K×28×28, zeros after the `count` that were found."""
    sizes = [tuple(image.shape[2:])] * len(image)
    features = module.backbone(image)
    proposals, _ = module.rpn(torchvision.models.detection.image_list.ImageList(image, sizes), features)
    found, _ = module.roi_heads(features, proposals, sizes)
    return _filled(found, module.roi_heads.detections_per_img)


def one_stage(module: Any, image: Tensor) -> Detections:
    """A detector without regions behind its transform: images of one size, already normalised. Boxes, scores and labels
    N×K×…, zeros after the `count` that were found, and while training the scores and offsets of all boxes."""
    sizes = [tuple(image.shape[2:])] * len(image)
    features = list(module.backbone(image).values())
    heads = module.head(features)
    anchors = module.anchor_generator(torchvision.models.detection.image_list.ImageList(image, sizes), features)
    if isinstance(module, torchvision.models.detection.RetinaNet):
        per_level = [9 * one.shape[2] * one.shape[3] for one in features]
        levels = {name: list(values.split(per_level, 1)) for name, values in heads.items()}
        found = module.postprocess_detections(levels, [list(one.split(per_level)) for one in anchors], sizes)
    else:
        found = module.postprocess_detections(heads, anchors, sizes)
    return {**_filled(found, module.detections_per_img), **(heads if module.training else {})}


def _filled(found: list[Detections], places: int) -> Detections:
    """Detections of every image in as many places, zeros after them, and their count."""
    rows = {name: torch.stack([_row(one[name], places) for one in found]) for name in found[0]}
    if "masks" in rows:
        rows["masks"] = rows["masks"].squeeze(2)
    return {**rows, "count": torch.tensor([len(one["scores"]) for one in found])}


def _row(values: Tensor, places: int) -> Tensor:
    return pad(values, [0, 0] * (values.dim() - 1) + [0, places - len(values)])
