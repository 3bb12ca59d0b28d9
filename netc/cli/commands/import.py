"""`netc import`"""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import click
import msgspec

from netc.cli.completion import SPEC
from netc.cli.guard import guarded
from netc.cli.options import OUTPUT, as_json
from netc.cli.output import print_json
from netc.cli.progress import steps
from netc.importing.candidates import NamesMode
from netc.importing.run import SizesMode, Wishes, import_file

_SHAPE = re.compile(r"((?P<name>.+)=)?(?P<sizes>\d+(x\d+)*)", re.ASCII)


@click.command("import")
@guarded
@click.argument("source", metavar="FILE", type=SPEC)
@click.option(
    "-o",
    "--output",
    "target",
    type=OUTPUT,
    metavar="DIRECTORY",
    help="The directory for the spec, the weights and the report.",
)
@click.option(
    "--names",
    type=click.Choice(get_args(NamesMode)),
    default="keep",
    show_default=True,
    help="Keep the source's module names, take the shorter spec, or ignore names.",
)
@click.option(
    "--sizes",
    type=click.Choice(get_args(SizesMode)),
    default="symbolic",
    show_default=True,
    help="Leave batch, height and width open where the network allows it, or keep those of the file.",
)
@click.option(
    "--input", "shapes", metavar="[NAME=]1x3x224x224", multiple=True, help="Shape of an input the file leaves open."
)
@click.option("--partial", is_flag=True, help="Leave gaps for nodes of an ONNX file that netc cannot express.")
@click.option(
    "-a", "--arg", "arguments", metavar="KEY=VALUE", multiple=True, help="Argument of a Python callable, as JSON."
)
@as_json
def command(
    source: str,
    target: str | None,
    names: Any,
    sizes: Any,
    shapes: tuple[str, ...],
    partial: bool,
    arguments: tuple[str, ...],
    json_: bool,
) -> None:
    """Convert a network of another tool to a short spec and its weights.

    Blocks, repeats, arguments and conditions are recovered, and the spec is compared with the source: operators one
    by one, parameters, and the values of all statements. Only then are NAME.yaml, NAME.safetensors and the report
    NAME.import.json written to the directory; without -o the spec is printed.

    FILE is an ONNX file, a Keras model (.keras, .h5 or .json), a darknet .cfg, a Caffe .prototxt or a YAML file of
    Ultralytics, whose scales become variants; weights are taken from the .weights.h5, .weights, .caffemodel or
    .safetensors file beside it. For formats other than ONNX, only operators, sizes, parameters and wiring are
    compared. Code in a file is never run.

    python:PACKAGE:CALLABLE is the PyTorch module that a Python callable returns; this runs its code.

    \b
      netc import resnet50.onnx -o out
      netc import resnet50.onnx --names none
      netc import model.keras -o out
      netc import yolov8s.yaml -o out
      netc import python:torchvision.models:resnet18 -a weights=null --input 1x3x224x224 -o out
      netc diagram out/resnet50.yaml -o resnet50.svg
    """
    wishes = Wishes(names, sizes, dict(map(_shape, shapes)), partial)
    if source.startswith("python:"):
        click.echo(f"running the code of {source.split(':')[1]}", err=True)
    with steps() as note:
        imported = import_file(source, wishes, note, dict(map(_argument, arguments)))
        written = imported.write(target) if target else ()
    if json_:
        data = msgspec.to_builtins(imported.report) | {"files": [str(path) for path in written], "spec": imported.text}
        print_json(data)
        return
    if not target:
        click.echo(imported.text, nl=False)
    click.echo("\n".join([*imported.report.text(), *(f"wrote {path}" for path in written)]), err=not target)


def _argument(text: str) -> tuple[str, Any]:
    """A value that is no JSON is a word."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise click.BadParameter(f"{text} is not an argument such as num_classes=10", param_hint="--arg")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text} is not a shape such as 1x3x224x224", param_hint="--input")
    return match["name"] or "", tuple(map(int, match["sizes"].split("x")))
