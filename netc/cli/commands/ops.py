"""`netc ops`"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from netc.cli.completion import operators
from netc.cli.options import as_json as json_flag
from netc.cli.options import plugins
from netc.cli.output import print_json
from netc.cli.typical import placement_line, placements
from netc.diagnostics.model import failure
from netc.diagnostics.suggest import did_you_mean
from netc.ops import OPERATORS
from netc.ops.base import Op
from netc.ops.reference import AttributeRow, as_json, attributes, description, headline, in_pytorch, inputs


@click.command("ops")
@click.argument("name", required=False, shell_complete=operators)
@plugins
@json_flag
def command(name: str | None, json_: bool) -> None:
    """List the operators, or describe one: attributes, defaults, PyTorch's class and what differs from it.

    \b
      netc ops
      netc ops conv2d
    """
    if sys.flags.optimize > 1:
        click.echo("note: python -OO drops docstrings, so operators have no descriptions here", err=True)
    if name is None:
        _list(json_)
    elif json_:
        print_json(_as_json(_find(name)))
    else:
        click.echo(_describe(_find(name)), nl=False)


def _list(json_: bool) -> None:
    operators = sorted(OPERATORS.values(), key=lambda o: (o.family.value, o.name))
    if json_:
        print_json([_as_json(o) for o in operators])
        return
    click.echo(_aligned([(o.name, o.family.value, headline(o)) for o in operators]), nl=False)


def _as_json(operator: type[Op]) -> dict[str, object]:
    """Everything as plain data; `onnx` is the nodes a typical use becomes and whether CUDA has each, null where no use
    was found."""
    placed = placements(operator)
    nodes = None if placed is None else [{"op_type": p.op_type, "cuda": p.cuda} for p in placed]
    return {**as_json(operator), "onnx": nodes}


def _find(name: str) -> type[Op]:
    if name in OPERATORS:
        return OPERATORS[name]
    raise failure("unknown-op", f"there is no operator `{name}`", fixes=did_you_mean(name, OPERATORS))


def _describe(operator: type[Op]) -> str:
    head = f"{operator.name}: {in_pytorch(operator)}, {inputs(operator)}"
    rows = [_row(a) for a in attributes(operator)]
    parts = (head, description(operator), placement_line(operator), _aligned(rows).rstrip("\n") if rows else "")
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(attribute: AttributeRow) -> tuple[str, str, str]:
    default = attribute.default if attribute.default == "required" else f"= {attribute.default}"
    return attribute.name, default, f"{attribute.doc} ({attribute.kind})"


def _aligned(rows: Sequence[tuple[str, str, str]]) -> str:
    first, second = (max(len(row[i]) for row in rows) for i in (0, 1))
    return "".join(f"{a:{first}}  {b:{second}}  {c}\n" for a, b, c in rows)
