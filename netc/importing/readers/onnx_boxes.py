"""What ONNX has for detectors: convolutions with moved taps, crops of boxes, rows that are looked up."""

from __future__ import annotations

from netc.importing.readers.constants import short
from netc.importing.readers.onnx import Call, handles
from netc.importing.readers.onnx_layers import convolution


@handles("DeformConv")
def deform_conv(call: Call) -> None:
    weight = call.weight(1)
    if len(weight.shape) != 4:
        raise call.gap("netc has deformable convolutions of images only")
    inputs = [call.value(at) for at in (0, 2, 4) if call.has(at)]
    call.result(call.emit("deform_conv2d", *inputs, **convolution(call, weight, 3)))


@handles("RoiAlign")
def roi_align(call: Call) -> None:
    if call.get("mode", "avg") != "avg":
        raise call.gap("netc takes the mean of a cell's samples only")
    x, boxes, sample = call.value(0), call.value(1), call.value(2)
    usual = "half_pixel" if call.reader.opset >= 16 else "output_half_pixel"
    number = call.emit("unsqueeze", call.emit("cast", sample, dtype=boxes.type.dtype), dim=1)
    settings = {
        "output_size": (call.get("output_height", 1), call.get("output_width", 1)),
        "spatial_scale": short(call.get("spatial_scale", 1.0)),
        "sampling_ratio": call.get("sampling_ratio", 0) or -1,
        "aligned": call.get("coordinate_transformation_mode", usual) == "half_pixel",
    }
    call.result(call.emit("roi_align", x, call.emit("concat", number, boxes, dim=1), **settings))


@handles("MaxRoiPool")
def roi_pool(call: Call) -> None:
    size, scale = tuple(call.get("pooled_shape")), short(call.get("spatial_scale", 1.0))
    call.result(call.emit("roi_pool", call.value(0), call.value(1), output_size=size, spatial_scale=scale))


@handles("GatherND")
def gather_nd(call: Call) -> None:
    """Whole slices along one axis: the indices are lists of one number."""
    x, places, axis = call.value(0), call.value(1), call.get("batch_dims", 0)
    if places.type.shape[-1] != 1:
        raise call.gap("netc looks up indices along one axis only")
    if axis == 0 and places.type.rank == 2:
        call.result(call.emit("index_select", x, call.emit("squeeze", places, dim=1), dim=0))
        return
    if places.type.rank != axis + 2:
        raise call.gap("netc looks up one list of indices per sample")
    for _ in range(x.type.rank - places.type.rank):
        places = call.emit("unsqueeze", places, dim=-1)
    if places.type.rank > x.type.rank:
        places = call.emit("squeeze", places, dim=-1)
    call.result(call.emit("take_along_dim", x, places, dim=axis))
