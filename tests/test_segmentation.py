"""Segmentation networks against torchvision's parts and interpolation, where torchvision has no builder for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from curated import model
from safetensors.torch import load_file
from torch.nn.functional import interpolate

import netc
from tests.vision import torchvision
from tools.gallery.peers import randomise

SPECS = Path(__file__).parents[1] / "specs"


def test_deeplab_of_output_stride_16_is_torchvisions_parts() -> None:
    resnet = torchvision.models.resnet50(replace_stride_with_dilation=[False, False, True])
    body = torchvision.models._utils.IntermediateLayerGetter(resnet, {"layer4": "out", "layer3": "aux"})
    segmentation = torchvision.models.segmentation
    head = segmentation.deeplabv3.DeepLabHead(2048, 5, (6, 12, 18))
    theirs = segmentation.DeepLabV3(body, head, segmentation.fcn.FCNHead(1024, 5)).eval()
    randomise(theirs)
    ours = model("deeplabv3:deeplabv3_resnet50_os16", classes=5).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    image = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        found, expected = ours(image), theirs(image)
    for name in ("out", "aux"):
        torch.testing.assert_close(getattr(found, name), expected[name], rtol=1e-4, atol=1e-4)
    assert expected["out"].std() > 0.01


@pytest.mark.parametrize(("block", "stride"), [("basic", 16), ("basic", 8), ("bottleneck", 16), ("bottleneck", 8)])
def test_output_stride_is_the_ratio_of_the_sides(block: str, stride: int) -> None:
    network = netc.load(SPECS / "resnet.yaml", args={"block": block, "output_stride": stride})
    last = [layer for layer in network.summary().layers if layer.path.startswith("layer4.")][-1]
    assert [str(size) for size in last.outputs[0].shape[2:]] == [f"{32 // stride}h", f"{32 // stride}w"]


def test_fresh_fcn_interpolates_its_coarse_scores(tmp_path: Path) -> None:
    """Away from the border; the crop takes the image's place out of the padded map, three elements on."""
    sizes = {"classes": 3, "widths": [4, 4, 4, 4, 4], "hidden": 8}
    netc.load(SPECS / "fcn_vgg.yaml:fcn32s", args=sizes).write_weights(tmp_path / "fcn.safetensors", seed=0)
    fcn = model("fcn_vgg:fcn32s", **sizes).eval()
    fcn.load_state_dict(load_file(tmp_path / "fcn.safetensors"), strict=True)
    assert not fcn.score_fr.weight.any()
    torch.nn.init.normal_(fcn.score_fr.bias)
    torch.nn.init.normal_(fcn.score_fr.weight, std=1e3)
    coarse = []
    fcn.score_fr.register_forward_hook(lambda *call: coarse.append(call[-1]))
    with torch.no_grad():
        found = fcn(torch.randn(1, 3, 128, 160))
    assert found.shape == (1, 3, 128, 160)
    whole = interpolate(coarse[0], scale_factor=32, mode="bilinear")
    torch.testing.assert_close(found[..., 32:96, 32:128], whole[..., 35:99, 35:131], rtol=1e-4, atol=1e-5)
    assert coarse[0].std(dim=(2, 3)).min() > 0
