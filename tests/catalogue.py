"""Operators in the variants that networks use, family by family; of those that have no line, what their class calls a
typical use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from netc.cli.typical import typical_use
from netc.ops import OPERATORS, Op


class Family(NamedTuple):
    """Inputs of a network and its lines, each of which is an output; the values that may be the same for all inputs."""

    inputs: str
    lines: str
    still: tuple[str, ...] = ()
    imports: str = ""
    outputs: str = ""

    def spec(self, name: str) -> str:
        """The network: lines without a name get one from their place."""
        lines = [line.strip() for line in self.lines.strip().splitlines()]
        named = [line if re.match(r"\w+: ", line) else f"line{at}: {line}" for at, line in enumerate(lines)]
        outputs = ", ".join(f"{key}: {key}" for key in (line.partition(":")[0] for line in named))
        net = "".join(f"  {line}\n" for line in named)
        outputs += f", {self.outputs}" if self.outputs else ""
        imports = f"import: {{{self.imports}}}\n" if self.imports else ""
        return f"netc: 1\nname: {name}\n{imports}inputs: {{{self.inputs}}}\nnet:\n{net}outputs: {{{outputs}}}\n"


IMAGES = "sequence: [N, 4, l], image: [N, 4, h, w], volume: [N, 4, d, i, j]"
FIXED = "sequence: [N, 4, 15], image: [N, 4, 9, 12]"
PAIR = "a: [N, 4, h, w], b: [N, 4, h, w], row: [1, w]"

CATALOGUE = {
    "convolution": Family(
        IMAGES,
        """
        conv1d 6 3 padding=1 @sequence
        conv2d 6 (3 5) stride=2 padding=(1 2) @image
        conv3d 6 3 padding=1 groups=2 @volume
        conv2d 6 4 padding=same @image
        conv2d 6 3 padding=valid dilation=2 @image
        conv2d 6 3 padding=half bias=false @image
        conv2d 6 3 padding=full @image
        conv2d 6 3 padding=(0 1 2 3) @image
        conv1d 6 3 padding=(1 0) stride=2 @sequence
        conv3d 6 2 padding=(1 0 1 0 1 0) @volume
        conv2d 6 3 padding=1 padding_mode=zeros @image
        conv2d 6 3 padding=1 padding_mode=reflect @image
        conv2d 6 3 padding=1 padding_mode=replicate @image
        conv2d 6 3 padding=1 padding_mode=circular @image
        conv1d 6 3 padding=1 padding_mode=reflect @sequence
        conv3d 6 3 padding=1 padding_mode=circular @volume
        conv2d 4 3 padding=1 groups=4 @image
        conv_transpose1d 6 3 stride=2 output_padding=1 @sequence
        conv_transpose2d 6 4 stride=(3 2) padding=1 output_padding=(2 1) groups=2 @image
        conv_transpose3d 6 2 stride=2 dilation=2 output_padding=1 @volume
        offsets: conv2d 18 3 padding=1 @image
        mask: [conv2d 9 3 padding=1 @image, sigmoid]
        deform_conv2d 6 3 padding=1 @image @offsets
        deform_conv2d 6 3 padding=1 @image @offsets @mask
        grouped: conv2d 36 3 padding=1 @image
        deform_conv2d 6 3 padding=1 groups=2 bias=false @image @grouped
        unfold 3 padding=1 @image
        unfold (2 3) stride=2 dilation=2 @image
        """,
    ),
    "own_weights_everywhere": Family(
        FIXED,
        """
        locally_connected1d 6 3 stride=2 @sequence
        locally_connected2d 6 3 padding=1 @image
        locally_connected2d 6 (3 2) padding=same bias=false @image
        columns: unfold 3 stride=3 @image
        fold (9 12) 3 stride=3 @columns
        fold (7 10) 3 stride=3 padding=1 @columns
        """,
    ),
    "pooling": Family(
        IMAGES,
        """
        pool1: max_pool1d 2 @sequence
        pool2: max_pool2d 2 @image
        pool3: max_pool3d 2 @volume
        places1: cast float32 @pool1.indices
        places2: cast float32 @pool2.indices
        places3: cast float32 @pool3.indices
        max_unpool1d of=@pool1 @pool1
        max_unpool2d of=@pool2 @pool2
        max_unpool3d of=@pool3 @pool3
        max_pool2d 3 stride=1 padding=half @image
        max_pool2d 2 stride=1 dilation=2 @image
        max_pool2d 3 stride=2 ceil_mode=true @image
        avg_pool1d 3 padding=1 @sequence
        avg_pool2d 3 stride=2 padding=1 count_include_pad=false @image
        avg_pool2d 2 divisor_override=3 @image
        avg_pool3d 2 ceil_mode=true @volume
        lp_pool1d 2 3 @sequence
        lp_pool2d 4 2 stride=1 @image
        lp_pool3d 2 2 ceil_mode=true @volume
        adaptive_avg_pool1d 5 @sequence
        adaptive_avg_pool2d (3 7) @image
        adaptive_avg_pool2d (none 7) @image
        adaptive_avg_pool3d (2 none 3) @volume
        adaptive_max_pool1d 5 @sequence
        adaptive_max_pool2d (3 7) @image
        adaptive_max_pool2d (3 none) @image
        adaptive_max_pool3d 2 @volume
        adaptive_avg_pool2d 1 @image
        adaptive_max_pool2d 1 @image
        fixed: adaptive_avg_pool2d (8 12) @image
        cells: adaptive_max_pool2d (3 7) @fixed
        cell_places: cast float32 @cells.indices
        halves: adaptive_max_pool2d (4 6) @fixed
        half_places: cast float32 @halves.indices
        fractional_max_pool2d 2 (5 7) @fixed
        fractional_max_pool2d (3 2) output_ratio=0.5 @fixed
        pool4: max_pool2d 2 @fixed
        max_unpool2d of=@pool4 output_size=(9 13) @pool4
        """,
    ),
    "norms": Family(
        IMAGES,
        """
        batch_norm1d @sequence
        batch_norm2d @image
        batch_norm2d affine=false momentum=none @image
        batch_norm2d track_running_stats=false @image
        batch_norm3d eps=0.001 @volume
        frozen_batch_norm2d @image
        instance_norm1d @sequence
        instance_norm2d affine=true track_running_stats=true @image
        instance_norm3d @volume
        [permute (0 2 3 1) @image, layer_norm]
        [permute (0 2 3 1) @image, layer_norm 4 bias=false]
        layer_norm2d @image
        group_norm 2 @image
        group_norm 4 affine=false @volume
        [permute (0 2 1) @sequence, rms_norm eps=0.00001]
        local_response_norm 3 @image
        local_response_norm 2 alpha=0.1 beta=0.5 k=2 @image
        l2_norm @image
        l2_norm scale=10 @sequence
        normalize @image
        normalize p=1 dim=2 @image
        """,
    ),
    "activations": Family(
        "t: [N, 4, h, w]",
        """
        celu alpha=0.5 @t
        elu alpha=0.5 @t
        gelu @t
        gelu approximate=tanh @t
        glu dim=1 @t
        hardshrink lambd=0.3 @t
        hardsigmoid @t
        hardtanh min_val=-0.5 max_val=2 @t
        leaky_relu 0.2 @t
        logsigmoid @t
        prelu @t
        prelu 4 init=0.1 @t
        relu @t
        relu6 @t
        rrelu lower=0.1 upper=0.3 @t
        sigmoid @t
        silu @t
        softplus beta=2 threshold=10 @t
        softshrink lambd=0.3 @t
        tanh @t
        threshold 0.1 2 @t
        softmax @t
        softmax dim=2 @t
        softmax2d @t
        log_softmax dim=2 @t
        softmin dim=1 @t
        """,
    ),
    "functions": Family(
        "t: [N, 4, h, w]",
        """
        size: [abs @t, add 0.5]
        exp @t
        log @size
        sqrt @size
        rsqrt @size
        reciprocal @size
        square @t
        sin @t
        cos @t
        erf @t
        neg @t
        sign @t
        floor @t
        ceil @t
        round @t
        round decimals=1 @t
        tan @t
        inner: [tanh @t, mul 0.9]
        asin @inner
        acos @inner
        atan @t
        sinh @t
        cosh @t
        asinh @t
        [add 1 @size, acosh]
        atanh @inner
        sinc @t
        deg2rad @t
        rad2deg @t
        exp2 @t
        expm1 @t
        log2 @size
        log10 @size
        log1p @size
        [sigmoid @t, logit]
        logit eps=0.1 @inner
        trunc @t
        frac @t
        signbit @t
        [log @t, nan_to_num neginf=-5]
        turned: sin @t
        atan2 @t @turned
        hypot @t @turned
        logaddexp @t @turned
        logaddexp2 @t @turned
        fmax @t @turned
        fmin @t @turned
        copysign @size @turned
        copysign -1 @t
        xlogy @t @size
        xlogy 3 @t
        isclose rtol=0.5 @t @turned
        lerp 0.3 @t @turned
        lerp @t @turned @size
        addcmul value=0.5 @t @turned @size
        addcdiv @t @turned @size
        remainder 0.7 @t
        remainder @t @size
        fmod 0.7 @t
        fmod @t @size
        floor_divide 0.7 @t
        div 0.7 rounding_mode=floor @t
        div @turned @t rounding_mode=trunc
        counts: [mul 9 @t, cast int64]
        bitwise_and 5 @counts
        bitwise_or 3 @counts
        bitwise_xor 6 @counts
        bitwise_not @counts
        clamp -1 0.5 @t
        clamp min=0 @t
        detach @t
        identity @t
        """,
    ),
    "dropout": Family(
        IMAGES,
        """
        dropout @image
        dropout 0.2 @sequence
        dropout1d 0.1 @sequence
        dropout2d 0.1 @image
        dropout3d 0.1 @volume
        alpha_dropout 0.1 @image
        feature_alpha_dropout 0.1 @image
        stochastic_depth 0.2 row @image
        stochastic_depth 0.2 batch @image
        """,
    ),
    "linear_and_embedding": Family(
        "t: [N, l, 6], y: [N, l, 5], tokens: {shape: [N, l], dtype: int64}",
        """
        linear 7 @t
        linear 7 bias=false @y
        bilinear 3 @t @y
        embedding 20 8 @tokens
        embedding 20 8 padding_idx=0 @tokens
        embedding_bag 20 8 @tokens
        embedding_bag 20 8 mode=sum padding_idx=0 @tokens
        embedding_bag 20 8 max padding_idx=1 @tokens
        noise: randn like=@t
        parts: rand (2 5)
        add @t @noise
        [add 0.5 @parts, mul 2]
        learned: parameter (5 6)
        held: buffer (5 6)
        fixed: constant (1 2 3 4 5 6) shape=(2 3)
        scalar: constant 0.5 dtype=float32
        arange 0 10 step=3
        relative_position_index 3
        fixed_noise: randn like=@t seed=5
        fixed_rand: rand like=@t seed=5
        """,
        still=(
            *("learned", "held", "fixed", "scalar", "line16", "line17", "noise", "parts", "line11"),
            *("fixed_noise", "fixed_rand"),
        ),
    ),
    "arithmetic": Family(
        PAIR,
        """
        other: [abs @b, add 0.5]
        base: [abs @a, add 0.5]
        add @a @b
        add @a @b @row
        add 0.5 @a
        sub @a @row
        sub 2 @a
        rsub @a @b
        rsub 1 @a
        mul @a @row
        mul 2 @a
        div @a @other
        div 3 @a
        pow @base @b
        pow 2 @a
        pow 0.5 @base
        maximum @a @b
        maximum 0 @a
        minimum @a @row
        minimum 0.5 @a
        turned: transpose -1 -2 @b
        matmul @a @turned
        matmul @row @turned
        einsum "nchw,nkhw->nck" @a @b
        cosine_similarity @a @b
        cosine_similarity dim=-1 eps=0.001 @a @row
        pairwise_distance @a @b
        pairwise_distance p=3 keepdim=true @a @row
        einsum "nchw->nhwc" @a
        concat @a @b
        concat dim=-2 @a @b
        stack @a @b
        stack dim=-1 @a @b
        add alpha=0.5 @a @b
        add 2 alpha=3 @a
        sub alpha=2 @a @row
        rsub alpha=2 @a @b
        vector: select 0 0 @row
        matmul @a @vector
        matmul @vector @turned
        matmul @vector @vector
        whole: [round @a, cast int64]
        remainder 3 @whole
        floor_divide 2 @whole
        """,
    ),
    "comparisons_and_masks": Family(
        PAIR,
        """
        less: lt @a @b
        lt 0.5 @a
        le @a @row
        le 0 @a
        more: gt 0 @b
        gt @a @b
        ge @a @b
        ge -0.5 @a
        rounded: round @a
        eq 1 @rounded
        eq @rounded @more
        ne 0 @rounded
        ne @rounded @less
        logical_and @less @more
        logical_and @less @more @row
        logical_or @less @more
        logical_xor @less @more
        logical_not @less
        logical_not @rounded
        eq @less @more
        lt @less @more
        where @less @a @b
        where @less @more @less
        where input=0 @less @row
        where other=0.5 @more @a
        where 1 0 @more
        masked_fill 0 @a @less
        [masked_fill -inf @a @more, maximum -9]
        tril @a
        triu diagonal=1 @a
        [tril -1 @rounded]
        [log @rounded, isnan]
        [log @rounded, isinf]
        [reciprocal @rounded, isposinf]
        [log @rounded, isneginf]
        [log @rounded, isfinite]
        [gt 1 @a, any 1]
        [lt 1.5 @a, all (-1 2) keepdim=true]
        """,
        still=("line29",),
    ),
    "shape": Family(
        "t: [N, 6, h, 8], fixed: [N, 8, 6, 4], one: [N, 1, 3]",
        """
        flatten @fixed
        flatten 2 @t
        flatten 0 1 @t
        unflatten 1 (2 3) @t
        unflatten 3 (-1 4) @t
        reshape (-1 4 12) @fixed
        permute (0 2 3 1) @t
        transpose 1 -1 @t
        squeeze 1 @one
        unsqueeze -1 @t
        expand (-1 4 -1) @one
        repeat (1 2 1 3) @t
        slice 1 1 -1 @t
        slice 3 start=1 step=2 @t
        narrow 1 2 3 @t
        select 1 -1 @t
        parts: split 2 @t
        part1: relu @parts.1
        pieces: split (1 2 3) dim=1 @t
        piece2: relu @pieces.2
        halves: chunk 2 dim=3 @t
        half1: relu @halves.1
        pad 1 @fixed
        pad (1 0 2 3) value=0.5 @fixed
        pad (1 2) mode=reflect @fixed
        pad (1 2) mode=replicate @fixed
        pad (1 2) mode=circular @fixed
        roll (1 -2) (1 3) @t
        flip (2 3) @t
        pixel_shuffle 2 @fixed
        pixel_unshuffle 2 @fixed
        channel_shuffle 2 @t
        cast float64 @t
        cast int64 @t
        [relu @t, cast bool]
        slices: unbind 1 @t
        slice5: relu @slices.5
        unbind -1 @t
        cumsum 1 @t
        cumsum -1 @t
        cumprod 1 @t
        logcumsumexp 2 @t
        highest: cummax -1 @t
        where_highest: identity @highest.indices
        cummin 1 @t
        ordered: sort 2 descending=true @t
        place: identity @ordered.indices
        sort dim=1 @t
        argsort 1 stable=true @t
        first: topk 2 dim=1 @t
        gather 1 @t @first.indices
        take_along_dim 1 @t @first.indices
        scatter 1 @t @first.indices @first
        scatter 1 0.5 @t @first.indices
        scatter_add 1 @t @first.indices @first
        scatter_reduce 1 amax @t @first.indices @first
        scatter_reduce 1 mean include_self=false @t @first.indices @first
        one_hot 6 @first.indices
        repeat_interleave 2 1 @t
        repeat_interleave 3 2 @t
        repeat_interleave 2 @fixed
        picked: constant (2 0) dtype=int64
        index_select 1 @t @picked
        turned: roll 1 -1 @one
        cross @one @turned
        """,
        still=("picked",),
    ),
    "reductions": Family(
        "t: [N, 4, h, w]",
        """
        mean (2 3) @t
        mean @t
        sum 1 keepdim=true @t
        sum @t
        amax (2 3) @t
        amin @t
        largest: max 1 @t
        position: identity @largest.indices
        max @t
        smallest: min 2 keepdim=true @t
        min @t
        prod 1 @t
        prod @t
        logsumexp (1 2) @t
        norm 1 @t
        norm p=1 @t
        norm (2 3) p=inf keepdim=true @t
        norm 1 p=-inf @t
        std 1 @t
        std (2 3) correction=0 keepdim=true @t
        var @t
        var -1 keepdim=true @t
        argmax 1 @t
        argmax @t
        argmin 1 keepdim=true @t
        argmin keepdim=true @t
        best: topk 3 dim=1 @t
        topk 1 dim=1 largest=false @t
        """,
    ),
    "resize": Family(
        "s: [N, 4, 2*l], t: [N, 4, 2*h, 2*w], v: [N, 4, d, i, j], other: [N, 2, m, n]",
        """
        interpolate scale_factor=2 @t
        interpolate scale_factor=2 mode=nearest-exact @t
        interpolate scale_factor=2 mode=linear @s
        interpolate scale_factor=2 mode=bilinear align_corners=true @t
        interpolate size=(5 7) mode=bilinear @t
        interpolate scale_factor=(0.5 1.5) mode=bilinear @t
        interpolate size=(5 7) mode=bilinear antialias=true @t
        interpolate scale_factor=2 mode=bicubic @t
        interpolate size=(5 7) mode=bicubic align_corners=true @t
        interpolate size=(5 7) mode=bicubic antialias=true @t
        interpolate scale_factor=2 mode=trilinear @v
        interpolate size=(3 5) mode=area @t
        interpolate like=@other mode=nearest @t
        interpolate like=@other mode=bilinear @t
        map: [adaptive_avg_pool2d (2 3) @other, select 1 0]
        grid: affine_grid (5 7) @map
        affine_grid like=@t @map
        affine_grid like=@t align_corners=true @map
        grid_sample @t @grid
        grid_sample mode=nearest padding_mode=border @t @grid
        grid_sample mode=bicubic padding_mode=reflection align_corners=true @t @grid
        """,
    ),
    "recurrent": Family(
        "t: [L, N, 5], first: [N, L, 5], start: [2, N, 6], cell: [2, N, 6], counts: {shape: [N], dtype: int64}",
        """
        rnn: rnn 6 @t
        rnn 6 2 nonlinearity=relu bidirectional=true @t
        rnn_state: identity @rnn.h_n
        lstm: lstm 6 @t
        lstm_h: identity @lstm.h_n
        lstm_c: identity @lstm.c_n
        lstm 6 2 batch_first=true dropout=0.2 bidirectional=true @first
        lstm 6 proj_size=3 bias=false @t
        lstm 6 2 @t @start @cell
        gru: gru 6 @t
        gru_state: identity @gru.h_n
        gru 6 bidirectional=true @t @start
        last: [gru 6 batch_first=true @first, select 1 -1]
        rnn 6 lengths=@counts @t
        read: lstm 6 2 batch_first=true bidirectional=true lengths=@counts @first
        read_h: identity @read.h_n
        lstm 6 proj_size=3 lengths=@counts @t
        gru 6 bidirectional=true lengths=@counts @t @start
        step: select 0 0 @t
        state: select 0 0 @start
        rnn_cell 6 @step
        rnn_cell 6 nonlinearity=relu @step @state
        gru_cell 6 @step @state
        gru_cell 6 bias=false @step
        cell_step: lstm_cell 6 @step @state @state
        cell_c: identity @cell_step.c_1
        lstm_cell 6 bias=false @step
        """,
    ),
    "attention": Family(
        "q: [N, L, 8], k: [N, 5, 8], v: [N, 5, 8], heads: [N, 4, L, 8], mask: [L, 5], marks: [N, 5]",
        """
        attend: multihead_attention 2 batch_first=true @q @k @v
        weights: identity @attend.weights
        multihead_attention 2 batch_first=true is_causal=true @q
        multihead_attention 2 batch_first=true attn_mask=@mask @q @k @v
        multihead_attention 2 batch_first=true add_bias_kv=true add_zero_attn=true bias=false @q @k
        scaled_dot_product_attention @q @k @v
        scaled_dot_product_attention is_causal=true @heads @heads @heads
        scaled_dot_product_attention attn_mask=@mask scale=0.5 @q @k @v
        seen: [relu @mask, cast bool]
        scaled_dot_product_attention attn_mask=@seen @q @k @v
        encoder 2 @q
        encoder 2 hidden=16 norm_first=true @k
        padding: gt 0 @marks
        many: encoders 2 heads=2 hidden=16 @k @padding
        decoder 2 hidden=16 causal=true @q @many
        """,
        imports="encoder: netc:transformer_encoder_layer, encoders: netc:transformer_encoder, "
        "decoder: netc:transformer_decoder_layer",
    ),
    "detection": Family(
        "image: [N, 3, 16*h, 16*w], corners: [R, 5]",
        """
        features: [conv2d 8 16 stride=16 @image, tanh]
        coarse: [max_pool2d 2 stride=2 ceil_mode=true @features]
        anchors: anchors 32 ratios=(0.5 1 2) stride=16 like=@features
        wide: anchors widths=(20 40) heights=(40 20) offset=0.5 stride=16 like=@features
        offsets: [conv2d 12 1 @features, permute (0 2 3 1), unflatten 3 (3 4), flatten 1 3]
        scores: [conv2d 3 1 @features, permute (0 2 3 1), flatten, sigmoid]
        decoded: decode_boxes @offsets @anchors
        decode_boxes weights=(10 10 5 5) clip=2 @offsets @anchors
        boxes: clip_boxes like=@image @decoded
        encode_boxes @decoded @anchors
        box_convert xyxy cxcywh @boxes
        box_convert xywh xyxy @decoded
        kept: nms 6 iou_threshold=0.6 min_size=1 @boxes @scores
        nms_scores: identity @kept.scores
        nms_count: identity @kept.count
        nms 4 score_threshold=0.3 @boxes @scores
        places: unsqueeze 2 @kept.indices
        best: take_along_dim 1 @boxes @places
        roi_pool 3 spatial_scale=1/16 @features @best
        regions: abs @corners
        roi_align 2 spatial_scale=1/16 @features @regions
        roi_align 3 spatial_scale=1/16 sampling_ratio=2 @features @best
        roi_align (2 3) spatial_scale=1/16 aligned=true @features @best
        ps_roi_align 2 spatial_scale=1/16 sampling_ratio=2 @features @best
        multiscale_roi_align 2 strides=(16 32) sampling_ratio=2 @features @coarse @best
        found: rpn sizes=(16 32) top=20 most=5 @image @features
        """,
        still=("anchors", "wide"),
        imports="rpn: netc:rpn",
        outputs="logits: {from: found.logits, when: train}, deltas: {from: found.deltas, when: train}",
    ),
    "library": Family(
        "image: [N, 8, 4*h, 4*w], c2: [N, 4, 8*i, 8*j], c3: [N, 6, 4*i, 4*j], c4: [N, 8, 2*i, 2*j], c5: [N, 10, i, j]",
        """
        separable 12 stride=2 @image
        spatial 12 @image
        attend 4 @image
        residual 8 @image
        residual 12 stride=2 @image
        narrow 4 @image
        aspp 6 @image
        pyramid: fpn 5 extra=true @c2 @c3 @c4 @c5
        p3: relu @pyramid.p3
        p4: relu @pyramid.p4
        p5: relu @pyramid.p5
        p6: relu @pyramid.p6
        """,
        imports="separable: netc:separable_conv, spatial: netc:spatially_separable_conv, attend: netc:squeeze_excite, "
        "residual: netc:inverted_residual, narrow: netc:bottleneck, aspp: netc:aspp, fpn: netc:fpn",
    ),
}


def typical(operators: Iterable[type[Op]]) -> Family:
    """Each with what it must be given, on inputs of its own."""
    inputs, lines = [], []
    for operator in operators:
        use = typical_use(operator)
        assert use is not None, f"{operator.name}: a class whose attributes do not tell a typical use states a `sample`"
        op, types = use
        names = [f"{operator.name}_{at}" for at in range(len(types))]
        inputs += [
            f"{name}: {{shape: [{', '.join(map(str, t.shape))}], dtype: {t.dtype}}}"
            for name, t in zip(names, types, strict=True)
        ]
        lines.append(f"{op!r} {' '.join(f'@{name}' for name in names)}")
    return Family(", ".join(inputs), "\n".join(lines))


def _without_a_line() -> list[type[Op]]:
    lines = " ".join(family.lines for family in CATALOGUE.values())
    words = set(re.findall(r"\w+", re.sub(r"\w+: |@\S+|\w+=", "", lines)))
    return [OPERATORS[name] for name in OPERATORS if name not in words]


CATALOGUE["without_a_line"] = typical(_without_a_line())
