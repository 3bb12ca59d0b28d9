"""A network as a service calls it: images made ready in front of it, scores or the best classes behind it.

What is added is written as specs and compiled like any other, so that it is checked, drawn and exported alike. The
network's own statements and the names of its weights stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Annotated, Literal

import msgspec

from netc.diagnostics.model import NetcError, Source, failure, require
from netc.dims import Domain, dim_source, symbols
from netc.ir.flat import flatten
from netc.ir.model import Block, BlockOutput, Call, Item, Network, Value, leaves
from netc.passes import compile_spec
from netc.syntax.ast import Line
from netc.types import FLOATS, TensorType

SPACE = "uvwyzabcdefgh"
"""Letters for the height and width of images of any size; the first two that the network does not use."""


class Normalisation(msgspec.Struct, frozen=True):
    """(x·scale − mean) / std per channel; `scale` is 1/255 for uint8 images and 1 for others unless it is given.

    Raises ValueError for a deviation or a scale of 0, and for what is no number.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float | None = None

    def __post_init__(self) -> None:
        divided = (*self.std, 1.0 if self.scale is None else self.scale)
        if 0 in divided or not all(map(isfinite, (*self.mean, *divided))):
            raise ValueError("a deviation or the scale is 0 or not a number")


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""What torchvision's networks were trained with."""


_Side = Annotated[int, msgspec.Meta(ge=1, le=99_999)]
_Count = Annotated[int, msgspec.Meta(ge=1)]


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What stands around a network.

    Of every image (an N×C×H×W input of floating-point numbers), in this order: `image_dtype` the type it is given as
    (None: the network's); `layout` `nchw` or `nhwc`; `resize` the whole image to (height, width), bilinear with
    antialias, then the network's size cut from the middle, both as torchvision does; `normalise`.
    Of the one output: `softmax` over axis 1, then the `topk` largest of axis 1 with their indices.
    `keep_io`: floating-point inputs and outputs are float32, whatever the network computes in.
    """

    image_dtype: Literal["uint8"] | None = None
    layout: Literal["nchw", "nhwc"] = "nchw"
    resize: tuple[_Side, _Side] | None = None
    normalise: Normalisation | None = None
    softmax: bool = False
    topk: _Count | None = None
    keep_io: bool = False

    @property
    def of_images(self) -> bool:
        """Is anything done to images?"""
        return bool(self.image_dtype or self.layout != "nchw" or self.resize or self.normalise)


BARE = Serving()
"""A network by itself."""


def served(network: Network, serving: Serving) -> Network:
    """The network with what `serving` adds. Raises NetcError (`cannot-serve`) for what does not fit it."""
    if serving == BARE:
        return network
    if serving.of_images and not any(map(is_image, network.block.inputs)):
        raise _error(f"{network.name} has no image input, a floating-point tensor N×C×H×W")
    if serving.softmax or serving.topk:
        _need_scores(network)
    if serving.softmax:
        _refuse_second_softmax(network)
    wrapper = _Wrapper(network)
    inputs = tuple(_read(wrapper, value, serving) for value in network.block.inputs)
    outputs = tuple(new for output in network.block.outputs for new in _answered(wrapper, output, serving))
    block = msgspec.structs.replace(network.block, inputs=inputs, items=wrapper.items(), outputs=outputs)
    return msgspec.structs.replace(network, block=block, domain=wrapper.domain)


def is_image(value: Value) -> bool:
    """Is this input of a network N×C×H×W of floating-point numbers?"""
    return value.type.rank == 4 and value.type.dtype in FLOATS


def _error(message: str) -> NetcError:
    return failure("cannot-serve", message)


class _Steps:
    """The statements of a spec one after another, each reading the one before it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.last = "in"

    def add(self, name: str, line: str) -> None:
        self.lines.append(f"{name}: {line}")
        self.last = name

    def by_channel(self, name: str, operation: str, numbers: list[float], dtype: str) -> None:
        """An operation with one number, or with one for each channel."""
        listed = " ".join(f"{number!r}" for number in numbers)
        self.lines.append(f"{name}_by: constant ({listed}) shape=({len(numbers)} 1 1) dtype={dtype}")
        self.add(name, f"{operation} @{self.last} @{name}_by")

    def spec(self, name: str, shape: tuple[str, ...], dtype: str, outputs: dict[str, str]) -> str:
        listed = ", ".join(f"{output}: {source}" for output, source in outputs.items())
        return "\n".join(
            (
                "netc: 1",
                f"name: {name}",
                f"inputs: {{given: {{shape: [{', '.join(shape)}], dtype: {dtype}}}}}",
                "net:",
                *(f"  {line}" for line in self.lines),
                f"outputs: {{{listed}}}\n",
            )
        )


class _Wrapper:
    """Collects the calls before and after a network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._taken = {leaf.path.partition(".")[0] for leaf in leaves(network.block.items)}
        self._first: list[Call] = []
        self._last: list[Call] = []
        self.domain = Domain()
        self.domain.bounds |= network.domain.bounds

    def items(self) -> tuple[Item, ...]:
        """The statements of the network between those added."""
        return *self._first, *self._network.block.items, *self._last

    def before(self, value: Value, text: str) -> Value:
        """The input of a spec, from which it computes an input of the network."""
        block = self._compiled(text)
        source = Value(block.inputs[0].type, value.path, value.span)
        self._first.append(self._call(block, source, (value,)))
        return source

    def after(self, value: Value, text: str) -> dict[str, Value]:
        """What a spec computes from a result of the network, by name."""
        block = self._compiled(text)
        results = {o.name: Value(o.value.type, f"postprocess.{o.name}", value.span) for o in block.outputs}
        self._last.append(self._call(block, value, tuple(results.values())))
        return results

    def _call(self, block: Block, source: Value, results: tuple[Value, ...]) -> Call:
        name = self._free(block.name)
        span = self._network.block.definition.span
        return Call(
            path=name, module=name, block=block, inputs=(source,), outputs=results, said={}, spans={}, span=span,
            statement=Line(span=span, op=name, op_span=span), imported=True,
        )  # fmt: skip

    def _free(self, stem: str) -> str:
        name, number = stem, 2
        while name in self._taken:
            name, number = f"{stem}_{number}", number + 1
        self._taken.add(name)
        return name

    def _compiled(self, text: str) -> Block:
        network = require(*compile_spec(Source("<serving>", text)))
        self.domain.bounds |= {name: max(n, self.domain.lower(name)) for name, n in network.domain.bounds.items()}
        return network.block


def _read(wrapper: _Wrapper, value: Value, serving: Serving) -> Value:
    """What stands for an input of the network."""
    target, image = value.type.dtype, is_image(value) and serving.of_images
    dtype = "float32" if serving.keep_io and target in FLOATS else target
    shape, steps = tuple(map(dim_source, value.type.shape)), _Steps()
    if image:
        dtype = serving.image_dtype or dtype
        shape = _image_shape(value.type, serving)
        _make_ready(steps, value.type, dtype, serving)
    if ("float32" if image and dtype not in FLOATS else dtype) != target:
        steps.add("narrowed", f"cast {target} @{steps.last}")
    if not steps.lines:
        return value
    return wrapper.before(value, steps.spec("preprocess", shape, dtype, {"ready": steps.last}))


def _image_shape(target: TensorType, serving: Serving) -> tuple[str, ...]:
    """The sizes of an image as it is given: any height and width where it is resized."""
    batch, channels, *space = map(dim_source, target.shape)
    if serving.resize:
        taken = {name for size in target.shape for name in symbols(size)}
        space = [letter for letter in SPACE if letter not in taken][:2]
    return (batch, *space, channels) if serving.layout == "nhwc" else (batch, channels, *space)


def _make_ready(steps: _Steps, target: TensorType, dtype: str, serving: Serving) -> None:
    if serving.layout == "nhwc":
        steps.add("planes", f"permute (0 3 1 2) @{steps.last}")
    if dtype not in FLOATS:
        steps.add("numbers", f"cast float32 @{steps.last}")
    if serving.resize:
        _resize(steps, target, *serving.resize)
    if serving.normalise:
        _normalise(steps, target, serving.normalise, dtype)


def _resize(steps: _Steps, target: TensorType, *sizes: int) -> None:
    listed = "×".join(map(str, sizes))
    steps.add("resized", f"interpolate ({' '.join(map(str, sizes))}) mode=bilinear antialias=true @{steps.last}")
    for axis, (size, kept) in enumerate(zip(sizes, target.shape[2:], strict=True), 2):
        if not isinstance(kept, int):
            raise _error(f"images can be resized where the network takes one size, not {target}: use --bind")
        if size < kept:
            raise _error(f"images of {listed} are too small for a network that takes {target}")
        if size > kept:
            steps.add(
                "rows" if axis == 2 else "columns", f"narrow {axis} {round((size - kept) / 2)} {kept} @{steps.last}"
            )


def _normalise(steps: _Steps, target: TensorType, normalise: Normalisation, dtype: str) -> None:
    channels, scale = target.shape[1], normalise.scale or (1.0 if dtype in FLOATS else 1 / 255)
    working = dtype if dtype in FLOATS else "float32"
    for what, numbers in (("means", normalise.mean), ("deviations", normalise.std)):
        if len(numbers) not in (1, channels):
            raise _error(f"{len(numbers)} {what} do not fit images of {dim_source(channels)} channels")
    steps.by_channel("centred", "sub", [mean / scale for mean in normalise.mean], working)
    steps.by_channel("normalised", "mul", [scale / std for std in normalise.std], working)


def _answered(wrapper: _Wrapper, output: BlockOutput, serving: Serving) -> Iterator[BlockOutput]:
    """The outputs that one of the network becomes."""
    kind, steps, names = output.value.type, _Steps(), {}
    if not output.train_only:
        if serving.keep_io and kind.dtype in FLOATS and kind.dtype != "float32":
            steps.add("widened", "cast float32 @in")
        names = _score(steps, output.name, serving)
    if not steps.lines:
        yield output
        return
    shape = tuple(map(dim_source, kind.shape))
    results = wrapper.after(output.value, steps.spec("postprocess", shape, kind.dtype, names))
    yield from (BlockOutput(name, results[name]) for name in names)


def _score(steps: _Steps, name: str, serving: Serving) -> dict[str, str]:
    """Names of what is put out, each with its reference."""
    if serving.softmax:
        name = "probabilities"
        steps.add("probabilities", f"softmax 1 @{steps.last}")
    if serving.topk is None:
        return {name: steps.last}
    steps.add("best", f"topk {serving.topk} 1 @{steps.last}")
    return {"values": "best.values", "indices": "best.indices"}


def _need_scores(network: Network) -> None:
    scores = [output for output in network.block.outputs if not output.train_only]
    if len(scores) != 1:
        names = ", ".join(output.name for output in scores)
        raise _error(f"softmax and topk are for a network of one output; {network.name} has {names}")
    kind = scores[0].value.type
    if kind.rank < 2 or kind.dtype not in FLOATS:
        raise _error(f"softmax and topk take scores along axis 1, not {scores[0].name}, which is {kind}")


def _refuse_second_softmax(network: Network) -> None:
    """One of what is a softmax already would make all classes nearly alike."""
    flat = flatten(network)
    makers = {wire: node.node for node in flat.nodes for wire in node.outputs}
    for output in flat.outputs:
        maker = makers.get(output.wire)
        if maker is not None and maker.op.is_softmax and not output.train_only:
            message = f"output `{output.name}` is the result of {maker.op.name} already: leave --softmax out"
            raise failure("cannot-serve", message, span=maker.span)
