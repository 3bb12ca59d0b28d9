"""`netc conv`"""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from netc.cli.commands.explain import say
from netc.cli.options import as_json, text_output
from netc.cli.spec import compile_text
from netc.cli.windows import draw_layer, window_options
from netc.passes.explain import Explainer

_SIZE = r"(?:[0-9]{1,18}|(?:[0-9]{1,9}\*)?[A-Za-wyz])"
_INPUT = re.compile(rf"{_SIZE}(?:[x×]{_SIZE}){{1,3}}")
_PER_AXIS = re.compile(r"[0-9]{1,9}(?:[x×][0-9]{1,9}){0,2}")


class PerAxis(click.ParamType[str]):
    """A number, one per axis as in 3x5, or one of some words; read as a spec writes it."""

    name = "number"

    def __init__(self, *words: str) -> None:
        self.words = words

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in self.words:
            return value
        if not _PER_AXIS.fullmatch(value):
            words = "".join(f", or {word}" for word in self.words)
            self.fail(f"`{value}` is not a number, or one per axis as in 3x5{words}", param, ctx)
        numbers = re.split("[x×]", value)
        return numbers[0] if len(numbers) == 1 else f"({' '.join(numbers)})"


@click.command("conv")
@click.option("--input", "shape", metavar="CxHxW", required=True, help="Channels and sizes: 3x32x32, 2x100, 1x8x16x16.")
@click.option("--kernel", type=PerAxis(), required=True, help="Size of the window.")
@click.option("--channels", type=click.IntRange(min=1), help="Output channels; as many as the input has by default.")
@click.option("--stride", type=PerAxis(), help="Step between windows; 1 by default, or the window's size for a pool.")
@click.option("--padding", type=PerAxis("valid", "half", "full", "same"), help="A number, or valid, half, full, same.")
@click.option("--dilation", type=PerAxis(), help="Spacing between taps.")
@click.option("--groups", type=click.IntRange(min=1), help="Independent groups of channels.")
@click.option("--no-bias", is_flag=True, help="Leave out the learned offset per output channel.")
@click.option("--transposed", is_flag=True, help="A transposed convolution.")
@click.option("--output-padding", type=PerAxis(), help="For a transposed convolution: elements added at the end.")
@click.option(
    "--pool",
    is_flag=False,
    flag_value="max",
    type=click.Choice(["max", "avg"]),
    help="A pool instead of a convolution: max by default, or avg.",
)
@click.option("--ceil-mode", is_flag=True, help="For a pool: keep a last, partial window.")
@text_output("Also draw it: NAME.svg, or - for standard output.")
@window_options
@as_json
def command(
    shape: str,
    kernel: str,
    channels: int | None,
    pool: str | None,
    transposed: bool,
    target: str | None,
    animate: bool,
    matrix: bool,
    sharing: bool,
    json_: bool,
    **options: str | int | bool | None,
) -> None:
    """Explain a convolution, transposed convolution or pool, without a spec.

    The size formula with its numbers, the named paddings, settings that divide where the stride leaves a remainder,
    parameters and multiply-accumulates, the matrix products forward and backward, and what a training step keeps. The
    number of sizes after the channels says whether it is 1-, 2- or 3-dimensional; letters are symbols: 3x8*hx8*w.

    \b
      netc conv --input 3x32x32 --kernel 5 --channels 6 --stride 2
      netc conv --input 16x7x7 --kernel 3 --stride 2 --padding 1 --transposed
      netc conv --input 64x100 --kernel 2 --pool
      netc conv --input 1x5x5 --kernel 3 --stride 2 --padding 1 -o windows.svg
      netc conv --input 1x6 --kernel 3 --matrix
    """
    line = _line(shape, kernel, channels, pool, transposed, options)
    sizes = ", ".join(re.split("[x×]", shape))
    text = f"netc: 1\nname: conv\ninputs: {{input: [N, {sizes}]}}\nnet:\n  {_title(pool, transposed)}: {line}\n"
    explainer = Explainer(compile_text("<conv>", text))
    (node,) = explainer.flat.nodes
    if target != "-":
        say([explainer.explain(node, detail=True)], json_)
    if target is not None or matrix:
        draw_layer(explainer, node, target, animate=animate, matrix=matrix, sharing=sharing)


def _title(pool: str | None, transposed: bool) -> str:
    return "pool" if pool else "up" if transposed else "conv"


def _line(
    shape: str,
    kernel: str,
    channels: int | None,
    pool: str | None,
    transposed: bool,
    given: dict[str, str | int | bool | None],
) -> str:
    """The line of a spec that says the same. Raises UsageError for options that do not go together."""
    if not _INPUT.fullmatch(shape):
        raise click.UsageError(f"--input {shape}: give channels and one to three sizes, as in 3x32x32")
    inside, *space = re.split("[x×]", shape)
    chosen = {name: value for name, value in given.items() if value is not None and value is not False}
    _refuse(chosen, channels, pool, transposed)
    if chosen.pop("no_bias", None):
        chosen["bias"] = "false"
    if chosen.pop("ceil_mode", None):
        chosen["ceil_mode"] = "true"
    operator = f"{pool}_pool" if pool else "conv_transpose" if transposed else "conv"
    first = "" if pool else f" {channels or inside}"
    options = "".join(f" {name}={value}" for name, value in chosen.items())
    return f"{operator}{len(space)}d{first} {kernel}{options}"


def _refuse(chosen: Iterable[str], channels: int | None, pool: str | None, transposed: bool) -> None:
    if pool and transposed:
        raise click.UsageError("--pool and --transposed cannot be used together")
    if pool and channels is not None:
        raise click.UsageError("--channels is for convolutions: a pool keeps its channels")
    for name in chosen:
        option = f"--{name.replace('_', '-')}"
        if name == "output_padding" and not transposed:
            raise click.UsageError(f"{option} is for transposed convolutions")
        if name == "ceil_mode" and not pool:
            raise click.UsageError(f"{option} is for pools")
        if pool and name in ("groups", "no_bias"):
            raise click.UsageError(f"{option} is for convolutions")
        if pool == "avg" and name == "dilation":
            raise click.UsageError("--dilation is for convolutions and max pools")
