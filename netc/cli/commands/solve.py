"""`netc solve`"""

from __future__ import annotations

from collections.abc import Iterator

import click

from netc.cli.axes import read_axes, spec_source
from netc.cli.completion import SPEC
from netc.cli.options import SEED, as_json, bindings, plugins, times
from netc.cli.output import print_json
from netc.cli.progress import progress
from netc.explore.condition import read_condition
from netc.explore.solve import Answer, Question, Solver
from netc.explore.space import Axis, Space
from netc.explore.variants import entry

SHOWN = ("parameters", "macs", "activations")


@click.command("solve")
@click.argument("spec", type=SPEC)
@click.option(
    "-p", "axes", metavar="NAME=VALUES", multiple=True, required=True, callback=read_axes,
    help="Values of an argument, or of a symbol of the inputs' sizes: 32..256:32, or 2,3,4; may be repeated.",
)  # fmt: skip
@click.option("--where", metavar="CONDITION", help="What must hold: macs < 300e6 and head.H == 7.")
@click.option("--maximize", metavar="EXPRESSION", help="Expression to maximise.")
@click.option("--minimize", metavar="EXPRESSION", help="Expression to minimise.")
@click.option("--trials", type=times(1), default=2000, show_default=True, help="Most networks to compile.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of Optuna's search.")
@bindings("--size")
@plugins
@as_json
def command(
    spec: str,
    axes: tuple[Axis, ...],
    where: str | None,
    maximize: str | None,
    minimize: str | None,
    trials: int,
    seed: int,
    bind: dict[str, int],
    json_: bool,
) -> None:
    """Find the best values of arguments, or of symbols of the inputs' sizes, under a condition.

    Conditions and goals are expressions of the language over the arguments, the symbols, the sizes of tensors, and
    parameters, trainable, macs, activations, of the network or of a layer; `exact` is true where no strided window
    leaves a remainder.

    The answer is exact if all values can be tried, or, by bisection, if one symbol is asked for and the two sides of
    each comparison only move apart as it grows. Otherwise Optuna searches, which proves nothing. The output says
    which.

    \b
      netc solve net.yaml -p width=8..512:8 --maximize width --where "macs < 300e6 and head.H == 7" --size 224x224
      netc solve net.yaml -p h=1..100000 --bind w=7 --maximize h --where "activations < 2e9"
      netc solve unet.yaml -p s=100..600 --maximize s --where exact
      netc solve net.yaml -p width=8..512 -p depth=1..99 --maximize parameters --where "macs < 1e9" --trials 500
    """
    if (maximize is None) == (minimize is None):
        raise click.UsageError("give either --maximize or --minimize")
    source, variant = spec_source(spec)
    question = Question(
        source=source,
        variant=variant,
        bind=bind,
        space=Space(axes, seed=seed),
        goal=read_condition("--maximize" if minimize is None else "--minimize", maximize or minimize or ""),
        largest=minimize is None,
        where=None if where is None else read_condition("--where", where),
        trials=trials,
    )
    solver = Solver(question)
    with progress("networks") as told:
        answer = solver.answer(told)
    if json_:
        print_json(_plain(answer))
    else:
        click.echo("\n".join(_lines(question, answer, {axis.name for axis in solver.sizes})))


def _lines(question: Question, answer: Answer, sizes: set[str]) -> Iterator[str]:
    yield ", ".join(f"{name} = {value}" for name, value in answer.point.items())
    goal = question.goal.source.text
    if goal not in (*answer.point, *SHOWN):
        yield f"{goal} = {answer.value:,}"
    for measure in SHOWN:
        cell = answer.compiled.cell(measure)
        yield f"{measure:11}  {cell:,}" if isinstance(cell, int) else f"{measure:11}  {cell}"
    yield f"{answer.why}; {answer.looked:,} network{'s' * (answer.looked != 1)} compiled"
    arguments = {name: value for name, value in answer.point.items() if name not in sizes}
    if arguments:
        yield from ("", "variants:", f"  {entry('best', arguments)}")


def _plain(answer: Answer) -> dict[str, object]:
    return {
        "point": answer.point,
        "value": answer.value,
        "measures": {measure: answer.compiled.cell(measure) for measure in SHOWN},
        "way": answer.way,
        "why": answer.why,
        "compiled": answer.looked,
    }
