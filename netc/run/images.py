"""Pictures as a classifier takes them: shorter side resized, centre cut out, scaled to 0…1 and normalised.

The steps are those of torchvision's `ImageClassification` transform in eval mode, through Pillow.
"""

from __future__ import annotations

import warnings
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from netc.files import open_input
from netc.libraries import numpy, pillow
from netc.passes.serve import BARE, Serving
from netc.run.inputs import bad_input
from netc.types import TensorType

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESIZED, CROPPED = 256, 224
"""The shorter side before the centre is cut out, in proportion to what is cut out."""
WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's names for whole numbers of 16 and 32 bits and for real ones."""
MOST_PIXELS = 100_000_000
"""Of a picture, as it is and resized: 300 MB in colour."""


class Preprocess(msgspec.Struct, frozen=True):
    """size: rows and columns that are cut out, None for those of the model; resize: the shorter side before that, None
    for 256/224 of the shorter of `size`; mean, std: of each channel in 0…1, None for ImageNet's where there are three
    channels and 0 and 1 elsewhere."""

    size: tuple[int, int] | None = None
    resize: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


class PixelLayout(msgspec.Struct, frozen=True):
    """How a model takes pictures: channels first or last, 1 or 3 of them, with or without an axis for the batch, whole
    numbers 0…255 (uint8) or normalised ones."""

    name: str
    channels: int
    last: bool
    dtype: str


def layout_of(name: str, kind: TensorType, serving: Serving = BARE) -> PixelLayout:
    """Raises NetcError (`bad-input`) for an input that no picture can be."""
    if kind.rank == 4:
        for axis in (3, 1) if serving.layout == "nhwc" else (1, 3):
            channels = kind.shape[axis]
            if isinstance(channels, int) and channels in (1, 3) and (kind.dtype == "uint8" or "float" in kind.dtype):
                return PixelLayout(name, channels, axis == 3, kind.dtype)
    shape = "×".join(map(str, kind.shape)) or "a scalar"
    raise bad_input(
        f"{name} is {shape} {kind.dtype}, which does not take pictures: N×C×H×W or N×H×W×C with 1 or 3 channels"
    )


class Prepared(msgspec.Struct, frozen=True):
    """`Preprocess` with every choice made. size: None for pictures as they are; white: what 255 becomes before the mean
    is subtracted."""

    layout: PixelLayout
    size: tuple[int, int] | None
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    white: float

    def __str__(self) -> str:
        sizes = [f"shorter side to {self.resize} (bilinear)", "centre {}×{}".format(*self.size)] if self.size else []
        return ", ".join([*(sizes or ["at its own size"]), self._numbers()])

    def _numbers(self) -> str:
        if self.layout.dtype == "uint8":
            return "whole numbers 0…255"
        if self.mean == (0.0,) and self.std == (1.0,):
            return f"scaled to 0…{self.white:g}"
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"scaled to 0…{self.white:g}, minus mean {mean}, by std {std}"


def prepare(chosen: Preprocess, layout: PixelLayout, size: tuple[int, int], serving: Serving = BARE) -> Prepared:
    """Fill in what `chosen` leaves open and the model does not do itself.

    Raises NetcError (`bad-input`) for means that are no numbers, or not one per channel.
    """
    whole = serving.resize is not None and chosen.size is None and chosen.resize is None
    size, inside = chosen.size or size, serving.normalise
    natural = layout.channels == 3 and inside is None
    mean = chosen.mean or (IMAGENET_MEAN if natural else (0.0,))
    std = chosen.std or (IMAGENET_STD if natural else (1.0,))
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, layout.channels):
            raise bad_input(f"{layout.name} has {layout.channels} channels, the {name} {len(values)} values")
        if not all(map(isfinite, values)):
            raise bad_input(f"the {name} is not a number")
    if 0 in std:
        raise bad_input("the std is 0")
    resize, white = chosen.resize or min(size) * RESIZED // CROPPED, 1 / ((inside and inside.scale) or 1.0)
    return Prepared(layout, None if whole else size, resize, mean, std, white)


def read_images(paths: list[Path], how: Prepared) -> Any:
    """The pictures as one batch of the layout. Raises NetcError (`bad-input`, `missing-library`)."""
    pictures = [_pixels(path, how) for path in paths]
    if len({picture.shape for picture in pictures}) > 1:
        raise bad_input("all pictures of a batch must have the same size: resize them with --resize or --size")
    batch = numpy().stack(pictures)
    if how.layout.dtype != "uint8":
        batch = ((batch / 255.0 * how.white - numpy().array(how.mean)) / numpy().array(how.std)).astype(
            how.layout.dtype
        )
    return batch if how.layout.last else numpy().ascontiguousarray(batch.transpose(0, 3, 1, 2))


def _pixels(path: Path, how: Prepared) -> Any:
    """Rows, columns, channels; uint8."""
    picture = _opened(path, "RGB" if how.layout.channels == 3 else "L")
    if how.size is None:
        return numpy().asarray(picture).reshape(picture.height, picture.width, how.layout.channels)
    scaled = _scaled(picture.size, how.resize)
    if scaled[0] * scaled[1] > MOST_PIXELS:
        before, after = (f"{columns}×{rows}" for columns, rows in (picture.size, scaled))
        raise bad_input(f"{path}: {before} pixels resized would be {after}: too many")
    resized = picture.resize(scaled, pillow().Resampling.BILINEAR)
    cropped = resized.crop(_centre(resized.size, how.size))
    return numpy().asarray(cropped).reshape(*how.size, how.layout.channels)


def _opened(path: Path, mode: str) -> Any:
    """The first picture in a file, in 8 bits. Pillow clips wider pixels, which makes most of them white."""
    library = pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_input(path) as content, library.open(content) as file:
                if file.width * file.height > MOST_PIXELS:
                    raise bad_input(f"{path}: has {file.width}×{file.height} pixels; at most {MOST_PIXELS:,} are read")
                if file.mode in WIDE_MODES:
                    raise bad_input(
                        f"{path}: has more than 8 bits per channel: save it with 8, or give its values as .npy"
                    )
                return file.convert(mode)
    except FileNotFoundError as error:
        raise bad_input(f"{path}: no such file") from error
    except (library.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise bad_input(f"{path}: cannot be read as a picture: {error}") from error


def _scaled(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Columns and rows with the shorter of them at `shorter`; the other is rounded down, as torchvision does."""
    columns, rows = size
    if columns <= rows:
        return shorter, max(1, shorter * rows // columns)
    return max(1, shorter * columns // rows), shorter


def _centre(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box in the middle; beyond the picture it is black."""
    columns, rows = size
    left, top = round((columns - target[1]) / 2), round((rows - target[0]) / 2)
    return left, top, left + target[1], top + target[0]
