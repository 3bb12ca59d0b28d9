"""`netc weights convert`"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from netc.artifacts import staged
from netc.cli.commands.weights.options import read_tensors, shard_size, state_key
from netc.cli.options import SEED, as_json, choices, one_file_output
from netc.cli.output import file_to_write, print_json
from netc.cli.progress import progress
from netc.cli.spec import compile_or_fail
from netc.cli.terminal import say
from netc.diagnostics.style import shown
from netc.ir.model import Network
from netc.types import FLOATS
from netc.weights import tensors
from netc.weights.check import counted
from netc.weights.convert import Conversion, chosen, convert, convert_for, matched, write_conversion
from netc.weights.match import MatchedTensors
from netc.weights.rename import Rule, Selection, parse_rule, read_rules
from netc.weights.values import StoredTensor

OF_NETWORK = ("partial", "by_form", "adapt_input")
"""Options that need a network."""

MOST_LISTED = 10
"""Names, or tensors that do not fit, which are printed; JSON has them all."""

MOST_REMARKS = 5
"""Rules of files that match nothing, which are named."""


def _rules(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[Rule, ...]:
    try:
        return tuple(map(parse_rule, texts))
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


@click.command("convert", short_help="Read, rename, merge and convert weights.")
@click.argument("inputs", metavar="IN...", nargs=-1, required=True)
@one_file_output("The safetensors file to write; - is standard output.")
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Take only tensors with matching names; may be repeated."
)
@click.option(
    "--exclude", multiple=True, metavar="GLOB", help="Leave out tensors with matching names; may be repeated."
)
@click.option(
    "--strip-prefix", "strip", default="", metavar="TEXT", help="Remove this prefix from the names that have it."
)
@click.option("--rename", "rules", multiple=True, metavar="OLD=NEW", callback=_rules, help="Rename; may be repeated.")
@click.option(
    "--rename-file",
    "files",
    multiple=True,
    metavar="MAP.yaml",
    help="Rename by a YAML mapping OLD: NEW; netc:timm/vit and others come with netc.",
)
@click.option("--prefix", default="", metavar="TEXT", help="Add this prefix to every name.")
@state_key
@click.option("--dtype", type=click.Choice(FLOATS), help="The type of all floating-point tensors.")
@shard_size
@click.option(
    "--for", "spec", metavar="SPEC", help="Write exactly the tensors of this network, which the inputs must provide."
)
@click.option(
    "--partial",
    is_flag=True,
    help="With --for: initialise tensors that are missing or do not fit, and drop those that are not needed.",
)
@click.option(
    "--match", "by_form", is_flag=True, help="With --for: match tensors by order and shape, and print the rules found."
)
@click.option("--adapt-input", is_flag=True, help="With --for: adapt a first convolution of 3 input channels.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of fresh tensors.")
@click.option("--allow-non-finite", is_flag=True, help="Accept infinite and NaN values.")
@choices
@as_json
def command(
    inputs: tuple[str, ...],
    target: str,
    spec: str | None,
    seed: int,
    allow_non_finite: bool,
    args: dict[str, str],
    bind: dict[str, int],
    json_: bool,
    **options: Any,
) -> None:
    """Read weights, rename them, merge several files, convert their type, and write safetensors.

    Reads safetensors (one file or an index of shards), numpy's .npz, and PyTorch's .pt, .pth, .bin and .ckpt, of these
    only the tensors, without running any code. In a rule, `*` matches any characters, and the n-th `*` in NEW is what
    the n-th in OLD matched; after `re:`, OLD is a regular expression, and NEW refers to its groups as \\1. Braces hold
    arithmetic: {*+1}, {2*\\1+1}. The first rule that matches a name applies. --include and --exclude come first, then
    --strip-prefix, --rename and --prefix.

    With --match, tensors of another implementation of the network are matched by order and shape, and the rename
    rules found are printed, for --rename-file. Shapes alone can mislead: compare what both networks compute.

    \b
      netc weights convert checkpoint.pt -o resnet50.safetensors
      netc weights convert w.safetensors -o half.safetensors --dtype float16 --shard-size 2GB
      netc weights convert w.pt -o new.safetensors --rename 'layer*.bn.*=layer*.norm.*'
      netc weights convert w.pt -o new.safetensors --rename 're:^block(\\d+)=stage.\\1'
      netc weights convert resnet50.pt -o start.safetensors --prefix backbone. --for specs/transfer.yaml --partial
      netc weights convert timm_vit.pt -o vit.safetensors --for specs/vit.yaml --rename-file netc:timm/vit
      netc weights convert other_vit.pt -o vit.safetensors --for specs/vit.yaml --match
    """
    if spec is None and (args or bind or any(options[name] for name in OF_NETWORK)):
        raise click.UsageError("--partial, --match, --adapt-input, -p and --bind belong to --for")
    network = compile_or_fail(spec, args, bind) if spec else None
    taken = _taken(inputs, network, options)
    taken, how = (
        matched(network, taken, adapt_input=options["adapt_input"]) if network and options["by_form"] else (taken, None)
    )
    with file_to_write(target, "leave out --shard-size" if options["shard_size"] else "") as path:
        conversion = _conversion(network, path, taken, options)
        layout = conversion.layout
        with staged(layout.paths, layout.obsolete) as temporary, progress("weights") as report:
            write_conversion(conversion, temporary, network, seed, allow_non_finite=allow_non_finite, progress=report)
    if json_ and target != "-":
        print_json(_as_json(conversion, how))
    else:
        lines = [*_lines(conversion), *(_told(how) if how else ())]
        say("\n".join(lines), sys.stderr if target == "-" else None)


def _taken(inputs: Sequence[str], network: Network | None, options: dict[str, Any]) -> dict[str, StoredTensor]:
    """The tensors that the options choose, by their new names; rules of no use are told on standard error."""
    expected = [tensor.name for tensor in tensors(network)] if network else []
    held = [each for path in inputs for each in read_tensors(path, options["key"], expected)]
    selected = chosen(held, _selection(options))
    rest = len(selected.remarks) - MOST_REMARKS
    for remark in selected.remarks[:MOST_REMARKS]:
        click.echo(shown(f"warning: {remark}"), err=True)
    if rest > 0:
        click.echo(f"warning: {rest} more rules match no tensor", err=True)
    return selected.tensors


def _conversion(
    network: Network | None, target: str, taken: dict[str, StoredTensor], options: dict[str, Any]
) -> Conversion:
    dtype, size = options["dtype"], options["shard_size"]
    if network is None:
        return convert(target, taken, dtype, size)
    how = {name: options[name] for name in ("partial", "adapt_input", "by_form")}
    return convert_for(network, target, taken, dtype, size, **how)


def _selection(options: dict[str, Any]) -> Selection:
    rules = options["rules"] + tuple(rule for file in options["files"] for rule in read_rules(file))
    names = {key: options[key] for key in ("include", "exclude", "strip", "prefix")}
    return Selection(rules=rules, **names)


def _as_json(conversion: Conversion, how: MatchedTensors | None) -> dict[str, object]:
    told = {} if how is None else {"rules": how.rules, "doubtful": list(how.doubtful)}
    return {
        "files": [str(path) for path in conversion.layout.paths],
        "taken": {new: held.name for new, held in conversion.taken.items()},
        "fresh": list(conversion.fresh),
        "left_out": list(conversion.left_out),
        "unfit": [
            {"code": diagnostic.code, "tensor": diagnostic.path, "message": diagnostic.message}
            for diagnostic in conversion.unfit
        ],
        "reshaped": list(conversion.reshaped),
        "adapted": conversion.adapted,
        **told,
    }


def _lines(conversion: Conversion) -> list[str]:
    lines = [f"{conversion.layout.index.path}: {counted(len(conversion.taken))} from the inputs"]
    if conversion.adapted:
        lines.append(f"adapted to other input channels: {conversion.adapted}")
    named = {"reshaped": conversion.reshaped, "fresh": conversion.fresh, "left out": conversion.left_out}
    lines += [f"{len(names)} {what}: {_listed(names)}" for what, names in named.items() if names]
    unfit = [diagnostic for diagnostic in conversion.unfit if diagnostic.code == "weights-shape"]
    lines += [f"  {diagnostic.message}" for diagnostic in unfit[:MOST_LISTED]]
    rest = len(unfit) - MOST_LISTED
    return [*lines, f"  and {rest} more in other shapes, which --json lists"] if rest > 0 else lines


def _told(how: MatchedTensors) -> list[str]:
    """The rules that were found, as a file of names has them."""
    if not how.rules:
        return ["the names are those of the network: no rule is needed"]
    rules = "this rule" if len(how.rules) == 1 else f"these {len(how.rules)} rules"
    does = "does" if len(how.rules) == 1 else "do"
    lines = [f"matched by order and shape; {rules}, in a file for --rename-file, {does} the same:"]
    lines += [f"  {_quoted(old)}: {_quoted(new)}" for old, new in how.rules.items()]
    if how.doubtful:
        swapped = f"these may have been swapped with others of the same shape: {_listed(how.doubtful)}"
        lines.append(f"{swapped}; compare what both networks compute")
        if how.by_name:
            lines.append("this file sorts its tensors by name; a file of torch.save keeps the order of the layers")
    return lines


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {rest} more, which --json lists" if rest > 0 else "")
