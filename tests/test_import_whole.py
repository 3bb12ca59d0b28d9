"""Parts of PyTorch modules that loop over boxes: netc's own are imported as the operators they are, others are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import netc

DETECTOR = """
netc: 1
name: detector
inputs: {image: [N, 3, 32, 32]}
net:
  body: conv2d 8 3 stride=4 padding=1
  raw: [conv2d 4 1 @body, flatten 2, transpose 1 2]
  first: slice 2 end=2 @raw
  size: [slice 2 start=2 @raw, abs, add 4]
  last: add @first @size
  corners: concat dim=2 @first @last
  scores: [conv2d 1 1 @body, flatten]
  kept: nms 5 iou_threshold=0.4 SETTINGS @corners @scores
  places: unsqueeze 2 @kept.indices
  best: take_along_dim 1 @corners @places
  crops: POOL @body @best
  head: [flatten @crops, linear 2]
outputs: {head: head, count: kept.count}
"""
POOLS = ["roi_align 3", "roi_align 3 spatial_scale=0.25 sampling_ratio=2", "roi_align 2 aligned=true", "roi_pool 2"]


def spec(pool: str, settings: str = "score_threshold=0.1 min_size=1") -> str:
    return DETECTOR.replace("POOL", pool).replace("SETTINGS", settings)


@pytest.mark.parametrize("pool", [*POOLS, "ps_roi_align 2", "multiscale_roi_align 2 (4)"])
def test_a_detector_comes_back(pool: str) -> None:
    module = netc.load(spec(pool)).module(seed=3).eval()
    found = netc.import_torch(module, (torch.randn(2, 3, 32, 32),))
    assert [f" {name} " in found.text for name in ("nms", pool.split()[0])] == [True, True]
    assert found.report.shown.parameters == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("settings", ["", "score_threshold=0.1", "min_size=2"])
def test_with_every_set_of_options(settings: str) -> None:
    module = netc.load(spec("roi_pool 2", settings)).module(seed=3).eval()
    text = netc.import_torch(module, (torch.randn(2, 3, 32, 32),)).text
    assert f"nms 5 iou_threshold=0.4 {settings}".rstrip() in text


def test_a_class_that_was_changed_is_not_netcs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = netc.load(spec("roi_pool 2")).to_torch()
    changed = source.replace("shared / (area.gather(1, best) + area - shared)", "shared / area.clamp(min=1)")
    assert changed != source
    (tmp_path / "changed_detector.py").write_text(changed, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import changed_detector  # type: ignore[import-not-found]

    with pytest.raises(netc.NetcError, match=r"torch\.export cannot export it"):
        netc.import_torch(changed_detector.Detector().eval(), (torch.randn(2, 3, 32, 32),))


def test_the_module_is_as_it_was() -> None:
    module = netc.load(spec("roi_align 3")).module(seed=3).eval()
    x = torch.randn(2, 3, 32, 32)
    before = module(x)
    netc.import_torch(module, (x,))
    assert all("forward" not in vars(part) for part in module.modules())
    for one, other in zip(before, module(x), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
