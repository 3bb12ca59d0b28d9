"""Writes the script: the recipe's own lines, and around them what every training needs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from netc.backends.training.template import AVERAGE, CHECKPOINT, EPOCH, FOLDER, MAIN, SAFETENSORS, SETUP
from netc.ops.records import Unsupported
from netc.syntax.ast import Training
from netc.syntax.training import LOSSES, OPTIMIZERS, SCHEDULES

EACH_STEP = ("cyclic", "one_cycle")
"""Schedules that go on with every batch."""

COUNTED = ("cross_entropy", "nll_loss")
"""Losses of classifiers, whose accuracy is counted."""

_GUARD = re.compile(r"([!a-z_+]+)\|")
_WORD = re.compile(r"\$(\w+)")


class TrainedModel(msgspec.Struct, frozen=True):
    """What is trained: the spec's path and name, the module's file without its suffix and its class; the channels and
    the height and width of pictures."""

    spec: str
    name: str
    module: str
    class_name: str
    picture: tuple[int, int, int] | None = None


def script(train: Training, subject: TrainedModel) -> str:
    """The text of the script. Raises Unsupported for a folder of pictures and a network that takes none."""
    constants = _constants(train, subject)
    parts = [_loss(train), _optimizer(train), _schedule(train)]
    texts = [SETUP, SAFETENSORS, CHECKPOINT]
    texts += [AVERAGE] * (train.average is not None) + [FOLDER] * (train.folder is not None) + [EPOCH, MAIN]
    network = _free_name(subject.class_name, (constants, *parts, *texts))
    parts += [_filled(text, _flags(train), _words(train, network)) for text in texts]
    parts.insert(0, f"{_head(train, subject, network)}\n\n{constants}")
    return "\n\n\n".join(part for part in parts if part) + "\n"


def _free_name(name: str, texts: Sequence[str]) -> str:
    """The name of the class here, `Network` where the script has another thing of its own name."""
    taken = {word for text in texts for word in re.findall(r"\w+", text)}
    while name in taken:
        name = f"{name}_" if name.startswith("Network") else "Network"
    return name


def _head(train: Training, subject: TrainedModel, network: str) -> str:
    where = (
        "the folder" if train.folder is not None else f"`{train.data.value}`" if train.data is not None else "`--data`"
    )
    imports = [
        "import argparse",
        *(["import importlib"] if train.data is None and train.folder is None else []),
        "import json",
        "import os",
        *(["from fnmatch import fnmatchcase"] if train.groups else []),
        "from pathlib import Path",
        "from typing import Any",
        "",
        *(["import numpy as np"] if train.folder is not None else []),
        "import torch",
        "import torch.distributed as dist",
        *(["from PIL import Image"] if train.folder is not None else []),
        "from torch import nn",
        "from torch.distributed.checkpoint import state_dict as states",
        "from torch.distributed.fsdp import fully_shard",
        *(["from torch.distributed.tensor import distribute_tensor"] if train.average is not None else []),
        "from torch.nn import functional as F  # noqa: N812",
        *(["from torch.optim.swa_utils import update_bn"] if train.average is not None else []),
        "from torch.utils.data import DataLoader, Dataset, DistributedSampler",
        "",
    ]
    renamed = "" if network == subject.class_name else f" as {network}"
    own = [f"from {subject.module} import {subject.class_name}{renamed}"]
    if train.data is not None:
        module, _, function = train.data.value.partition(":")
        own.append(f"from {module} import {function}{'' if function == 'data' else ' as data'}")
    imports += sorted(own)
    return f'''"""Trains {subject.name} as described in {subject.spec}. Written by netc, for you to read and change.

    python train.py                                  one process
    torchrun --nproc-per-node 2 train.py             the batch divided among processes (DDP)
    torchrun --nproc-per-node 2 train.py --fsdp      weights, gradients and optimiser divided too (FSDP2)

The data come from {where}: two data sets, for training and validation, of inputs and a target.
An interrupted run resumes after its last complete epoch. The final weights are model.safetensors, which
`netc onnx --weights` takes.
"""

from __future__ import annotations

{chr(10).join(imports)}'''


def _constants(train: Training, subject: TrainedModel) -> str:
    lines = [f"EPOCHS, BATCH, SEED = {train.epochs}, {train.batch}, {train.seed}"]
    if train.folder is not None:
        if subject.picture is None:
            raise Unsupported("`folder` needs a network with a single input, a picture of 1 or 3 channels")
        channels, height, width = subject.picture
        lines.append(
            f"FOLDER, MODE, SIZE = {train.folder.value!r}, {'RGB' if channels == 3 else 'L'!r}, ({width}, {height})"
        )
    return "\n".join(lines)


def _arguments(values: Mapping[str, Any], *first: str) -> str:
    return ", ".join([*first, *(f"{name}={value!r}" for name, value in values.items())])


def _loss(train: Training) -> str:
    chosen = train.loss
    name, values = ("cross_entropy", {}) if chosen is None else (LOSSES[chosen.word].torch, chosen.values)
    return (
        "def loss_of(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:\n"
        f"    return F.{name}({_arguments(values, 'output', 'target')})"
    )


def _optimizer(train: Training) -> str:
    text = f"torch.optim.{OPTIMIZERS[train.optimizer.word].torch}"
    head = "def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:\n"
    if not train.groups:
        trained = "[weight for weight in model.parameters() if weight.requires_grad]"
        return f"{head}    return {text}({_arguments(train.optimizer.values, trained)})"
    groups = "".join(f"    {json.dumps(path.value)}: {json.dumps(dict(values))},\n" for path, values in train.groups)
    return f'''GROUPS: dict[str, dict[str, float]] = {{
{groups}}}
"""Paths of modules, and their own settings."""


{head}    weights = {{name: weight for name, weight in model.named_parameters() if weight.requires_grad}}
    chosen = []
    for path, values in GROUPS.items():
        names = [name for name in weights if fnmatchcase(name, path) or fnmatchcase(name, f"{{path}}.*")]
        chosen.append({{"params": [weights.pop(name) for name in names], **values}})
    groups = [group for group in ({{"params": [*weights.values()]}}, *chosen) if group["params"]]
    return {text}({_arguments(train.optimizer.values, "groups")})'''


def _schedule(train: Training) -> str:
    chosen = train.schedule
    if chosen is None:
        return ""
    values = dict(chosen.values)
    first = ["optimizer"]
    if chosen.word == "cosine":
        first.append(f"T_max={values.pop('T_max', 'EPOCHS')}")
    if chosen.word == "cyclic":
        first.append(f"cycle_momentum={train.optimizer.values.get('momentum', 0) > 0}")
    if chosen.word == "one_cycle":
        first += ["total_steps=EPOCHS * steps", f"cycle_momentum={train.optimizer.values.get('momentum', 0) > 0}"]
    text = f"torch.optim.lr_scheduler.{SCHEDULES[chosen.word].torch}({_arguments(values, *first)})"
    return f"def scheduler_of(optimizer: torch.optim.Optimizer, steps: int) -> Any:\n    return {text}"


def _filled(text: str, flags: frozenset[str], words: Mapping[str, str]) -> str:
    """A part with the lines that the recipe asks for, and its words in the gaps: see `parts`."""
    lines = []
    for line in text.strip("\n").split("\n"):
        match = _GUARD.match(line)
        if match is None or all((one.lstrip("!") in flags) is not one.startswith("!") for one in match[1].split("+")):
            lines.append(_WORD.sub(lambda match: words[match[1]], line if match is None else line[match.end() :]))
    return "\n".join(lines)


def _flags(train: Training) -> frozenset[str]:
    """What a recipe has."""
    schedule, average, precision = train.schedule, train.average, _precision(train)
    flags = {
        "clip": train.clip is not None,
        "mixed": precision != "float32",
        "scaled": precision == "float16",
        "schedule": schedule is not None,
        "batches": schedule is not None and schedule.word in EACH_STEP,
        "plateau": schedule is not None and schedule.word == "plateau",
        "average": average is not None,
        "ema": average is not None and average.word == "ema",
        "swa": average is not None and average.word == "swa",
        "swa_lr": average is not None and average.word == "swa" and "lr" in average.values,
        "counted": train.loss is None or train.loss.word in COUNTED,
        "given": train.data is None and train.folder is None,
    }
    return frozenset(name for name, on in flags.items() if on)


def _words(train: Training, network: str) -> dict[str, str]:
    """What the recipe says where lines have a gap."""
    average = {} if train.average is None else train.average.values
    return {
        "class": network,
        "precision": _precision(train),
        "clip": repr(train.clip),
        "decay": repr(average.get("decay")),
        "start": repr(average.get("start")),
        "lr": repr(average.get("lr")),
    }


def _precision(train: Training) -> str:
    return "float32" if train.precision is None else train.precision.value
