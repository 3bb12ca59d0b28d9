"""One-stage detectors of the gallery: decoding by the formulas of the papers, default boxes and detections that fill
only some of their places against torchvision's, deformable stages against plain ones."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize
from vision import torchvision

import netc
from netc.run.model import open_model
from netc.run.module import import_network
from tools.gallery.entries import SPECS
from tools.gallery.peers import randomise
from tools.gallery.wrappers import one_stage

DefaultBoxes = torchvision.models.detection.anchor_utils.DefaultBoxGenerator


def load(spec: str, **args: Any) -> netc.Network:
    return netc.load(SPECS / spec, args=args)


def module_of(network: netc.Network, folder: Path) -> Any:
    (folder / "model.py").write_text(network.to_torch(), encoding="utf-8")
    return import_network(folder / "model.py").eval()


def in_onnxruntime(network: netc.Network, folder: Path, *inputs: Tensor) -> list[Tensor]:
    network.write_onnx(folder / "model.onnx")
    named = dict(zip(network.inputs, (x.numpy() for x in inputs), strict=True))
    return [torch.from_numpy(np.array(y)) for y in open_model(folder / "model.onnx", "cpu").run(None, named)]


# Blocks of the library


def test_the_best_candidates_are_pairs_of_a_box_and_a_class(tmp_path: Path) -> None:
    """Seven rows of five classes: neither is a power of two, and every pair has another score."""
    boxes, scores = torch.randn(2, 7, 4), torch.randperm(70).reshape(2, 7, 5) / 70
    network = netc.load("netc:best_candidates", args={"most": 9}, bind={"N": 2, "m": 7, "k": 5})
    pairs = sorted((-float(scores[1, m, k]), m, k) for m in range(7) for k in range(5))[:9]
    for found in (module_of(network, tmp_path)(boxes, scores), in_onnxruntime(network, tmp_path, boxes, scores)):
        assert torch.equal(found[0][1], boxes[1, [m for _, m, _ in pairs]])
        assert torch.equal(found[1][1], torch.tensor([-s for s, _, _ in pairs]))
        assert found[2][1].tolist() == [k for _, _, k in pairs]


def sigmoid(number: float) -> float:
    return 1 / (1 + exp(-number))


def test_boxes_of_cells_follow_the_formula_of_yolo(tmp_path: Path) -> None:
    """b = σ(t) + c in cells, sizes p·eᵗ, chances σ(t) times those of classes (arXiv 1804.02767, section 2.1)."""
    widths, heights, stride, classes = (10, 16, 33), (13, 30, 23), 8, 2
    said = torch.randn(1, 3 * (5 + classes), 2, 3, generator=torch.Generator().manual_seed(0))
    args = {"classes": classes, "stride": stride, "widths": list(widths), "heights": list(heights)}
    network = netc.load("netc:yolo_boxes", args=args, bind={"N": 1, "c": said.shape[1], "h": 2, "w": 3})
    boxes, scores = module_of(network, tmp_path)(said)
    places = [(row, column, a) for row in range(2) for column in range(3) for a in range(3)]
    for place, (row, column, a) in enumerate(places):
        x, y, w, h, chance, *kinds = said[0, a * (5 + classes) : (a + 1) * (5 + classes), row, column].tolist()
        middle = stride * (sigmoid(x) + column), stride * (sigmoid(y) + row)
        half = widths[a] * exp(w) / 2, heights[a] * exp(h) / 2
        corners = [m + sign * n for sign in (-1, 1) for m, n in zip(middle, half, strict=True)]
        torch.testing.assert_close(boxes[0, place], torch.tensor(corners))
        torch.testing.assert_close(scores[0, place], torch.tensor([sigmoid(chance) * sigmoid(k) for k in kinds]))


# YOLO v1


def test_the_grid_of_yolo_v1_is_read_as_the_paper_says(tmp_path: Path) -> None:
    """Centres in their cell, roots of sizes in the image, chances times class scores (arXiv 1506.02640, section 2)."""
    side, per_cell, classes = 3, 2, 4
    pairs = side * side * per_cell * classes
    network = load("yolo_v1.yaml", S=side, B=per_cell, C=classes, hidden=8, candidates=pairs, most=pairs)
    module = module_of(network, tmp_path)
    randomise(module, {"connected.4.*": 0.1})
    with torch.no_grad():
        nn.init.constant_(module.connected[4].bias, 0.3)
        boxes, scores, labels, count, grid = module.train()(torch.randn(1, 3, 64 * side, 64 * side))
    wanted = {}
    for row, column, b in np.ndindex(side, side, per_cell):
        cell = grid[0, row, column]
        x, y, w, h, chance = cell[5 * b : 5 * b + 5]
        centre = torch.stack([x + column, y + row]) * 64
        half = torch.stack([w, h]) ** 2 * 64 * side / 2
        box = torch.cat([centre - half, centre + half]).clamp(0, 64 * side)
        wanted |= {(label, float(chance * cell[5 * per_cell + label])): box for label in range(classes)}
    assert count[0] > side * side
    for i in range(int(count[0])):
        near = min((abs(score - float(scores[0, i])), score) for label, score in wanted if label == labels[0, i])[1]
        assert near == pytest.approx(float(scores[0, i]), rel=1e-5)
        torch.testing.assert_close(boxes[0, i], wanted[int(labels[0, i]), near])


# SSD and RetinaNet

SCALES_512 = [0.04, 0.1, 0.26, 0.42, 0.58, 0.74, 0.9, 1.06]
STRIDES_512 = [8, 16, 32, 64, 128, 256, 512]


@pytest.mark.parametrize(
    ("variant", "size", "sides", "generator"),
    [
        ("ssd300_vgg16", 300, (38, 19, 10, 5, 3, 1), torchvision.models.detection.ssd300_vgg16),
        (
            "ssd512_vgg16",
            512,
            (64, 32, 16, 8, 4, 2, 1),
            DefaultBoxes([[2], *[[2, 3]] * 4, [2], [2]], scales=SCALES_512, steps=STRIDES_512),
        ),
    ],
)
def test_default_boxes_are_torchvisions(
    variant: str, size: int, sides: tuple[int, ...], generator: Any, tmp_path: Path
) -> None:
    if not isinstance(generator, nn.Module):
        generator = generator(weights=None, weights_backbone=None).anchor_generator
    maps = [torch.zeros(1, 1, side, side) for side in sides]
    images = torchvision.models.detection.image_list.ImageList(torch.zeros(1, 3, size, size), [(size, size)])
    module = module_of(load(f"ssd.yaml:{variant}"), tmp_path)
    ours = torch.cat([module.priors[i](one) for i, one in enumerate(maps)])
    assert len(ours) == {300: 8732, 512: 24564}[size]
    torch.testing.assert_close(ours, generator(images, maps)[0], rtol=1e-5, atol=1e-4)


def test_rescaled_features_are_those_of_ssd(tmp_path: Path) -> None:
    module = module_of(load("ssd.yaml:ssd300_vgg16", classes=3), tmp_path)
    randomise(module)
    image = torch.randn(1, 3, 300, 300)
    with torch.no_grad():
        finest = next(one for one in module.backbone(image) if one.shape[1:] == (512, 38, 38))
        plain = module.backbone.features(image)
    expected = module.backbone.scale_weight.view(1, -1, 1, 1) * normalize(plain)
    torch.testing.assert_close(finest, expected)


def test_detections_that_fill_some_places_are_torchvisions(tmp_path: Path) -> None:
    """Two images, of which one has more above the threshold than the other, and both fewer than there are places."""
    network = load("retinanet.yaml:retinanet_resnet50_fpn_v2", classes=3, candidates=25, most=40, threshold=0.57)
    ours = module_of(network, tmp_path)
    randomise(ours, {"*.bn3.weight": 0.2, "*.bbox_reg.weight": 0.02, "*.cls_logits.weight": 0.02})
    builder = torchvision.models.detection.retinanet_resnet50_fpn_v2
    peer = builder(
        weights_backbone=None, num_classes=3, topk_candidates=25, detections_per_img=40, score_thresh=0.57
    ).eval()
    peer.load_state_dict(ours.state_dict(), strict=True)
    images = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(3))
    images[1] *= 2
    with torch.no_grad():
        expected = one_stage(peer, images)
        boxes, scores, labels, count, *_ = ours(images)
    assert 0 < count.min() < count.max() < 40
    assert torch.equal(count, expected["count"])
    assert torch.equal(labels, expected["labels"])
    torch.testing.assert_close(boxes, expected["boxes"], rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(scores, expected["scores"])


# Deformable convolution


@pytest.mark.parametrize(("variant", "share"), [("deformable_resnet50", 1.0), ("deformable_resnet50_v2", 0.5)])
def test_untrained_offsets_leave_a_trained_resnet_as_it_is(variant: str, share: float, tmp_path: Path) -> None:
    """Offsets start at 0, and masks, which weigh taps, at one half."""
    network = load(f"deformable_resnet.yaml:{variant}", classes=10)
    network.write_weights(tmp_path / "model.safetensors", seed=0)
    ours = module_of(network, tmp_path)
    ours.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    plain = torchvision.models.resnet50(num_classes=10).eval()
    randomise(plain)
    weights = plain.state_dict()
    deformed = {name for name, part in ours.named_modules() if type(part).__name__ == "DeformConv2d"}
    weights |= {f"{name}.weight": weights[f"{name}.weight"] / share for name in deformed}
    found = ours.load_state_dict(weights, strict=False)
    assert found.unexpected_keys == []
    assert all(".taps." in key for key in found.missing_keys)
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        one, other = ours(image), plain(image)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))
