"""Where netc means to differ from PyTorch, each with the reason that is printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from netc.ops import Op
from netc.types import TensorType

Theirs = list[torch.Tensor] | str
Applies = Callable[[Op, Sequence[TensorType], str, Theirs], bool]


def difference(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> str:
    """The reason of the first difference that applies, or ""."""
    return next((reason for applies, reason in DIFFERENCES if applies(op, types, ours, theirs)), "")


def empty(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
    return not isinstance(theirs, str) and any(isinstance(t, torch.Tensor) and t.numel() == 0 for t in theirs)


def says(*words: str, of: str | tuple[str, ...] = "") -> Applies:
    """netc refuses in these words, for these operators or for all."""

    def applies(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
        return bool(ours) and any(word in ours for word in words) and (not of or op.name in of)

    return applies


def no_form(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
    """The operator's code is netc's own class, or a few of PyTorch's functions, which refuse nothing by themselves;
    so is all that PyTorch has no name for."""
    named = type(op).torch_name
    own = op.name in WRITTEN_OUT or not named or named.startswith("torchvision.")
    return bool(ours) and own and op.name not in ASKED


WRITTEN_OUT = ("locally_connected1d", "locally_connected2d", "l2_norm")
ASKED = ("stochastic_depth",)
"""Of torchvision, and asked of it."""


def both_operands(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
    return bool(ours) and len(types) > 1 and getattr(op, "other", None) is not None


def bad_size_beside_like(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
    return "must be" in ours and op.references == ("like",) and len(types) > op.arity[0]


def flat_mask(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
    return op.name == "scaled_dot_product_attention" and "2 axes or more" in ours and types[-1].rank < 2


def topk_of_a_scalar(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
    return op.name == "topk" and "`k` must be at least 1" in ours and types[0].rank == 0


def clamped(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
    return op.name == "slice" and ("reaches beyond" in ours or "does not exist" in ours)


def gather_by_a_scalar(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
    return (
        op.name in ("gather", "scatter_add", "scatter", "scatter_reduce")
        and "different ranks" in ours
        and {t.rank for t in types} == {0, 1}
    )


UNPOOL = ("max_unpool1d", "max_unpool2d", "max_unpool3d")


def states_of_packed_sequences(op: Op, types: Sequence[TensorType], ours: str, theirs: Theirs) -> bool:
    return "starts from" in ours and bool(getattr(op, "lengths", None))


def pytorch_says(*words: str) -> Applies:
    return lambda op, types, ours, theirs: not ours and any(word in theirs for word in words)


def refusal_reason(message: str) -> str:
    """The reason why netc means to refuse with such a message, or ""."""
    return next((reason for words, reason in MEANT.items() if words in message), "")


MEANT = {
    "takes N×C": "PyTorch also takes inputs without a batch axis, or with more axes in front; netc's have N and C",
    "a size must be at least 1": "empty tensors, of which ONNX Runtime has none",
    "the input has rank 0": "PyTorch counts an axis where a scalar has none",
    "`padding` takes one number": "the number of axes that pad is told by PyTorch's name and by the input in netc",
    "(rank 2)": "sequences without a batch axis",
    "takes batch × features": "features without a batch axis",
}


DIFFERENCES: list[tuple[Applies, str]] = [
    (empty, "PyTorch makes an empty tensor, of which ONNX Runtime has none"),
    (
        says("takes N×C×", "takes batch ×", "takes steps ×"),
        "PyTorch also takes inputs without a batch axis, or with more axes in front; netc's have N and C",
    ),
    (bad_size_beside_like, "where a size comes from is netc's own: from one place"),
    (says(" elements, not "), "PyTorch computes with more element types or converts them; netc asks for a `cast`"),
    (
        says("must have one type", of=("cosine_similarity", "pairwise_distance")),
        "PyTorch converts; netc asks for a `cast`",
    ),
    (says("must have one type", of="einsum"), "PyTorch converts element types where it has nothing to sum up"),
    (says("holds whole numbers alone"), "PyTorch cuts off what is no whole number"),
    (says("holds integers only", of="constant"), "PyTorch cuts off what is no whole number"),
    (
        says(
            " does not fit uint8",
            of=(
                "mul",
                "add",
                "sub",
                "rsub",
                "masked_fill",
                "div",
                "remainder",
                "fmod",
                "floor_divide",
                "bitwise_and",
                "bitwise_or",
                "bitwise_xor",
            ),
        ),
        "PyTorch wraps a negative number around; netc takes what the element type has",
    ),
    (says("`standardize` must be at"), "standardised weights are netc's own, so PyTorch does not check the number"),
    (says("`out_features` must be at", of="linear"), "PyTorch's function has the size of the weight that it is given"),
    (says("list of indices, not scalar", of="index_select"), "PyTorch takes a single index for a list of one"),
    (
        says("equal numbers of keys and values", of="scaled_dot_product_attention"),
        "PyTorch's kernel for the CPU does not compare them, and leaves values out or reads past their end",
    ),
    (flat_mask, "PyTorch takes masks of no or one axis, but not for inputs of four; netc's has queries and keys"),
    (gather_by_a_scalar, "PyTorch counts an axis where a scalar has none"),
    (says("`divisor_override` must be at least 1"), "PyTorch divides by numbers below 0 too, which makes no mean"),
    (topk_of_a_scalar, "PyTorch gives a scalar itself whatever `k` is"),
    (
        says("`dropout` must be at", of="multihead_attention"),
        "PyTorch looks at this `dropout` in training alone, and refuses it there",
    ),
    (clamped, "Python's slices end where there is no more; netc's parts are there in full"),
    (states_of_packed_sequences, "PyTorch does not look at the states that packed sequences start from"),
    (
        says("as many elements as there are indices"),
        "PyTorch takes more elements than indices, but has no gradient then",
    ),
    (says("takes bags × tokens"), "PyTorch takes one list of tokens with the places where bags begin too"),
    (
        says("takes its sizes from `size`", of=("randn", "rand")),
        "where a size comes from is netc's own: from one place",
    ),
    (says("is one number between 0 and 1", of="fractional_max_pool2d"), "how many numbers there are is netc's own"),
    (says("has no common type"), "PyTorch makes int16, an element type that netc does not have"),
    (says("`decimals` must be at", "does not fit float16", of="round"), "PyTorch computes with powers that overflow"),
    (says("needs at least", of=("std", "var")), "PyTorch divides by 0 there, and gives NaN"),
    (says("takes a mask of bool", of="where"), "PyTorch takes bytes for truths, which it deprecates itself"),
    (
        says("must be a whole number for", of=("masked_fill", "addcmul", "scatter")),
        "PyTorch cuts off what is no whole number",
    ),
    (
        says(
            "with `alpha` takes two",
            "with `rounding_mode` takes two",
            "tensors or numbers, not",
            "takes its weight from",
            "takes its elements from",
        ),
        "how operands are written is netc's own: two tensors or a number",
    ),
    (says("`shape` must be", of="constant"), "-1 is a size that PyTorch's `view` finds"),
    (says("begins, then ends"), "how padding is counted is netc's own: one number, one per axis, or begins and ends"),
    (
        says("too short to cut off", "elements to cut off", of="pad"),
        "PyTorch also cuts off what it has just padded; netc cuts the input",
    ),
    (says("not smaller than the window"), "a window that sees padding alone has no element; netc refuses it"),
    (says("has no indices if"), "PyTorch's indices would count the elements that netc's code adds before the pool"),
    (says("ceil_mode cannot be used"), "how far windows reach is said once: by ceil_mode or by the padding at the end"),
    (
        says("the weight of another statement is used", "the weight of linear", of="linear"),
        "how many features come out is said by `out_features` in netc, and by the weight alone in PyTorch",
    ),
    (
        says("weight_norm and standardize cannot", "weight_norm and spectral_norm cannot"),
        "PyTorch has neither as an argument; netc's code for one is not that for both",
    ),
    (
        says("the ranks differ", "does not exist", of="pad"),
        "which axes are padded, and to which size, is netc's own to say",
    ),
    (says("needs `padding` or", of="pad"), "PyTorch pads by an empty list; netc has the amounts named"),
    (says("needs `sizes` or", of="expand"), "PyTorch takes an empty list of sizes for a scalar; netc has them named"),
    (says("needs `length` or", of="narrow"), "a length that is not given is netc's own: that of `like`"),
    (
        says("needs exactly one of", "follows from `like`"),
        "where a size comes from is netc's own: from one place",
    ),
    (
        says("or one and a number", "or a number, not both"),
        "how operands are written is netc's own: two tensors or a number",
    ),
    (says("needs `dim`"), "PyTorch's guess of `dim`, which it deprecates itself"),
    (says("the input has rank 0", "not scalar (rank 0)"), "PyTorch counts an axis where a scalar has none"),
    (says("2 axes or more, not", of="feature_alpha_dropout"), "PyTorch drops channels of what has no channels"),
    (
        says("is empty", of=("logsumexp", "flip", "roll", "repeat", "squeeze")),
        "PyTorch takes an empty list of axes; netc has them named",
    ),
    (says("does not make", of="chunk"), "PyTorch makes fewer chunks than were asked for; in netc each one has a name"),
    (says("`eps` must be above 0 in training"), "PyTorch refuses `eps=0` in training alone, netc always"),
    (says("`eps` must be"), "PyTorch does not look at `eps`"),
    (both_operands, "how operands are written is netc's own: two tensors or a number"),
    (says("names an axis twice", of="roll"), "PyTorch rolls an axis twice; netc has every axis named once"),
    (says("`start` must be", of="narrow"), "PyTorch counts a negative start from the end; netc slices"),
    (says("`seed` must be at", of=("randn", "rand")), "a seed is netc's own, from which PyTorch's generator starts"),
    (
        says("`num_classes` must be at", of="one_hot"),
        "PyTorch takes as many classes as the data need, which no file can",
    ),
    (
        says("inf does not fit int", "inf does not fit uint", of=("eq", "ne", "lt", "le", "gt", "ge")),
        "PyTorch compares integers with infinity, which every one of them answers alike",
    ),
    (says("does not fit", of="nan_to_num"), "PyTorch does not look at the number where elements are never NaN"),
    (says("`kernel_size` must be at", of="fractional_max_pool2d"), "PyTorch does not check windows without an element"),
    (says("`num_layers` must be"), "PyTorch has no bound on layers"),
    (
        says("`padding` must be at least 0", of=("pad", "conv1d", "conv2d", "conv3d")),
        "PyTorch cuts where padding is negative; netc slices",
    ),
    (
        says("circular padding of", of="pad"),
        "PyTorch wraps around what it cuts away in the same step; netc's `like` cuts first",
    ),
    (says("as many channels as its pool", of=UNPOOL), "PyTorch sees the size of what was pooled, not its channels"),
    (says("the pool's indices point into", of=UNPOOL), "PyTorch looks at the indices themselves"),
    (says("must be at least", of=UNPOOL), "PyTorch does not look at the window, which netc's pool has checked"),
    (says("`p` must be above 0", "`norm_type` must be above 0"), "PyTorch takes powers that are no norm"),
    (says("cannot be used together"), "what PyTorch's documentation calls an error and its kernel on the CPU takes"),
    (says("with is_causal, `scale` must be above 0"), "PyTorch's kernels do not agree about it"),
    (says("is_causal is for"), "netc makes the causal mask of self-attention alone"),
    (says("pads both ends alike"), "PyTorch's form has no asymmetric padding"),
    (no_form, "PyTorch has no such operator, and netc's code for it refuses nothing by itself: netc's check does"),
    (pytorch_says("not implemented for"), "PyTorch has no kernel on the CPU for this element type"),
]
