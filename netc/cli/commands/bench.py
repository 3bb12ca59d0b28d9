"""`netc bench`"""

from __future__ import annotations

from typing import Any, get_args

import click
import msgspec

from netc.bench.measure import Rounds
from netc.bench.plot import check_plot, plot
from netc.bench.results import BenchReport
from netc.bench.runner import BenchPlan, bench
from netc.bench.subjects import MODULES
from netc.cli.completion import SPEC
from netc.cli.guard import guarded
from netc.cli.onnx_options import onnx_options, read_onnx_options, refuse_onnx_options
from netc.cli.options import SEED, THREADS, Real, as_json, sized_choices, times
from netc.cli.output import print_json
from netc.cli.progress import stages
from netc.cli.spec import compile_or_fail
from netc.run import Provider


def _read_batches(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, ...]:
    parts = [] if text is None else text.split(",")
    if not all(part.strip().isdecimal() and 0 < int(part) < 10**9 for part in parts):
        raise click.BadParameter(f"`{text}` is not a comma-separated list of positive integers", ctx, param)
    return tuple(sorted({int(part) for part in parts}))


def _read_against(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name for name in (part.strip() for part in text.split(",")) if name and name != "none")
    strange = [name for name in names if name not in MODULES and not name.endswith(".onnx")]
    if strange:
        raise click.BadParameter(f"`{strange[0]}` is neither one of {', '.join(MODULES)} nor an ONNX file", ctx, param)
    return names


@click.command("bench")
@guarded
@click.argument("model", metavar="SPEC|MODEL.onnx", type=SPEC)
@sized_choices
@click.option("--weights", metavar="W.safetensors", help="Weights for a SPEC; fresh ones from --seed by default.")
@click.option(
    "--against",
    metavar="LIST",
    callback=_read_against,
    help=f"Any of {','.join(MODULES)} and paths of ONNX files; by default all a SPEC allows; `none` for netc alone.",
)
@click.option("--batch", "batches", metavar="1,8,32", callback=_read_batches, help="Batch sizes; 1 by default.")
@click.option("--runs", type=times(1), help="Rounds per batch size; each runs every contender once.")
@click.option(
    "--duration",
    type=Real(min=0),
    default=10.0,
    show_default=True,
    help="Seconds per batch size, unless --runs is given; at least 3 rounds.",
)
@click.option("--warmup", type=times(0), default=3, show_default=True, help="Warm-up runs, which are not counted.")
@click.option(
    "--provider",
    type=click.Choice(get_args(Provider)),
    default="auto",
    show_default=True,
    help="Where to run; PyTorch runs there too.",
)
@click.option("--threads", type=THREADS, help="CPU threads; by default, each library chooses.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed for random numbers.")
@click.option("--profile", is_flag=True, help="Time each node and block of netc's file, at the largest batch.")
@click.option(
    "--top", type=click.IntRange(min=1), default=10, show_default=True, help="How many nodes --profile shows."
)
@click.option("--memory", is_flag=True, help="Measure peak memory, each contender in a separate process.")
@click.option("--plot", "picture", metavar="OUT.svg", help="Draw a plot too; needs matplotlib.")
@onnx_options()
@as_json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    model: str,
    args: dict[str, str],
    bind: dict[str, int],
    weights: str | None,
    against: tuple[str, ...] | None,
    batches: tuple[int, ...],
    provider: Provider,
    threads: int | None,
    seed: int,
    profile: bool,
    top: int,
    memory: bool,
    picture: str | None,
    json_: bool,
    **options: Any,
) -> None:
    """Measure a network in onnxruntime beside PyTorch (eager, compiled) and the ONNX file PyTorch exports.

    They take turns, in rounds of random order, so that a busy machine slows all of them alike. `× netc` is the time
    relative to netc's file: medians, and their 95% bootstrap interval. What this machine cannot measure is left out,
    with the reason, and so are percentiles that need more runs.

    With a SPEC, the options of `netc onnx` apply to the file that is measured; PyTorch's module then handles images
    and scores the same way.

    \b
      netc bench specs/resnet.yaml:resnet50 --batch 1,8 --profile
      netc bench specs/resnet.yaml:resnet50 --weights resnet50.safetensors --against export --runs 1000
      netc bench specs/resnet.yaml:resnet50 --input-dtype uint8 --input-layout nhwc --normalize imagenet
      netc bench build/resnet50/model.onnx --against exported.onnx --plot latency.svg
    """
    plan = BenchPlan(
        against=against,
        batches=batches,
        rounds=Rounds(options["runs"] or 0, options["duration"], options["warmup"]),
        provider=provider,
        threads=threads or 0,
        seed=seed,
        profile=top if profile else 0,
        memory=memory,
    )
    if picture is not None:
        check_plot(picture)
    if model.endswith(".onnx"):
        refuse_onnx_options(ctx, "only for a spec, not for an ONNX file")
    report = msgspec.structs.replace(_run(model, args, bind, weights, plan, options), model=model)
    _show(report, picture, json_)


def _show(report: BenchReport, picture: str | None, json_: bool) -> None:
    if picture is not None:
        plot(report, picture)
    if json_:
        print_json(msgspec.to_builtins(report))
    else:
        click.echo("\n".join(report.lines()))


def _run(
    model: str,
    args: dict[str, str],
    bind: dict[str, int],
    weights: str | None,
    plan: BenchPlan,
    given: dict[str, Any],
) -> BenchReport:
    if model.endswith(".onnx"):
        if args or weights is not None:
            raise click.UsageError("-p and --weights need a spec, not an ONNX file")
        with stages() as (note, told):
            return bench(model, plan, bind, None, note, told)
    network, options = compile_or_fail(model, args, bind, given["dtype"]), read_onnx_options(given)
    with stages() as (note, told):
        return bench(network, plan, None, weights, note, told, options)
