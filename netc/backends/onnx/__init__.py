"""ONNX straight from the IR: protobuf with names of the spec, weights left in the safetensors file."""

from __future__ import annotations

from netc.backends.onnx.export import build_model, cpu_only, model_bytes
from netc.backends.onnx.options import OnnxOptions
from netc.backends.onnx.write import write_onnx, write_onnx_fresh

__all__ = ["OnnxOptions", "build_model", "cpu_only", "model_bytes", "write_onnx", "write_onnx_fresh"]
