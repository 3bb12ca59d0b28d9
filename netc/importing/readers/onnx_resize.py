"""ONNX's ways of resizing in netc's words, which are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np

from netc.dims import Dim, Size, exact_div
from netc.importing.graph import Value
from netc.importing.readers.constants import once, short
from netc.importing.readers.onnx import Call, handles, whole_number


@handles("Resize", "Upsample")
def resize(call: Call) -> None:
    x = call.value(0)
    target, factors = _target(call, x)
    settings = _interpolation(call, x.type.rank, factors)
    inner = x.type.shape[2:]
    whole = [exact_div(b, a) for a, b in zip(inner, target, strict=True)]
    if settings.get("align_corners") or any(not isinstance(k, int) for k in whole):
        if factors is not None and not settings.get("align_corners"):
            call.result(call.emit("interpolate", x, scale_factor=once(map(short, factors)), **settings))
            return
        if any(isinstance(n, Dim) for n in target):
            like = call.reader.sized.get(tuple(target)) or _with_space(call, tuple(target))
            if like is None:
                raise call.gap("no tensor has the requested size")
            call.result(call.emit_all("interpolate", x, references={"like": like}, **settings)[0])
            return
        call.result(call.emit("interpolate", x, size=tuple(target), **settings))
        return
    like = call.reader.sized.get(tuple(target))
    if like is not None and like.maker is not x.maker:
        call.result(call.emit_all("interpolate", x, references={"like": like}, **settings)[0])
        return
    call.result(call.emit("interpolate", x, scale_factor=once(map(float, whole)), **settings))  # type: ignore[arg-type]


def _with_space(call: Call, space: tuple[Size, ...]) -> Value | None:
    graph = call.reader.graph
    values = [*graph.inputs, *(v for node in reversed(graph.nodes) for v in node.outputs)]
    return next((v for v in values if v.type.shape[2:] == space), None)


def _target(call: Call, x: Value) -> tuple[list[Any], list[float] | None]:
    """The spatial sizes of the result, and the factors where the file gives these."""
    at = 1 if call.op_type == "Upsample" or len(call.node.input) == 2 else 2
    scales = call.get("scales") if "scales" in call.attributes else call.known(at)
    if scales is not None and len(np.asarray(scales).reshape(-1)):
        factors = [float(s) for s in np.asarray(scales).reshape(-1)]
        _only_space(call, factors[:2] == [1.0, 1.0])
        out = []
        for n, factor in zip(x.type.shape[2:], factors[2:], strict=True):
            num, den = factor.as_integer_ratio()
            out.append(n * num // den)
        return out, factors[2:]
    array = call.known(3)
    if array is None:
        raise call.gap("the requested size depends on the data")
    sizes = [whole_number(n) for n in array.reshape(-1)]
    _only_space(call, sizes[1] == x.type.shape[1])
    return sizes[2:], None


def _only_space(call: Call, right: bool) -> None:
    if not right or call.get("axes") is not None or call.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise call.gap("netc resizes spatial axes only")


def _interpolation(call: Call, rank: int, factors: list[float] | None) -> dict[str, Any]:
    mode = call.get("mode", "nearest")
    place = call.get("coordinate_transformation_mode", "asymmetric" if call.op_type == "Upsample" else "half_pixel")
    if mode == "nearest":
        nearest = call.get("nearest_mode", "round_prefer_floor" if call.op_type == "Resize" else "floor")
        if (place, nearest) == ("asymmetric", "floor"):
            return {"mode": "nearest"}
        if place in ("half_pixel", "pytorch_half_pixel"):
            if nearest == "round_prefer_ceil":
                return {"mode": "nearest-exact"}
            if factors and all(f.is_integer() for f in factors):
                return {"mode": "nearest"}
        raise call.gap("netc has PyTorch's rules for the nearest element only")
    words = {("linear", 3): "linear", ("linear", 4): "bilinear", ("linear", 5): "trilinear", ("cubic", 4): "bicubic"}
    if (mode, rank) not in words or (mode == "cubic" and short(call.get("cubic_coeff_a", -0.75)) != -0.75):
        raise call.gap("netc has PyTorch's interpolation modes only")
    if place not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise call.gap("netc interpolates with half-pixel centres or aligned corners only")
    aligned = {"align_corners": True} if place == "align_corners" else {}
    return {"mode": words[mode, rank], **aligned, **({"antialias": True} if call.get("antialias", 0) else {})}
