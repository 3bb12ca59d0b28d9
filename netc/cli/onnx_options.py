"""Options about how a network is written as an ONNX file: one declaration for every command that writes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from netc.cli.serving import FileOption, all_of, file_option, serving, serving_options
from netc.kernels import OPSET
from netc.lazy import LazyModule
from netc.types import FLOATS

if TYPE_CHECKING:
    from netc.backends import onnx
else:
    onnx = LazyModule("netc.backends.onnx")

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def onnx_options(but: Sequence[str] = ()) -> Callable[[Decorated], Decorated]:
    """--opset, --dtype, --functions, --inner-sizes and what stands around the network: all that `read_onnx_options`
    reads, `but` for some by name."""
    return all_of((*_OPTIONS, serving_options(but)))


def read_onnx_options(options: dict[str, Any]) -> onnx.OnnxOptions:
    """What the options ask for; `given["dtype"]` is for whoever compiles the network, too."""
    return onnx.OnnxOptions(
        opset=options["opset"],
        functions=options["functions"],
        inner_sizes=options["inner_sizes"],
        serving=serving(options),
        convert=options["dtype"] is not None,
    )


def refuse_onnx_options(ctx: click.Context, reason: str, names: Sequence[str] | None = None) -> None:
    """Raises UsageError where options of `onnx_options` are given: any, or any of `names`."""
    named = (param for param in ctx.command.params if isinstance(param, FileOption))
    refused = [param.opts[0] for param in named if names is None or param.name in names if _is_given(ctx, param)]
    if refused:
        raise click.UsageError(f"{', '.join(refused)}: {reason}")


def _is_given(ctx: click.Context, param: click.Parameter) -> bool:
    return ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    file_option(
        "--opset", type=click.IntRange(17, 23), default=OPSET, show_default=True, help="Version of ONNX's operators."
    ),
    file_option(
        "--dtype", type=click.Choice(FLOATS), help="Type that the network computes in; given weights are converted."
    ),
    file_option(
        "--functions",
        is_flag=True,
        help="Write each block as an ONNX function that is called wherever the block is used.",
    ),
    file_option(
        "--inner-sizes",
        is_flag=True,
        help="Also write the symbolic sizes of inner tensors, which Netron shows and tract rejects.",
    ),
)
