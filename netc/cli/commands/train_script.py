"""`netc train-script`"""

from __future__ import annotations

import keyword
import os
import re
import sys
from pathlib import Path

import click

from netc.api import Network
from netc.artifacts import named, staged
from netc.backends.training.script import TrainedModel, script
from netc.cli.options import file_output, one_spec
from netc.cli.spec import compile_or_fail
from netc.diagnostics.model import failure
from netc.ops.records import Unsupported
from netc.passes.sizes import bound_shape, typical

_CLASS = re.compile(r"^class (\w+)\(", re.MULTILINE)


@click.command("train-script")
@one_spec
@file_output("The script; the module is written beside it.")
@click.option(
    "--module", default="model.py", show_default=True, metavar="NAME.py", help="What the module's file is called."
)
def command(spec: str, args: dict[str, str], bind: dict[str, int], target: str, module: str) -> None:
    """Write a script that trains a network as the key `train` of its spec says.

    The script needs only PyTorch. It runs in one process, in several with torchrun (DDP), or with the weights divided
    among them (--fsdp), and resumes where it was stopped. Its weights are safetensors, which `netc onnx` takes.

    \b
      netc train-script net.yaml -o train.py
      python train.py
      torchrun --nproc-per-node 2 train.py --fsdp
      netc onnx net.yaml --weights checkpoints/model.safetensors -o net.onnx
    """
    if not Path(module).name == module or not re.fullmatch(r"[A-Za-z_]\w*\.py", module):
        raise click.UsageError(f"--module: `{module}` is not the name of a Python file, as in model.py")
    for name in (module, Path(target).name):
        if _is_taken(name.removesuffix(".py")):
            raise click.UsageError(f"`{name}` would hide a module that Python or the script uses: choose another name")
    if Path(target).name == module:
        raise click.UsageError("the script and the module need different names: use --module")
    network = compile_or_fail(spec, args, bind)
    train = network.file.train
    if train is None:
        help = "add `train: {optimizer: sgd lr=0.1 momentum=0.9, epochs: 90}`"
        raise failure("missing-key", f"`{os.path.basename(network.file.path)}` does not say how to train it; {help}")
    source = Network(network).to_torch()
    model = TrainedModel(
        spec=os.path.basename(network.file.path),
        name=network.name,
        module=module.removesuffix(".py"),
        class_name=_CLASS.findall(source)[-1],
        picture=_picture(Network(network)),
    )
    try:
        text = script(train, model)
    except Unsupported as error:
        raise failure("bad-argument", str(error)) from error
    with staged([target, named(target).with_name(module)]) as (first, second):
        first.write_text(text, encoding="utf-8", newline="\n")
        second.write_text(source, encoding="utf-8", newline="\n")


def _is_taken(name: str) -> bool:
    """Whether Python, or what the script imports, has a module or a keyword of this name."""
    return name in sys.stdlib_module_names or name in ("torch", "numpy", "safetensors") or keyword.iskeyword(name)


def _picture(network: Network) -> tuple[int, int, int] | None:
    """Channels, height and width of the only input, where it is a picture of 1 or 3 channels."""
    types = list(network.inputs.values())
    if len(types) != 1 or types[0].rank != 4:
        return None
    shape = types[0].shape
    names = {name: network.ir.domain.lower(name) for name in network.ir.domain.bounds}
    channels, height, width = bound_shape(shape, typical([shape], names, {}))[1:]
    return (channels, height, width) if channels in (1, 3) else None
