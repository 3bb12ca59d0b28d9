"""The Python interface: `netc.load` compiles a spec, and the `Network` it returns does everything else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from netc import __version__
from netc.budget import limited
from netc.diagnostics.model import Diagnostic, NetcError, Source, require
from netc.dims import Size
from netc.dims import bind as bind_size
from netc.files import allowed_imports, protected_inputs
from netc.ir import model as ir
from netc.ir.flat import flatten
from netc.lazy import LazyModule
from netc.literals import literal, scaled
from netc.ops.records import Unsupported
from netc.passes import compile_spec
from netc.syntax.library import split_shipped
from netc.types import TensorType

if TYPE_CHECKING:
    from pathlib import Path

    import graphviz
    from torch import nn

    from netc import artifacts, weights
    from netc.backends import diagram as pictures
    from netc.backends import onnx, pytorch
    from netc.backends.diagram import dot
    from netc.ops import plugins as operator_plugins
    from netc.passes import cost, refusals, serve, sizes
    from netc.passes import files as spec_files
    from netc.passes import summary as summaries
    from netc.run import module as live
else:
    artifacts = LazyModule("netc.artifacts")
    dot = LazyModule("netc.backends.diagram.dot")
    pictures = LazyModule("netc.backends.diagram")
    cost = LazyModule("netc.passes.cost")
    live = LazyModule("netc.run.module")
    onnx = LazyModule("netc.backends.onnx")
    operator_plugins = LazyModule("netc.ops.plugins")
    pytorch = LazyModule("netc.backends.pytorch")
    refusals = LazyModule("netc.passes.refusals")
    serve = LazyModule("netc.passes.serve")
    sizes = LazyModule("netc.passes.sizes")
    spec_files = LazyModule("netc.passes.files")
    summaries = LazyModule("netc.passes.summary")
    weights = LazyModule("netc.weights")

__all__ = ["Argument", "Diagnostic", "NetcError", "Network", "load", "split_variant"]

Argument = str | int | float | bool | None | list["Argument"] | tuple["Argument", ...]
"""What an argument of a network may be; a text is read as the language reads it (`basic`, `"group_norm 32"`)."""

_VARIANT = re.compile(r"(?P<path>.+):(?P<variant>\w+)")


class Network:
    """A checked network.

    Made by `netc.load`; `ir` is the intermediate representation all methods read. Only `module` imports torch, and only
    `write_onnx` imports onnx.
    """

    def __init__(self, network: ir.Network) -> None:
        self.ir = network

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name} {type_}" for name, type_ in self.inputs.items())
        outputs = ", ".join(f"{name} {type_}" for name, type_ in self.outputs.items())
        return f"<netc.Network {self.name}: {inputs} → {outputs}>"

    @property
    def name(self) -> str:
        """The variant's name, or the file's where it has no variants."""
        return self.ir.name

    @property
    def inputs(self) -> dict[str, TensorType]:
        """Name → type of every input, in order."""
        return {value.path: value.type for value in self.ir.block.inputs}

    @property
    def outputs(self) -> dict[str, TensorType]:
        """Name → type of every declared output, those of training included."""
        return {output.name: output.value.type for output in self.ir.block.outputs}

    def check(self) -> tuple[Diagnostic, ...]:
        """The warnings of the spec; errors have already been raised by `netc.load`."""
        return self.ir.warnings

    def summary(self) -> summaries.Summary:
        """Layers with shapes, parameters, MACs and receptive fields; printing it gives a table."""
        return summaries.summarise(self.ir)

    def to_torch(self) -> str:
        """The source of a Python module that imports only torch; the network's class is the last one."""
        try:
            return pytorch.generate(self.ir, pytorch.Header(version=__version__, macs=self._work()))
        except Unsupported as error:
            raise NetcError(refusals.torch_refusals(self.ir, error)) from error

    def _work(self) -> str:
        """`4.09 GMACs for a 3×224×224 image`: the cost of one pass at usual sizes; nothing where it is unknown."""
        macs = cost.macs(self.ir, flatten(self.ir))
        if not macs:
            return ""
        domain, types = self.ir.domain, list(self.inputs.values())
        names = {name for type_ in types for name in sizes.names_in(type_.shape)}
        usual = sizes.typical([type_.shape for type_ in types], {name: domain.lower(name) for name in names}, {})
        shapes = [TensorType(tuple(bind_size(size, usual) for size in type_.shape[1:])) for type_ in types]
        inputs = " and ".join(f"a {s} {name}" for name, s in zip(self.inputs, shapes, strict=True) if s.rank > 1)
        return f"{_scaled(bind_size(macs, usual))}MACs{f' for {inputs}' if inputs else ''}"

    def module(self, weights: str | os.PathLike[str] | Mapping[str, Any] | None = None, seed: int = 0) -> nn.Module:
        """The PyTorch module itself, in train mode: an instance of the class that `to_torch` writes, on the CPU.

        weights: a safetensors file, or a mapping from the names of the state_dict to tensors or arrays; they are
        loaded strictly, and those of a mapping are converted to the network's types. Without weights, fresh ones are
        drawn from `seed`, as by `netc weights init`. The module can be copied and pickled, and tracebacks show its
        source. Raises NetcError for weights that do not fit.
        """
        source = weights if weights is None or isinstance(weights, Mapping) else os.fspath(weights)
        return live.live_module(self.ir, self.to_torch(), source, seed)

    def write_onnx(
        self,
        path: str | Path,
        weights_path: str | Path | None = None,
        *,
        seed: int = 0,
        options: onnx.OnnxOptions | None = None,
    ) -> None:
        """Write an ONNX file, with its tensors in a safetensors file in the same directory.

        weights_path: existing weights, checked against the network; without it fresh ones are drawn from `seed` and
        written beside `path` with the suffix `.safetensors`. options: opset, functions, pre- and postprocessing,
        where weights go (`netc.backends.onnx.OnnxOptions`). Raises NetcError; existing files then stay as they were.
        """
        chosen = options or onnx.OnnxOptions()
        with protected_inputs(spec_files.paths(self.ir)):
            if weights_path is None:
                onnx.write_onnx_fresh(self.ir, path, seed, options=chosen)
            else:
                onnx.write_onnx(self.ir, path, weights_path, chosen)

    def served(self, serving: serve.Serving) -> Network:
        """This network with pre- and postprocessing for a service: images prepared, scores turned into classes.

        The result is a network like any other, with the same weights. Raises NetcError (`cannot-serve`).
        """
        return Network(serve.served(self.ir, serving))

    def write_weights(self, path: str | Path, *, seed: int = 0) -> None:
        """Write freshly initialised weights as safetensors, named as in the module's state_dict. Raises NetcError."""
        with protected_inputs(spec_files.paths(self.ir)), artifacts.staged([path]) as (temporary,):
            weights.init_weights(self.ir, temporary, seed)

    def diagram(
        self,
        level: pictures.Level = "blocks",
        style: pictures.Style = "auto",
        *,
        expand: Sequence[str] = (),
        collapse: Sequence[str] = (),
        depth: int | None = None,
        page: str | tuple[float, float] | None = None,
        theme: pictures.Theme = "light",
        color: pictures.ColorBy = "family",
        legend: bool = False,
    ) -> pictures.Picture:
        """A picture, which notebooks display; `.svg` is its text, `.save("x.pdf")` writes it.

        level: `overview`, `blocks` or `ops`. style: `columns`, `paper`, `u`, `volumes`; `auto` is `u` for
        encoder-decoders and else `columns`. expand, collapse: globs over paths of blocks. depth: how deep nested
        frames are opened. page: `letter`, `a4`, `slide`, or width and height in points. theme: `light`, `dark`,
        `print`. color: what fills show, `family`, `params` or `macs`; legend: whether to explain it. Raises KeyError
        for another page, and the picture's attributes netc.backends.diagram.PictureError for a style that does not
        suit.
        """
        size = pictures.PAGES[page] if isinstance(page, str) else page
        options = pictures.Options(
            level=level,
            style=style,
            expand=tuple(expand),
            collapse=tuple(collapse),
            depth=depth,
            page=size,
            theme=theme,
            color=color,
            legend=legend,
        )
        return pictures.Picture(self.ir, options)

    def to_graphviz(self, level: pictures.Level = "blocks", direction: dot.Direction = "tb") -> graphviz.Digraph:
        """The picture as a `graphviz.Digraph`, to change, render and embed; it renders with the engine that `netc
        diagram --layout graphviz` finds."""
        return dot.to_graphviz(pictures.view_of(self.ir, level), direction)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What notebooks show: the picture."""
        return {**self.diagram()._repr_mimebundle_(), "text/plain": repr(self)}

    def to_dot(self) -> str:
        """The picture as Graphviz DOT."""
        return dot.to_dot(pictures.view_of(self.ir))


def load(
    spec: str | os.PathLike[str],
    *,
    args: Mapping[str, Argument] | None = None,
    variant: str | None = None,
    bind: Mapping[str, int] | None = None,
    dtype: str | None = None,
    plugins: Sequence[str] = (),
    allow_imports: Sequence[str | os.PathLike[str]] = (),
    limit: int | None = None,
) -> Network:
    """Compile a spec.

    spec: a path, `FILE:VARIANT`, `netc:NAME` of the library, or the text of a spec (a `str` of more than one line).
    args: arguments of the network, over those of the variant. variant: one of the file's; the first by default.
    bind: numbers for symbols of the input shapes. dtype: the type of floating-point inputs and weights, instead of
    the spec's (`float16`). plugins: entry points of operators that the spec may use besides netc's own; no other
    code is loaded. allow_imports: folders that the spec may import from besides its own and those below it. limit:
    steps that checking may take; more for very large networks that you trust (`netc.budget.LIMIT` by default).
    Raises NetcError, which carries every diagnostic found.
    """
    source: str | Source = os.fspath(spec)
    if isinstance(source, str) and isinstance(spec, str) and "\n" in spec:
        source = Source("<text>", spec)
    elif variant is None and isinstance(source, str):
        source, variant = split_variant(source)
    texts = {name: _text(value) for name, value in (args or {}).items()}
    plugged = operator_plugins.plugged(plugins) if plugins else nullcontext()
    with plugged, allowed_imports(allow_imports), limited(limit):
        return Network(require(*compile_spec(source, args=texts, variant=variant, bind=dict(bind or {}), dtype=dtype)))


def split_variant(spec: str) -> tuple[str, str | None]:
    """`FILE:VARIANT` taken apart; a file that has such a name is that file, and `netc:NAME` one of the library."""
    shipped = split_shipped(spec)
    if shipped is not None:
        return shipped
    match = _VARIANT.fullmatch(spec)
    return (spec, None) if match is None or os.path.exists(spec) else (match["path"], match["variant"])


def _text(value: Argument) -> str:
    return f"[{', '.join(map(_text, value))}]" if isinstance(value, list | tuple) else literal(value)


def _scaled(count: Size) -> str:
    """`4.09 G`"""
    if not isinstance(count, int):
        return f"{count} "
    return text if (text := scaled(count))[-1].isalpha() else f"{text} "
