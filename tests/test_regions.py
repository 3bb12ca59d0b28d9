"""Detectors of regions: what is compared decides something, and names are torchvision's where no builder has them."""

from __future__ import annotations

import pytest
import torch
from vision import torchvision

from tools.gallery.entries import Entry, Sizes, topics
from tools.gallery.peers import build_module, random_inputs, randomise, run_ours, shapes_of

REGIONS = topics()["regions"]
SMALL = [entry for entry in REGIONS if "resnext" not in entry.name and "101" not in entry.name]


@pytest.mark.parametrize("entry", SMALL, ids=[entry.name for entry in SMALL])
def test_the_small_sizes_find_different_things(entry: Entry) -> None:
    """Several boxes of some extent, with scores that are neither 0 nor 1."""
    network = entry.load(entry.small)
    module = build_module(network).eval()
    randomise(module, entry.scales)
    with torch.no_grad():
        found = run_ours(network, module, random_inputs(network))
    places = torch.arange(found["scores"].shape[1])
    real = places < found["count"][:, None]
    sides = found["boxes"][..., 2:] - found["boxes"][..., :2]
    assert int(found["count"].min()) > 1
    assert bool((sides[real] > 0.01).all())
    assert bool((found["labels"][real] > 0).all())
    assert len(found["scores"][real].unique()) > 1
    assert 0.05 < float(found["scores"][real].median()) < 0.999
    assert not any(found[name][~real].any() for name in ("boxes", "scores", "labels"))


def test_resnext_in_the_pyramid_has_torchvisions_names() -> None:
    (entry,) = (entry for entry in REGIONS if "resnext" in entry.name)
    models = torchvision.models.detection
    with torch.device("meta"):
        backbone = models.backbone_utils.resnet_fpn_backbone(backbone_name="resnext101_64x4d", weights=None)
        theirs = models.MaskRCNN(backbone, 91)
    assert shapes_of(build_module(entry.load(Sizes()), "meta")) == shapes_of(theirs)
