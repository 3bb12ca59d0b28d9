"""What other tools call things: operators and arguments of Keras, Caffe, darknet, ONNX and PyTorch by netc's names.

Loaded only where a spec has an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from netc.diagnostics.model import Edit, Fix, Span
from netc.diagnostics.suggest import closest, in_order
from netc.ops.base import OPERATORS
from netc.syntax import library

_RANK = re.compile(r"[123](?=d$)")

_OPERATORS = """
dense fc fullyconnected innerproduct affine gemm linearlayer lin connected: linear
conv convolution convolutional convolution#d createconv#d: conv#d
conv1x1: conv#d … 1
conv3x3: conv#d … 3
conv5x5: conv#d … 5
conv7x7: conv#d … 7
stdconv stdconv#d scaledstdconv#d: conv#d … standardize=true
pointwise pointwiseconv pointwiseconv#d: conv#d … 1
deconv deconvolution deconvolutional transposedconv transposedconvolution upconv: conv_transpose#d
convtranspose convtranspose#d conv#dtranspose: conv_transpose#d
depthwiseconv#d dwconv depthwiseconv depthwise depthwiseconvolutional: conv#d x.C … groups=x.C
separableconv#d sepconv separableconvolution#d: netc:separable_conv
batchnorm batchnormalization bn syncbatchnorm fusedbatchnorm batchnormact#d: batch_norm#d
instancenorm instancenormalization mvn meanvariancenormalization: instance_norm#d
layernorm layernormalization ln: layer_norm
groupnorm groupnormalization gn: group_norm
lrn localresponsenormalization responsenorm crossmaplrn crossmaplrn#d: local_response_norm
rms rmsnormalization: rms_norm
lpnormalization lpnorm l2norm l2normalize unitnormalization: normalize
maxpool maxpooling maxpool#d maxpooling#d: max_pool#d
avgpool averagepool averagepooling avgpool#d averagepool#d averagepooling#d localavgpool: avg_pool#d
pool pooling: max_pool#d
globalavgpool globalaveragepool globalaveragepooling globalpool meanpool gap selectadaptivepool#d: adaptive_avg_pool#d 1
globalavgpool#d globalaveragepool#d globalaveragepooling#d: adaptive_avg_pool#d 1
globalmaxpool globalmaxpooling globalmaxpool#d globalmaxpooling#d: adaptive_max_pool#d 1
adaptiveavgpool: adaptive_avg_pool#d
adaptivemaxpool: adaptive_max_pool#d
unpool unpooling maxunpooling maxunpooling#d: max_unpool#d
upsample upsample#d upsampling upsampling#d resize resizing imageresize interp up: interpolate
spatialdropout spatialdropout#d: dropout#d
zeropad zeropadding zeropad#d zeropadding#d constantpad#d: pad
nearest upnearest upsamplenearest upsamplenearest#d upsamplingnearest#d: interpolate … mode=nearest
resizenearestneighbor: interpolate … mode=nearest
bilinear upbilinear upsamplebilinear upsamplebilinear#d upsamplingbilinear#d resizebilinear: interpolate … mode=bilinear
bicubic: interpolate … mode=bicubic
crop cropping cropping#d centercrop stridedslice: slice
reflectionpad reflectionpad#d mirrorpad: pad … mode=reflect
replicationpad replicationpad#d: pad … mode=replicate
swish: silu
gelunew newgelu gelutanh: gelu approximate=tanh
bnll: softplus
clip cliprelu clipbyvalue: clamp
hswish hardsilu: hardswish
hsigmoid: hardsigmoid
leaky leakyrelu lrelu: leaky_relu
parametricrelu: prelu
logistic sigm: sigmoid
elementwise eltwise eltwiseadd shortcut skip skipconnection plus addition residual sumup accumulate bias biasadd: add
multiply multiplication eltwisemul scale rescaling scalechannels sam times: mul
power: pow
absval absolute: abs
clampmin: clamp min=…
clampmax: clamp max=…
dot batchdot bmm mm addmv chainmatmul multidot batchmatmul: matmul
subtract minus: sub
mod: remainder
thresholdedrelu: threshold
shrink: hardshrink
stopbackward stopgradient: detach
im2col: unfold
roipooling: roi_pool
gatherelements: gather
negative: neg
positive: identity
expit: sigmoid
fix: trunc
sgn: sign
arcsin: asin
arccos: acos
arctan: atan
arcsinh: asinh
arccosh: acosh
arctanh: atanh
floatpower: pow
greater: gt
greaterequal greaterorequal: ge
less: lt
lessequal lessorequal: le
notequal: ne
equal: eq
long int64: cast int64
int int32: cast int32
float float32: cast float32
half float16: cast float16
double float64: cast float64
bfloat16: cast bfloat16
bool: cast bool
to type astype: cast
clone contiguous: identity
ravel: flatten 0
fliplr: flip 1
flipud: flip 0
divide truedivide: div
cat concatenate merge route hstack vstack dstack columnstack rowstack join: concat
tensorsplit: split
indexadd: scatter_add
indexreduce: scatter_reduce
view: reshape
tile: repeat
broadcastto broadcast repeatvector: expand
zeros ones full eye linspace logspace: constant
tensordot einsumdense inner outer outerproduct ger kron mv vdot diag diagonal trace: einsum
addmm: linear
baddbmm addbmm: matmul
dist euclideandistance: pairwise_distance
stdmean: std
varmean: var
swapaxes swapdims: transpose
moveaxis movedim: permute
reducemean avg: mean
reducesum reduction: sum
reducel1: norm … 1
reducel2: norm
reducemax: amax
reducemin: amin
reduceprod: prod
expanddims: unsqueeze
upscale pixelshuffle depthtospace subpixel: pixel_shuffle
spacetodepth reorg reorg3d: pixel_unshuffle
shuffle shufflechannel: channel_shuffle
multiheadattention mha attention selfattention: multihead_attention
scaleddotproductattention sdpa: scaled_dot_product_attention
embed lookup: embedding
simplernn elmanrnn recurrent: rnn
bilstm blstm: lstm … bidirectional=true
bigru: gru … bidirectional=true
nonmaxsuppression nonmaximumsuppression: nms
drop: dropout
droppath stochasticdepthlayer: stochastic_depth
se squeezeandexcitation seblock selayer semodule squeezeexcitation: netc:squeeze_excite
invertedresidualblock mbconv: netc:inverted_residual
bottleneck bottleneckblock: netc:bottleneck
aspp atrousspatialpyramidpooling: netc:aspp
fpn featurepyramid featurepyramidnetwork: netc:fpn
transformerdecoder decoderlayer: netc:transformer_decoder_layer
transformerencoder transformerlayer transformer transformerblock encoderlayer vitblock: netc:transformer_encoder_layer
yolo gaussianyolo region yololayer detect detection: netc:yolo_boxes
"""

_IN_STEPS = """
erfc: [erf, rsub 1]
ndtr: [div sqrt(2), erf, add 1, mul 0.5]
heaviside: [gt 0, cast float32]
countnonzero: [ne 0, sum -1]
nansum: [nan_to_num, sum -1]
nanmean: [nan_to_num, mean -1]
median nanmedian quantile nanquantile percentile kthvalue: {order: sort -1, middle: select -1 4 @order.values}
diff: {later: slice -1 1 @x, earlier: slice -1 0 -1 @x, steps: sub @later @earlier}
cdist: {rows: unsqueeze -2 @a, columns: unsqueeze -3 @b, distances: pairwise_distance eps=0 @rows @columns}
rot90: [flip -1, transpose -2 -1]
zeroslike: {zero: constant 0, zeros: expand like=@x @zero}
oneslike: {one: constant 1, ones: expand like=@x @one}
fulllike: {number: constant 0.5, full: expand like=@x @number}
meshgrid: {row: arange 8, grid: expand (8 8) @row, turned: transpose 0 1 @grid}
bernoulli: {chance: rand like=@x, coin: lt 0.5 @chance}
randnlike: {noise: randn like=@x}
randlike: {noise: rand like=@x}
bucketize digitize searchsorted: {edges: constant (-1 0 1), row: unsqueeze -1 @x, on: gt @row @edges, bin: sum -1 @on}
isin: {values: constant (1 2), row: unsqueeze -1 @x, same: eq @row @values, found: any -1 @same}
"""
"""What PyTorch has as one function, and netc as several operators."""

_OTHERWISE = {
    "values": "how many elements are left depends on what they are, and netc knows every size beforehand: hide the "
    "others with `where` or `masked_fill`, or keep the best with `topk`",
    "complex": "netc has no complex numbers: a Fourier transform of a fixed size is a `matmul` by constant matrices of "
    "cosines and sines",
    "no onnx": "ONNX has no operator for it, so netc has none either: compute it outside of the network",
    "parts": "cut the tensor with `slice` and join the parts with `concat`",
    "loss": "a loss is not part of a network: return the logits and train with it; `nn.CrossEntropyLoss` applies the "
    "softmax itself",
    "block": "it is a block of another library, not an operator: write it under `blocks`",
    "activation": "write the activation as a separate operator: `[conv2d 64 3, relu]`",
    "list": "write the members as a list: `[conv2d 64 3, relu]`",
    "code": "a spec holds no code: compute with operators, or write a plugin that has this one",
    "tensor": "a learned tensor is a separate statement: `token: parameter (1 1 768)`, added by `add` or `concat`",
    "wrapper": "leave it out: `linear` works along the last axis, whatever axes come before",
    "mean of several": "add them and divide: `[add @a @b, mul 0.5]`",
    "axes": "write it as `unflatten`, `permute` and `flatten`, or as an `einsum`",
    "gated": "halve what a `linear` gives with `chunk 2 -1`, and `mul` one half by the `gelu` or `silu` of the other",
    "directions": "write `bidirectional=true` on the `lstm`, `gru` or `rnn`",
    "noise": "random numbers are a statement of their own: `noise: randn like=@x`, added by `add`",
    "nothing": "leave it out: a tensor can be read as often as needed",
    "sizes": "sizes are part of expressions: `x.C`, `image.H`, `tokens.shape[1]`",
    "scale": "a learned scale is a separate statement: `gamma: parameter (64 1 1)`, multiplied by `mul`",
    "fork": "give the statement a name and read it as often as needed: `@stem`",
    "output": "outputs are declared under `outputs`: `outputs: {logits: fc}`",
    "metric": "a metric is not part of a network: compute it from the outputs",
    "input": "inputs are declared under `inputs`: `inputs: {image: [N, 3, 224, 224]}`",
}
_KINDS = {
    "nonzero argwhere maskedselect unique uniqueconsecutive compress booleanmask": "values",
    "stft istft fft ifft rfft irfft fft2 ifft2 rfft2 irfft2 fftn complex polar angle conj imag real viewascomplex "
    "viewasreal": "complex",
    "inverse inv pinverse det logdet slogdet svd qr lu cholesky eig eigh solve lstsq matrixexp lgamma gammaln digamma "
    "psi polygamma erfinv erfcx i0 i0e i1 i1e igamma igammac zeta": "no onnx",
    "selectscatter slicescatter diagonalscatter indexcopy": "parts",
    "crossentropy crossentropyloss nllloss nll mseloss mse l1loss bceloss bcewithlogitsloss bce softmaxwithloss "
    "euclideanloss kldiv kldivloss cost ctc": "loss",
    "c2f c3 c3k2 c2psa sppf spp sppcspc elan cspdarknet csp focus ghostconv fire inception basicblock resblock "
    "residualblock denseblock transition convbnrelu convbn convbnact basicconv basicconv2d darknet backbone "
    "mlp ffn feedforward patchembed patchembedding positionalencoding": "block",
    "cbam dropblock maxout bottleneckcsp priorbox detectionoutput segment classify repc3 hgstem hgblock aifi proto dfl "
    "convnormact ecamodule eca condconv2d mixedconv2d windowattention patchmerging splitattn filterresponsenorm "
    "globalresponsenorm grn blurpool2d blurpool gem crelu convlstm2d crnn downsample down rope rotary mamba relposbias "
    "additiveattention spacetobatch batchtospace": "block",
    "average": "mean of several",
    "rearrange einops einopsrearrange": "axes",
    "copy silence": "nothing",
    "shape size": "sizes",
    "layerscale gamma": "scale",
    "fork branch": "fork",
    "cond whileloop scan": "code",
    "output": "output",
    "geglu swiglu reglu glumlp": "gated",
    "bidirectional": "directions",
    "gaussiannoise gaussiandropout noise normal randint": "noise",
    "accuracy metric topkaccuracy": "metric",
    "clstoken classtoken posembed posembedding positionembedding positionalembedding posenc": "tensor",
    "timedistributed": "wrapper",
    "activation act": "activation",
    "sequential modulelist moduledict": "list",
    "lambda module custom": "code",
    "input inputlayer placeholder data": "input",
}

_ARGUMENTS = """
kernel size ksize kernelshape poolsize kernelsize: kernel_size
filters outplanes outfeatures numoutput units nfilters planes outputchannels: out_channels out_features
outchannels: out_channels out_features
strides: stride
pad pads padsize: padding
usebias biasterm: bias
group: groups
dilations dilationrate: dilation
rate prob probability dropoutratio: p
axis axes dims: dim dims
keepdims: keepdim
epsilon: eps
alpha slope: negative_slope
scale factor zoom: scale_factor
outputsize: output_size size
headdim heads nhead: num_heads
hidden hiddenunits: hidden_size
bidirection: bidirectional
nlayers: num_layers
"""

_FOLLOWS = frozenset(
    "inchannels inplanes infeatures numfeatures inputsize inputdim inputshape numchannels cin inputchannels".split()  # noqa: SIM905
)
_NOT_HERE = {
    "activation": "an activation is a separate operator: `[conv2d 64 3, relu]`",
    "act": "an activation is a separate operator: `[conv2d 64 3, relu]`",
    "name": "the statement's key is its name: `conv1: conv2d 64 3`",
    "inplace": "leave it out: the generated code writes in place where that is safe",
    "unbiased": "write `correction=0` for `unbiased=False`, and leave `unbiased=True` out",
    "dataformat": "leave it out: images are N×C×H×W",
    "kernelinitializer": "initial values are set under `init`",
    "device": "leave it out: a spec does not name devices",
    "dtype": "leave it out: `--dtype` chooses the type of a whole network",
}


def _table(text: str) -> dict[str, list[str]]:
    rows = (line.partition(":") for line in text.strip().splitlines())
    return {word: [names.strip()] for words, _, names in rows for word in words.split()}


_NAMES = _table(_OPERATORS)
_WORDS = {word: name[0].split() for word, name in _table(_ARGUMENTS).items()}
_REASONS = {word: _OTHERWISE[kind] for words, kind in _KINDS.items() for word in words.split()}
_REASONS |= {word: f"write it as `{steps[0]}`" for word, steps in _table(_IN_STEPS).items()}


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def operator_meant(word: str, rank: int | None, blocks: Iterable[str]) -> tuple[str | None, str | None]:
    """The operator another tool calls `word`, as a line begins, and what there is to say where it is none.

    rank: that of the tensor which the line reads; it chooses between `conv1d`, `conv2d` and `conv3d`. blocks: every
    name that may stand there.
    """
    plain = _plain(word)
    names = {_plain(name): name for name in blocks}
    if plain in names:
        return names[plain], None
    shipped = next((name for name in library.names() if _plain(name) == plain), None)
    if shipped is not None:
        return f"{library.PREFIX}{shipped}", None
    if plain in _REASONS or plain.endswith("loss"):
        return None, _REASONS.get(plain, _OTHERWISE["loss"])
    operator = (
        _NAMES.get(plain)
        or _NAMES.get(_RANK.sub("#", plain))
        or _NAMES.get(re.sub(r"[123]d(?=transpose$)", "#d", plain))
    )
    if operator is not None:
        return _ranked(operator[0], rank, word), None
    ranked = _RANK.sub("#", f"{plain}#d" if f"{plain}2d" in names else "")
    if ranked:
        return _ranked(names[f"{plain}2d"].replace("2d", "#d"), rank, word), None
    near = closest(word, blocks)
    return (None if near is None else _of_rank(near, rank, word)), None


def operator_fixes(word: Span, named: Iterable[Span], rank: int | None, blocks: Iterable[str]) -> tuple[Fix, ...]:
    """What to write in place of an operator's word that nothing has, and of the names of its arguments."""
    name, reason = operator_meant(word.text.strip("\"'"), rank, blocks)
    if reason is not None:
        return (Fix(reason),)
    if name is None:
        return ()
    if name.startswith(library.PREFIX):
        block = name.removeprefix(library.PREFIX)
        return (Fix(f"`import: {{{block}: {name}}}` makes netc's block known here"),)
    if "…" in name:
        return (Fix(f"did you mean `{name}`?"),)
    others = [*_renamed(named, name)]
    tail = in_order([f"`{edit.replacement}` for `{edit.span.text}`" for edit in others])
    title = f"did you mean `{name}`, with {tail}?" if others else f"did you mean `{name}`?"
    return (Fix(title, (Edit(word, name), *others)),)


def _renamed(named: Iterable[Span], operator: str) -> Iterator[Edit]:
    """Names of arguments that the operator calls something else."""
    cls = OPERATORS.get(operator)
    if cls is None:
        return
    for span in named:
        if span.text not in cls.attributes and (meant := argument_meant(span.text, cls.attributes)[0]) is not None:
            yield Edit(span, meant)


def argument_fixes(word: Span, names: Iterable[str]) -> tuple[Fix, ...]:
    """What to write in place of an argument's name that the operator does not have."""
    name, reason = argument_meant(word.text, names)
    if reason is not None:
        return (Fix(reason),)
    return () if name is None else (Fix(f"did you mean `{name}`?", (Edit(word, name),)),)


def _ranked(name: str, rank: int | None, word: str) -> str:
    """`conv#d` for a tensor of the rank, or of the number in the word where there is no tensor."""
    said = re.search(r"[123](?=d)", word.lower())
    space = rank - 2 if rank is not None and 3 <= rank <= 5 else int(said.group()) if said else 2
    if rank == 2 and name.startswith(("batch_norm", "instance_norm")):
        space = 1
    return name.replace("#d", f"{space}d")


def _of_rank(near: str, rank: int | None, word: str) -> str:
    """The relative of the nearest name that takes the tensor, unless the word itself says a number."""
    fitting = _RANK.sub(str(rank - 2), near) if rank is not None else near
    return near if re.search(r"\d", word) or fitting not in OPERATORS else fitting


def argument_meant(word: str, known: Iterable[str]) -> tuple[str | None, str | None]:
    """The argument another tool calls `word`, of those `known`, and what there is to say where it is none."""
    plain, names = _plain(word), list(known)
    if plain in _FOLLOWS:
        return None, "leave it out: it follows from the input"
    meant = next((name for name in _WORDS.get(plain, ()) if name in names), None)
    if meant is None and plain in _NOT_HERE:
        return None, _NOT_HERE[plain]
    return meant or next((name for name in names if _plain(name) == plain), None) or closest(word, names), None
