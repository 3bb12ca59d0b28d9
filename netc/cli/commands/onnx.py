"""`netc onnx`"""

from __future__ import annotations

from typing import Any

import click
import msgspec

from netc.backends.onnx import OnnxOptions, cpu_only, write_onnx, write_onnx_fresh
from netc.cli.commands.weights.options import shard_size
from netc.cli.onnx_options import onnx_options, read_onnx_options
from netc.cli.options import SEED, one_file_output, one_spec
from netc.cli.output import file_to_write
from netc.cli.progress import progress
from netc.cli.spec import compile_or_fail
from netc.diagnostics.suggest import elided

NAMED = 5


@click.command("onnx")
@one_spec
@one_file_output("The ONNX file to write; - is standard output, with --single-file.")
@click.option("--weights", metavar="W.safetensors", help="Weights to use, as named in the module's state_dict.")
@click.option("--seed", type=SEED, help="Seed of fresh weights; 0 by default.")
@click.option(
    "--provider",
    type=click.Choice(("cpu", "cuda")),
    help="Target one provider of ONNX Runtime: refuse what it has no kernels for.",
)
@onnx_options()
@click.option("--single-file", "single", is_flag=True, help="Put the weights into the ONNX file, up to 2 GiB.")
@click.option("--copy-weights", "copy", is_flag=True, help="Copy given weights even from the ONNX file's directory.")
@shard_size
def command(
    spec: str,
    args: dict[str, str],
    bind: dict[str, int],
    target: str,
    weights: str | None,
    seed: int | None,
    **given: Any,
) -> None:
    """Write a network as an ONNX file, with weights.

    The ONNX file refers to a safetensors file in the same directory. Without --weights, fresh weights are written
    there, under the name of the ONNX file; weights from another directory are copied there. Every node has a kernel
    in ONNX Runtime's CPU provider, and nodes without a CUDA kernel are listed; with --provider cuda every node has a
    CUDA kernel.

    \b
      netc onnx specs/resnet.yaml:resnet50 -o resnet50.onnx --weights resnet50.safetensors
      netc onnx specs/resnet.yaml:resnet50 -o resnet50.onnx --seed 7 --opset 17 --single-file
      netc onnx specs/resnet.yaml -o service.onnx --bind h=7,w=7 --dtype float16 --input-dtype uint8
          --input-layout nhwc --resize 256 --normalize imagenet --softmax --topk 5 --keep-io
    """
    if weights is not None and seed is not None:
        raise click.UsageError("--weights and --seed cannot be used together")
    options = _options(given)
    network = compile_or_fail(spec, args, bind, given["dtype"])
    with file_to_write(target, "" if given["single"] else "add --single-file") as path:
        if weights is not None:
            write_onnx(network, path, weights, options)
        else:
            with progress("weights") as report:
                write_onnx_fresh(network, path, seed or 0, report, options)
    if given["provider"] is None and (strays := cpu_only(network, options)):
        click.echo(_remark(strays), err=True)


def _options(options: dict[str, Any]) -> OnnxOptions:
    if options["single"] and (options["copy"] or options["shard_size"]):
        raise click.UsageError("--single-file cannot be used with --copy-weights or --shard-size")
    return msgspec.structs.replace(
        read_onnx_options(options),
        provider=options["provider"] or "cpu",
        placement="single" if options["single"] else "copy" if options["copy"] else "beside",
        shard_size=options["shard_size"],
    )


def _remark(strays: tuple[str, ...]) -> str:
    """One line: how many statements a CUDA session leaves to the CPU, and the first few of them."""
    count = "1 statement" if len(strays) == 1 else f"{len(strays)} statements"
    return f"on CUDA {count} would run on the CPU: {elided(strays, NAMED)}"
