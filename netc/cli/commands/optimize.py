"""`netc optimize`"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from netc.cli.completion import SPEC
from netc.cli.guard import guarded
from netc.cli.options import SEED, Real, as_json, choices, file_output, times
from netc.cli.output import finite, print_json
from netc.cli.preprocess import preprocess_options
from netc.cli.progress import steps
from netc.cli.spec import compile_or_fail
from netc.optimise import Calibration, OptimisePlan, OptimiseReport, optimise
from netc.optimise.plan import FLOAT_STEPS, Method, Step
from netc.run import Preprocess
from netc.run.written import written

CALIBRATING = ("evaluate", "samples", "method", "keep", "symmetric")


@click.command("optimize")
@guarded
@click.argument("model", metavar="MODEL.onnx|SPEC", type=SPEC)
@choices
@file_output("The ONNX file to write, its weights beside it.")
@click.option("--weights", metavar="W.safetensors", help="Weights for a SPEC; fresh ones from --seed by default.")
@click.option("--fold-batch-norm", is_flag=True, help="Fold batch norms into the layers before or after them.")
@click.option("--fuse-constants", is_flag=True, help="Compute what does not depend on the input, and join constants.")
@click.option("--drop-no-ops", is_flag=True, help="Drop nodes that do nothing or repeat another.")
@click.option("--all", "all_", is_flag=True, help="All three of these.")
@click.option("--int8", is_flag=True, help="Quantise to 8-bit integers with onnxruntime's own tools.")
@click.option(
    "--calibrate",
    metavar="DIR|DATA.npy|DATA.npz|random",
    help="For --int8: pictures, or arrays with samples along the first axis, to choose value ranges from.",
)
@click.option("--calibration-method", "method", type=click.Choice(get_args(Method)), help="minmax by default.")
@click.option(
    "--samples", type=click.IntRange(min=1), help="Use at most this many samples; by default 64, or 8 random ones."
)
@click.option("--keep", metavar="GLOB", multiple=True, help="Nodes, by spec path, that stay in floating point.")
@click.option("--symmetric", is_flag=True, help="Activations without zero points, as TensorRT requires.")
@click.option("--evaluate", metavar="DIR|DATA.npy|…", help="Data to measure the drift on instead of --calibrate's.")
@preprocess_options
@click.option(
    "--input",
    "inputs",
    metavar="[NAME=]WHAT",
    multiple=True,
    help="Compare on these inputs too; given as for `netc run`.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed for random numbers.")
@click.option("--runs", type=times(1), default=2, show_default=True, help="Random inputs at each size.")
@click.option("--tolerance", type=Real(min=0), metavar="SHARE", help="As for `netc verify`.")
@click.option("--single-file", "single", is_flag=True, help="Put the weights into the ONNX file, up to 2 GiB.")
@as_json
def command(
    model: str,
    args: dict[str, str],
    bind: dict[str, int],
    target: str,
    weights: str | None,
    seed: int,
    json_: bool,
    **options: Any,
) -> None:
    """Make an ONNX file smaller and faster, by the steps you ask for and no others.

    After each step all outputs are compared with those of the original, at several sizes; if they differ by more than
    rounding, nothing is written. 8-bit numbers do change outputs; the report says by how much. Tensors that change
    get new names (`conv1.weight.folded`), the others keep theirs, and unused ones are left out. MODEL itself is never
    changed.

    \b
      netc optimize resnet50.onnx -o fast.onnx --all
      netc optimize specs/resnet.yaml:resnet50 --weights resnet50.safetensors -o fast.onnx --fold-batch-norm
      netc optimize resnet50.onnx -o int8.onnx --all --int8 --calibrate pictures --keep 'fc*'
    """
    plan = _plan(bind, seed, weights, options)
    with _file(model, args, bind, weights, seed) as (path, left), steps() as note:
        report = optimise(path, target, msgspec.structs.replace(plan, bind=left), note)
    _show(msgspec.structs.replace(report, model=model), json_)


def _plan(bind: dict[str, int], seed: int, weights: str | None, options: dict[str, Any]) -> OptimisePlan:
    chosen: tuple[Step, ...] = tuple(s for s in FLOAT_STEPS if options["all_"] or options[s.replace("-", "_")])
    if not chosen and not options["int8"]:
        raise click.UsageError("choose what to do: --all, --fold-batch-norm, --fuse-constants, --drop-no-ops or --int8")
    picture = Preprocess(**{name: options[name] for name in ("size", "resize", "mean", "std")})
    return OptimisePlan(
        steps=chosen,
        inputs=options["inputs"],
        seed=seed,
        runs=options["runs"],
        tolerance=options["tolerance"],
        single=options["single"],
        preprocess=picture,
        int8=_calibration(options),
        spare=() if weights is None else (Path(weights),),
    )


def _calibration(options: dict[str, Any]) -> Calibration | None:
    data = options["calibrate"]
    if not options["int8"]:
        if data or any(options[name] for name in CALIBRATING):
            raise click.UsageError("calibration options need --int8")
        return None
    if data is None:
        raise click.UsageError("--int8 needs data to choose ranges from: --calibrate DIR, DATA.npy, DATA.npz or random")
    return Calibration(
        data=data,
        evaluate=options["evaluate"],
        samples=options["samples"] or (8 if data == "random" else 64),
        method=options["method"] or "minmax",
        keep=options["keep"],
        symmetric=options["symmetric"],
    )


@contextmanager
def _file(
    model: str, args: dict[str, str], bind: dict[str, int], weights: str | None, seed: int
) -> Iterator[tuple[Path, dict[str, int]]]:
    """The ONNX file that MODEL is or becomes, and the sizes that are still to be bound."""
    if model.endswith(".onnx"):
        if args or weights is not None:
            raise click.UsageError("-p and --weights need a spec, not an ONNX file")
        yield Path(model), bind
        return
    with written(compile_or_fail(model, args, bind), weights, seed) as path:
        yield path, {}


def _show(report: OptimiseReport, json_: bool) -> None:
    if json_:
        print_json(finite(msgspec.to_builtins(report)))
    else:
        click.echo("\n".join(report.lines()))
