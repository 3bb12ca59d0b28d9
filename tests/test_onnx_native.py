"""Operators that ONNX has from opset 23 on: used where ONNX Runtime has kernels and computes what PyTorch does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from curated import SPECS

import netc
from netc.backends.onnx import OnnxOptions, build_model
from netc.run import open_model
from netc.run.module import import_network
from netc.verify.graph import check_file, check_shapes

TOKENS, HEADS = "[N, l, 16]", "[N, 4, l, 8]"
Q = "q: [N, 4, l, 8], k: [N, 4, s, 8], v: [N, 4, s, 6]"
CASES: list[tuple[str, str, str, str | None]] = [
    ("rms", f"a: {TOKENS}", "rms_norm @a", "RMSNormalization"),
    ("rms plain", f"a: {TOKENS}", "rms_norm eps=0.1 elementwise_affine=false @a", "RMSNormalization"),
    ("rms axes", "a: [N, 3, 4, 8]", "rms_norm (4 8) @a", "RMSNormalization"),
    ("rms double", "a: {shape: [N, l, 16], dtype: float64}", "rms_norm @a", None),
    ("attention", Q, "sdpa @q @k @v", "Attention"),
    ("attention causal", Q, "sdpa is_causal=true scale=0.3 @q @k @v", "Attention"),
    ("attention mask", f"{Q}, m: [l, s]", "sdpa attn_mask=@m @q @k @v", "Attention"),
    ("attention head", f"{Q}, m: [4, l, s]", "sdpa attn_mask=@m @q @k @v", "Attention"),
    ("attention batch", f"{Q}, m: [N, 1, l, s]", "sdpa attn_mask=@m @q @k @v", "Attention"),
    ("attention row", f"{Q}, m: [1, s]", "sdpa attn_mask=@m @q @k @v", None),
    ("attention truth", f"{Q}, m: {{shape: [l, s], dtype: bool}}", "sdpa attn_mask=@m @q @k @v", None),
    ("attention minus", Q, "sdpa scale=-0.5 @q @k @v", None),
    ("attention flat", "q: [N, l, 8], k: [N, s, 8]", "sdpa @q @k @k", None),
    ("attention stretched", "q: [N, 4, l, 8], k: [1, 4, s, 8]", "sdpa @q @k @k", None),
    ("attention grouped", "q: [N, 4, l, 8], k: [N, 2, s, 8]", "sdpa enable_gqa=true @q @k @k", "Attention"),
    ("heads", f"a: {TOKENS}", "multihead_attention 4 batch_first=true @a", "Attention"),
    ("heads causal", f"a: {TOKENS}", "multihead_attention 4 is_causal=true @a", "Attention"),
    ("heads crossed", "a: [N, l, 16], b: [N, s, 12]", "multihead_attention 4 batch_first=true @a @b", "Attention"),
    ("heads more", f"a: {TOKENS}", "multihead_attention 4 add_bias_kv=true add_zero_attn=true @a", "Attention"),
    ("heads causal more", f"a: {TOKENS}", "multihead_attention 4 add_zero_attn=true is_causal=true @a", None),
    ("heads masked", f"a: {TOKENS}, m: [l, l]", "multihead_attention 4 batch_first=true attn_mask=@m @a", None),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(("name", "inputs", "line", "native"), CASES, ids=[case[0] for case in CASES])
def test_opset_23_computes_what_pytorch_does(
    name: str, inputs: str, line: str, native: str | None, dtype: str, tmp_path: Path
) -> None:
    compiled = dtype if dtype == "float16" and name != "rms double" else None
    line = line.replace("sdpa", "scaled_dot_product_attention")
    network = netc.load(f"netc: 1\nname: n\ninputs: {{{inputs}}}\nnet: {{out: {line}}}\n", dtype=compiled)
    network.write_onnx(tmp_path / "n.onnx", options=OnnxOptions(opset=23))
    assert check_file(tmp_path / "n.onnx").ok
    sizes = {"N": 2, "l": 5, "s": 7}
    assert check_shapes(tmp_path / "n.onnx", sizes).ok, check_shapes(tmp_path / "n.onnx", sizes).detail
    kinds = {node.op_type for node in build_model(network.ir, options=OnnxOptions(opset=23)).graph.node}
    assert kinds & {"Attention", "RMSNormalization"} == ({native} if native else set())
    assert not {n.op_type for n in build_model(network.ir).graph.node} & {"Attention", "RMSNormalization"}
    (tmp_path / "model.py").write_text(network.to_torch(), "utf-8")
    module = import_network(tmp_path / "model.py").eval()
    load_weights(module, tmp_path / "n.safetensors")
    torch.manual_seed(1)
    given = {v.path: example(v.type.shape, v.type.dtype, sizes) for v in network.ir.block.inputs}
    with torch.no_grad():
        expected = module(*given.values())
    found = open_model(tmp_path / "n.onnx", "cpu").run(None, {key: value.numpy() for key, value in given.items()})[0]
    tolerance = 4e-3 if dtype == "float16" else 1e-5
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=tolerance, atol=tolerance)


def load_weights(module: torch.nn.Module, path: Path) -> None:
    from safetensors.torch import load_file

    module.load_state_dict(load_file(path), strict=True, assign=True)


def example(shape: tuple[object, ...], dtype: str, sizes: dict[str, int]) -> torch.Tensor:
    numbers = [size if isinstance(size, int) else sizes[str(size)] for size in shape]
    drawn = torch.randn(numbers)
    return drawn > -0.5 if dtype == "bool" else drawn.to(getattr(torch, dtype))


def test_attention_of_swin_has_four_axes_and_is_onnxs_own() -> None:
    network = netc.load(SPECS / "swin.yaml").ir
    kinds = [node.op_type for node in build_model(network, options=OnnxOptions(opset=23)).graph.node]
    assert kinds.count("Attention") == 12
    assert "Softmax" not in kinds
