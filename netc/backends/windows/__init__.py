"""Pictures of what a layer sees: windows on their input, a convolution as a matrix, the axes a norm averages over."""

from __future__ import annotations

from netc.backends.windows.cube import cube
from netc.backends.windows.draw import WindowScene, animation, multiples
from netc.backends.windows.matrix import Toeplitz, matrix_of, toeplitz
from netc.backends.windows.picture import UnboundSize, Unpicturable, scene_of, sharing_of, strips, strips_undone
from netc.backends.windows.sharing import sharing

__all__ = [
    "Toeplitz",
    "UnboundSize",
    "Unpicturable",
    "WindowScene",
    "animation",
    "cube",
    "matrix_of",
    "multiples",
    "scene_of",
    "sharing",
    "sharing_of",
    "strips",
    "strips_undone",
    "toeplitz",
]
