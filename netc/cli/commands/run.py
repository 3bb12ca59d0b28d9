"""`netc run`"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from netc.cli.completion import SPEC
from netc.cli.guard import guarded
from netc.cli.onnx_options import onnx_options, read_onnx_options, refuse_onnx_options
from netc.cli.options import OUTPUT, SEED, THREADS, as_json, choices, times
from netc.cli.output import print_json
from netc.cli.preprocess import preprocess_options
from netc.cli.spec import compile_or_fail
from netc.run import Preprocess, Provider, RunPlan, Settings, ShownTensor, read_labels, run_model, show_run, written


@click.command("run")
@guarded
@click.argument("model", metavar="MODEL.onnx|SPEC", type=SPEC)
@choices
@click.option("--weights", metavar="W.safetensors", help="Weights for a SPEC; fresh ones from --seed by default.")
@click.option(
    "--input",
    "inputs",
    metavar="[NAME=]WHAT",
    multiple=True,
    help="x.npy, x.npz, a picture, numbers as in (1 2 3), `random` or `zeros`; without NAME, in the order of inputs. "
    "Random by default.",
)
@click.option(
    "--provider",
    type=click.Choice(get_args(Provider)),
    default="auto",
    show_default=True,
    help="Where to run; cuda and tensorrt fail if any part would run on the CPU, auto chooses and says so.",
)
@click.option("--runs", type=times(1), default=5, show_default=True, help="Timed runs, after one that is not timed.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed for random numbers.")
@click.option("--threads", type=THREADS, help="CPU threads per node; by default, onnxruntime chooses.")
@click.option("--io-binding", is_flag=True, help="Keep inputs and outputs on the device, so that times exclude copies.")
@click.option("--cuda-graph", is_flag=True, help="Launch the whole model as one CUDA graph; implies --io-binding.")
@preprocess_options
@onnx_options(but=["resize"])
@click.option("--labels", metavar="FILE|imagenet", help="A file with the names of the classes, one per line.")
@click.option(
    "--top", type=click.IntRange(min=1), help="How many of the most probable classes to print; 5 for a picture."
)
@click.option("--output", type=OUTPUT, metavar="OUT.npz", help="Save the outputs.")
@click.option("--print", "print_", is_flag=True, help="Print inputs, weights and outputs as small arrays; on the CPU.")
@click.option("--layers", is_flag=True, help="With --print: the output of every layer as well, after its weights.")
@as_json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    model: str,
    args: dict[str, str],
    bind: dict[str, int],
    weights: str | None,
    provider: Provider,
    inputs: tuple[str, ...],
    runs: int,
    seed: int,
    print_: bool,
    layers: bool,
    json_: bool,
    **options: Any,
) -> None:
    """Run an ONNX file, or a spec, in onnxruntime; shows device, shapes, times and, for pictures, classes.

    A spec is first written to a temporary folder as an ONNX file, as `netc onnx` does with the same options; only
    --resize is for pictures here. Pictures are resized by their shorter side, cropped to the centre and normalised with
    ImageNet's mean and standard deviation, unless options say otherwise or the file does so itself; what was done is
    printed.

    \b
      netc run build/resnet50/model.onnx --provider cpu --bind N=8,h=7,w=7
      netc run build/resnet50/model.onnx --input cat.jpg --labels imagenet
      netc run service.onnx --input cat.jpg --input dog.jpg --labels imagenet
      netc run examples/lecture_filter.yaml --input "signal=(0 -3 2 2 2)" --print
      netc run specs/resnet.yaml:resnet50 --weights resnet50.safetensors --input image=x.npy --output y.npz
    """
    plan = _plan(options)
    if model.endswith(".onnx"):
        refuse_onnx_options(ctx, "only for a spec, not for an ONNX file")
    if layers and not print_:
        raise click.UsageError("--layers needs --print")
    with _file(model, args, bind, weights, seed, options) as (path, left):
        if print_:
            inner = model.endswith(".onnx")
            _print(show_run(path, inputs, left, seed, plan.preprocess, layers=layers, inner=inner), json_)
            return
        report = run_model(path, provider, inputs, left, seed, runs, plan)
    report = msgspec.structs.replace(report, model=model)
    if json_:
        print_json(msgspec.to_builtins(report))
    else:
        click.echo("\n".join(report.lines()))


def _plan(options: Mapping[str, Any]) -> RunPlan:
    labels = options["labels"]
    return RunPlan(
        settings=Settings(options["threads"] or 0, options["cuda_graph"]),
        stay=options["io_binding"],
        preprocess=Preprocess(**{name: options[name] for name in Preprocess.__struct_fields__}),
        labels=read_labels(labels) if labels is not None else (),
        top=options["top"],
        output=options["output"],
    )


def _print(shown: list[ShownTensor], json_: bool) -> None:
    if json_:
        print_json([each.as_json() for each in shown])
    else:
        click.echo("\n".join(line for each in shown for line in each.lines()))


@contextmanager
def _file(
    model: str, args: dict[str, str], bind: dict[str, int], weights: str | None, seed: int, given: dict[str, Any]
) -> Iterator[tuple[Path, dict[str, int]]]:
    """The ONNX file that MODEL is or becomes, and the sizes that are still to be bound."""
    if model.endswith(".onnx"):
        if args or weights is not None:
            raise click.UsageError("-p and --weights need a spec, not an ONNX file")
        yield Path(model), bind
        return
    options = read_onnx_options({**given, "resize": None})
    with written(compile_or_fail(model, args, bind, given["dtype"]), weights, seed, options) as path:
        yield path, {}
