"""What stands around a network, as texts that a file can carry, for those who have to feed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from netc.diagnostics.model import failure
from netc.passes.serve import Normalisation, Serving

_MARK = "spec_sha256"
"""Only files that netc wrote have this; the same keys mean nothing in others."""


def serving_metadata(serving: Serving) -> dict[str, str]:
    """A text for each part that is not as in a bare network: `resize` `256x320`, `normalize` `mean=0.5 std=0.2,0.3`."""
    shown = {
        "input_layout": serving.layout if serving.layout != "nchw" else "",
        "input_dtype": serving.image_dtype or "",
        "resize": "x".join(map(str, serving.resize or ())),
        "normalize": _normalised(serving.normalise),
        "softmax": "1" if serving.softmax else "",
        "topk": str(serving.topk or ""),
        "keep_io": "1" if serving.keep_io else "",
    }
    return {key: value for key, value in shown.items() if value}


def _normalised(normalise: Normalisation | None) -> str:
    if normalise is None:
        return ""
    mean, std = (",".join(map(str, numbers)) for numbers in (normalise.mean, normalise.std))
    scale = "" if normalise.scale is None else f" scale={normalise.scale}"
    return f"mean={mean} std={std}{scale}"


def read_serving(metadata: Mapping[str, str], path: str) -> Serving:
    """What the metadata of an ONNX file say stands around its network; nothing where netc did not write it.

    Raises NetcError (`model-file`) naming `path` for texts that netc does not write.
    """
    if _MARK not in metadata:
        return Serving()
    texts = {key: text for key in _FIELDS if (text := metadata.get(key))}
    try:
        plain = {_FIELDS[key][0]: _FIELDS[key][1](text) for key, text in texts.items()}
        return msgspec.convert(plain, Serving)
    except ValueError as error:
        message = f"{path}: its metadata does not describe pre- and postprocessing: {error}"
        raise failure("model-file", message) from error


def _sizes(text: str) -> list[int]:
    return [int(part) for part in text.split("x")]


def _normalisation(text: str) -> dict[str, object]:
    numbers: dict[str, list[Any]] = {
        name: [float(number) for number in listed.split(",")]
        for name, _, listed in (part.partition("=") for part in text.split())
    }
    (scale,) = numbers.pop("scale", [None])
    return {**numbers, "scale": scale}


_FIELDS: dict[str, tuple[str, Callable[[str], object]]] = {
    "input_layout": ("layout", str),
    "input_dtype": ("image_dtype", str),
    "resize": ("resize", _sizes),
    "normalize": ("normalise", _normalisation),
    "softmax": ("softmax", bool),
    "topk": ("topk", int),
    "keep_io": ("keep_io", bool),
}
"""By key of the metadata: the field of `Serving`, and what reads its text or raises ValueError."""
