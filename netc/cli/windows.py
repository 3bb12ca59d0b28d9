"""Pictures of single layers, for `netc diagram --window` and `netc conv -o`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netc.cli.output import write_text
from netc.diagnostics.model import failure
from netc.lazy import LazyModule
from netc.types import AXES, TensorType

if TYPE_CHECKING:
    from netc.backends import windows
    from netc.ir.flat import FlatNode
    from netc.passes.explain import Explainer, Explanation
else:
    windows = LazyModule("netc.backends.windows")


def window_options(wrapped: Any) -> Any:
    """The options that say what is drawn of a layer."""
    for option in (
        click.option("--sharing", is_flag=True, help="Draw it locally connected and fully connected, too."),
        click.option("--matrix", is_flag=True, help="Draw and print the matrix of one channel's convolution."),
        click.option(
            "--animate", is_flag=True, help="One picture with a moving window, instead of one for each window."
        ),
    ):
        wrapped = option(wrapped)
    return wrapped


def draw_layer(
    explainer: Explainer, node: FlatNode, target: str | None, *, animate: bool, matrix: bool, sharing: bool
) -> None:
    """Write the picture of a layer to an SVG file, or to standard output where `target` is `-`; a matrix is printed
    unless it goes there itself. Raises NetcError."""
    if target is not None and target != "-" and Path(target).suffix.lower() != ".svg":
        raise click.UsageError(f"-o {target}: the picture of a layer is an SVG file, NAME.svg")
    if animate + matrix + sharing > 1:
        raise click.UsageError("--animate, --matrix and --sharing are three different pictures: give one of them")
    try:
        text = _picture(explainer, node, target, animate, matrix, sharing)
    except windows.UnboundSize as problem:
        raise failure("unbound-size", str(problem), ("give the sizes with --size or --bind",)) from problem
    except windows.Unpicturable as problem:
        raise failure("no-picture", str(problem)) from problem
    if target is not None:
        write_text(target, text)


def _picture(
    explainer: Explainer, node: FlatNode, target: str | None, animate: bool, matrix: bool, sharing: bool
) -> str:
    said = explainer.explain(node)
    title = f"{said.path}: {said.line}"
    op, inputs, output = node.node.op, said.inputs, said.outputs[0]
    averages = op.averages(*inputs)
    if matrix:
        product = windows.matrix_of(op, inputs, output)
        if target != "-":
            click.echo(product.text(), nl=False)
        return product.draw(title) if target is not None else ""
    if sharing:
        parameters = {fact.name: fact.data.get("value", 0) for fact in said.facts}.get("parameters", 0)
        return windows.sharing(title, windows.sharing_of(said.facts, parameters))
    if averages is not None:
        words = next(fact.text for fact in said.facts if fact.name == "averages")
        return windows.cube(title, words, averages, inputs[0].rank)
    scene = windows.scene_of(title, _formulas(said, inputs[0]), op, inputs, output)
    return windows.animation(scene) if animate else windows.multiples(scene)


def _formulas(said: Explanation, x: TensorType) -> tuple[str, ...]:
    """The shapes, and the rules of the sizes."""
    letters = set(AXES.get(x.rank, ""))
    rules = [f"{fact.name} = {fact.text}" for fact in said.facts if fact.name[:1] in letters and " × " not in fact.text]
    return f"{said.inputs[0]} → {said.outputs[0]}", *[rule for rule in rules if rule.split(" ")[0] in letters]
