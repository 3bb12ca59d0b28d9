"""Colours by what they mean, for each theme; safe for colour-blind readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from netc.ops.base import Family

Theme = Literal["light", "dark", "print"]

_LIGHT = {
    "paper": "#FFFFFF",
    "ink": "#1A1A1A",
    "dark": "#374151",
    "pale": "#6B7280",
    "line": "#5A5A5A",
    "skip": "#B4491D",
    "frame": "#B9C0CA",
    "panel": "#F4F5F7",
    "header": "#E3E7ED",
    "run": "#D5DAE3",
    "on_dark": "#FFFFFF",
    "shared": "#EDE9FE",
    "on_shared": "#4C1D95",
    "rule": "#D5DAE3",
    "conv": "#99BFE6",
    "conv_line": "#3C556E",
    "conv_side": "#7FA9D6",
    "conv_top": "#B9D6F2",
    "norm": "#B2E6FF",
    "norm_line": "#4C6E80",
    "activation": "#F2E6A6",
    "activation_line": "#776E44",
    "pool": "#73CCB2",
    "pool_line": "#225E4C",
    "pool_side": "#57B598",
    "pool_top": "#9ADFCB",
    "upsample": "#CCD966",
    "upsample_line": "#5E661A",
    "upsample_side": "#B5C34C",
    "upsample_top": "#DFE89A",
    "linear": "#FFBFCC",
    "linear_line": "#80555E",
    "linear_side": "#F0A3B3",
    "linear_top": "#FFD9E1",
    "merge": "#F2A68C",
    "merge_line": "#774433",
    "merge_side": "#E08B6E",
    "merge_top": "#F8C8B7",
    "other": "#E6E6E6",
    "other_line": "#6E6E6E",
    "other_side": "#D8D8D8",
    "other_top": "#F7F7F7",
    "stage": "#F5F6F8",
    "stage_line": "#6B7280",
    "copied": "#FBE3D9",
    "way_conv": "#3C6EA5",
    "way_point": "#8E44AD",
    "way_down": "#2E8B6F",
    "way_up": "#8A9426",
    "added": "#1A7F37",
    "added_fill": "#DAFBE1",
    "removed": "#B4232C",
    "removed_fill": "#FFE3E3",
    "changed": "#8A6100",
    "changed_fill": "#FFF3C4",
}
_DARK = {
    "paper": "#14171C",
    "ink": "#F0F2F5",
    "dark": "#C7CDD6",
    "pale": "#98A1AE",
    "line": "#A3A9B3",
    "skip": "#F0905F",
    "frame": "#4A5361",
    "panel": "#1C2129",
    "header": "#2A313C",
    "run": "#384253",
    "on_dark": "#14171C",
    "shared": "#3B2E6B",
    "on_shared": "#D9CCFF",
    "rule": "#384253",
    "conv": "#274B6E",
    "conv_line": "#8FBBE8",
    "conv_side": "#1E3C5A",
    "conv_top": "#32608C",
    "norm": "#1F4D61",
    "norm_line": "#8CCBE8",
    "activation": "#564B18",
    "activation_line": "#D9C76C",
    "pool": "#1B5646",
    "pool_line": "#6FD0B3",
    "pool_side": "#154537",
    "pool_top": "#247059",
    "upsample": "#4D5416",
    "upsample_line": "#C3D15A",
    "upsample_side": "#3D4311",
    "upsample_top": "#646D1D",
    "linear": "#6B3340",
    "linear_line": "#F2A7B7",
    "linear_side": "#552833",
    "linear_top": "#874253",
    "merge": "#6E3826",
    "merge_line": "#F2A68C",
    "merge_side": "#582C1E",
    "merge_top": "#8B4832",
    "other": "#333A45",
    "other_line": "#9AA3B0",
    "other_side": "#29303A",
    "other_top": "#414A58",
    "stage": "#20262F",
    "stage_line": "#98A1AE",
    "copied": "#5B3A2C",
    "way_conv": "#7FB0E6",
    "way_point": "#C792E6",
    "way_down": "#6FD0B3",
    "way_up": "#C3D15A",
    "added": "#56D364",
    "added_fill": "#12351C",
    "removed": "#FF7B72",
    "removed_fill": "#47191B",
    "changed": "#E3B341",
    "changed_fill": "#43340E",
}
_GREYS = {
    "conv": "#DADADA",
    "norm": "#EFEFEF",
    "activation": "#FFFFFF",
    "pool": "#BDBDBD",
    "upsample": "#CBCBCB",
    "linear": "#E6E6E6",
    "merge": "#FFFFFF",
    "other": "#F6F6F6",
    "stage": "#FFFFFF",
    "copied": "#F2F2F2",
    "panel": "#FFFFFF",
    "header": "#EDEDED",
    "run": "#DADADA",
    "shared": "#FFFFFF",
    "paper": "#FFFFFF",
    "on_dark": "#FFFFFF",
    "frame": "#8A8A8A",
    "rule": "#BDBDBD",
    "pale": "#4A4A4A",
}


def _print() -> dict[str, str]:
    """Greys that a photocopy keeps apart: lines and letters black, sides darker, tops lighter than the faces."""
    colours = dict.fromkeys(_LIGHT, "#000000") | _GREYS
    for name, grey in _GREYS.items():
        if f"{name}_side" in _LIGHT:
            level = int(grey[1:3], 16)
            colours[f"{name}_side"] = "#" + f"{max(0, level - 40):02X}" * 3
            colours[f"{name}_top"] = "#" + f"{min(255, level + 20):02X}" * 3
    for name in ("added_fill", "removed_fill", "changed_fill"):
        colours[name] = "#FFFFFF"
    return colours


PALETTES: Mapping[Theme, Mapping[str, str]] = {"light": _LIGHT, "dark": _DARK, "print": _print()}

_NAMES: Mapping[Family | None, str] = {
    Family.CONV: "conv",
    Family.NORM: "norm",
    Family.ACTIVATION: "activation",
    Family.POOL: "pool",
    Family.UPSAMPLE: "upsample",
    Family.LINEAR: "linear",
    Family.MERGE: "merge",
    None: "stage",
}
WORDS: Mapping[str, str] = {
    "conv": "convolution",
    "norm": "normalisation",
    "activation": "activation",
    "pool": "pooling",
    "upsample": "upsampling",
    "linear": "linear, recurrent, attention",
    "merge": "sum, product, concatenation",
    "other": "shape, dropout and others",
    "stage": "a closed block",
}
"""What a colour stands for, in a legend."""


def colour_name(family: Family | None) -> str:
    """The name of a family's colour; None is a stage."""
    return _NAMES.get(family, "other")


def colours_of(family: Family | None) -> tuple[str, str]:
    """Names of fill and line."""
    name = colour_name(family)
    return name, f"{name}_line"
