"""A classifier whose linear layers became convolutions is the classifier slid over a larger image."""

from __future__ import annotations

import pytest
import torch
from curated import model
from torch import Tensor, nn

SIZES = {"classes": 5, "width": 12, "hidden": [16, 14]}
SIDE, STRIDE = 231, 32


def pair(padding: int) -> tuple[nn.Module, nn.Module]:
    """The classifier, and the dense network with the same weights."""
    torch.manual_seed(0)
    classifier, dense = (model(f"overfeat:{name}", padding=padding, **SIZES) for name in ("overfeat", "overfeat_dense"))
    dense.load_state_dict(as_convolutions(classifier, dense), strict=True)
    return classifier.double().eval(), dense.double().eval()


def as_convolutions(classifier: nn.Module, dense: nn.Module) -> dict[str, Tensor]:
    """Each weight out×in of a linear layer as out×channels×height×width, in the order in which flatten reads."""
    wanted = dense.state_dict()
    return {key: value.reshape(wanted[key].shape) for key, value in classifier.state_dict().items()}


@pytest.mark.parametrize("padding", [0, 1])
def test_on_the_classifiers_own_size_both_are_the_same(padding: int) -> None:
    classifier, dense = pair(padding)
    image = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64)
    logits = classifier(image)
    torch.testing.assert_close(dense(image), logits[:, :, None, None], rtol=1e-10, atol=1e-12)
    assert logits.std() > 1e-3


def test_on_a_larger_image_the_classifier_slides() -> None:
    """Without zeros around its inner maps, which a window in the middle of an image has not."""
    classifier, dense = pair(padding=0)
    image = torch.randn(1, 3, SIDE + STRIDE, SIDE + 2 * STRIDE, dtype=torch.float64)
    found = dense(image)
    assert found.shape == (1, 5, 2, 3)
    for row in range(2):
        for column in range(3):
            window = image[..., STRIDE * row :, STRIDE * column :][..., :SIDE, :SIDE]
            torch.testing.assert_close(found[..., row, column], classifier(window), rtol=1e-10, atol=1e-12)
    assert found.std(dim=(2, 3)).min() > 1e-5
