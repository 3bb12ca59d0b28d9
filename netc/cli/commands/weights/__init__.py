"""`netc weights`"""

from __future__ import annotations

import click

from netc.cli.commands.weights import check, convert, diff, init, inspect


@click.group("weights")
def command() -> None:
    """Make, convert, list, compare and check weight files.

    Weights are safetensors files whose tensors are named as in the PyTorch module's state_dict: one file, or several
    that an index file names.

    \b
      netc weights init specs/resnet.yaml:resnet50 -o resnet50.safetensors
      netc weights convert checkpoint.pt -o resnet50.safetensors
      netc weights inspect resnet50.safetensors
      netc weights diff before.safetensors after.safetensors
      netc weights check specs/resnet.yaml:resnet50 resnet50.safetensors
    """


for module in (init, convert, inspect, diff, check):
    command.add_command(module.command)
