"""The library's blocks of detectors against torchvision's region proposals and detections, and their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from vision import torchvision

import netc
from netc.run.module import import_network
from netc.verify.network import verify

detection = torchvision.models.detection
ImageList = detection.image_list.ImageList
Anchors = detection.anchor_utils.AnchorGenerator
IMAGES = torch.zeros(2, 3, 64, 96)
SIDES = [(64, 96)] * 2
REGIONS, CLASSES = 40, 6


def module_of(network: netc.Network, folder: Path) -> Any:
    (folder / "model.py").write_text(network.to_torch(), encoding="utf-8")
    return import_network(folder / "model.py").eval()


def filled(rows: list[Tensor], places: int) -> Tensor:
    """Rows of each sample, then zeros."""
    made = rows[0].new_zeros(len(rows), places, *rows[0].shape[1:])
    for n, row in enumerate(rows):
        made[n, : len(row)] = row
    return made


def proposer(top: int, most: int, overlap: float, min_size: float, kinds: int, anchors: Any) -> Any:
    network = detection.rpn.RegionProposalNetwork(
        anchors,
        detection.rpn.RPNHead(8, kinds),
        *(0.5, 0.5, 1, 0.5),
        {"training": top, "testing": top},
        {"training": most, "testing": most},
        overlap,
    ).eval()
    network.min_size = min_size
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.15)
    return network


@pytest.mark.parametrize(("top", "most", "overlap", "min_size"), [(50, 20, 0.7, 0.001), (500, 300, 0.3, 8.0)])
@pytest.mark.parametrize(("sizes", "ratios"), [([16, 32], [0.5, 1.0, 2.0]), ([24], [1.0])])
def test_region_proposals_are_torchvisions(
    sizes: list[int], ratios: list[float], top: int, most: int, overlap: float, min_size: float, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    args = {"sizes": sizes, "ratios": ratios, "top": top, "most": most, "overlap": overlap, "min_size": min_size}
    bind = {"N": 2, "c": 3, "i": 64, "j": 96, "d": 8, "h": 4, "w": 6}
    kinds = len(sizes) * len(ratios)
    theirs = proposer(top, most, overlap, min_size, kinds, Anchors((tuple(sizes),), (tuple(ratios),)))
    ours = module_of(netc.load("netc:rpn", args=args, bind=bind), tmp_path)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    features = torch.randn(2, 8, 4, 6)
    with torch.no_grad():
        expected, _ = theirs(ImageList(IMAGES, SIDES), {"0": features})
        boxes = ours(IMAGES, features)
    assert all(2 < len(rows) <= most for rows in expected)
    torch.testing.assert_close(boxes[0] if isinstance(boxes, tuple) else boxes, filled(expected, most))


def heads(threshold: float, overlap: float, most: int) -> Any:
    return detection.roi_heads.RoIHeads(
        None, None, None, 0.5, 0.5, 1, 0.5, (10.0, 10.0, 5.0, 5.0), threshold, overlap, most
    )


def regions() -> Tensor:
    corners = torch.rand(2, REGIONS, 2, 2) * torch.tensor([96.0, 64.0])
    return torch.cat([corners.amin(2), corners.amax(2)], 2)


@pytest.mark.parametrize(("threshold", "overlap", "most"), [(0.05, 0.5, 20), (0.05, 0.5, 300), (0.3, 0.1, 60)])
def test_boxes_of_classes_are_torchvisions(threshold: float, overlap: float, most: int, tmp_path: Path) -> None:
    torch.manual_seed(2)
    boxes = regions()
    logits, deltas = torch.randn(2 * REGIONS, CLASSES), torch.randn(2 * REGIONS, 4 * CLASSES)
    expected = heads(threshold, overlap, most).postprocess_detections(logits, deltas, list(boxes), SIDES)
    bind = {"N": 2, "c": 3, "i": 64, "j": 96, "k": REGIONS, "l": CLASSES}
    args = {"threshold": threshold, "overlap": overlap, "most": most}
    found = module_of(netc.load("netc:class_boxes", args=args, bind=bind), tmp_path)(IMAGES, boxes, logits, deltas)
    for one, other in zip(found[:3], (expected[0], expected[1], expected[2]), strict=True):
        torch.testing.assert_close(one, filled(other, most))
    assert found[3].tolist() == [len(rows) for rows in expected[0]]
    assert min(found[3].tolist()) > 5


@pytest.mark.parametrize("most", [5, 200])
def test_detections_are_batched_suppression(most: int, tmp_path: Path) -> None:
    torch.manual_seed(3)
    boxes, scores, labels = regions(), torch.rand(2, REGIONS), torch.randint(0, 3, (2, REGIONS))
    args = {"most": most, "overlap": 0.4, "threshold": 0.2, "min_size": 3}
    network = netc.load("netc:detections", args=args, bind={"N": 2, "m": REGIONS})
    found = module_of(network, tmp_path)(boxes, scores, labels)
    for n in range(2):
        sides = boxes[n, :, 2:] - boxes[n, :, :2]
        allowed = ((scores[n] > 0.2) & (sides >= 3).all(1)).nonzero()[:, 0]
        best = torchvision.ops.batched_nms(boxes[n][allowed], scores[n][allowed], labels[n][allowed], 0.4)
        rows = allowed[best][:most]
        for one, other in zip(found[:3], (boxes, scores, labels), strict=True):
            assert torch.equal(one[n], filled([other[n][rows]], most)[0])
        assert found[3][n] == len(rows) > 3


@pytest.mark.parametrize(
    ("name", "fixed", "free"),
    [
        ("proposals", {}, {"c": 3, "i": 64, "j": 96, "h": 4, "w": 6}),
        ("rpn", {"d": 8}, {"c": 3, "i": 64, "j": 96, "h": 4, "w": 6}),
        ("detections", {}, {"m": 30}),
        ("class_boxes", {"k": REGIONS, "l": CLASSES}, {"c": 3, "i": 64, "j": 96}),
    ],
)
def test_onnxruntime_agrees(name: str, fixed: dict[str, int], free: dict[str, int]) -> None:
    report = verify(netc.load(f"netc:{name}", bind=fixed).ir, bind={"N": 2, **free})
    assert report.ok, "\n".join(report.lines())


def test_few_anchors_are_followed_by_empty_boxes_that_score_nothing(tmp_path: Path) -> None:
    args = {"sizes": [16], "ratios": [1], "top": 30}
    network = netc.load("netc:proposals", args=args, bind={"N": 2, "c": 3, "i": 64, "j": 96, "h": 4, "w": 6})
    boxes, scores, *_ = module_of(network, tmp_path)(IMAGES, torch.randn(2, 1, 4, 6), torch.randn(2, 4, 4, 6))
    assert boxes[:, :24].abs().sum((1, 2)).min() > 0
    assert not boxes[:, 24:].any()
    assert (scores[:, :24] > 0).all()
    assert not scores[:, 24:].any()
