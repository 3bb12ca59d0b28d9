"""`netc verify`"""

from __future__ import annotations

from functools import partial
from typing import Any

import click
import msgspec

from netc.cli.guard import guarded
from netc.cli.onnx_options import onnx_options, read_onnx_options, refuse_onnx_options
from netc.cli.options import SEED, Real, as_json, one_spec, times
from netc.cli.output import finite, print_json
from netc.cli.progress import steps
from netc.cli.spec import compile_or_fail
from netc.verify import VerifyReport, verify, verify_files
from netc.verify.against import computed_in


@click.command("verify")
@guarded
@one_spec
@click.option("--weights", metavar="W.safetensors", help="Weights to load into both; fresh ones by default.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of weights and input.")
@click.option(
    "--against",
    metavar="OTHER.onnx",
    help="Compare with this ONNX file instead; without --weights, its own are used, by name.",
)
@click.option("--layers", is_flag=True, help="Compare every intermediate value and name the first that differs.")
@click.option("--runs", type=times(2), default=2, show_default=True, help="Random inputs at each size.")
@click.option(
    "--tolerance",
    type=Real(min=0),
    metavar="SHARE",
    help="Largest difference allowed, as a share of an output's largest value.  [default: 1e-11 in float64, 2e-5 in "
    "float32, 1e-2 in float16, 0 for integers]",
)
@onnx_options()
@as_json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    spec: str,
    args: dict[str, str],
    bind: dict[str, int],
    weights: str | None,
    seed: int,
    against: str | None,
    layers: bool,
    runs: int,
    tolerance: float | None,
    json_: bool,
    **given: Any,
) -> None:
    """Compare the PyTorch module and the ONNX file on the same weights and input, and say how far apart they are.

    Weights are loaded strictly, output shapes are compared with netc's, and the module takes a training step. Several
    random inputs are tried, at several sizes where sizes are free. Fresh weights that start at a constant (a head or
    a scale of zeros) are given small random values, as they would otherwise hide the layers before them. If an output
    differs by more than its tolerance, every statement is compared given equal inputs, as rounding alone may explain
    it. Exits with 1 if anything else differs.

    The file is written with the options of `netc onnx`. What it does to images and scores is compared with PyTorch's
    own functions around the module, on images of odd sizes.

    With --against, the other side is any ONNX file, and SPEC may be one too: inputs and outputs are matched by name,
    else by order, and sizes fixed by either apply to both. A file written by `netc onnx` says what it does to images
    and scores; for other files, options say it.

    \b
      netc verify specs/resnet.yaml:resnet50
      netc verify specs/resnet.yaml:resnet50 --weights build/resnet50/model.safetensors --layers
      netc verify specs/resnet.yaml:resnet50 --weights resnet50.safetensors --bind h=7,w=7
          --input-dtype uint8 --input-layout nhwc --resize 256 --normalize imagenet --softmax --topk 5
      netc verify specs/resnet.yaml:resnet50 --weights resnet50.safetensors --against exported.onnx
      netc verify build/resnet50/model.onnx --against exported.onnx --tolerance 1e-4
    """
    if spec.endswith(".onnx"):
        _refuse_without_spec(ctx, against, needs_spec=bool(weights or args or layers))
        report = verify_files(spec, str(against), seed, bind, runs, tolerance)
    else:
        _settle_for(ctx, against, given)
        network = compile_or_fail(spec, args, bind, given["dtype"])
        plan = partial(verify, layers=layers, runs=runs, tolerance=tolerance, options=read_onnx_options(given))
        with steps() as note:
            report = plan(network, weights, seed, None, note, against=against)
    _show(report, json_)
    ctx.exit(0 if report.ok else 1)


def _refuse_without_spec(ctx: click.Context, against: str | None, *, needs_spec: bool) -> None:
    """What only makes sense for a spec, where two files are compared."""
    _refuse(against is None, "an ONNX file needs another one to compare with: --against OTHER.onnx")
    _refuse(needs_spec, "--weights, -p and --layers need a spec, not an ONNX file")
    refuse_onnx_options(ctx, "only for a spec, not for an ONNX file")


def _settle_for(ctx: click.Context, against: str | None, options: dict[str, Any]) -> None:
    """With another file, how it is written is settled, and so is the type it computes in, unless one was asked for."""
    if against is not None:
        refuse_onnx_options(ctx, f"{against} already exists", ("opset", "functions", "inner_sizes"))
        options["dtype"] = options["dtype"] or computed_in(against)


def _refuse(wrong: bool, problem: str) -> None:
    if wrong:
        raise click.UsageError(problem)


def _show(report: VerifyReport, json_: bool) -> None:
    if json_:
        print_json(finite({**msgspec.to_builtins(report), "ok": report.ok}))
    else:
        click.echo("\n".join(report.lines()))
