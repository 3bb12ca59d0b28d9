"""`netc new` as a function: the text of a first spec, of one of a few kinds, to be changed."""

from __future__ import annotations

from importlib.resources import files

KINDS = {
    "mlp": "an MLP",
    "resnet": "a ResNet",
    "unet": "a U-Net",
    "transformer": "a transformer",
    "detector": "a detector",
}
"""What the starters are, in words."""
"""What a spec can be begun like; each is a file of `starters`."""

_PLACEHOLDER = "NAME"


def starter(name: str, kind: str) -> str:
    """The text of a spec called `name`, formatted and right as it is. kind: one of `KINDS`."""
    text = files("netc.editor").joinpath("starters", f"{kind}.yaml").read_text(encoding="utf-8")
    return text.replace(f"name: {_PLACEHOLDER}\n", f"name: {name}\n", 1)
