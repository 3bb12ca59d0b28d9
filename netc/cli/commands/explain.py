"""`netc explain`"""

from __future__ import annotations

import os

import click
import msgspec

from netc.api import split_variant
from netc.cli.completion import SPEC
from netc.cli.options import as_json, sized_choices
from netc.cli.output import print_json
from netc.cli.spec import compile_or_fail
from netc.diagnostics.codes import CODES, CodeInfo, explain
from netc.diagnostics.model import Fix, NetcError, failure
from netc.diagnostics.suggest import did_you_mean
from netc.ir.flat import FlatNode
from netc.passes.explain import Explainer, Explanation


@click.command("explain")
@click.argument("what", required=False, metavar="[CODE|SPEC]", type=SPEC)
@click.argument("path", required=False)
@sized_choices
@click.option("--detail", is_flag=True, help="Also other paddings, exact settings, and the memory of a training step.")
@click.option("--chain", is_flag=True, help="Also how the sizes are derived, starting at the input.")
@as_json
def command(
    what: str | None,
    path: str | None,
    args: dict[str, str],
    bind: dict[str, int],
    chain: bool,
    detail: bool,
    json_: bool,
) -> None:
    """Explain a layer of a network, or a diagnostic.

    For the layer at PATH of a SPEC: sizes, parameters, multiply-accumulates and receptive field, each as the formula
    with its numbers; the matrix products that compute it, forward and backward; which axes a normalisation averages
    over; what a convolution would cost without sharing. Work, products and memory are for one sample. The PATH of a
    block or chain explains all its layers, and a SPEC alone all layers.

    For a diagnostic CODE: its cause, an example and the remedy. Without arguments, list the codes.

    \b
      netc explain specs/alexnet_original.yaml conv1.0
      netc explain specs/resnet.yaml:resnet50 layer2.0.conv2 --size 224x224 --chain
      netc explain shape-mismatch
    """
    if what is None:
        _list(json_)
    elif path is not None or _is_spec(what):
        explainer = Explainer(compile_or_fail(what, args, bind))
        say([explainer.explain(node, chain=chain, detail=detail) for node in layers(explainer, path or "")], json_)
    elif json_:
        print_json(msgspec.to_builtins(_find(what)))
    else:
        click.echo(explain(_find(what).code), nl=False)


def _is_spec(what: str) -> bool:
    """A code stays a code where a file has its name."""
    file, _ = split_variant(what)
    return what not in CODES and (
        file.endswith((".yaml", ".yml")) or file == "-" or ":" in what or os.path.exists(file)
    )


def layers(explainer: Explainer, path: str) -> list[FlatNode]:
    """The layers at or below a path. Raises NetcError where there are none."""
    nodes = explainer.below(path)
    if not nodes:
        raise _no_layer(path, explainer.paths())
    return nodes


def say(explanations: list[Explanation], json_: bool) -> None:
    """Print explanations, as texts or as a JSON list."""
    if json_:
        print_json([each.as_json() for each in explanations])
    else:
        click.echo("\n".join(map(str, explanations)), nl=False)


def _no_layer(path: str, paths: list[str]) -> NetcError:
    ending = tuple([Fix(f"did you mean `{each}`?") for each in paths if each.endswith(f".{path}")][:3])
    return failure("unknown-layer", f"there is no layer `{path}`", fixes=did_you_mean(path, paths) or ending)


def _list(json_: bool) -> None:
    if json_:
        print_json([msgspec.to_builtins(info) for info in CODES.values()])
        return
    width = max(map(len, CODES))
    click.echo("".join(f"{code:{width}}  {info.title}\n" for code, info in CODES.items()), nl=False)


def _find(code: str) -> CodeInfo:
    if code in CODES:
        return CODES[code]
    raise failure("unknown-code", f"there is no diagnostic `{code}`", fixes=did_you_mean(code, CODES))
