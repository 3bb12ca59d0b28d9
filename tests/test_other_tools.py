"""Names and habits of Keras, Caffe, darknet and PyTorch lead to the operator that is meant."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch

import netc
from netc.diagnostics.model import Diagnostic
from tests.spectext import elaborate
from tests.test_remedies import applied

SHAPES = {1: "[N, 8]", 2: "[N, 8, 32]", 3: "[N, 8, 32, 32]", 4: "[N, 8, 16, 16, 16]"}


def text_of(line: str, space: int) -> str:
    return f"netc: 1\nname: net\ninputs: {{data: {SHAPES[space + 1]}}}\nnet: {line}\n"


def found_in(line: str, space: int = 2) -> tuple[str, Diagnostic]:
    text = text_of(line, space)
    (found,) = elaborate(text)[1]
    return text, found


@pytest.mark.parametrize(
    ("line", "space", "meant"),
    [
        ("dense 10", 0, "linear"),
        ("fc 10", 0, "linear"),
        ("InnerProduct 10", 0, "linear"),
        ("Dense 10", 0, "linear"),
        ("conv 16 3", 2, "conv2d"),
        ("conv 16 3", 1, "conv1d"),
        ("Conv2D 16 3", 2, "conv2d"),
        ("Convolution 16 3", 3, "conv3d"),
        ("convolutional 16 3", 2, "conv2d"),
        ("conv2 16 3", 2, "conv2d"),
        ("deconv 16 3", 2, "conv_transpose2d"),
        ("Conv2DTranspose 16 3", 2, "conv_transpose2d"),
        ("ConvTranspose2d 16 3", 2, "conv_transpose2d"),
        ("lrn 5", 2, "local_response_norm"),
        ("view (N 8192)", 2, "reshape"),
        ("swish", 2, "silu"),
        ("hswish", 2, "hardswish"),
        ("leaky 0.1", 2, "leaky_relu"),
        ("LeakyReLU 0.1", 2, "leaky_relu"),
        ("ReLU", 2, "relu"),
        ("upsample scale_factor=2", 2, "interpolate"),
        ("UpSampling2D scale_factor=2", 2, "interpolate"),
        ("maxpool 2", 2, "max_pool2d"),
        ("maxpool 2", 1, "max_pool1d"),
        ("MaxPooling2D 2", 2, "max_pool2d"),
        ("max_pool 2", 3, "max_pool3d"),
        ("Pooling 2", 2, "max_pool2d"),
        ("AveragePooling1D 2", 1, "avg_pool1d"),
        ("batchnorm", 2, "batch_norm2d"),
        ("batchnorm", 0, "batch_norm1d"),
        ("BatchNormalization", 1, "batch_norm1d"),
        ("BatchNorm2d", 2, "batch_norm2d"),
        ("bn", 3, "batch_norm3d"),
        ("LayerNormalization", 1, "layer_norm"),
        ("GlobalAveragePooling2D", 2, "adaptive_avg_pool2d 1"),
        ("global_avg_pool2d", 2, "adaptive_avg_pool2d 1"),
        ("gap", 1, "adaptive_avg_pool1d 1"),
        ("reorg 2", 2, "pixel_unshuffle"),
        ("cat @data @data", 2, "concat"),
        ("Concatenate @data @data", 2, "concat"),
        ("route @data @data", 2, "concat"),
        ("eltwise @data @data", 2, "add"),
        ("shortcut @data @data", 2, "add"),
        ("multiply @data @data", 2, "mul"),
        ("Flatten", 2, "flatten"),
        ("droput 0.5", 2, "dropout"),
        ("connected 10", 0, "linear"),
        ("deconvolutional 8 2", 2, "conv_transpose2d"),
        ("global_pool", 1, "adaptive_avg_pool1d 1"),
        ("clip 0 1", 2, "clamp"),
        ("AbsVal", 2, "abs"),
        ("eltwise_add @data @data", 2, "add"),
        ("skip @data @data", 2, "add"),
        ("ReduceMean 1", 2, "mean"),
        ("swapaxes 1 2", 2, "transpose"),
        ("sigm", 2, "sigmoid"),
        ("rms", 1, "rms_norm"),
        ("absolute", 2, "abs"),
        ("negative", 2, "neg"),
        ("true_divide 2", 2, "div"),
        ("hstack @data @data", 2, "concat"),
        ("tile (1 2 1 1)", 2, "repeat"),
        ('drop_path 0.1 "row"', 2, "stochastic_depth"),
        ("SimpleRNN 8 batch_first=true", 1, "rnn"),
        ("arcsin", 2, "asin"),
        ("long", 2, "cast int64"),
        ("greater_equal 0", 2, "ge"),
        ("not_equal 0", 2, "ne"),
        ("float_power 2", 2, "pow"),
        ("Convolution2D 16 3", 2, "conv2d"),
        ("create_conv2d 16 3", 2, "conv2d"),
        ("fused_batch_norm", 2, "batch_norm2d"),
        ("MVN", 2, "instance_norm2d"),
        ("UnitNormalization", 1, "normalize"),
        ("SelectAdaptivePool2d", 2, "adaptive_avg_pool2d 1"),
        ("local_avgpool 2", 2, "avg_pool2d"),
        ("Resizing scale_factor=2", 2, "interpolate"),
        ("bias_add @data @data", 2, "add"),
        ("scale_channels @data @data", 2, "mul"),
        ("minus @data @data", 2, "sub"),
        ("Mod 2", 2, "remainder"),
        ("Greater 0", 2, "gt"),
        ("ReduceL2 1", 2, "norm"),
        ("stopbackward", 2, "detach"),
        ("im2col 3", 2, "unfold"),
        ("join @data @data", 2, "concat"),
        ("reorg3d 2", 2, "pixel_unshuffle"),
    ],
)
def test_the_operator_meant(line: str, space: int, meant: str) -> None:
    text, found = found_in(line, space)
    word = line.split()[0]
    assert (found.code, found.span and found.span.text) == ("unknown-op", word)
    (fix,) = found.fixes
    assert fix.title == f"did you mean `{meant}`?"
    assert elaborate(applied(text, fix.edits))[1] == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("C2f 64", "write it under `blocks`"),
        ("SPPF 64", "write it under `blocks`"),
        ("cross_entropy", "a loss is not part of a network"),
        ("CrossEntropyLoss", "a loss is not part of a network"),
        ("Input", "inputs are declared under `inputs`"),
        ("DepthwiseConv2D 3", "`conv2d x.C … groups=x.C`"),
        ("SeparableConv2D 16", "netc:separable_conv"),
        ("squeeze_excite 4", "netc:squeeze_excite"),
        ("SELayer", "netc:squeeze_excite"),
        ("yolo 4", "netc:yolo_boxes"),
        ("fpn_ 64", "netc:fpn"),
        ("TransformerBlock 4", "netc:transformer_encoder_layer"),
        ("depthwise 3", "`conv2d x.C … groups=x.C`"),
        ("reflection_pad 1", "`pad … mode=reflect`"),
        ("upsample_nearest scale_factor=2", "`interpolate … mode=nearest`"),
        ("nearest 2", "`interpolate … mode=nearest`"),
        ("Average @data @data", "add them and divide"),
        ("rearrange", "`unflatten`, `permute` and `flatten`"),
        ("swiglu", "`chunk 2 -1`"),
        ("Bidirectional", "`bidirectional=true`"),
        ("GaussianNoise 0.1", "`noise: randn like=@x`"),
        ("clamp_min 0", "`clamp min=…`"),
        ("Accuracy", "a metric is not part of a network"),
        ("nonzero", "how many elements are left depends on what they are"),
        ("lgamma", "ONNX has no operator for it"),
        ("normal", "`noise: randn like=@x`"),
        ("rfft", "netc has no complex numbers"),
        ("select_scatter", "join the parts with `concat`"),
        ("HingeLoss", "a loss is not part of a network"),
        ("cost", "a loss is not part of a network"),
        ("conv3x3 16", "`conv2d … 3`"),
        ("conv1x1 16", "`conv2d … 1`"),
        ("ScaledStdConv2d 16 3", "`conv2d … standardize=true`"),
        ("resize_bilinear 2", "`interpolate … mode=bilinear`"),
        ("mirror_pad 1", "`pad … mode=reflect`"),
        ("BlurPool2d", "write it under `blocks`"),
        ("gem", "write it under `blocks`"),
        ("GlobalResponseNorm", "write it under `blocks`"),
        ("crelu", "write it under `blocks`"),
        ("SqueezeExcite", "netc:squeeze_excite"),
        ("InvertedResidual 16", "netc:inverted_residual"),
        ("TransformerEncoder 4", "netc:transformer_encoder}"),
        ("gaussian_yolo", "netc:yolo_boxes"),
        ("Shape", "`x.C`"),
        ("silence", "leave it out"),
        ("LayerScale", "`gamma: parameter"),
        ("fork", "`@stem`"),
        ("Output", "declared under `outputs`"),
    ],
)
def test_what_there_is_to_say_where_there_is_no_such_operator(line: str, words: str) -> None:
    _, found = found_in(line)
    assert found.code == "unknown-op"
    assert words in found.fixes[0].title


X = torch.tensor([[[-1.2, 0.3, 1.0, 2.0, 0.0], [2.0, -0.4, 1.0, 0.7, -3.0]]])
IN_STEPS: dict[str, Callable[[], torch.Tensor]] = {
    "erfc": lambda: torch.erfc(X),
    "ndtr": lambda: torch.special.ndtr(X),
    "heaviside": lambda: torch.heaviside(X, torch.tensor(0.0)),
    "count_nonzero": lambda: torch.count_nonzero(X, -1),
    "nansum": lambda: X.nansum(-1),
    "nanmean": lambda: X.nanmean(-1),
    "median": lambda: X.sort(-1).values[..., 4],
    "diff": lambda: X.diff(),
    "cdist": lambda: torch.cdist(X, X),
    "rot90": lambda: X.rot90(1, (1, 2)),
    "zeros_like": lambda: torch.zeros_like(X),
    "ones_like": lambda: torch.ones_like(X),
    "full_like": lambda: torch.full_like(X, 0.5),
    "bucketize": lambda: torch.bucketize(X, torch.tensor([-1.0, 0, 1])),
    "isin": lambda: torch.isin(X, torch.tensor([1.0, 2])),
}


@pytest.mark.parametrize("word", IN_STEPS)
def test_what_pytorch_has_as_one_function(word: str) -> None:
    """The lines that are named compute it."""
    (fix,) = found_in(word)[1].fixes
    steps = re.sub(r"@(x|a|b)\b", "@data", fix.title.removeprefix("write it as `").removesuffix("`"))
    outputs = f"outputs: {{y: {re.findall(r'([a-z]+):', steps)[-1]}}}\n" if steps.startswith("{") else ""
    network = netc.load(f"netc: 1\nname: net\ninputs: {{data: [N, 2, 5]}}\nnet: {steps}\n{outputs}")
    assert not network.check()
    torch.testing.assert_close(network.module().eval()(X), IN_STEPS[word](), check_dtype=False)


@pytest.mark.parametrize(("word", "own"), [("sppf", "SPPF"), ("up", "Up"), ("focal_loss", "FocalLoss")])
def test_a_block_of_the_file_comes_before_names_of_other_tools(word: str, own: str) -> None:
    text = f"netc: 1\nname: net\ninputs: {{data: [N, 8]}}\nblocks: {{{own}: {{net: relu}}}}\nnet: {word}\n"
    (found,) = elaborate(text)[1]
    assert found.fixes[0].title == f"did you mean `{own}`?"
    assert elaborate(applied(text, found.fixes[0].edits))[1] == []


@pytest.mark.parametrize("word", ["nn.Dense", "torch.cat", "tf.keras.layers.Dense", "F.max_pool"])
def test_the_name_of_a_library_is_left_out(word: str) -> None:
    library, _, last = word.rpartition(".")
    text, found = found_in(f"{word} 4")
    (fix,) = found.fixes
    assert fix.title == f"leave `{library}.` out: `{last}`"
    (next_found,) = elaborate(applied(text, fix.edits))[1]
    assert next_found.fixes[0].title.startswith("did you mean")


@pytest.mark.parametrize(
    ("line", "space", "words"),
    [
        ("conv2d 16 kernel=3", 2, ("kernel_size",)),
        ("conv2d 16 3 pad=1", 2, ("padding",)),
        ("conv2d 16 3 strides=2 padding=1", 2, ("stride",)),
        ("conv2d filters=16 kernel_size=3", 2, ("out_channels",)),
        ("conv2d 16 3 use_bias=false", 2, ("bias",)),
        ("conv2d 16 3 dilation_rate=2", 2, ("dilation",)),
        ("linear units=10", 0, ("out_features",)),
        ("linear num_output=10", 0, ("out_features",)),
        ("softmax axis=1", 2, ("dim",)),
        ("mean axis=1", 2, ("dim",)),
        ("dropout rate=0.3", 2, ("p",)),
        ("batch_norm2d epsilon=0.001", 2, ("eps",)),
        ("leaky_relu alpha=0.1", 2, ("negative_slope",)),
        ("interpolate scale=2", 2, ("scale_factor",)),
    ],
)
def test_the_argument_meant(line: str, space: int, words: tuple[str, ...]) -> None:
    text = text_of(line, space)
    found = next(one for one in elaborate(text)[1] if one.code == "unknown-argument")
    (fix,) = found.fixes
    assert fix.title == f"did you mean `{words[0]}`?"
    assert elaborate(applied(text, fix.edits))[1] == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("conv2d 16 3 in_channels=8", "it follows from the input"),
        ("batch_norm2d num_features=8", "it follows from the input"),
        ("conv2d 16 3 activation=relu", "an activation is a separate operator"),
        ("conv2d 16 3 name=conv1", "the statement's key is its name"),
        ("conv2d 16 3 kernel_initializer=he_normal", "`init`"),
    ],
)
def test_what_there_is_to_say_where_there_is_no_such_argument(line: str, words: str) -> None:
    found = next(one for one in elaborate(text_of(line, 2))[1] if one.code == "unknown-argument")
    assert words in found.fixes[0].title


@pytest.mark.parametrize(
    ("line", "code", "place", "title"),
    [
        ("conv2d 8 64 2 stride=2", "duplicate-argument", "stride=2", "(8): write `conv2d 64 2 stride=2`"),
        ("conv2d 8 192 3", "too-small", "192", "(8): write `conv2d 192 3`"),
        ("conv2d 8 16 3", "inferred-argument", "conv2d 8 16 3", "(8): write `conv2d 16 3`"),
        ("[flatten, linear 16*4*4 120]", "bad-argument", "120", "(8192): write `linear 120`"),
        ("[flatten, linear 8192 120]", "bad-argument", "120", "(8192): write `linear 120`"),
        ("batch_norm2d 8", "inferred-argument", "batch_norm2d 8", "leave `8` out"),
        ("group_norm 4 8", "inferred-argument", "group_norm 4 8", "leave `8` out"),
        ("instance_norm2d 8", "inferred-argument", "instance_norm2d 8", "leave `8` out"),
        (
            "conv_transpose2d 8 16 3 stride=2",
            "duplicate-argument",
            "stride=2",
            "write `conv_transpose2d 16 3 stride=2`",
        ),
    ],
)
def test_what_follows_from_the_input_is_not_given(line: str, code: str, place: str, title: str) -> None:
    text, found = found_in(line)
    assert (found.code, found.span and found.span.text) == (code, place)
    (fix,) = found.fixes
    assert title in fix.title
    assert elaborate(applied(text, fix.edits))[1] == []


@pytest.mark.parametrize("line", ["conv2d 8 3", "conv2d 8 9 padding=4", "conv2d 16 11 stride=7", "batch_norm2d 0.001"])
def test_lines_that_are_meant_so(line: str) -> None:
    assert elaborate(text_of(line, 2))[1] == []
