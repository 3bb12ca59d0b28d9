"""`netc weights convert`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from netc.artifacts import staged
from netc.cli.commands.weights.options import read_tensors, shard_size, state_key
from netc.cli.options import as_json, choices, file_output
from netc.cli.output import print_json
from netc.cli.progress import progress
from netc.cli.report import say
from netc.cli.spec import compile_or_fail
from netc.weights.convert import Conversion, chosen, convert, convert_for, write_conversion
from netc.weights.rename import Rule, Selection, parse_rule, read_rules
from netc.weights.safetensors import FLOATS


def _rules(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[Rule, ...]:
    try:
        return tuple(map(parse_rule, texts))
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


MOST_LISTED = 10
"""Names, or tensors that do not fit, which are printed; JSON has them all."""


@click.command("convert", short_help="Read, rename, merge and convert weights.")
@click.argument("inputs", metavar="IN...", nargs=-1, required=True)
@file_output("The safetensors file to write.")
@click.option("--include", multiple=True, metavar="GLOB", help="Take only tensors whose names fit; may be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out tensors whose names fit; may be repeated.")
@click.option("--strip-prefix", "strip", default="", metavar="TEXT", help="Take this off the names that begin with it.")
@click.option("--rename", "rules", multiple=True, metavar="OLD=NEW", callback=_rules, help="Rename; may be repeated.")
@click.option("--rename-file", "files", multiple=True, metavar="MAP.yaml", help="Rename by a YAML mapping OLD: NEW.")
@click.option("--prefix", default="", metavar="TEXT", help="Put this before every name.")
@state_key
@click.option("--dtype", type=click.Choice(FLOATS), help="The type of all floating-point tensors.")
@shard_size
@click.option("--for", "spec", metavar="SPEC", help="Write the tensors of this network, which the inputs must fit.")
@click.option(
    "--partial",
    is_flag=True,
    help="With --for: initialise tensors that are missing or do not fit, and leave out the rest.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of fresh tensors.")
@click.option("--allow-non-finite", is_flag=True, help="Accept infinite and NaN values.")
@choices
@as_json
def command(
    inputs: tuple[str, ...],
    target: str,
    spec: str | None,
    seed: int,
    partial: bool,
    allow_non_finite: bool,
    args: dict[str, str],
    bind: dict[str, int],
    json_: bool,
    **options: Any,
) -> None:
    """Read weights, rename them, merge several files, convert their type, and write safetensors.

    Reads safetensors (one file or an index of shards), numpy's .npz, and PyTorch's .pt, .pth, .bin and .ckpt, these
    only as plain tensors. In a rule `*` stands for any characters, and the n-th in NEW for what the n-th in OLD stood
    for; with `re:` before it OLD is a regular expression, and NEW takes its groups as \\1. The first rule that fits a
    name counts. Names are chosen by --include and --exclude first, then --strip-prefix, --rename and --prefix follow.

    \b
      netc weights convert checkpoint.pt -o resnet50.safetensors
      netc weights convert w.safetensors -o half.safetensors --dtype float16 --shard-size 2GB
      netc weights convert w.pt -o new.safetensors --rename 'layer*.bn.*=layer*.norm.*'
      netc weights convert w.pt -o new.safetensors --rename 're:^block(\\d+)=stage.\\1'
      netc weights convert resnet50.pt -o start.safetensors --prefix backbone. --for specs/transfer.yaml --partial
    """
    if spec is None and (partial or args or bind):
        raise click.UsageError("--partial, -p and --bind belong to --for")
    network = compile_or_fail(spec, args, bind) if spec else None
    taken = chosen([held for path in inputs for held in read_tensors(path, options["key"])], _selection(options))
    dtype, size = options["dtype"], options["shard_size"]
    if network is None:
        conversion = convert(target, taken, dtype, size)
    else:
        conversion = convert_for(network, target, taken, dtype, size, partial=partial)
    layout = conversion.layout
    with staged(layout.paths, layout.obsolete) as temporary, progress("weights") as report:
        write_conversion(conversion, temporary, network, seed, allow_non_finite=allow_non_finite, progress=report)
    _print(conversion, json_)


def _selection(options: dict[str, Any]) -> Selection:
    rules = options["rules"] + tuple(rule for file in options["files"] for rule in read_rules(file))
    names = {key: options[key] for key in ("include", "exclude", "strip", "prefix")}
    return Selection(rules=rules, **names)


def _print(conversion: Conversion, json_: bool) -> None:
    if json_:
        print_json(_as_json(conversion))
    else:
        say("\n".join(_lines(conversion)))


def _as_json(conversion: Conversion) -> dict[str, object]:
    return {
        "files": [str(path) for path in conversion.layout.paths],
        "taken": {new: held.name for new, held in conversion.taken.items()},
        "fresh": list(conversion.fresh),
        "left_out": list(conversion.left_out),
        "unfit": [{"code": found.code, "tensor": found.path, "message": found.message} for found in conversion.unfit],
    }


def _lines(conversion: Conversion) -> list[str]:
    lines = [f"{conversion.layout.index.path}: {len(conversion.taken)} tensors from the inputs"]
    if conversion.fresh:
        lines.append(f"{len(conversion.fresh)} fresh: {_listed(conversion.fresh)}")
    if conversion.left_out:
        lines.append(f"{len(conversion.left_out)} left out: {_listed(conversion.left_out)}")
    lines += [f"  {found.message}" for found in conversion.unfit[:MOST_LISTED]]
    rest = len(conversion.unfit) - MOST_LISTED
    return [*lines, f"  and {rest} more, which --json lists"] if rest > 0 else lines


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {rest} more, which --json lists" if rest > 0 else "")
